"""Checkpoints: what a training needs to go on exactly where it was, saved beside it and named by its bytes.

`saving` copies a state and hands it to a thread, `loading` reads one back without running anything in it, `record`
says what stands in a run's record, `places` finds the one that people mean.
"""
