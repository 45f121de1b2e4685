"""Tasks: LightningModules that do not depend on any data set. To add one, see ``base.py``."""
