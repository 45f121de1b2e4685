"""What is looked at while training. Each callback works with any task, and without any logger."""
