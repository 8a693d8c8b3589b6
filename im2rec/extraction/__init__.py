"""Extract the images of a ``.rec`` to folders or tar shards, resuming where a killed run stopped."""
