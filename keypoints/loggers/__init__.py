"""Loggers of a run: what each kind can take, how it is made, opened and closed."""
