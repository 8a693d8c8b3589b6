"""Verification files (``.bin``): pairs of faces, each with the answer to whether both are of one person."""
