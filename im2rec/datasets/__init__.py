"""Published sets of images: fetched, read as they are handed round, and written as ``.rec`` files."""
