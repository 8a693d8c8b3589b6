"""The 64-bit hash behind every order, every draw and the interpolation that pack picks by itself."""
