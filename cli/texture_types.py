"""What the options of `img2img texture` take."""

import math
import re
from pathlib import Path
from typing import Any

import click

from img2img.checkpoints import names

DESCRIPTORS = (*names("descriptor"), "random", "vgg19")


class Size(click.ParamType):
    """A width and a height, such as 640x480; one number is both."""

    name = "size"

    def get_metavar(self, param: click.Parameter, ctx: click.Context) -> str:
        """Show the order."""
        return "WxH"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> tuple[int, int]:
        """Width and height, both at least 1."""
        found = re.fullmatch(r"(\d{1,9})(?:[xX](\d{1,9}))?", value)
        width, height = (int(found[1]), int(found[2] or found[1])) if found else (0, 0)
        if not (width and height):
            self.fail(f"{value!r} is no size such as 640x480", param, ctx)
        return width, height


class Shares(click.ParamType):
    """Numbers of at least 0, not all 0, between commas."""

    name = "shares"

    def get_metavar(self, param: click.Parameter, ctx: click.Context) -> str:
        """Show the form."""
        return "W[,W...]"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> tuple[float, ...]:
        """The numbers as they are given."""
        try:
            shares = tuple(float(word) for word in value.split(","))
        except ValueError:
            shares = (math.nan,)
        if not all(0 <= share < math.inf for share in shares):
            self.fail(f"{value!r} is no number of 0 or more, nor several between commas", param, ctx)
        return shares


class DescriptorName(click.ParamType):
    """A descriptor by name, or a file that training wrote."""

    name = "name or file"

    def get_metavar(self, param: click.Parameter, ctx: click.Context) -> str:
        """Show both in the help text."""
        return "NAME|FILE"

    def convert(self, value: str, param: click.Parameter | None, ctx: click.Context | None) -> str:
        """Refuse what is neither, and list the names."""
        if value not in DESCRIPTORS and not Path(value).is_file():
            self.fail(
                f"no descriptor is called {value!r}; there are {', '.join(DESCRIPTORS)}, or name a file", param, ctx
            )
        return value


class Map(click.ParamType):
    """A name and a file: normal=pebbles_normal.png."""

    name = "map"

    def get_metavar(self, param: click.Parameter, ctx: click.Context) -> str:
        """Show the form."""
        return "NAME=FILE"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> tuple[str, str]:
        """The name and the file, which has to be there."""
        name, _, file = value.partition("=")
        if not name or not file or set(name) & set("/\\"):
            self.fail(f"{value!r} is no map such as normal=pebbles_normal.png", param, ctx)
        if not Path(file).is_file():
            self.fail(f"{file}: no such file", param, ctx)
        return name, file


class Sides(click.ParamType):
    """Pixels on all sides, or on the left, at the top, on the right, at the bottom."""

    name = "sides"

    def get_metavar(self, param: click.Parameter, ctx: click.Context) -> str:
        """Show the form."""
        return "N[,N,N,N]"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> tuple[int, ...]:
        """Four whole numbers, not all 0."""
        words = value.split(",")
        if len(words) not in (1, 4) or not all(word.isdecimal() and len(word) < 7 for word in words):
            self.fail(f"{value!r} is neither a number of pixels nor four, left, top, right, bottom", param, ctx)
        sides = tuple(int(word) for word in (words if len(words) == 4 else 4 * words))
        if not any(sides):
            self.fail("nothing is to be added", param, ctx)
        return sides
