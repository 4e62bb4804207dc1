"""Training: losses, optimiser, checkpoints, loop."""
