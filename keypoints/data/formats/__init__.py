"""Formats of lists and annotations, one file a format, read and written; they need no torch."""
