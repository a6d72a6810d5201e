"""What happens inside the training program: seeds, watched and set."""
