"""Evaluation of full-duplex systems."""
