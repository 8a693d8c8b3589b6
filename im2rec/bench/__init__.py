"""Benchmarks of the iterator and of packing: their stages are timed one by one and together."""
