"""Published metrics as functions, one benchmark a module."""
