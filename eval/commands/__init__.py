"""`python -m eval COMMAND`: a command a module, with `add(parser)` and `main(args)`."""
