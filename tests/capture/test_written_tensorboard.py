"""Event files of real writers, read without TensorBoard: every scalar as TensorBoard itself reads it, or none."""

from __future__ import annotations

import math
import struct
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gitrepro.capture.written import EventFile, Point
from gitrepro.capture.written.crc32c import crc32c, masked
from gitrepro.capture.written.tensorboard import one_number
from gitrepro.capture.written.tfrecord import MAX_RECORD_BYTES, RecordReader

STEPS = 20
ODD_VALUES = [math.nan, math.inf, -math.inf, 0.0, -0.0, 1e-45, 3.4e38]


def record(payload: bytes) -> bytes:
    head = struct.pack("<Q", len(payload))
    return head + struct.pack("<I", masked(head)) + payload + struct.pack("<I", masked(payload))


def by_tag(points: list[Point]) -> dict[str, list[tuple[int, str]]]:
    found: dict[str, list[tuple[int, str]]] = {}
    for point in points:
        for name, value in point.values.items():
            found.setdefault(name, []).append((point.step, repr(float(value))))
    return found


def as_tensorboard_reads(path: Path) -> dict[str, list[tuple[int, str]]]:
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
    from tensorboard.util import tensor_util

    read = EventAccumulator(str(path), size_guidance={"scalars": 0, "tensors": 0})
    read.Reload()
    found = {
        tag: [(each.step, repr(float(each.value))) for each in read.Scalars(tag)] for tag in read.Tags()["scalars"]
    }
    for tag in read.Tags()["tensors"]:
        if read.SummaryMetadata(tag).plugin_data.plugin_name == "scalars":
            numbers = [(each.step, tensor_util.make_ndarray(each.tensor_proto).item()) for each in read.Tensors(tag)]
            found[tag] = [(step, repr(float(number))) for step, number in numbers]
    return found


