"""Words for the terminal: every error is one line on standard error, and names options as the command line does."""

import click

from img2img.errors import Img2ImgError

_NO_MEMORY = ("out of memory", "not enough memory", "can't allocate memory")  # torch has no one error for it


def one_line(text: str) -> str:
    """Fold a message to the one line that an error may take."""
    return " ".join(text.split())


def say_error(text: str) -> None:
    """Print an error in the one form that all of them have."""
    click.echo(f"img2img: error: {one_line(text)}", err=True)


def say_note(text: str) -> None:
    """Print what is no error but should be known."""
    click.echo(f"img2img: {one_line(text)}", err=True)


def dashed(name: str) -> str:
    """An option of the library as the command at work calls it: max_bytes is --max-bytes."""
    context = click.get_current_context(silent=True)
    known = {option.name: option.opts[0] for option in context.command.params} if context else {}
    return known.get(name, f"--{name.replace('_', '-')}")


def describe(error: BaseException) -> str:
    """Say in one line what went wrong, without the path that the caller names."""
    if isinstance(error, Img2ImgError):
        return one_line(error.spelled(dashed))
    text = one_line(str(error))
    if isinstance(error, OSError):
        return error.strerror or text
    if isinstance(error, MemoryError) or any(words in text for words in _NO_MEMORY):
        return "out of memory; a smaller --tile needs less"
    return f"{type(error).__name__}: {text}"
