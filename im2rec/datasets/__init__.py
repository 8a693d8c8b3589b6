"""Published image sets: download their files, read them, and write them as ``.rec`` files."""
