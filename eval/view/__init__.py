"""Runs side by side on one page, which needs nothing but a browser."""
