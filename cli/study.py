"""`img2img study`: the lecture's pictures, re-made."""

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from img2img.studies import BY_NAME, STUDIES, About

from . import options
from .debug import debug
from .report import describe, say_error

if TYPE_CHECKING:
    from img2img.studies.study import Settings


@click.command()
@click.argument("name", type=click.Choice((*BY_NAME, "all", "list")), metavar="NAME|all|list")
@click.argument("picture", required=False, type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.option(
    "-o",
    "--output",
    type=click.Path(file_okay=False, path_type=Path),
    metavar="FOLDER",
    help="Where the page goes.  [default: studies/NAME; of all: studies, with a folder for each]",
)
@click.option(
    "--data",
    type=click.Path(path_type=Path),
    metavar="DIR",
    help="Folder of MNIST or CIFAR-10, in torchvision's layout.",
)
@click.option("--download", is_flag=True, help="Let torchvision fetch the data set into DIR if it is not there.")
@click.option(
    "--minutes",
    type=click.FloatRange(0, min_open=True),
    help="Stop each training after so long; then the same seed no longer gives the same numbers.",
)
@click.option("--seed", type=click.IntRange(0), default=0, show_default=True, help="Seed of everything random.")
@click.option("--quick", is_flag=True, help="All of it tiny: seconds, and numbers that mean little.")
@click.option("--thorough", is_flag=True, help="Every variant of the paper (retina): hours.")
@click.option("--overwrite", is_flag=True, help="Replace a study that is there.")
@click.option("--json", "as_json", is_flag=True, help="Print what was found, one study a line.")
@options.device
@debug
def study(
    name: str,
    picture: Path | None,
    output: Path | None,
    overwrite: bool,
    as_json: bool,
    data: Path | None,
    **chosen: Any,
) -> None:
    """Make the study NAME: a folder with a page, its pictures as PNGs, and findings.json; print the page's path.

    `img2img study list` says what there is.
    """
    if name == "list":
        for about in STUDIES:
            click.echo(json.dumps(_listed(about)) if as_json else _line(about))
        return
    if data and not data.is_dir() and not chosen["download"]:
        raise click.UsageError(f"--data {data}: there is no such folder")
    settings = _settings(picture=picture, data=data, **chosen)
    if name == "all":
        _make_all(settings, output or Path("studies"), overwrite, as_json)
        return
    if picture and not BY_NAME[name].picture:
        raise click.UsageError(f"study {name} takes no PICTURE")
    _make(BY_NAME[name], settings, output or Path("studies") / name, overwrite, as_json)


def _settings(**chosen: Any) -> "Settings":
    from img2img.studies.study import Settings

    return Settings(**chosen)


def _line(about: About) -> str:
    wants = [f"--data: {about.data}"] if about.data else []
    wants += ["PICTURE"] if about.picture else []
    return f"{about.name:14} {about.about}" + (f" ({', '.join(wants)})" if wants else "")


def _listed(about: About) -> dict[str, Any]:
    return {"study": about.name, "about": about.about, "picture": about.picture, "data": about.data}


def _make(about: About, settings: "Settings", folder: Path, overwrite: bool, as_json: bool) -> None:
    from img2img.errors import DataError
    from img2img.studies.folder import make

    try:
        facts = make(about, settings, folder, overwrite)
    except DataError as error:
        raise click.UsageError(f"study {about.name}: {describe(error)}") from error
    except ModuleNotFoundError as error:
        if error.name not in ("torch", "torchvision", "matplotlib", "lightning"):
            raise
        words = f"study needs {error.name}: pip install 'img2img-suite[study]'"
        raise click.ClickException(words) from error
    where = folder / "index.html"
    click.echo(json.dumps({"study": about.name, "output": str(where), **_short(facts)}) if as_json else where)


def _short(facts: dict[str, Any]) -> dict[str, Any]:
    from img2img.studies.folder import plain

    short: dict[str, Any] = plain({k: facts[k] for k in ("seconds", "findings")})
    return short


def _make_all(settings: "Settings", folder: Path, overwrite: bool, as_json: bool) -> None:
    """Make every study; one that cannot be made is said, and the rest go on."""
    from dataclasses import replace

    from img2img.studies.page import contents

    made, failed = [], []
    for about in STUDIES:
        own = settings if about.picture else replace(settings, picture=None)
        try:
            _make(about, own, folder / about.name, overwrite, as_json)
            made.append((about, f"{about.name}/index.html"))
        except Exception as error:
            words = error.format_message() if isinstance(error, click.ClickException) else describe(error)
            failed.append((about, words))
            say_error(words if words.startswith("study ") else f"study {about.name}: {words}")
    if made:
        (folder / "index.html").write_text(contents(made, failed), encoding="utf-8")
        click.echo(folder / "index.html", err=as_json)
    if failed:
        raise click.exceptions.Exit(1)
