"""Checkpoints on disk in our own format, and where those that come with the package are."""
