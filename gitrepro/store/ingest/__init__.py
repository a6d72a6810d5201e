"""Taking the files of users into the store: what was not changed is not read again."""

from .adding import Added, add_tree

__all__ = ["Added", "add_tree"]
