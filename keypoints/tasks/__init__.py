"""Tasks: LightningModules that know nothing of any dataset. To add one, see ``base.py``."""
