"""What a run looked like from outside: its configuration, environment and hardware, with secrets left out."""
