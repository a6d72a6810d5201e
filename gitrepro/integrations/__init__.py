"""Bridges to other tools: each lets a program that is written for one of them record into a gitrepro run.

    from gitrepro.integrations.lightning import GitreproLogger
    from gitrepro.integrations.huggingface import GitreproCallback
    import gitrepro.integrations.wandb as wandb

A bridge writes into the run that it is given, else into the one that the program has open, else into one of its own.
Importing this package loads none of them.
"""
