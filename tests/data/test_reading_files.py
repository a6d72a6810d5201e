"""Folders of files, of images and of texts."""

from __future__ import annotations

import os
import struct
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from gitrepro.data.reading import FolderItems, kind_of, open_items
from gitrepro.data.reading.images import Picture, Unreadable, decode
from gitrepro.data.reading.text import normalised, read_text
from gitrepro.errors import SourceChanged, UsageError


def tree(root: Path, *names: str) -> Path:
    for name in names:
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_bytes(name.encode())
    return root


def opened(path: Path, kind: str = "folder", **options: Any) -> FolderItems:
    items = open_items(path, kind, **options)
    assert isinstance(items, FolderItems)
    return items


# -- folders


@pytest.mark.parametrize(
    ("names", "kind"),
    [
        (("a/1.png", "a/2.JPG", "labels.csv"), "images"),
        (("a/1.txt", "b.md", "x.bin"), "text"),
        (("a.csv", "b.png"), "folder"),
        (("1.png", ".a/x.bin", ".DS_Store", ".git/b"), "images"),
        ((".hidden",), "folder"),
    ],
)
def test_a_folder_is_what_most_of_its_files_are(tmp_path: Path, names: tuple[str, ...], kind: str) -> None:
    assert kind_of(tree(tmp_path, *names)) == kind


def test_files_come_in_the_order_of_their_raw_paths(tmp_path: Path) -> None:
    tree(tmp_path, "a/b", "a.txt", "a0", "B", "ä", "a-b/c")

    assert list(opened(tmp_path).ids()) == ["B", "a-b/c", "a.txt", "a/b", "a0", "ä"]


def test_odd_names_are_escaped(tmp_path: Path) -> None:
    for name in (b"new\nline", b"not-\xff-utf8", b"back\\slash"):
        Path(os.fsdecode(os.fsencode(tmp_path) + b"/" + name)).write_bytes(b"x")
    items = opened(tmp_path)

    assert list(items.ids()) == ["back\\\\slash", "new\\x0aline", "not-\\xff-utf8"]
    assert [file.size_bytes for file in items.files()] == [1, 1, 1]


def test_the_first_folder_is_the_label(tmp_path: Path) -> None:
    items = opened(tree(tmp_path, "cat/1", "dog/x/2", "readme"), label="folder")

    assert list(zip(items.ids(), items.labels() or (), strict=True)) == [
        ("cat/1", "cat"),
        ("dog/x/2", "dog"),
        ("readme", None),
    ]


def test_another_label_than_the_folder_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="label `folder` only"):
        opened(tmp_path, label="class")


def test_only_the_given_files_are_items(tmp_path: Path) -> None:
    tree(tmp_path, "a", "b", "c")

    assert list(opened(tmp_path, files=[b"c", b"a"]).ids()) == ["a", "c"]


def test_a_link_is_an_item_and_is_not_followed(tmp_path: Path) -> None:
    tree(tmp_path, "a")
    (tmp_path / "l").symlink_to("a" * 40)

    assert [(file.id, file.is_link) for file in opened(tmp_path).files()] == [("a", False), ("l", True)]


def test_pipes_and_sockets_are_no_items(tmp_path: Path) -> None:
    os.mkfifo(tree(tmp_path, "a") / "pipe")

    assert list(opened(tmp_path).ids()) == ["a"]
    with pytest.raises(UsageError, match="neither a file nor a folder"):
        kind_of(tmp_path / "pipe")


def test_a_file_that_vanished_is_told(tmp_path: Path) -> None:
    items = opened(tree(tmp_path, "a"))
    len(items)
    (tmp_path / "a").unlink()

    with pytest.raises(SourceChanged):
        list(items.files())


def test_one_file_is_one_item(tmp_path: Path) -> None:
    items = opened(tree(tmp_path, "a.bin") / "a.bin", "file")

    assert [(file.id, file.size_bytes) for file in items.files()] == [("a.bin", 5)]


# -- images


def test_equal_pixels_have_one_digest_whatever_holds_them(tmp_path: Path) -> None:
    pixels = np.random.default_rng(0).integers(0, 4, (5, 7), np.uint8) * 60
    image = Image.fromarray(pixels)
    image.save(tmp_path / "a.png")
    image.save(tmp_path / "b.bmp")
    image.convert("RGB").save(tmp_path / "c.png", compress_level=0)
    image.convert("P").save(tmp_path / "d.png")
    image.convert("RGB").save(tmp_path / "e.tiff")
    image.transpose(Image.Transpose.ROTATE_90).save(tmp_path / "f.png")

    digests = {path.name: decode(path).digest for path in sorted(tmp_path.iterdir())}
    assert len({digest for name, digest in digests.items() if name != "f.png"}) == 1
    assert digests["f.png"] != digests["a.png"]


