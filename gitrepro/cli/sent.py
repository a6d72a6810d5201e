"""What `gitrepro push` says: lines as things happen, or one document at the end."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, final

from ..errors import GitreproError
from ..sync.remotes import StoreRemote
from ..sync.runs import Pushed
from ..sync.travel import Load
from .present import clean, counted, emit, line, note, size
from .traffic import SCHEMA, blobs, contents, inboxes, say_rejected, shown

if TYPE_CHECKING:
    from ..sync.blobs import Sent
    from ..sync.bundles import Bundled


@final
@dataclass
class Said:
    """What has been told so far: as lines when it happens, or as one document at the end."""

    quiet: bool
    as_json: bool
    document: dict[str, Any] = field(default_factory=lambda: {"schema": SCHEMA})
    stores: dict[str, dict[str, Any]] = field(default_factory=dict)
    error: GitreproError | None = None

    def line(self, text: str) -> None:
        if not self.quiet and not self.as_json:
            line(text)

    def note(self, text: str) -> None:
        if not self.quiet:
            note(text)

    # -- runs

    def pushed(self, pushed: Pushed, *, dry_run: bool, held: int) -> None:
        self.document.update(_pushed(pushed))
        told = contents(pushed.runs, pushed.events, pushed.results)
        name = clean(pushed.remote)
        if told:
            self.line(f"{'would push' if dry_run else 'pushed'} {told} to {name}")
        else:
            self.note(f"{name} has all runs of this clone")
        if dry_run:
            for run_id in pushed.runs:
                self.line(f"  run {run_id[-8:]}")
        for text in _remarks(pushed):
            self.note(text)
        if held:
            self.note(f"the code of {counted(held, 'run')} is in no branch that was pushed; `--code` sends it")
        if pushed.pulled:
            say_rejected(pushed.pulled.rejected)

    # -- blobs

    def load(self, load: Load, *, dry_run: bool, own: Sequence[str]) -> None:
        store = self.store(load.remote)
        for run_id, error in load.needs.troubles:
            note(f"damaged: {run_id[-8:]}: {clean(error)}")
        if load.missing:
            whose = counted(len(load.run_ids), "run") if load.run_ids else _whose(load)
            what = f"{blobs(len(load.missing), load.size_bytes)} of {whose}"
            if dry_run:
                self.line(f"would send {what} to {shown(load.remote)}")
            else:
                self.note(f"to {shown(load.remote)}: {what}")
        if dry_run:
            store["blobs"] += len(load.missing)
            store["size_bytes"] += load.size_bytes
            store["already"] += len(load.needs.sizes) - len(load.missing)
        mine = [need for need in load.needs.absent if need.run_id in own]
        store["absent"] += [_need(need) for need in mine]
        for need in mine:
            whose = f"{need.run_id[-8:]}: " if need.run_id else ""
            self.note(f"{whose}{need.kind} {clean(need.name)} is not here, and does not go")

    def sent(self, load: Load, sent: Sent) -> None:
        store = self.store(load.remote)
        for name in ("blobs", "size_bytes", "already", "requests", "packs"):
            store[name] += getattr(sent, name)
        if sent.blobs:
            self.line(f"sent {blobs(sent.blobs, sent.size_bytes)} to {shown(load.remote)}")

    def failed(self, place: StoreRemote, error: GitreproError) -> None:
        self.store(place)["error"] = str(error)
        self.error = self.error or error

    def staying(self, count: int, size_bytes: int) -> None:
        self.document["staying"] = {"blobs": count, "size_bytes": size_bytes}
        self.note(
            f"{blobs(count, size_bytes)} of these runs {'stays' if count == 1 else 'stay'} here; "
            "`gitrepro remote add NAME URL` names a place for data, checkpoints and outputs"
        )

    def store(self, remote: StoreRemote) -> dict[str, Any]:
        """What is told of one store remote."""
        facts = {"name": remote.name, "url": remote.url}
        counts = dict.fromkeys(("blobs", "size_bytes", "already", "requests", "packs"), 0)
        return self.stores.setdefault(remote.name, {**facts, **counts, "absent": [], "error": None})

    def end(self, *, dry_run: bool) -> int:
        for store in self.stores.values():
            if not store["blobs"] and not store["error"] and not store["absent"]:
                self.note(f"{store['name']} has all that these runs need")
        if self.as_json:
            emit({**self.document, "dry_run": dry_run, "stores": list(self.stores.values())})
        if self.error is not None:
            raise self.error
        return 0

    def bundled(self, done: Bundled) -> None:
        if self.as_json:
            facts = {name: getattr(done, name) for name in ("tip", "events", "results", "size_bytes", "since", "code")}
            emit({"schema": SCHEMA, "bundle": done.path and str(done.path), "runs": list(done.runs), **facts})
        elif done.path is None:
            self.note("nothing to write")
        else:
            told = contents(done.runs, done.events, done.results)
            self.line(f"wrote {told} into {clean(done.path)}")
            self.note(f"{size(done.size_bytes)}; `gitrepro pull {clean(done.path)}` takes it in")


def _whose(load: Load) -> str:
    return "data sets" if any(need.kind == "data" for need in load.needs.items) else "sealed test sets"


def _remarks(pushed: Pushed) -> list[str]:
    name = clean(pushed.remote)
    told = [
        (pushed.restored, f"{name} had lost runs that were there; it has them again"),
        (pushed.renewed, f"the history of runs on {name} begins anew, without what was purged"),
        (pushed.queued, f"others push to {name} all the while: it went to the inbox, and the next push takes it in"),
        (pushed.inboxes, f"took in {inboxes(pushed.inboxes)} that others had left on {name}"),
        (pushed.code, f"sent {counted(pushed.code, 'commit')} that keep the code of runs"),
        (pushed.pulled and pushed.pulled.runs, f"brought {counted(len(_came(pushed)), 'run')} of others on the way"),
    ]
    return [text for true, text in told if true]


def _came(pushed: Pushed) -> Sequence[str]:
    return pushed.pulled.runs if pushed.pulled else ()


def _pushed(pushed: Pushed) -> dict[str, Any]:
    return {
        "remote": pushed.remote,
        "tip": pushed.tip,
        "runs": list(pushed.runs),
        "events": pushed.events,
        "results": pushed.results,
        "retries": pushed.retries,
        "queued": pushed.queued,
        "restored": pushed.restored,
        "renewed": pushed.renewed,
        "code": pushed.code,
        "code_held": pushed.code_held,
        "brought": list(_came(pushed)),
    }


def _need(need: Any) -> dict[str, Any]:
    return {"run": need.run_id, "kind": need.kind, "name": need.name, "digest": need.digest}
