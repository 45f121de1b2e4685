"""Speed of training and of prediction."""
