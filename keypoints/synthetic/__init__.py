"""Made-up faces."""
