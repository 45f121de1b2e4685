"""Readers of data sets, one module each; they need no torch. To add one, see ``data/face.py``."""
