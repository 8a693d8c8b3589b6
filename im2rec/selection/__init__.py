"""Which records of a file are selected: the headers of all of them, and filters on those."""
