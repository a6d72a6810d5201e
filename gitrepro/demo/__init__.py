"""`gitrepro demo`: a scratch repository in which everything really happens, told step by step.

`stage` runs commands and shows them; `story` says which, and what has to come of them; `scripts/` is what is trained.
"""
