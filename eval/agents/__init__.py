"""Systems under test: an agent a module, with `open(arguments)`."""
