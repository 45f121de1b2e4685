"""The page to try a model, and its web server."""
