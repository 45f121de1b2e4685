"""Downloading, verifying, converting and shrinking data sets."""
