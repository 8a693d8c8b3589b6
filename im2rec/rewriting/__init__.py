"""New record files from existing ones: records are chosen or joined, and their contents stay as they are."""
