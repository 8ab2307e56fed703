"""Runs a network on arrays, wherever they come from."""
