"""Features learned by a compact 3-D CNN, kept out of fold."""
