"""From the options that were given to the texture that is wanted: which of them go together. Imports no torch."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from ...errors import OptionError
from .job import LAST_SEED, METHOD, Method, Mode, TextureJob, Wraps

OPTIONS = (
    *("size", "scale", "method", "start", "steps", "train_steps", "recipe", "save", "net", "descriptor"),
    *("descriptor_weights", "loss", "tileable", "tile_axis", "mask", "rotate", "mirror", "maps", "seamless", "fill"),
    *("extend", "colour", "mix", "seed", "count"),
)
OF_METHOD = {"start": "optimize", "steps": "optimize", "train_steps": "network", "recipe": "network", "save": "network"}
OF_SAMPLE: dict[str, Mode] = {"seamless": "seamless", "fill": "filled", "extend": "extended"}
BY_PATCHES = ("rotate", "mirror", "maps", *OF_SAMPLE)
SEEING = ("descriptor", "descriptor_weights")
"""Have a part in methods that look at the sample by a descriptor, and wherever a texture is compared with it."""


def wanted(asked: Mapping[str, Any], samples: int = 1, measured: bool = False) -> TextureJob:
    """The texture that options ask for.

    Args:
        asked: those that were given, by name: size (height, width), scale (a number, or `auto`), method, start, steps,
            train_steps, recipe, save, net, descriptor, descriptor_weights, loss, tileable, tile_axis (x, y, both),
            mask, rotate, mirror, maps, seamless, fill, extend (pixels on all sides, or left, top, right, bottom),
            colour, mix (shares; of two samples that of the second is enough), seed, count. Of files and pictures only
            that they are there counts.
        samples: how many there are.
        measured: whether the texture is compared with its sample.

    Raises:
        OptionError: two of them contradict each other, or one has no part in what is made.
        ValueError: a value is out of its range.
    """
    mode = _mode(asked)
    method = _method(asked, mode)
    _check_parts(asked, method, samples, measured)
    seed, count = asked.get("seed", 0), asked.get("count", 1)
    if seed + count - 1 > LAST_SEED:
        raise OptionError("{0} {seed} and {1} {count}: there is no seed beyond {last}", "seed", "count",
                          seed=seed, count=count, last=LAST_SEED)  # fmt: skip
    mix = asked.get("mix")
    own = {name: asked[name] for name in ("size", "colour", "loss", "start", "steps", "train_steps") if name in asked}
    return TextureJob(
        method=method,
        mode=mode,
        tileable=_wraps(asked, method),
        seed=seed,
        mix=None if mix is None else shares(mix, samples),
        axes=asked.get("tile_axis", "both"),
        margins=_margins(asked.get("extend", 0)),
        rotate=asked.get("rotate", False),
        mirror=asked.get("mirror", False),
        scale=_scale(asked, mode),
        **own,
    )


def _mode(asked: Mapping[str, Any]) -> Mode:
    modes = [name for name in OF_SAMPLE if name in asked]
    if len(modes) > 1:
        raise OptionError("{0} and {1} are different things: ask for one of them", *modes[:2])
    return OF_SAMPLE[modes[0]] if modes else "texture"


def _method(asked: Mapping[str, Any], mode: Mode) -> Method:
    """What makes it: what is asked for, or what alone can."""
    method: Method = asked.get("method", METHOD)
    for name in BY_PATCHES:
        if name in asked and asked.get("method", "patches") != "patches":
            raise OptionError("{0} is done by patches, not by {1} {method}", name, "method", method=method)
        if name in asked and "net" in asked:
            raise OptionError("{0} is done by patches, not by {1}", name, "net")
        if name in asked:
            method = "patches"
    if mode != "texture":
        idle = ["size", "rotate", "mirror", "mask", "tileable", *([] if mode == "seamless" else ["tile_axis"])]
        for name in idle:
            if name in asked:
                raise OptionError("{0} has no part in a picture that is {mode}", name, mode=mode)
    if "net" in asked and asked.get("method", "network") != "network":
        raise OptionError("{0} is for {1} network", "net", "method")
    return "network" if "net" in asked else method


def _check_parts(asked: Mapping[str, Any], method: Method, samples: int, measured: bool) -> None:
    """Refuse what has no part in a method, and pairs that contradict each other."""
    if "descriptor_weights" in asked and asked.get("descriptor") != "vgg19":
        raise OptionError("{0} is for {1} vgg19", "descriptor_weights", "descriptor")
    if "net" in asked:
        seen = measured and samples > 0
        idle: Sequence[str] = (*OF_METHOD, "mix", "loss", *(() if seen else SEEING))
        for name in idle:
            if name in asked:
                raise OptionError("{0} has no part in what a trained network ({1}) makes", name, "net")
    if method == "patches":
        for name in ("loss", "mix", "colour", *(() if measured else SEEING)):
            if name in asked:
                raise OptionError("{0} has no part in {1} patches", name, "method")
    for name, of in OF_METHOD.items():
        if name in asked and of != method:
            raise OptionError("{0} is for {1} {of}", name, "method", of=of)
    if method == "network" and asked.get("loss") == "shifted":
        raise OptionError("{0} shifted is not for {1} network", "loss", "method")
    if asked.get("start") == "patches" and "mix" in asked:
        raise OptionError("{0} patches is for one sample; {1} starts from noise", "start", "mix")
    if "mask" in asked and "mix" in asked:
        raise OptionError("{0} belongs to one sample, {1} to several", "mask", "mix")


def _wraps(asked: Mapping[str, Any], method: Method) -> Wraps:
    axis = asked.get("tile_axis")
    if axis not in ("x", "y"):
        return axis == "both" or asked.get("tileable", False)
    if "tileable" in asked:
        raise OptionError("{0} and {1} {axis} contradict each other", "tileable", "tile_axis", axis=axis)
    if method == "network":
        raise OptionError("{0} {axis} is not for {1} network", "tile_axis", "method", axis=axis)
    return "x" if axis == "x" else "y"


def _scale(asked: Mapping[str, Any], mode: Mode) -> float | None:
    """Of the sample; where its pixels have to fit others, or several samples each other, there is one only."""
    scale = asked.get("scale", "auto")
    fixed = [name for name in ("maps", "mask", "mix", *OF_SAMPLE) if name in asked]
    if fixed and scale not in ("auto", 1):
        raise OptionError("{0} has no part where pixels are to stay, with {1}", "scale", fixed[0])
    return 1 if fixed else None if scale == "auto" else scale


def _margins(sides: int | Sequence[int]) -> tuple[int, int, int, int]:
    given = (sides,) * 4 if isinstance(sides, int) else tuple(sides)
    if len(given) not in (1, 4):
        raise OptionError("{0} is a number of pixels, or four: left, top, right, bottom", "extend")
    left, top, right, bottom = given * (4 // len(given))
    return left, top, right, bottom


def shares(mix: float | Sequence[float], samples: int) -> tuple[float, ...]:
    """The share of each sample.

    Raises:
        OptionError: they do not fit the samples.
    """
    given = tuple(mix) if isinstance(mix, Sequence) else (mix,)
    if samples < 2:
        raise OptionError("{0} needs two samples or more", "mix")
    if not all(0 <= share < float("inf") for share in given):
        raise OptionError("{0}: a share is a number of 0 or more", "mix")
    if samples == 2 and len(given) == 1:
        if given[0] > 1:
            raise OptionError("{0} {share:g}: the second sample's share is between 0 and 1", "mix", share=given[0])
        return 1 - given[0], given[0]
    if len(given) != samples:
        raise OptionError("{0} has {given} shares for {samples} samples", "mix", given=len(given), samples=samples)
    if not any(given):
        raise OptionError("{0}: not all shares can be 0", "mix")
    return given
