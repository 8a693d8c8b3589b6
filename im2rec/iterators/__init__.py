"""Iterators over batches, for training loops."""
