"""Published sets of pictures: fetched, read as they are handed round, and written as ``.rec`` files."""
