"""Trees out of the store, into the folders of users, where nothing of theirs is lost; and folders beside trees."""

from .comparing import Compared, compare_tree
from .restoring import Restored, restore_tree

__all__ = ["Compared", "Restored", "compare_tree", "restore_tree"]
