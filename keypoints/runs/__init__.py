"""Folders of runs and sweeps: their files, and the results of their runs."""
