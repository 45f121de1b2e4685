"""Readers and writers, one file a source; they need no torch. To add one, see ``face.py``."""
