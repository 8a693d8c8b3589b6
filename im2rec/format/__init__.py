"""Bytes in, bytes out: the RecordIO framing, the image header, list and index files. Nothing here opens a file."""
