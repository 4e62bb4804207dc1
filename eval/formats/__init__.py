"""Runs written as a benchmark's official code wants them: a format a module."""
