"""Web page to try a model on photos, and its web server."""
