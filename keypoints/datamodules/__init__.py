"""LightningDataModules, one per dataset: how its faces are split, cropped and batched."""
