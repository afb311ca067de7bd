"""`img2img manifest`."""

import json

import click

from .debug import debug


@click.command()
@click.argument("files", metavar="FILE...", nargs=-1, required=True, type=click.Path(dir_okay=False))
@debug
def manifest(files: tuple[str, ...]) -> None:
    """Print as JSON what manifests (--manifest) say: done, failed by reason, bytes, seconds, what is left.

    FILE stands for its shards, too: run.jsonl for run.1-of-4.jsonl and so on. A run that goes on writing is no
    hindrance. Of an output with several lines the last one counts. Seconds are of reading, computing and writing; p90
    is what nine of ten pictures were done in.
    """
    from pathlib import Path

    from img2img.manifest import files_of, summary

    paths: dict[Path, None] = {}
    for file in files:
        found = files_of(file)
        if not found:
            raise click.UsageError(f"{file}: no such manifest")
        paths |= dict.fromkeys(found)
    click.echo(json.dumps(summary([*paths]), indent=2))
