"""Trainings of other libraries as experiments that the checks can run."""
