"""Evaluation: predictions against true landmarks, face by face and as a result."""
