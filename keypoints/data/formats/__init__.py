"""Formats of lists and annotations, one module each, for reading and writing; they need no torch."""
