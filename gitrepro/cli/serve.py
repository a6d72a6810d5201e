"""`gitrepro serve-store`: what a store remote behind ssh runs on its own machine. Nobody types it."""

from __future__ import annotations

from pathlib import Path

import click


@click.command(name="serve-store", hidden=True)
@click.argument("folder", type=click.Path(path_type=Path))
def serve_store(folder: Path) -> None:
    """Serve a folder as a store remote, to the `gitrepro` at the other end of standard input."""
    from ..sync.blobs.serving import serve

    with open(0, "rb", closefd=False) as source, open(1, "wb", buffering=1 << 20, closefd=False) as sink:
        serve(folder, source, sink)
