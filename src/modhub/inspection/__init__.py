"""What is in a module, told without TensorFlow: descriptions, comparisons, and the security scan."""
