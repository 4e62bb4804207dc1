"""Tools that are built in, and those of others."""
