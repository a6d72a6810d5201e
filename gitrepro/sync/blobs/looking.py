"""One look at a store remote: who claims what, what is there, and what is needed of it."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import partial
from typing import Final, TypeVar, final

from ...errors import Damaged, TooNew
from ...records.recipe import RECIPE_BYTES_AT_MOST, load_recipe
from . import claims, layout, lists, tables
from .claims import USERS, Claim
from .driver import KeyMissing, Listed
from .following import follow
from .lists import Candidates
from .plan import BUSY_SECONDS, DAY_SECONDS, Records, Survey
from .there import There

Told = Callable[[str, int, int], None]
Thing = TypeVar("Thing")
_ORDER: Final = ("runs", "roots", "recipes", "index", "packs", "objects")
"""What names others goes before them."""


def _unknown(there: There, name: str, why: str) -> Damaged:
    return Damaged(
        f"{name} in {there.driver.url} is needed and cannot be read, so it is not known what it leads to",
        why=why,
        do="`gitrepro remote repair NAME --all`, then collect again",
    )


def _is_busy(each: Listed, began: float) -> bool:
    return claims.is_begun(each.key) and each.modified_at > began - BUSY_SECONDS


def _is_old(written_at: float, began: float, grace: float) -> bool:
    return written_at <= began - grace


def _by_order(each: Listed) -> tuple[int, str]:
    kind = layout.kind_of(each.key)
    return (_ORDER.index(kind[0]) if kind else len(_ORDER), each.key)


@final
class Looking:
    """One look at a store remote."""

    def __init__(self, there: There, records: Records, progress: Told) -> None:
        self._there = there
        self._records = records
        self._progress = progress
        self._alive = set(records.named)
        self._packs: set[str] = set()
        self._runs = set(records.runs)
        self._hints: dict[str, set[str]] = {}
        self._users: list[Listed] = []
        self._claims: list[tuple[Listed, Claim]] = []
        self._foreign: list[Claim] = []
        self._places: dict[str, dict[str, Listed]] = {kind: {} for kind in _ORDER}
        self._lists: dict[str, Listed] = {}
        self._marks: list[Listed] = []

    # -- what others say

    def take_claims(self, gone: frozenset[str]) -> None:
        self._users = [each for each in self._there.driver.list(USERS) if claims.clone_of(each.key)]
        counted = [each for each in self._users if claims.clone_of(each.key) not in gone]
        found: dict[str, Claim] = {}
        self._there.run(partial(self._read_claim, each.key, found) for each in self._told("claims", counted))
        self._claims = [(each, found[each.key]) for each in counted if each.key in found]
        self._hints = claims.claimed(found.values())
        known = self._records.runs | self._records.purged
        self._foreign = [claim for claim in found.values() if not claim.runs or not known.issuperset(claim.runs)]
        for claim in self._foreign:
            self._alive.update(claim.leads)
            self._runs.update(claim.runs)

    def _read_claim(self, key: str, found: dict[str, Claim]) -> None:
        try:
            claim = claims.load(self._there.whole(key, claims.CLAIM_BYTES_AT_MOST), source=key)
        except KeyMissing:
            return  # it has ended since, and another file says the same: before a deletion it is looked at again
        except TooNew:
            raise
        except Damaged as error:
            clone = claims.clone_of(key)
            raise Damaged(
                f"it cannot be read what a clone needs of {self._there.driver.url}",
                why=f"{key}: {error.why or error.what}",
                do="in that clone `gitrepro push --runs QUERY` says it anew for its runs; then delete this file there. "
                f"If the clone is gone for good: `gitrepro remote gc NAME --gone {clone}`",
            ) from error
        found[key] = claim

    # -- what is there

    def take_places(self) -> None:
        for each in self._there.driver.list(""):
            if (kind := layout.kind_of(each.key)) is not None:
                self._places[kind[0]][kind[1]] = each
            elif lists.is_list(each.key):
                self._lists[each.key] = each
            elif lists.is_mark(each.key):
                self._marks.append(each)

    # -- what is needed

    def follow(self) -> None:
        """From what is named to all that it leads to."""
        done = set[str]()
        while new := self._alive - done:
            done |= new
            for digest in new:
                self._alive |= self._hints.get(digest, set())
            rooted = sorted(digest for digest in new if digest[3:] in self._places["roots"])
            self._take_roots(rooted)
            # Who has the list of a tree follows it here; without one, what lies there is asked what it leads to.
            self._alive |= follow(self._there, self._unknown(new.difference(rooted)), self._told)
            self._take_recipes(sorted(digest for digest in new if digest[3:] in self._places["recipes"]))

    def _unknown(self, digests: Iterable[str]) -> list[str]:
        """Those of these of which neither a record here nor a claim says what they lead to, and that are there."""
        here = self._records.named - self._records.absent
        return sorted(digest for digest in digests if digest not in here and digest not in self._hints)

    def _take_roots(self, digests: Sequence[str]) -> None:
        before = len(self._there.wrong)
        self._there.ask_roots(self._told("roots", digests), with_tables=False)
        for wrong in self._there.wrong[before:]:
            raise _unknown(self._there, wrong.name, wrong.why)
        for digest in digests:
            if (reached := self._there.root(digest)) is not None:
                self._packs |= reached.packs
                self._alive |= reached.objects | reached.recipes

    def _take_recipes(self, digests: Sequence[str]) -> None:
        self._there.run(partial(self._take_recipe, digest) for digest in self._told("recipes", digests))

    def _take_recipe(self, digest: str) -> None:
        key = layout.recipe_key(digest)
        try:
            recipe = load_recipe(self._there.whole(key, RECIPE_BYTES_AT_MOST), source=key)
        except KeyMissing:
            return
        except Damaged as error:
            raise _unknown(self._there, key, error.why or error.what) from error
        if recipe.digest != digest:
            raise _unknown(self._there, key, "it is the recipe of another file")
        self._alive.update(piece.digest for piece in recipe.segments)

    # -- the verdict

    def judge(self, began: float, grace: float) -> Survey:
        uncertain = self._take_packs()
        kept, dead, young = list[Listed](), list[Listed](), list[Listed]()
        for kind, places in self._places.items():
            for name, each in places.items():
                if self._is_needed(kind, name):
                    kept.append(each)
                else:
                    (dead if each.modified_at < began - grace else young).append(each)
        sound, bad = self._read_lists()
        old = {key for key, found in sound.items() if _is_old(found.modified_at, began, grace)}
        ripe = {each for each in dead if any(sound[key].has(each) for key in old)}
        # A list from the future would hold them back for as long.
        listed = {
            each for each in dead if any(found.has(each) and found.modified_at <= began for found in sound.values())
        }
        return Survey(
            began=began,
            kept=tuple(kept),
            ripe=tuple(sorted(ripe, key=_by_order)),
            waiting=tuple(each for each in dead if each in listed and each not in ripe),
            fresh=tuple(each for each in dead if each not in listed and each not in ripe),
            young=tuple(young),
            foreign=tuple(self._foreign),
            busy=tuple(claim for each, claim in self._claims if _is_busy(each, began)),
            old_lists=tuple(key for key in sound if key in old),
            leftovers=(*bad, *(each.key for each in self._marks if each.modified_at < began - DAY_SECONDS)),
            uncertain=tuple(uncertain),
            users=frozenset(self._users),
        )

    def _is_needed(self, kind: str, name: str) -> bool:
        if kind == "runs":
            return name in self._runs
        return name in self._packs if kind in ("packs", "index") else f"b3:{name}" in self._alive

    def _take_packs(self) -> list[str]:
        """Keep the packs that hold something that is needed, and those of which nobody can say what they hold."""
        asked = [pack for pack in self._places["index"] if pack not in self._packs]
        self._there.ask_tables(self._told("tables of packs", sorted(asked)))
        alive = {bytes.fromhex(digest[3:]) for digest in self._alive}
        found = self._there.tables()
        self._packs |= {
            pack for pack in asked if pack in found and any(row.hash in alive for row in tables.entries_of(found[pack]))
        }
        uncertain = [pack for pack in asked if pack not in found and pack in self._places["packs"]]
        self._packs |= set(uncertain)
        return uncertain

    def _read_lists(self) -> tuple[dict[str, Candidates], list[str]]:
        sound: dict[str, Candidates] = {}
        bad: list[str] = []
        for key, each in self._lists.items():
            try:
                data = self._there.whole(key, lists.LIST_BYTES_AT_MOST)
                sound[key] = lists.load(data, modified_at=each.modified_at, source=key)
            except KeyMissing:
                continue
            except Damaged:
                bad.append(key)
        return sound, bad

    def _told(self, what: str, things: Sequence[Thing]) -> Iterator[Thing]:
        for at, thing in enumerate(things):
            self._progress(what, at, len(things))
            yield thing
