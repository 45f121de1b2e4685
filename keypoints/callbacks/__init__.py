"""Callbacks: logging, checkpoints and checks during training. Each works with any task and without a logger."""
