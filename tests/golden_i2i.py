"""Files of every kind with the pictures they decode to, so that no change loses what was written before.

    python tests/golden_i2i.py

writes them anew (another processor may choose a symbol otherwise). Only as long as no version was released, when new
weights have taken the place of the old: files need the very weights that made them. Once a version is released its
files stay for ever; a new format gets a folder beside.
"""

import struct
import zlib
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from skimage import data as photographs

from img2img.images import Picture, write_picture
from img2img.tasks.compress import Compressor, Decompressor, Target, View
from img2img.tasks.compress.bitstream import Stream, read_stream
from img2img.tasks.compress.pipeline import TILE

FOLDER = Path(__file__).parent / "golden"
PLAIN = View(look=None)  # a restoration behind the synthesis may still learn
MODELS = ("codec-fast", "codec-best")


def pictures() -> Iterator[tuple[str, Picture]]:
    """Small, of all kinds."""
    astronaut = photographs.astronaut()[100:164, 190:270]
    coffee = photographs.coffee()[150:190, 300:356]
    yield "colour", Picture(np.ascontiguousarray(astronaut[:48, :64]))
    yield "grey-alpha", Picture(np.ascontiguousarray(coffee[..., :1]), np.ascontiguousarray(coffee[::-1, :, 1]))
    yield "deep", Picture(coffee[:17, :33].astype(np.uint16) * 257)
    yield "strip", Picture(np.ascontiguousarray(astronaut[30:39]))
    yield "deep-grey", Picture(coffee[5:30, 9:31, :1].astype(np.uint16) * 255 + 77)


def files() -> Iterator[tuple[str, bytes]]:
    """By name."""
    for model in MODELS:
        compressor = Compressor.from_pretrained(model, "cpu", "fp32", "onnx")
        for name, picture in pictures():
            for quality in (1, 12, 25, 37, 50, 62, 75, 88, 100):
                data = compressor.compress(picture, Target(quality=quality)).data
                yield f"{model}-{name}-{quality}", data
                if quality == 50:
                    yield f"{model}-{name}-{quality}-version1", first_version(read_stream(data))
        compressor.tile = 32
        tiled = Picture(np.ascontiguousarray(photographs.chelsea()[100:132, 150:200]))
        for quality in (10, 60):
            yield f"{model}-tiles-{quality}", compressor.compress(tiled, Target(quality=quality)).data
        compressor.tile = TILE
    drawing = np.full((40, 50, 3), 250, np.uint8)
    drawing[5:20, 7:30] = 20, 90, 200
    yield "lossless-drawing", compressor.compress(Picture(drawing)).data
    yield "lossless-deep", compressor.compress(Picture(drawing[..., :1].astype(np.uint16) * 257)).data
    yield "lossless-alpha", compressor.compress(Picture(drawing, drawing[..., 1])).data
    yield "lossless-pixel", compressor.compress(Picture(drawing[:1, :1])).data
    yield "lossless-thin", compressor.compress(Picture(photographs.astronaut()[:5, :60].copy())).data


def first_version(stream: Stream) -> bytes:
    """The same tile as version 1 of the format had it."""

    def closed(data: bytes) -> bytes:
        return data + struct.pack("<I", zlib.crc32(data))

    def varint(value: int) -> bytes:
        return bytes([value & 127 | 128]) + varint(value >> 7) if value > 127 else bytes([value])

    name, flags = stream.model.encode(), (stream.channels == 3) | (stream.bits == 16) << 1
    head = b"\x89i2i\x01" + bytes([len(name)]) + name + stream.model_hash + varint(stream.width) + varint(stream.height)
    parts = [closed(head + bytes([flags]) + struct.pack("<H", stream.rate) + varint(1024)), b"T"]
    parts += [closed(varint(len(t.payload)) + struct.pack("<I", t.check) + t.payload) for t in stream.tiles]
    return b"".join(parts)


def main() -> None:
    for old in FOLDER.iterdir():
        old.unlink()
    reader = Decompressor("cpu", "fp32", engine="onnx")
    for name, data in files():
        (FOLDER / f"{name}.i2i").write_bytes(data)
        write_picture(reader.decompress(data, view=PLAIN), FOLDER / f"{name}.png", "png")


if __name__ == "__main__":
    main()
