"""The security scan: what the graphs of a module can do to the machine that runs them. No TensorFlow."""
