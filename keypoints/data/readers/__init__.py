"""Readers, one file a data set; they need no torch. To add one, see ``data/face.py``."""