@pytest.fixture(scope="module")
def of_torch(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A file of `torch.utils.tensorboard` with both encodings of scalars, and with much that is no scalar."""
    import numpy as np
    from torch.utils.tensorboard import SummaryWriter

    folder = tmp_path_factory.mktemp("torch")
    with SummaryWriter(str(folder)) as writer:
        for step in range(STEPS):
            writer.add_scalar("train/loss", 1 / (step + 1), step)
            writer.add_scalar("as tensor", step / 7, step, new_style=True)
            writer.add_scalar("as double", step / 7, step, new_style=True, double_precision=True)
        for step, value in enumerate(ODD_VALUES):
            writer.add_scalar("odd", value, step)
        writer.add_histogram("weights", np.arange(100.0), 1)
        writer.add_image("image", np.zeros((3, 8, 8)), 1)
        writer.add_text("text", "hello", 1)
    return next(folder.glob("events.out.tfevents.*"))


@pytest.fixture(scope="module")
def of_tensorboardx(tmp_path_factory: pytest.TempPathFactory) -> Path:
    from tensorboardX import SummaryWriter

    folder = tmp_path_factory.mktemp("tensorboardX")
    with SummaryWriter(str(folder)) as writer:
        for step in range(STEPS):
            writer.add_scalar("loss", 1 / (step + 1), step)
            writer.add_scalar("größe", step, step)
    return next(folder.glob("events.out.tfevents.*"))


@pytest.mark.parametrize("writer", ["of_torch", "of_tensorboardx"])
def test_every_scalar_is_as_tensorboard_reads_it(writer, request):
    path = request.getfixturevalue(writer)
    events = EventFile()

    found = by_tag(events.take(path.read_bytes()))

    assert found == as_tensorboard_reads(path)
    assert sum(map(len, found.values())) >= 2 * STEPS
    assert (events.damaged, events.records.damaged_bytes, events.records.waiting_bytes) == (0, 0, 0)


def test_what_is_no_scalar_is_counted_by_kind(of_torch):
    events = EventFile()
    events.take(of_torch.read_bytes())

    assert events.others == {"histograms": 1, "images": 1, "text": 1}


def test_hyperparameters_of_the_plugin_are_read(tmp_path):
    from torch.utils.tensorboard import SummaryWriter

    with SummaryWriter(str(tmp_path)) as writer:
        told = {"lr": 0.1, "optimizer": "adam", "nesterov": True, "layers": 3}
        writer.add_hparams(told, {"hparam/accuracy": 0.5}, run_name="session")
    events = EventFile()
    points = events.take(next((tmp_path / "session").glob("*tfevents*")).read_bytes())

    assert events.hparams == {"lr": 0.1, "optimizer": "adam", "nesterov": 1.0, "layers": 3.0}
    assert by_tag(points) == {"hparam/accuracy": [(0, "0.5")]}
    assert events.others == {}


def test_a_file_that_comes_in_pieces_is_the_same_file(of_torch):
    data = of_torch.read_bytes()
    events = EventFile()
    pieces = [point for at in range(0, len(data), 7) for point in events.take(data[at : at + 7])]

    assert by_tag(pieces) == by_tag(EventFile().take(data))


def test_half_a_record_is_waited_for(of_torch):
    data = of_torch.read_bytes()
    events = EventFile()

    first = events.take(data[:-5])
    assert events.records.waiting_bytes > 0
    assert by_tag(first + events.take(data[-5:])) == by_tag(EventFile().take(data))
    assert events.records.waiting_bytes == 0


def test_every_flipped_bit_costs_at_most_one_record_and_makes_no_other_number(of_tensorboardx):
    data = of_tensorboardx.read_bytes()
    whole = {(tag, *row) for tag, rows in by_tag(EventFile().take(data)).items() for row in rows}
    for at in range(0, len(data), 3):
        events = EventFile()
        damaged = data[:at] + bytes([data[at] ^ 1 << at % 8]) + data[at + 1 :]
        found = {(tag, *row) for tag, rows in by_tag(events.take(damaged)).items() for row in rows}

        assert found <= whole
        assert len(whole - found) <= 1
        assert events.damaged or events.records.damaged_bytes


def test_a_length_without_end_is_passed_over_and_holds_no_memory():
    head = struct.pack("<Q", MAX_RECORD_BYTES + 1)
    records = RecordReader()

    assert list(records.take(head + struct.pack("<I", masked(head)) + b"x" * 100)) == []
    for _ in range(100):
        assert list(records.take(b"y" * (1 << 20))) == []
        assert len(records._buffer) <= 1 << 20
    assert records.oversized == 1


def test_behind_a_record_that_is_passed_over_the_next_one_is_found():
    head = struct.pack("<Q", MAX_RECORD_BYTES + 1)
    records = RecordReader()
    list(records.take(head + struct.pack("<I", masked(head))))
    for _ in range(64):
        list(records.take(bytes(1 << 20)))

    assert [payload for payload, _ in records.take(bytes(1 + 4) + record(b"next"))] == [b"next"]
    assert records.damaged_bytes == 0


def test_a_length_of_two_to_the_sixty_is_damage():
    head = struct.pack("<Q", 1 << 60)
    records = RecordReader()
    found = list(records.take(head + struct.pack("<I", masked(head)) + record(b"whole")))

    assert [payload for payload, _ in found] == [b"whole"]
    assert records.damaged_bytes == 12


def test_a_stretch_of_zeros_is_damage_and_what_follows_is_read():
    records = RecordReader()

    assert [payload for payload, _ in records.take(bytes(100_000) + record(b"whole"))] == [b"whole"]
    assert records.damaged_bytes == 100_000


@given(st.binary(max_size=400))
def test_any_bytes_give_points_or_counts(data):
    events = EventFile()
    assert events.take(data) == []
    assert events.records.damaged_bytes + events.records.waiting_bytes == len(data) or events.records.oversized


@given(st.binary(max_size=200))
def test_any_record_gives_points_or_counts(payload):
    events = EventFile()
    points = events.take(record(payload))
    assert events.damaged <= 1
    assert all(isinstance(value, int | float) for point in points for value in point.values.values())


@given(st.binary(max_size=60))
def test_any_tensor_gives_one_number_or_none_or_a_value_error(data):
    try:
        number = one_number(data)
    except ValueError:
        return
    assert number is None or isinstance(number, int | float)


@pytest.mark.parametrize(
    ("dtype", "number"),
    [("float32", 0.5), ("float64", 1 / 3), ("int32", -7), ("int64", -(2**60)), ("uint8", 200), ("int8", -3),
     ("int16", -300), ("uint16", 60_000), ("uint32", 4_000_000_000), ("float16", 0.25), ("bool", True)],
)  # fmt: skip
def test_a_tensor_of_any_type_of_number_is_read(dtype, number):
    import numpy as np
    from tensorboard.compat.proto.tensor_pb2 import TensorProto
    from tensorboard.util import tensor_util

    proto = tensor_util.make_tensor_proto(np.array(number, dtype=dtype)) if dtype not in UNMAKEABLE else None
    raw = TensorProto(dtype=TYPES[dtype], tensor_content=np.array(number, dtype=dtype).tobytes())

    assert one_number(raw.SerializeToString()) == number
    if proto is not None:
        assert one_number(proto.SerializeToString()) == number


UNMAKEABLE = {"uint32"}
TYPES = {
    "float32": 1, "float64": 2, "int32": 3, "uint8": 4, "int16": 5, "int8": 6, "int64": 9, "bool": 10, "uint16": 17,
    "float16": 19, "uint32": 22,
}  # fmt: skip


def test_a_bfloat16_is_read_from_both_of_its_places():
    from tensorboard.compat.proto.tensor_pb2 import TensorProto

    bits = struct.unpack("<I", struct.pack("<f", 1.5))[0] >> 16

    assert one_number(TensorProto(dtype=14, half_val=[bits]).SerializeToString()) == 1.5
    assert one_number(TensorProto(dtype=14, tensor_content=struct.pack("<H", bits)).SerializeToString()) == 1.5


def test_a_tensor_of_several_numbers_is_none():
    import numpy as np
    from tensorboard.util import tensor_util

    assert one_number(tensor_util.make_tensor_proto(np.arange(3.0)).SerializeToString()) is None


def test_a_plugin_that_is_named_once_holds_for_its_tag():
    from tensorboard.compat.proto.event_pb2 import Event
    from tensorboard.compat.proto.summary_pb2 import Summary, SummaryMetadata
    from tensorboard.compat.proto.tensor_pb2 import TensorProto

    metadata = SummaryMetadata(plugin_data=SummaryMetadata.PluginData(plugin_name="scalars"))
    tensor = TensorProto(dtype=1, float_val=[0.5])
    first = Summary.Value(tag="loss", tensor=tensor, metadata=metadata)
    later = Summary.Value(tag="loss", tensor=tensor)
    told = [Event(step=step, summary=Summary(value=[value])) for step, value in enumerate([first, later])]
    events = EventFile()

    points = events.take(b"".join(record(event.SerializeToString()) for event in told))
    assert by_tag(points) == {"loss": [(0, "0.5"), (1, "0.5")]}


def test_the_checksum_is_that_of_the_standard():
    assert crc32c(b"123456789") == 0xE3069283
    assert crc32c(b"") == 0
    assert crc32c(bytes(32)) == 0x8A9136AA
