"""Callbacks: logging, checkpoints and checks in training. Each works with any task, and without loggers."""
