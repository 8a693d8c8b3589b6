"""MXNet's iterator and DALI's reader on the same file, each in an interpreter of its own."""
