"""Options that belong to one file of a list, checked and understood as the command's own are."""

from typing import Any

import click

from img2img.checkpoints import names

from .files_from import Options
from .work import asked

MACHINE = ("engine", "device", "precision", "tile", "max_pixels")  # is the same for all files
ABOUT_OUTPUT = ("format",)  # which the output's name tells


def prepare_with(options: Options, left_out: frozenset[str]) -> Any:
    """What loads the task of this command line with some options changed.

    Args:
        options: names, as on the command line or as in Python, and values.
        left_out: options that are not about a picture.

    Raises:
        click.UsageError: they make no sense, or are not about a picture.
    """
    context = click.get_current_context()
    known = _about_a_picture(context.command, left_out)
    changed = {}
    for word, value in options:
        option = known.get(word.replace("-", "_"))
        if option is None:
            raise click.UsageError(f"no option of one file is called {word!r}; there are {', '.join(sorted(known))}")
        if option.name == "model" and value not in names():  # no list names a file to be read as weights
            raise click.UsageError(f"model is the name of shipped weights, not {value!r}")
        try:
            changed[str(option.name)] = option.type_cast_value(context, value)
        except click.BadParameter as error:
            raise click.UsageError(f"{word}: {error.format_message()}") from error
    return asked(context, **changed).prepare


def _about_a_picture(command: click.Command, left_out: frozenset[str]) -> dict[str, click.Option]:
    out = {*left_out, *MACHINE, *ABOUT_OUTPUT, "help"}
    options = [option for option in command.params if isinstance(option, click.Option) and option.expose_value]
    return {option.name or "": option for option in options if option.name not in out and not option.multiple}
