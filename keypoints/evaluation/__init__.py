"""Evaluation: comparison of predictions with true landmarks, per face and over all faces."""
