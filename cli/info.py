"""`img2img info`: what a file of the suite says of itself."""

import hashlib
import json
from pathlib import Path

import click

from .debug import debug


@click.command()
@click.argument("file", metavar="FILE|NAME")
@debug
def info(file: str) -> None:
    """Print as JSON what a weight FILE, or shipped weights, say of themselves, with size and sha256."""
    from img2img.checkpoints import names, read_header, weights_file

    path = weights_file(file) if file in names() else Path(file)
    if not path.is_file():
        raise click.UsageError(f"{file}: neither a file nor the name of shipped weights ({', '.join(names())})")
    header = read_header(path)
    with path.open("rb") as stream:
        digest = hashlib.file_digest(stream, "sha256").hexdigest()
    facts = {"file": str(path), "bytes": path.stat().st_size, "sha256": digest, **header}
    click.echo(json.dumps(facts, indent=2, ensure_ascii=False))
