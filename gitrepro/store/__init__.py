"""What is kept: durable files, journals, blobs by hash, and the refs of a Git repository."""
