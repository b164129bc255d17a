"""Word vectors, as others publish them, to modules that embed text; no TensorFlow."""
