"""`img2img info`: what a file of the suite says of itself."""

import hashlib
import json
from pathlib import Path

import click

from .debug import debug


@click.command()
@click.argument("file", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@debug
def info(file: Path) -> None:
    """Print as JSON what a weight FILE says of itself, its size and its sha256."""
    from img2img.checkpoints import read_header

    header = read_header(file)
    with file.open("rb") as stream:
        digest = hashlib.file_digest(stream, "sha256").hexdigest()
    facts = {"file": str(file), "bytes": file.stat().st_size, "sha256": digest, **header}
    click.echo(json.dumps(facts, indent=2, ensure_ascii=False))
