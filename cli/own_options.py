"""Options that belong to one file of a list, checked and understood as the command's own are."""

from typing import Any

import click

from .listed import Options


def prepare_with(options: Options) -> Any:
    """What loads the task of this command line with some options changed.

    Args:
        options: names, as on the command line or as in Python, and values.

    Raises:
        click.UsageError: they make no sense, or are not about a picture.
    """
    from .batch import intercepting
    from .service import schema, served

    context = click.get_current_context()
    command = context.command
    assert command.callback is not None
    known = {option.name: option for option in served(command) if option.name != "format"}
    changed = {}
    for word, value in options:
        option = known.get(word.replace("-", "_"))
        if option is None:
            raise click.UsageError(f"no option of one file is called {word!r}; there are {', '.join(sorted(known))}")
        allowed = schema(option.type) or {}
        if "enum" in allowed and value not in allowed["enum"]:  # a type may take a file's name, too
            raise click.UsageError(f"{word} is one of {', '.join(map(str, allowed['enum']))}, not {value!r}")
        try:
            changed[str(option.name)] = option.type_cast_value(context, value)
        except click.BadParameter as error:
            raise click.UsageError(f"{word}: {error.format_message()}") from error
    with intercepting(planning=False) as intercepted:
        command.callback(**(context.params | changed))
    return intercepted.prepare
