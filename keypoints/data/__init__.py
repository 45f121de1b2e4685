"""Faces: reading, checking, splitting, cropping, augmenting and batching them."""
