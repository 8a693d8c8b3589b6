"""CSV and LibSVM files: parse numbers in bulk, the two row formats, and rows read by number."""
