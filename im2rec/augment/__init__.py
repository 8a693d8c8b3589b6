"""Random draws and the augmentations that use them."""
