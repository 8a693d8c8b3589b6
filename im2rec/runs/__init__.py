"""Runs of an iterator: count and time its batches, dump or draw them, replay one record."""
