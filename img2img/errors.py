"""Errors whose text is one line a user can act on; the command line prints it without a traceback."""

from collections.abc import Callable
from typing import Any


class Img2ImgError(Exception):
    """Anything the suite can explain in one line.

    Args:
        text: that line; with {0}, {1} where it names options, and {name} for each of `values`.
        options: their names, as in Python. The command line spells them its own way.
        values: what else the text holds. A text without options is taken as it is.

    Example:
        >>> error = Img2ImgError("{0} and {1} contradict each other", "max_bytes", "bpp")
        >>> str(error), error.spelled(lambda name: "--" + name.replace("_", "-"))
        ('max_bytes and bpp contradict each other', '--max-bytes and --bpp contradict each other')
    """

    def __init__(self, text: str = "", *options: str, **values: Any) -> None:
        super().__init__(text, *options)
        self.text, self.options, self.values = text, options, values

    def __str__(self) -> str:
        return self.spelled(str)

    def spelled(self, spell: Callable[[str], str]) -> str:
        """The line, with the options called as `spell` calls them."""
        return self.text.format(*map(spell, self.options), **self.values) if self.options else self.text


class InputError(Img2ImgError, ValueError):
    """What a function was given is no picture of a kind it takes, or an option is out of its range."""


class OptionError(InputError):
    """Options contradict each other, or have no part in what is asked for."""


class ImageError(Img2ImgError):
    """A file is no picture we read, is damaged, or cannot be written."""


class BitstreamError(Img2ImgError):
    """An `.i2i` file is damaged, truncated, too new, or needs a model that is not here."""


class FormatError(ImageError, BitstreamError):
    """A file is of another kind than those that are read here."""


class TooLargeError(ImageError, BitstreamError):
    """A file has more pixels than are allowed."""


class DataError(Img2ImgError):
    """A study's data set or picture is not there, or not what it needs."""


class AddressError(Img2ImgError):
    """An address (s3://...) that cannot be used: no such scheme, or what reads it is not installed."""


class StorageError(Img2ImgError):
    """Where an address leads cannot be reached, or refuses; trying again may help."""


class ManifestError(Img2ImgError):
    """A manifest is none, cannot be written, or is being written by another run."""


class WeightsError(Img2ImgError):
    """A weight file is missing, damaged, or not what its index says."""


class TrainingError(Img2ImgError):
    """A recipe or a training folder does not fit."""


class TruncatedError(BitstreamError):
    """An `.i2i` file ends too soon."""


class UnreachableError(Img2ImgError):
    """No `.i2i` file of a picture is as small, or as good, as asked for."""


class ExportError(Img2ImgError):
    """A network cannot be exported, or the file written computes something else."""
