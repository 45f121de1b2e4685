"""Configuration: schemas, options, composition and checks. Imports no torch."""
