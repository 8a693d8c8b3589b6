"""Encoded bytes to and from pixel arrays."""
