"""Decoding, resizing, warping and encoding of images."""
