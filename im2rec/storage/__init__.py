"""Files on disk: positional reads, atomic writes, and readers, writers and scans of ``.rec`` files."""
