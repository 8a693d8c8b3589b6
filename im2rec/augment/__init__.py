"""Draws and, later, the augmenter."""
