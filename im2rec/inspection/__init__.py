"""What is in a record file, and whether it is whole."""
