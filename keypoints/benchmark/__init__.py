"""Measurement of the speed of training and prediction."""
