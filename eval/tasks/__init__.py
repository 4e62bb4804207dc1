"""Benchmarks: a task a module, with `TASK`."""
