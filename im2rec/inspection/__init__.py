"""Contents of a record file, and checks that it is undamaged."""
