"""Modalities: what goes in and comes out of a micro-turn."""
