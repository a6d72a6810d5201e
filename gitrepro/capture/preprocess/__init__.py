"""How data is prepared, as text that is the same whenever the same is done to the data.

A transform is described by what it is (its qualified name), by its parameters, and by its code: of an installed
package the version, of the program's own functions and classes the source, with the values they close over and the
constants and functions of their module that they name. Memory addresses and the states of generators are no part of it,
and neither is what an estimator has learnt from data.
"""

from __future__ import annotations

from .description import Part, describe

__all__ = ["Part", "describe"]
