"""Which words a system said when: a way to know a module."""
