"""Figures and pages from what runs and sweeps left in their folders; nothing is trained here."""
