"""OpenEXR, by the library of that name (an extra): half and full floats, linear light."""

from __future__ import annotations

from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np

from ..errors import ImageError
from .container import Decoded, Opened, check_size
from .picture import About, scale_of

_KNOWN = {
    "channels", "compression", "dataWindow", "displayWindow", "lineOrder", "pixelAspectRatio", "screenWindowCenter",
    "screenWindowWidth", "type", "name", "chunkCount", "tiles", "version",
}  # fmt: skip


def open_file(data: bytes, max_pixels: int) -> Opened:
    """An EXR file; one with more pixels than `max_pixels` is an ImageError."""
    try:
        import OpenEXR
    except ImportError as error:
        raise ImageError("exr files need OpenEXR: pip install 'img2img-suite[exr]'") from error
    with TemporaryDirectory() as folder:  # the library reads by name only
        path = Path(folder) / "x.exr"
        path.write_bytes(data)
        head = OpenEXR.File(str(path), header_only=True)
        for part in head.parts:
            check_size(*_size(part.header), max_pixels)
        file = OpenEXR.File(str(path), separate_channels=True)
    parts = [_decoded(part) for part in file.parts]
    return Opened(lambda: iter(parts), len(parts))


def _size(header: Any) -> tuple[int, int]:
    (left, top), (right, bottom) = header["dataWindow"]
    return int(right) - int(left) + 1, int(bottom) - int(top) + 1


def _decoded(part: Any) -> Decoded:
    planes = {name: np.asarray(channel.pixels) for name, channel in part.channels.items()}
    shapes = {plane.shape for plane in planes.values()}
    if len(shapes) != 1:
        raise ImageError("exr with channels of several sizes is not read")
    colours = ["R", "G", "B"] if {"R", "G", "B"} <= planes.keys() else ["Y"] if "Y" in planes else sorted(planes)[:1]
    taken = [*colours, "A"] if "A" in planes and "A" not in colours else colours
    kind = np.result_type(*(planes[name].dtype for name in taken))
    pixels = np.stack([planes[name].astype(kind) for name in taken], axis=2)
    rest = [planes[name] for name in sorted(planes) if name not in taken]
    lost = [f"EXR's attribute {name}" for name in part.header if name not in _KNOWN]
    further = np.stack(rest, axis=2) if rest else None
    scale = scale_of(pixels[..., : len(colours)])
    return Decoded(pixels, about=About(lost=tuple(lost)), further=further, scale=scale)
