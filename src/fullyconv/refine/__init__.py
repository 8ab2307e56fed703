"""Finer grids by fragments: the same weights, every shift of a strided operation, interleaved at the end."""
