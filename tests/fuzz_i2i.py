"""Files of right checksums and wrong insides: whatever they hold, a reader gives a picture or one line, soon.

    python tests/fuzz_i2i.py --cases 20000 --seed 1

makes cases, decodes each, and prints what came of them. `test_compress_fuzz.py` runs a few hundred.
"""

import argparse
import json
import random
import resource
import struct
import sys
import tempfile
import time
import traceback
import warnings
import zlib
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from io import BytesIO
from pathlib import Path
from typing import Any

import imagecodecs
import numpy as np
import torch
from PIL import Image
from untrained_codec import write_codec

from img2img.errors import BitstreamError
from img2img.images import Picture
from img2img.tasks.compress import Compressor, Decompressor, Target, View
from img2img.tasks.compress.bitstream import MAGIC, Stream, Tile, read_header, read_stream, write_stream

SECONDS, MEGABYTES = 2.0, 500  # of one case at most: CPU time, and memory beyond what the process had before
MAX_PIXELS = 2**20  # what the fuzzed reader allows
SHIPPED = ("codec-fast", "codec-best")
SMALL = ("factorized", "hyperprior", "chequerboard")


def varint(value: int) -> bytes:
    return bytes([value & 127 | 128]) + varint(value >> 7) if value > 127 else bytes([value])


def closed(data: bytes) -> bytes:
    """With its checksum."""
    return data + struct.pack("<I", zlib.crc32(data))


@dataclass
class Material:
    """What cases are made from: codecs, and streams of theirs that are in order."""

    compressors: list[Compressor]
    reader: Decompressor
    streams: list[Stream] = field(default_factory=list)

    @classmethod
    def make(cls, folder: Path, shipped: tuple[str, ...] = SHIPPED) -> "Material":
        files = [write_codec(folder, name, name) for name in SMALL]
        compressors = [Compressor.from_pretrained(each, "cpu", "fp32") for each in (*files, *shipped)]
        material = cls(compressors, Decompressor("cpu", "fp32", files))
        noise = np.random.default_rng(0)
        for compressor in compressors:
            for height, width, channels, kind in ((40, 56, 3, "u1"), (23, 17, 1, "u2"), (64, 300, 3, "u1")):
                shape = (height, width, channels)
                samples = (noise.random(shape) * np.linspace(0.1, 1, width)[:, None] * np.iinfo(kind).max).astype(kind)
                picture = Picture(samples, samples[..., 0].copy() if width < 100 else None)
                data = compressor.compress(picture, Target(quality=noise.integers(1, 101))).data
                material.streams.append(read_stream(data))
        return material


# ---- what a case is made by: each takes a stream in order, and returns the bytes of a file

Mutation = Callable[[Material, Stream, random.Random], bytes]


