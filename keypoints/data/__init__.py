"""Reading, checking, splitting, cropping, augmenting and batching of faces."""
