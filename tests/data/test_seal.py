"""A part is sealed to keys, opened in memory by those who have one, and by nobody else."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pyrage
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gitrepro.data import open_dataset
from gitrepro.data.datasets import Wish, add_dataset
from gitrepro.data.sealing import finding
from gitrepro.data.sealing.contents import Holdout, ids_of, labels_of, sealed_inputs, sealed_labels
from gitrepro.data.sealing.keys import decrypt, encrypt, identities, recipients
from gitrepro.data.sealing.seals import Seal, hand_on, opened, seal_from, seal_of
from gitrepro.data.splits import Wish as SplitWish
from gitrepro.data.splits import make_split
from gitrepro.errors import Ambiguous, BlobMissing, Conflict, Damaged, NotFound, TooNew, UsageError, WrongKey
from gitrepro.records.sealed import FIRST_LINE, Contents, commitment, dump_sealed, load_sealed
from gitrepro.store.place import store_of
from tests.data.sealed_set import ADAS, AT, BOBS, SealedSet, flowers
from tests.recorded_runs import ADA
from tests.signers import person

KEY = bytes(range(32))
GOLDEN = Path(__file__).parent.parent / "golden" / "v1" / "sealed" / "labels"
"""What is inside a seal, with `KEY`: never on a disk but here."""
GOLDEN_COMMITMENT = "keyed:c2e5015972080407c15870cebb13539b0166c298c14c285b6c7605c4c65bbb50"


@pytest.fixture
def test_set(tmp_path: Path) -> SealedSet:
    return flowers(tmp_path)


def labels_in(test_set: SealedSet, key: object = None) -> list[str]:
    keys = (key or ADAS).private  # type: ignore[attr-defined]
    found = opened(
        test_set.repository,
        seal_of(test_set.entries, test_set.holdout),
        "labels",
        keys,
    )
    return [str(each) for each in found.table.column("label").to_pylist()]


# -- sealing and opening


def test_who_has_a_key_reads_the_labels_that_were_sealed(test_set: SealedSet) -> None:
    test_set.seal()

    assert labels_in(test_set) == test_set.truth.tolist()


def test_nothing_that_was_sealed_lies_on_the_disk_in_plain_text(test_set: SealedSet) -> None:
    secret = {each: f"zebra-{each}" for each in test_set.ids}

    made = test_set.seal(labels=secret)
    test_set.commit(np.full(len(test_set.ids), "lion"))
    scored = test_set.score()

    assert scored.told == {"accuracy": 0.0}
    assert labels_in(test_set) == [secret[each] for each in test_set.ids]
    plain = {
        path: word
        for path in test_set.repository.common_dir.parent.rglob("*")
        for word in (b"zebra", FIRST_LINE)
        if path.is_file() and word in path.read_bytes()
    }
    assert plain == {}
    assert FIRST_LINE in decrypt(
        store_of(test_set.repository).get(made.blobs["labels"]), ADAS.private, to=made.recipients, source="it"
    )


def test_the_log_says_who_can_open_it_and_by_which_terms(test_set: SealedSet) -> None:
    test_set.seal(metrics=("balanced_accuracy", "f1"), budget=2)

    [entry] = test_set.entries

    assert (entry.op, entry.part, entry.split) == ("seal", "test", test_set.holdout.split.digest)
    assert entry.detail["recipients"] == [ADAS.public]
    assert (entry.detail["budget"], entry.detail["feedback"], entry.detail["metrics"]) == (
        2, "ladder", ["balanced_accuracy", "f1"],
    )  # fmt: skip
    assert entry.detail["examples"] == len(test_set.ids)


def test_a_foreign_key_is_told_whose_keys_open_it(test_set: SealedSet) -> None:
    test_set.seal()

    with pytest.raises(WrongKey, match="no key here opens") as error:
        labels_in(test_set, BOBS)
    assert ADAS.public in error.value.why
    with pytest.raises(WrongKey):
        opened(
            test_set.repository,
            seal_of(test_set.entries, test_set.holdout),
            "labels",
            [],
        )


def test_the_inputs_can_be_sealed_too_and_hold_no_label(test_set: SealedSet) -> None:
    made = test_set.seal(inputs=True)

    rows = opened(test_set.repository, made, "inputs", ADAS.private).table

    assert rows.column("id").to_pylist() == test_set.ids
    first = rows.column("content").to_pylist()[0]
    assert set(first) == {"a", "b", "c", "d"}


def test_the_files_of_a_folder_are_sealed_with_their_bytes(test_set: SealedSet, tmp_path: Path) -> None:
    for number in range(20):
        path = tmp_path / "notes" / "ab"[number % 2] / f"{number}.txt"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(f"note {number}")
    found = test_set.repository
    wish = Wish(path=tmp_path / "notes", source="notes", name="notes", label="folder", describe=False)
    add_dataset(found, wish, identity=ADA, at=AT)
    notes = open_dataset(found, "notes")
    split = make_split(found, notes, "default", SplitWish(exact=True), identity=ADA, at=AT).record
    holdout = Holdout(split=split, part="test")

    inputs = sealed_inputs(holdout, notes, ids_of(found, holdout)).table

    held = dict(zip(inputs.column("id").to_pylist(), inputs.column("content").to_pylist(), strict=True))
    assert held == {each: (tmp_path / "notes" / each).read_bytes() for each in ids_of(found, holdout)}
    assert labels_of(notes)[next(iter(held))] in ("a", "b")


def test_inputs_that_are_not_sealed_are_not_found(test_set: SealedSet) -> None:
    with pytest.raises(NotFound, match="inputs"):
        opened(test_set.repository, test_set.seal(), "inputs", ADAS.private)


def test_a_part_that_is_sealed_is_not_sealed_again_without_a_reason(test_set: SealedSet) -> None:
    test_set.seal()

    with pytest.raises(Conflict, match="sealed already"):
        test_set.seal(to=BOBS)


def test_where_all_keys_are_lost_it_is_sealed_anew_with_a_reason(test_set: SealedSet) -> None:
    test_set.seal()
    with pytest.raises(UsageError, match="second seal needs a reason"):
        test_set.seal(to=BOBS, anew=True)

    test_set.seal(to=BOBS, anew=True, reason="the laptop is gone")

    assert labels_in(test_set, BOBS) == test_set.truth.tolist()
    assert [each.reason for each in test_set.entries] == ["", "the laptop is gone"]


def test_a_seal_is_handed_on_to_another_key_with_what_it_holds(test_set: SealedSet) -> None:
    old = test_set.seal(budget=3)

    new = hand_on(test_set.repository, old, recipients([BOBS.public]), ADAS.private, identity=ADA, at=AT)

    assert labels_in(test_set, BOBS) == test_set.truth.tolist()
    assert (new.commitments, new.terms) == (old.commitments, old.terms)
    assert new.blobs != old.blobs
    with pytest.raises(WrongKey):
        labels_in(test_set, ADAS)


def test_a_label_that_is_missing_names_its_example(test_set: SealedSet) -> None:
    labels: dict[str, str | None] = dict.fromkeys(test_set.ids, "setosa")
    labels[test_set.ids[0]] = None

    with pytest.raises(UsageError, match=f"no label for 1 id .'{test_set.ids[0]}'"):
        sealed_labels(test_set.holdout, test_set.ids, labels, source="labels.csv")


def test_data_without_labels_want_a_file_of_them(tmp_path: Path) -> None:
    bare = flowers(tmp_path, label=None)

    with pytest.raises(UsageError, match="no labels") as error:
        labels_of(open_dataset(bare.repository, "flowers"))
    assert "--labels FILE" in error.value.do


def test_terms_that_cannot_be_are_refused_before_anything_is_sealed(test_set: SealedSet) -> None:
    wrong: list[tuple[dict[str, object], str]] = [
        ({"metrics": ("f1",)}, "cannot compare two values of f1"),
        ({"metrics": ("no such",)}, "there is no metric"),
        ({"metrics": ()}, "by nothing"),
        ({"metrics": ("perplexity",)}, "cannot be scored by perplexity"),
        ({"feedback": "some"}, "no feedback 'some'"),
        ({"budget": 0}, "allows no score"),
        ({"metrics": ("accuracy", "rmse")}, "rmse is of numbers, and a label is"),
        ({"labels": dict.fromkeys(test_set.ids, "0.25")}, "accuracy is of classes, and the labels are numbers"),
    ]
    for terms, said in wrong:
        with pytest.raises(UsageError, match=said):
            test_set.seal(**terms)
    assert test_set.entries == ()


# -- what was changed


def tampered(made: Seal, **detail: object) -> Seal:
    sealed = {**made.entry.detail["sealed"]["labels"], **detail}
    return replace(made, blobs={"labels": sealed["blob"]}, commitments={"labels": sealed["commitment"]})


def test_a_ciphertext_of_which_one_bit_is_another_is_damaged(test_set: SealedSet) -> None:
    made, store = test_set.seal(), store_of(test_set.repository)
    data = bytearray(store.get(made.blobs["labels"]))
    data[-1] ^= 1

    changed = tampered(made, blob=store.put(bytes(data)))

    with pytest.raises(Damaged, match="damaged, or was changed"):
        opened(test_set.repository, changed, "labels", ADAS.private)


def test_other_labels_sealed_to_the_same_keys_do_not_fit_the_commitment(test_set: SealedSet) -> None:
    made, store = test_set.seal(), store_of(test_set.repository)
    contents = sealed_labels(test_set.holdout, test_set.ids, dict.fromkeys(test_set.ids, "setosa"), source="")
    data, _ = dump_sealed(contents, key=KEY)

    changed = tampered(made, blob=store.put(encrypt(data, made.recipients)))

    with pytest.raises(Damaged, match="not hold what was sealed"):
        opened(test_set.repository, changed, "labels", ADAS.private)


def test_a_seal_of_another_part_is_not_taken_for_this_one(test_set: SealedSet) -> None:
    store = store_of(test_set.repository)
    made = test_set.seal()
    contents = sealed_labels(test_set.holdout, test_set.ids, dict.fromkeys(test_set.ids, "setosa"), source="")
    data, committed = dump_sealed(replace(contents, part="train"), key=KEY)

    changed = tampered(made, blob=store.put(encrypt(data, made.recipients)), commitment=committed)

    with pytest.raises(Damaged, match="of train of another split or part"):
        opened(test_set.repository, changed, "labels", ADAS.private)


def test_a_blob_that_is_gone_is_missing(test_set: SealedSet) -> None:
    made = tampered(test_set.seal(), blob="b3:" + "0" * 64)

    with pytest.raises(BlobMissing):
        opened(test_set.repository, made, "labels", ADAS.private)


def test_an_entry_that_is_no_seal_is_damaged(test_set: SealedSet) -> None:
    entry = test_set.seal().entry

    for name in ("sealed", "recipients", "metrics", "examples", "budget"):
        with pytest.raises(Damaged):
            seal_from(replace(entry, detail={**entry.detail, name: {}}), test_set.holdout)


# -- the bytes


@pytest.fixture
def contents() -> Iterator[Contents]:
    import pyarrow as pa

    table = pa.table({"id": ["a"], "label": ["cat"]})
    yield Contents(kind="labels", data="b3:" + "1" * 64, split="b3:" + "2" * 64, part="test", table=table)


def test_what_is_sealed_comes_back_and_two_keys_make_two_commitments(contents: Contents) -> None:
    data, committed = dump_sealed(contents, key=KEY)

    back = load_sealed(data, committed=committed, source="this")

    assert (back.kind, back.part, back.split, back.table.to_pylist()) == (
        "labels", "test", contents.split, [{"id": "a", "label": "cat"}],
    )  # fmt: skip
    assert committed.startswith("keyed:") and "b3:" not in committed
    assert dump_sealed(contents, key=bytes(32))[1] != committed


TEXTS = st.text(st.characters(exclude_categories=["Cs"]), max_size=8)


def test_what_an_earlier_gitrepro_sealed_is_read() -> None:
    found = load_sealed(GOLDEN.read_bytes(), committed=GOLDEN_COMMITMENT, source="the golden file")

    assert (found.kind, found.data, found.split) == ("labels", "b3:" + "1" * 64, "b3:" + "2" * 64)
    assert found.table.to_pylist() == [{"id": "a", "label": "cat"}]


@settings(max_examples=25)
@given(st.dictionaries(TEXTS, TEXTS, max_size=8), st.binary(min_size=32, max_size=32))
def test_any_labels_come_back_as_they_were(labels: dict[str, str], key: bytes) -> None:
    import pyarrow as pa

    rows = {"id": pa.array([*labels], pa.string()), "label": pa.array([*labels.values()], pa.string())}
    digest = "b3:" + "1" * 64
    contents = Contents(kind="labels", data=digest, split=digest, part="test", table=pa.table(rows))

    data, committed = dump_sealed(contents, key=key)

    assert load_sealed(data, committed=committed, source="this").table.equals(contents.table)


@pytest.mark.parametrize(
    ("change", "kind"),
    [
        (lambda data: data.replace(b"sealed 1", b"sealed 2", 1), TooNew),
        (lambda data: b"", Damaged),
        (lambda data: data[: data.index(b"\n") + 1], Damaged),
        (lambda data: data.replace(b'"part"', b'"tart"', 1), Damaged),
        (lambda data: data.replace(KEY.hex().encode(), b"zz" * 32, 1), Damaged),
        (lambda data: data[:-9], Damaged),
        (lambda data: data.replace(b"PAR1", b"PAR2"), Damaged),
    ],
)
def test_bytes_that_were_never_sealed_are_no_contents(contents: Contents, change: object, kind: type) -> None:
    data, _ = dump_sealed(contents, key=KEY)
    changed = change(data)  # type: ignore[operator]

    with pytest.raises(kind):
        load_sealed(changed, committed=commitment(changed, KEY), source="this")


# -- keys


def test_ssh_keys_seal_and_open_and_are_named_by_their_fingerprint(tmp_path: Path) -> None:
    ada = person(tmp_path, "ada@example.org")
    file = tmp_path / "team"
    file.write_text(f"# the team\n\n{ada.public}\n{BOBS.public}\n{ada.public}\n")

    to = recipients([str(file)])
    sealed = encrypt(b"secret", to)

    assert {each.shown for each in to} == {f"ssh-ed25519 {ada.fingerprint}", BOBS.public}
    assert ada.email not in " ".join(each.text for each in to)
    for keys in (identities([ada.key]), BOBS.private):
        assert decrypt(sealed, keys, to=to, source="it") == b"secret"


def test_a_private_key_is_not_taken_for_a_public_one(tmp_path: Path) -> None:
    ada = person(tmp_path, "ada@example.org")

    for asked in (str(ada.key), str(ADAS.identity)):
        with pytest.raises(UsageError, match="is a private key") as error:
            recipients([asked])
        assert "SECRET-KEY-1" not in str(error.value)


def test_a_key_that_a_passphrase_locks_says_what_to_do(tmp_path: Path) -> None:
    locked = person(tmp_path, "ada@example.org", passphrase="a word to pass")

    with pytest.raises(UsageError, match="no private key that can be used") as error:
        identities([locked.key])
    assert "passphrase" in error.value.why


def test_keys_that_age_does_not_know_are_refused(tmp_path: Path) -> None:
    key = tmp_path / "ec"
    subprocess.run(["ssh-keygen", "-q", "-t", "ecdsa", "-N", "", "-f", str(key)], check=True)

    with pytest.raises(UsageError, match="no public key that can be sealed to"):
        recipients([f"{key}.pub"])
    with pytest.raises(UsageError, match="no private key that can be used"):
        identities([key])


@pytest.mark.parametrize(
    ("text", "why"),
    [
        (ADAS.public, "public key"),
        ("nonsense", "neither"),
        ("age-encryption.org/v1\n...", "passphrase"),
        ("AGE-SECRET-KEY-1" + "Q" * 58, ""),
    ],
    ids=["a public key", "nonsense", "something encrypted", "a wrong checksum"],
)
def test_what_is_no_private_key_is_refused(text: str, why: str) -> None:
    with pytest.raises(UsageError, match="no private key that can be used") as error:
        identities([], text=text)
    assert why in error.value.why


def test_a_file_that_is_not_there_and_no_key_at_all_are_refused(tmp_path: Path) -> None:
    with pytest.raises(NotFound, match="there is no file"):
        recipients([str(tmp_path / "nobody.pub")])
    with pytest.raises(UsageError, match="no key to seal to"):
        recipients([])
    with pytest.raises(UsageError, match="not whole"):
        recipients([ADAS.public[:-1] + ("q" if ADAS.public[-1] != "q" else "p")])


def test_without_the_library_it_is_said_how_to_get_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pyrage", None)

    with pytest.raises(UsageError, match="pyrage, which is not installed") as error:
        recipients([ADAS.public])
    assert error.value.do == "pip install 'gitrepro[holdout]'"


def test_what_was_encrypted_for_two_is_opened_by_either(tmp_path: Path) -> None:
    to = recipients([ADAS.public, BOBS.public])
    for keys in (ADAS.private, BOBS.private):
        assert decrypt(encrypt(b"x", to), keys, to=to, source="it") == b"x"
    with pytest.raises(WrongKey):
        decrypt(encrypt(b"x", to), [pyrage.x25519.Identity.generate()], to=to, source="it")


# -- which one


def test_the_only_sealed_part_needs_no_name(test_set: SealedSet) -> None:
    with pytest.raises(NotFound, match="nothing is sealed here"):
        finding.the_sealed(test_set.repository, None, "test")
    test_set.seal()

    assert finding.the_sealed(test_set.repository, None, "test") == test_set.holdout
    assert finding.find_holdout(test_set.repository, "flowers@v1/default@v1", "test") == test_set.holdout
    with pytest.raises(UsageError, match="no part 'val'"):
        finding.find_holdout(test_set.repository, "flowers/default", "val")


def test_of_two_sealed_parts_one_has_to_be_named(test_set: SealedSet) -> None:
    test_set.seal()
    other = SealedSet(repository=test_set.repository, holdout=replace(test_set.holdout, part="train"), ids=[])
    other.ids = ids_of(other.repository, other.holdout)
    other.seal()

    with pytest.raises(Ambiguous, match="2 parts are sealed"):
        finding.the_sealed(test_set.repository, None, "test")