def extreme_symbols(material: Material, stream: Stream, dice: random.Random) -> bytes:
    """Latents that no picture has, coded as they should be."""
    compressor = next(c for c in material.compressors if c.model.hash == stream.model_hash)
    noise = np.random.default_rng(dice.getrandbits(32))
    tiles = []
    for _ in stream.tiles:
        size = sum(compressor.model.coding.slices), -(-stream.height // 16), -(-stream.width // 16)
        y = noise.standard_normal(size) * 10.0 ** dice.randint(-3, 8)
        y[noise.random(size) < 0.01] = dice.choice([0.0, 1e7, -1e7, 1e8])
        with np.errstate(all="ignore"):
            latents = compressor.model.coding.choose(y.astype(np.float32).clip(-1e8, 1e8), stream.rate, 0)
        tiles.append(coded_tile(compressor, latents))
    return write_stream(replace(stream, tiles=tuple(tiles)))


def coded_tile(compressor: Compressor, latents: Any) -> Tile:
    from img2img.tasks.compress.coder import Encoder
    from img2img.tasks.compress.pipeline import check

    encoder = Encoder(compressor.model.coding.chooser.tables)
    for number, layer in enumerate(latents.layers):
        if number:
            encoder.next_layer()
        for group in layer:
            encoder.push(np.clip(group.symbols, -(2**31), 2**31 - 1), group.rows)
    return Tile(encoder.finish_layers(), check(latents.groups))


def random_payload(material: Material, stream: Stream, dice: random.Random) -> bytes:
    """Bytes of chance, or many of one kind, instead of coded symbols."""
    length = dice.choice([0, 1, 3, 4, 5, 40, 400, 20_000])
    make = dice.choice(
        [dice.randbytes, lambda n: b"\xff" * n, lambda n: b"\0" * n, lambda n: b"\1" + bytes(max(0, n - 1))]
    )
    tiles = tuple(Tile(tuple(make(length) for _ in tile.layers), dice.getrandbits(32)) for tile in stream.tiles)
    return write_stream(replace(stream, tiles=tiles))


def flipped_payload(material: Material, stream: Stream, dice: random.Random) -> bytes:
    """A few bits of a payload changed, the checksum of the bytes renewed."""
    tiles = []
    for tile in stream.tiles:
        layers = [bytearray(layer) for layer in tile.layers]
        for _ in range(dice.randint(1, 5)):
            layer = dice.choice(layers)
            if layer:
                layer[dice.randrange(len(layer))] ^= 1 << dice.randrange(8)
        tiles.append(Tile(tuple(map(bytes, layers)), tile.check))
    return write_stream(replace(stream, tiles=tuple(tiles)))


def lying_layers(material: Material, stream: Stream, dice: random.Random) -> bytes:
    """The same payload cut up otherwise, in more or fewer layers, or in another order."""
    count = dice.choice([1, 2, 3, 5, 16, stream.layers])
    tiles = []
    for tile in stream.tiles:
        whole = b"".join(tile.layers)
        cuts = sorted(dice.choices(range(len(whole) + 1), k=count - 1))
        pieces = [whole[a:b] for a, b in zip([0, *cuts], [*cuts, len(whole)], strict=True)]
        if dice.random() < 0.3:
            dice.shuffle(pieces)
        tiles.append(Tile(tuple(pieces), tile.check))
    return write_stream(replace(stream, layers=count, tiles=tuple(tiles)))


def other_header(material: Material, stream: Stream, dice: random.Random) -> bytes:
    """Another size, other tiles, another rate or another model in front of the same tiles."""
    fields = {
        "width": dice.choice([1, 7, 8, 15, 16, 17, stream.width, stream.width + dice.randint(-16, 16), 500, 4096]),
        "height": dice.choice([1, 8, 16, 31, stream.height, stream.height + dice.randint(-16, 16), 300]),
        "rate": dice.choice([0, 1, 65535, dice.randrange(65536)]),
        "tile": (16 * dice.randint(1, 40), 16 * dice.randint(1, 40)),
        "channels": dice.choice([1, 3]),
        "model": (other := dice.choice(material.compressors).model).name,
        "model_hash": dice.choice([other.hash, stream.model_hash, dice.randbytes(8)]),
    }
    chosen = dice.sample(sorted(fields), dice.randint(1, 3))
    header = {name: getattr(stream, name) for name in fields} | {name: fields[name] for name in chosen}
    flags = (header["channels"] == 3) | (stream.bits == 16) << 1
    name = header["model"].encode()
    head = MAGIC + bytes([2, len(name)]) + name + header["model_hash"]
    head += varint(max(1, header["width"])) + varint(max(1, header["height"])) + bytes([flags])
    head += struct.pack("<H", header["rate"]) + b"".join(varint(side // 16) for side in header["tile"])
    count = -(-max(1, header["width"]) // header["tile"][0]) * -(-max(1, header["height"]) // header["tile"][1])
    tiles = [dice.choice(stream.tiles) for _ in range(min(count, 500))]
    return closed(head) + tile_section(stream.layers, tiles)


def tile_section(layers: int, tiles: list[Tile]) -> bytes:
    lengths = b"".join(varint(len(tile.layers[i])) for i in range(layers) for tile in tiles)
    table = b"T" + varint(layers) + lengths + b"".join(struct.pack("<I", tile.check) for tile in tiles)
    return closed(table) + closed(b"".join(tile.layers[i] for i in range(layers) for tile in tiles))


def first_version(material: Material, stream: Stream, dice: random.Random) -> bytes:
    """Version 1, with lengths that may lie."""
    side = dice.choice([16, 32, 64, 256, 1024])
    name = stream.model.encode()
    flags = (stream.channels == 3) | (stream.bits == 16) << 1
    head = MAGIC + bytes([1, len(name)]) + name + stream.model_hash + varint(stream.width) + varint(stream.height)
    parts = [closed(head + bytes([flags]) + struct.pack("<H", stream.rate) + varint(side)), b"T"]
    for tile in stream.tiles:
        length = len(tile.payload) + dice.choice([0, 0, 0, 1, -1, 1000])
        parts.append(closed(varint(max(0, length)) + struct.pack("<I", tile.check) + tile.payload))
    return b"".join(parts)


def hostile_alpha(material: Material, stream: Stream, dice: random.Random) -> bytes:
    """Alpha that is no grey PNG of the picture's size, or one whose insides are damaged."""
    content = zlib.compress(hostile_png(stream, dice))
    return with_sections(stream, [(b"A", content)])


def hostile_png(stream: Stream, dice: random.Random) -> bytes:
    noise = np.random.default_rng(dice.getrandbits(32))
    height, width = stream.height, stream.width
    kind = dice.choice(["right", "deep", "large", "colour", "palette", "bomb", "chunks", "cut", "interlaced"])
    if kind == "large":
        height, width = dice.choice([(1, 500_000), (height, width + 1), (8192, 8192)])
    grey = np.zeros((height, width), np.uint8) if height * width > 2**22 else noise.integers(0, 9, (height, width))
    samples = grey.astype("u2" if (stream.bits == 16) != (kind == "deep") else "u1")
    if kind == "colour":
        samples = np.repeat(samples[..., None], 3, 2)
    data = bytearray(imagecodecs.png_encode(samples))
    if kind in ("palette", "interlaced"):
        data[25 if kind == "palette" else 28] = 3 if kind == "palette" else 1
        data[29:33] = struct.pack(">I", zlib.crc32(data[12:29]))
    if kind == "bomb":
        body = zlib.compress(bytes(2**24))
        data[33:] = chunk(b"IDAT", body) + chunk(b"IEND", b"")
    if kind == "chunks":
        data[33:33] = b"".join(
            chunk(dice.choice([b"tEXt", b"iCCP", b"eXIf", b"acTL", b"tRNS"]), dice.randbytes(9)) for _ in range(3)
        )
    return bytes(data[: len(data) - (dice.randint(1, 40) if kind == "cut" else 0)])


def chunk(kind: bytes, body: bytes) -> bytes:
    return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))


def with_sections(stream: Stream, sections: list[tuple[bytes, bytes]]) -> bytes:
    bare = write_stream(replace(stream, alpha=None, icc=None, exif=None))
    end = len(bare) - len(tile_section(stream.layers, list(stream.tiles)))
    parts = [closed(kind + varint(len(content)) + content) for kind, content in sections]
    return bare[:end] + b"".join(parts) + bare[end:]


def strange_sections(material: Material, stream: Stream, dice: random.Random) -> bytes:
    """Sections of all kinds, twice, empty, that explode, that are no zlib, or none that anybody knows."""
    contents = [
        b"",
        zlib.compress(b""),
        zlib.compress(bytes(2**25)),
        dice.randbytes(50),
        zlib.compress(dice.randbytes(99)),
    ]
    kinds = [b"i", b"e", b"A", b"L", b"x", b"y", b"X", b"\0", b"\xff"]
    return with_sections(stream, [(dice.choice(kinds), dice.choice(contents)) for _ in range(dice.randint(1, 3))])


def hostile_lossless(material: Material, stream: Stream, dice: random.Random) -> bytes:
    """A lossless picture whose content is anything."""
    noise = np.random.default_rng(dice.getrandbits(32)).integers(0, 256, (stream.height, stream.width, 3)).astype("u1")
    file = BytesIO()
    kind = dice.choice(["WEBP", "animation", "GIF", "JPEG", "PNG", "png", "bytes", "cut", "large"])
    image = Image.fromarray(noise)
    if kind == "animation":
        image.save(file, "WEBP", save_all=True, append_images=[image.rotate(90)], duration=50)
    elif kind == "png":
        file.write(hostile_png(stream, dice))
    elif kind == "bytes":
        file.write(dice.choice([b"RIFF", b"\x89PNG\r\n\x1a\n", b""]) + dice.randbytes(dice.choice([0, 30, 3000])))
    elif kind == "large":
        Image.new("RGB", dice.choice([(1, 16383), (3000, 3000)])).save(file, "WEBP", lossless=True, method=0)
    else:
        image.save(file, kind if kind != "cut" else "WEBP", **({"lossless": True} if kind in ("WEBP", "cut") else {}))
    content = file.getvalue()
    content = content[: dice.randrange(len(content))] if kind == "cut" else content
    flags = (dice.random() < 0.8) | (dice.random() < 0.2) << 1
    head = MAGIC + bytes([2, 0]) + varint(stream.width) + varint(stream.height) + bytes([flags])
    return closed(head) + closed(b"L" + varint(len(content)) + content)


def lying_table(material: Material, stream: Stream, dice: random.Random) -> bytes:
    """A table of tiles whose numbers are not those of what follows."""
    data = write_stream(replace(stream, alpha=None))
    section = tile_section(stream.layers, list(stream.tiles))
    head = data[: len(data) - len(section)]
    lengths = [len(tile.layers[i]) for i in range(stream.layers) for tile in stream.tiles]
    for _ in range(dice.randint(1, 3)):
        lengths[dice.randrange(len(lengths))] = dice.choice([0, 1, 127, 128, 2**20, 2**32 - 1])
    layers = dice.choice([stream.layers, 0, 1, 16, 17, 2**31])
    checks = b"".join(struct.pack("<I", dice.getrandbits(32)) for _ in stream.tiles)
    table = b"T" + varint(layers) + b"".join(map(varint, lengths)) + checks
    return head + closed(table) + section[-dice.randint(1, len(section)) :]


def flipped_anywhere(material: Material, stream: Stream, dice: random.Random) -> bytes:
    """A byte of the file changed, and the header's checksum renewed so that it goes further."""
    data = bytearray(write_stream(stream))
    end = header_end(bytes(data))
    for _ in range(dice.randint(1, 4)):
        data[dice.randrange(4, end if dice.random() < 0.6 else len(data))] ^= 1 << dice.randrange(8)
    data[end - 4 : end] = struct.pack("<I", zlib.crc32(data[: end - 4]))
    return bytes(data)


def header_end(data: bytes) -> int:
    """Where the header, with its checksum, ends."""
    for end in range(14, 110):
        try:
            read_header(data[:end])
        except BitstreamError:
            continue
        return end
    raise AssertionError("no header")


def truncated(material: Material, stream: Stream, dice: random.Random) -> bytes:
    """The beginning of a file in order."""
    data = write_stream(stream)
    return data[: dice.randrange(len(data) + 1)]


MUTATIONS: tuple[Mutation, ...] = (
    extreme_symbols, random_payload, flipped_payload, lying_layers, other_header, first_version, hostile_alpha,
    strange_sections, hostile_lossless, lying_table, flipped_anywhere, truncated,
)  # fmt: skip


# ---- what came of it


@dataclass
class Outcome:
    """Of many cases: how many gave a picture or an error, by mutation; and those that are faults of the reader."""

    counts: Counter[str] = field(default_factory=Counter)
    faults: list[str] = field(default_factory=list)
    slowest: float = 0.0
    peak: float = 0.0  # megabytes beyond what the process had before


def resident() -> float:
    """Megabytes that the process has in memory now."""
    return int(Path("/proc/self/statm").read_text().split()[1]) * resource.getpagesize() / 2**20


def highest_resident() -> float:
    """Megabytes that it had at most, ever."""
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak / 2**20 if sys.platform == "darwin" else peak / 2**10


def fuzz(material: Material, numbers: range) -> Outcome:
    """Decode the cases of these numbers; the same number is always the same case."""
    outcome, begin = Outcome(), highest_resident()
    warnings.simplefilter("error", RuntimeWarning)  # numbers that are none
    for number in numbers:
        dice = random.Random(number)
        mutation = MUTATIONS[number % len(MUTATIONS)]
        data = mutation(material, dice.choice(material.streams), dice)
        view = View(preview=dice.random() < 0.2, partial=dice.random() < 0.3)
        if dice.random() < 0.1:
            view = View(region=(dice.randrange(30), dice.randrange(20), dice.randint(1, 40), dice.randint(1, 40)))
        before = time.process_time()
        try:
            picture = material.reader.decompress(data, MAX_PIXELS, view)
            result = "picture"
            if not picture.samples.size:
                outcome.faults.append(f"{number}: an empty picture")
        except BitstreamError as error:
            result = "error"
            if "\n" in str(error) or not str(error).isprintable():
                outcome.faults.append(f"{number}: {str(error)!r} is not one line")
        except Exception:
            result = "fault"
            outcome.faults.append(f"{number} ({mutation.__name__}): {traceback.format_exc()}")
        seconds = time.process_time() - before
        outcome.counts[f"{mutation.__name__}: {result}"] += 1
        outcome.slowest = max(outcome.slowest, seconds)
        if seconds > SECONDS:
            outcome.faults.append(f"{number} ({mutation.__name__}): {seconds:.1f} s")
    outcome.peak = highest_resident() - begin
    return outcome


def main() -> None:
    parser = argparse.ArgumentParser(description="Decode .i2i files of right checksums and wrong insides.")
    parser.add_argument("--cases", type=int, default=20_000)
    parser.add_argument("--seed", type=int, default=1, help="number of the first case, in millions")
    parser.add_argument("--report", type=int, default=1000, help="print memory after so many cases")
    chosen = parser.parse_args()
    torch.set_num_threads(1)
    total, memory = Outcome(), []
    with tempfile.TemporaryDirectory() as folder:
        material = Material.make(Path(folder))
        first = chosen.seed * 1_000_000
        for begin in range(0, chosen.cases, chosen.report):
            part = fuzz(material, range(first + begin, first + min(begin + chosen.report, chosen.cases)))
            total.counts += part.counts
            total.faults += part.faults
            total.slowest, total.peak = max(total.slowest, part.slowest), max(total.peak, part.peak)
            memory.append(round(resident()))
            print(
                f"{begin + chosen.report} cases, {memory[-1]} MB, {len(total.faults)} faults",
                file=sys.stderr,
                flush=True,
            )
    print(json.dumps({
        "cases": chosen.cases, "counts": dict(sorted(total.counts.items())), "slowest_seconds": round(total.slowest, 3),
        "peak_megabytes": round(total.peak), "resident_megabytes": memory, "faults": total.faults,
    }, indent=1))  # fmt: skip
    sys.exit(bool(total.faults or total.peak > MEGABYTES or memory[-1] > memory[0] + 100))


if __name__ == "__main__":
    main()
