"""Data iterators: what a training loop consumes."""