@pytest.mark.parametrize(
    ("mode", "channels"),
    [
        ("1", ("gray",)),
        ("L", ("gray",)),
        ("P", ("red", "green", "blue")),
        ("RGB", ("red", "green", "blue")),
        ("LA", ("red", "green", "blue", "alpha")),
        ("RGBA", ("red", "green", "blue", "alpha")),
        ("I;16", ("gray16",)),
    ],
)
def test_every_mode_is_brought_to_few(tmp_path: Path, mode: str, channels: tuple[str, ...]) -> None:
    Image.new(mode, (4, 3)).save(tmp_path / "a.png")
    picture = decode(tmp_path / "a.png")

    assert picture.channels == channels
    assert (picture.width, picture.height, picture.frames) == (4, 3, 1)


def test_cmyk_and_floats_and_animations(tmp_path: Path) -> None:
    Image.new("CMYK", (2, 2)).save(tmp_path / "a.jpg")
    Image.new("F", (2, 2), 1e9).save(tmp_path / "f.tiff")
    frames = [Image.new("L", (2, 2), shade) for shade in (0, 255)]
    frames[0].save(tmp_path / "g.gif", save_all=True, append_images=frames[1:])

    assert decode(tmp_path / "a.jpg").channels == ("red", "green", "blue")
    assert decode(tmp_path / "f.tiff").image is None
    assert decode(tmp_path / "g.gif").frames == 2


def _cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-200])


def _bomb(path: Path) -> None:
    """A PNG that claims 50,000 × 50,000 pixels."""
    head = struct.pack(">IIBBBBB", 50_000, 50_000, 8, 0, 0, 0, 0)
    chunk = b"IHDR" + head
    path.write_bytes(b"\x89PNG\r\n\x1a\n" + struct.pack(">I", 13) + chunk + struct.pack(">I", zlib.crc32(chunk)))


def _script(path: Path) -> None:
    path.write_bytes(b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n%%EndComments\nshowpage\n")


@pytest.mark.parametrize(
    "spoil",
    [_cut, _bomb, _script, lambda path: path.write_bytes(b""), lambda path: path.write_bytes(b"GIF89a")],
    ids=["cut off", "bomb", "postscript", "empty", "head only"],
)
def test_a_broken_image_is_unreadable(tmp_path: Path, spoil: Callable[[Path], None]) -> None:
    noise = np.random.default_rng(0).integers(0, 256, (40, 40, 3), np.uint8)
    Image.fromarray(noise).save(tmp_path / "a.png")
    assert isinstance(decode(tmp_path / "a.png"), Picture)
    spoil(tmp_path / "a.png")

    with pytest.raises(Unreadable):
        decode(tmp_path / "a.png")


def test_a_link_or_a_pipe_named_as_an_image_is_unreadable(tmp_path: Path) -> None:
    Image.new("L", (2, 2)).save(tmp_path / "a.png")
    (tmp_path / "l.png").symlink_to("a.png")
    os.mkfifo(tmp_path / "p.png")

    for name in ("l.png", "p.png"):
        with pytest.raises(Unreadable):
            decode(tmp_path / name)
    assert decode(tmp_path / "l.png", follow=True).width == 2


@given(place=st.integers(0, 400), data=st.binary(min_size=1, max_size=40))
def test_spoilt_images_are_read_or_unreadable(
    tmp_path_factory: pytest.TempPathFactory, place: int, data: bytes
) -> None:
    path = tmp_path_factory.getbasetemp() / "spoilt.png"
    Image.fromarray(np.arange(400, dtype=np.uint8).reshape(20, 20)).save(path)
    spoilt = bytearray(path.read_bytes())
    spoilt[place : place + len(data)] = data
    path.write_bytes(spoilt)

    try:
        decode(path)
    except Unreadable as error:
        assert error.what


# -- text


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("Straße", "STRASSE"),
        ("caf\u00e9", "cafe\u0301"),
        (" a\t b\r\n\r\nc ", "A B C"),
        ("\ufb01sh", "FISH"),
        ("a\u00a0b", "a b"),
    ],
)
def test_texts_that_differ_in_form_only_are_equal_when_normalised(one: str, other: str) -> None:
    assert normalised(one) == normalised(other)


@given(st.text())
def test_normalising_twice_changes_nothing(text: str) -> None:
    assert normalised(normalised(text)) == normalised(text)


def test_lengths_are_of_the_normalised_text(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_bytes(b"\xef\xbb\xbf Two\n\n words ")
    (tmp_path / "b.txt").write_text("two words", encoding="utf-16")
    one, other = read_text(tmp_path / "a.txt"), read_text(tmp_path / "b.txt")

    assert (one.characters, one.words) == (9, 2)
    assert one == other


@pytest.mark.parametrize("data", [b"caf\xe9 au lait", b"\xff\xfea", b"\x80"])
def test_text_in_another_encoding_is_unreadable(tmp_path: Path, data: bytes) -> None:
    (tmp_path / "a.txt").write_bytes(data)

    with pytest.raises(Unreadable, match="is not UTF"):
        read_text(tmp_path / "a.txt")
