"""LightningDataModules, one per data set: they split, crop and batch its faces."""
