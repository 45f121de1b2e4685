"""Figures, tables and pages of results, made from the folders of runs and sweeps; nothing is trained here."""
