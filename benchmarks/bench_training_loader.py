"""`run.loader` beside a plain DataLoader over the same data: processor time, in turns.

One data set decodes and augments images, as trainings do: its throughput is what counts. The other is the cheapest that
there is, rows of a tensor, and draws nothing: it shows what looking costs, a batch.
"""

from __future__ import annotations

import io
import os
import random
from collections.abc import Callable
from typing import Any

from benchmarks.measure import Added, Times, in_turns, own_cpu_ms, report, row

ROUNDS = int(os.environ.get("BENCH_ROUNDS", "15"))
IMAGES = 192
ROWS = 8192
BATCH = 64
LEAST_THROUGHPUT = 0.98


def main() -> None:
    try:
        import torch
        from PIL import Image  # noqa: F401
    except ImportError:
        return
    torch.set_num_threads(1)
    tensors = torch.utils.data.TensorDataset(torch.randn(ROWS, 64), torch.arange(ROWS))
    floors, values = _compared(_decoded(torch))
    name = "run.loader, an epoch of decoded and augmented images"
    report(row(name, values, floors=floors, budget=Times(round(1 / LEAST_THROUGHPUT, 3))))
    floors, values = ([each / (ROWS / BATCH) for each in some] for some in _compared(tensors))
    report(row("run.loader, a batch of 64 rows of a tensor", values, floors=floors, budget=Added(0.02)))


def _compared(dataset: Any) -> tuple[list[float], list[float]]:
    """The processor milliseconds of an epoch, with a plain loader and with ours."""
    from torch.utils.data import DataLoader

    import gitrepro

    os.environ["GITREPRO_MODE"] = "disabled"
    plain: Any = DataLoader(dataset, batch_size=BATCH, shuffle=True)
    ours = gitrepro.record(seed=0).loader(dataset, batch_size=BATCH, shuffle=True)
    return in_turns(_epoch(plain), _epoch(ours), rounds=ROUNDS)


def _epoch(loader: Any) -> Callable[[], float]:
    def act() -> None:
        for _batch in loader:
            pass

    return lambda: own_cpu_ms(act)


def _decoded(torch: Any) -> Any:
    """JPEG files of 256 × 256 in memory; each is decoded, cropped, perhaps flipped, and made noisy."""
    import numpy
    from PIL import Image

    generator = numpy.random.default_rng(0)
    files = []
    for _ in range(IMAGES):
        # Noise in large squares: what a photograph is to a decoder.
        squares = generator.integers(0, 256, (16, 16, 3), dtype="uint8").repeat(16, axis=0).repeat(16, axis=1)
        written = io.BytesIO()
        Image.fromarray(squares).save(written, "JPEG")
        files.append(written.getvalue())

    class Decoded(torch.utils.data.Dataset):  # type: ignore[misc]
        def __len__(self) -> int:
            return IMAGES

        def __getitem__(self, index: int) -> Any:
            left, top = random.randrange(32), random.randrange(32)
            image = Image.open(io.BytesIO(files[index])).convert("RGB").crop((left, top, left + 224, top + 224))
            if random.random() < 0.5:
                image = image.transpose(Image.Transpose.FLIP_LEFT_RIGHT)
            tensor = torch.as_tensor(numpy.array(image)).permute(2, 0, 1).float()
            return tensor * (0.9 + 0.2 * torch.rand(1))

    return Decoded()


if __name__ == "__main__":
    main()
