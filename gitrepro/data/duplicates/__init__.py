"""Examples that are there more than once: equal, or nearly so, within a part of the data and across parts.

    found = exact({"train": Items(ids=ids, contents=texts), "test": Items(ids=more_ids, contents=more_texts)})

Parts are searched in the order they are given in. Each example is paired with the best match among the earlier
examples of its own part, and with the best match in each part before its own; so there are at most as many pairs of an
example as there are parts, and a group of k equal examples gives k - 1 pairs, not k². Give `train` first.

exact           equal canonical contents
near_images     perceptual hashes within 8 bits of 64, also mirrored, confirmed by pixels
near_texts      MinHash of 5-word shingles, and 13-word passages of the scored part that stand in another one
near_vectors    nearest neighbours by cosine among vectors that are given

The near ones do not repeat what `exact` finds: an example that has an equal one in a part gets no near one there.
"""

from __future__ import annotations

from .equal import exact
from .images import near_images
from .pairs import Items, Pair, Pairs, Tell
from .texts import near_texts
from .vectors import near_vectors

__all__ = ["Items", "Pair", "Pairs", "Tell", "exact", "near_images", "near_texts", "near_vectors"]
