"""Small experiments, half of them sound, half broken in one way each, and the check that must say so."""
