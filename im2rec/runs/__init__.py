"""Driving an iterator from outside: count and time its batches, dump them, show them, repeat one record."""
