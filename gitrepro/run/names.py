"""Names for runs nobody named: two words and the end of the id, as `brisk-otter-7x2k`."""

from __future__ import annotations

from typing import Final

from ..errors import UsageError

_FIRST: Final = (
    "amber ample arctic bold brave bright brisk calm candid clear clever cosmic crisp curious deft eager early "
    "earnest fair fleet fresh gentle glad golden grand happy honest humble keen kind lively lucid lunar merry mild "
    "modest neat noble patient placid plain polar proud quick quiet rapid ready robust rustic serene sharp shy silent "
    "silver sincere sleek smooth snowy solar solid steady stout sunny swift tidy upbeat vivid warm wise witty"
).split()  # fmt: skip
_SECOND: Final = (
    "badger beaver bison bittern bobcat buzzard camel condor coyote crane curlew dingo dolphin eagle egret eland elk "
    "falcon ferret finch fox gannet gecko gibbon gopher grebe grouse gull hare hawk heron ibex ibis jackal jay kestrel "
    "kite koala lark lemur leopard linnet lynx magpie marmot marten merlin mole moose newt ocelot osprey otter owl "
    "panda petrel pika plover puffin puma quail raven robin seal shrew siskin sparrow stoat swan tapir tern thrush "
    "tiger toad vole weasel wombat wren yak zebra"
).split()  # fmt: skip

MAX_NAME_CHARACTERS: Final = 200


def name_for(run_id: str) -> str:
    """The name of a run that was given none; the same id has the same name."""
    number = int.from_bytes(run_id[-10:].encode(), "big")
    return f"{_FIRST[number % len(_FIRST)]}-{_SECOND[number // 97 % len(_SECOND)]}-{run_id[-4:]}"


def check_name(name: object, *, what: str = "run name") -> str:
    """`name`, if people and terminals can bear it.

    Raises:
        UsageError: not text, empty, over 200 characters, or with control characters.
    """
    if not isinstance(name, str):
        raise UsageError(f"{what} {name!r:.60} is not text", do="give a str")
    if not name.strip():
        raise UsageError(f"the {what} is empty", do="give one, or leave it away")
    if len(name) > MAX_NAME_CHARACTERS:
        raise UsageError(
            f"the {what} {name[:20]!r}... has {len(name)} characters",
            why=f"at most {MAX_NAME_CHARACTERS} are kept",
            do="put long text into a note",
        )
    if not name.isprintable():
        raise UsageError(f"the {what} {name!r:.80} has control characters", do="use printable characters on one line")
    return name
