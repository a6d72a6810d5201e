"""Recording: from a running program to a run on the run ref."""
