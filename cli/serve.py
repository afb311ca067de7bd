"""`img2img serve`."""

import os
import webbrowser
from pathlib import Path
from typing import Any

import click

import img2img

from . import options
from .debug import debug
from .report import say_note

PORT = 8421
LEAST_TOKEN = 16  # letters
MIB = 1 << 20


@click.command()
@click.option(
    "--host",
    default="127.0.0.1",
    show_default=True,
    help="The address to listen at; other machines reach 0.0.0.0, and --token is needed then.",
)
@click.option(
    "--port", type=click.IntRange(0, 65535), metavar="N", default=PORT, show_default=True, help="0: any that is free."
)
@click.option(
    "--token",
    envvar="IMG2IMG_TOKEN",
    show_envvar=True,
    metavar="WORD",
    help=f"Requests have to give it; {LEAST_TOKEN} letters or more.",
)
@click.option(
    "--allow-host",
    "hosts",
    multiple=True,
    metavar="NAME",
    help="A further name that this machine may be called by, as behind a proxy; may be given several times.",
)
@click.option("--open", "opens", is_flag=True, help="Open the page in the browser.")
@click.option(
    "--workers",
    type=click.IntRange(1, 64),
    metavar="N",
    default=1,
    show_default=True,
    help="Processes that compute, each with the networks in its memory.",
)
@click.option(
    "--queue",
    type=click.IntRange(1, 10_000),
    metavar="N",
    default=16,
    show_default=True,
    help="How many requests may wait; one more is refused.",
)
@click.option(
    "--seconds",
    type=options.Positive(),
    default=600,
    show_default=True,
    help="A computation that takes longer is ended.",
)
@click.option(
    "--max-body", type=click.IntRange(1), metavar="MIB", default=256, show_default=True, help="Refuse larger uploads."
)
@click.option(
    "--max-folder",
    type=click.IntRange(1),
    metavar="MIB",
    default=2048,
    show_default=True,
    help="Most space that uploads and results may take together.",
)
@click.option(
    "--folder",
    type=click.Path(file_okay=False, exists=True, writable=True),
    metavar="DIR",
    help="Where the temporary folder is made.  [default: the system's place]",
)
@click.option(
    "--max-pixels",
    type=click.IntRange(1),
    metavar="N",
    default=100_000_000,
    show_default=True,
    help="Refuse larger pictures before they are decoded.",
)
@options.computing_in_tiles
@debug
def serve(
    host: str,
    port: int,
    token: str | None,
    hosts: tuple[str, ...],
    opens: bool,
    workers: int,
    queue: int,
    seconds: float,
    max_body: int,
    max_folder: int,
    folder: str | None,
    max_pixels: int,
    computing: dict[str, Any],
) -> None:
    """Open the suite as a page in the browser, and as a service for programs.

    The page and the service (described at /openapi.json) are at http://127.0.0.1:8421/ and for this machine only,
    unless --host says otherwise. Nothing leaves the machine. Ctrl-C or SIGTERM ends it, after what is being computed.
    """
    try:
        from img2img.serve.guard import is_loopback
        from img2img.serve.server import address, listen
        from img2img.serve.server import serve as run
    except ImportError as error:
        raise click.ClickException(f"it needs {error.name}: pip install 'img2img-suite[serve]'") from error
    from img2img.engines.choose import has_gpu
    from img2img.serve.settings import Limits
    from img2img.serve.suite import Suite

    from .service import SERVED, Checker, command, models, perform

    if token is not None and len(token) < LEAST_TOKEN:
        raise click.UsageError(f"--token has to have {LEAST_TOKEN} letters or more, so that it cannot be guessed")
    if not is_loopback(host):
        if token is None:
            raise click.UsageError(
                f"--host {host}: others could use this machine; --token WORD (or IMG2IMG_TOKEN) makes them give one"
            )
        say_note(f"--host {host}: other machines can connect, and nothing is encrypted; use a proxy with TLS")
    if computing["engine"] == computing["device"] == computing["precision"] == "auto" and not has_gpu():
        computing["engine"] = "onnx"  # less memory, and soonest for small pictures (docs/serve.md)
    limits = Limits(body=max_body * MIB, pixels=max_pixels, queue=queue, seconds=seconds, folder=max_folder * MIB)
    suite = Suite(
        img2img.__version__,
        {name: command(name) for name in SERVED},
        Checker({**computing, "max_pixels": max_pixels}),
        perform,
        models(),
    )
    try:
        sock = listen(host, port)
    except OSError as error:
        raise click.UsageError(f"cannot listen at {host}:{port}: {os.strerror(error.errno or 0)}") from error
    url = address(sock)

    def ready() -> None:
        click.echo(url)
        if opens:
            webbrowser.open(url if token is None else f"{url}#token={token}")

    run(
        suite,
        sock,
        limits,
        workers=workers,
        hosts=(*hosts, host),
        token=token,
        folder=None if folder is None else Path(folder),
        ready=ready,
        stopping=lambda: say_note("finishing what is being computed; once more to end at once"),
    )
