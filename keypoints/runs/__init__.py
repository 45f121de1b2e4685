"""Folders of runs and of sweeps: which file is where, and what came of each."""
