"""Runs and blobs on their way to and from remotes."""
