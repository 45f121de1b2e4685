"""Training a run, from its configuration to its metrics."""
