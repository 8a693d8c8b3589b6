"""Codecs between bytes and records, headers, list lines, index lines and arrays. No module here opens a file."""
