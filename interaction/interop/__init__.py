"""Weights of other stacks, in and out."""
