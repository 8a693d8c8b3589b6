"""From folders and lists to record files."""
