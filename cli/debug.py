"""The option --debug, which a command and the group in front of it both take."""

import click

_KEY = __name__


def _remember(ctx: click.Context, _param: click.Parameter, value: bool) -> None:
    if value:
        ctx.meta[_KEY] = True  # one dictionary for a command and its group


def debugging() -> bool:
    """Whether --debug was given: errors then show their traceback."""
    return bool(click.get_current_context().meta.get(_KEY))


debug = click.option("--debug", is_flag=True, expose_value=False, callback=_remember, help="Show tracebacks of errors.")
