"""Run it again: the exact code of a run in another place, and the same command with other seeds."""
