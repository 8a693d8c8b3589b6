"""The images of a ``.rec`` out again: into folders, tar shards, and where a killed run stopped."""
