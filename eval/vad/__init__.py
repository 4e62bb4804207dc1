"""Where speech is in a wave: a detector a module."""
