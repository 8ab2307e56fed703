"""Reads a model, whatever its form, into one Graph of normalised operations."""
