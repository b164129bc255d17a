"""What `modhub run-signature` is made of: values given, the signature, conversion between them, results."""
