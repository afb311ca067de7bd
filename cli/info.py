"""`img2img info`: what a file of the suite says of itself."""

import hashlib
import json
from pathlib import Path
from typing import Any

import click

from .debug import debug
from .report import describe


@click.command()
@click.argument("file", metavar="FILE|NAME")
@debug
def info(file: str) -> None:
    """Print as JSON what a .i2i or weight FILE, or shipped weights, say of themselves.

    Nothing is decoded. A .i2i file tells its size, quality, bits per pixel, the bytes of each part, and the model that
    it needs: "model_here" says whether these very weights are installed. Weights tell what builds the model, and its
    training and scores.
    """
    from img2img.checkpoints import names, weights_file
    from img2img.images import READABLE

    path = weights_file(file) if file in names() else Path(file)
    if not path.is_file():
        raise click.UsageError(f"{file}: neither a file nor the name of shipped weights ({', '.join(names())})")
    if path.suffix.lower() in READABLE and not _is_bitstream(path):
        raise click.UsageError(f"{file} is a picture: info tells of .i2i files and of weights")
    facts = {"file": str(path), "bytes": path.stat().st_size}
    facts |= _bitstream(path) if _is_bitstream(path) else _weights(path)
    if file == "facades":
        facts["label_colours"] = _facade_colours()
    click.echo(json.dumps(facts, indent=2, ensure_ascii=False))


def _facade_colours() -> dict[str, str]:
    """What each colour of the labels means that the shipped facades were trained on."""
    from img2img.tasks.translate.facade_colours import FACADE_COLOURS

    return {part: f"#{red:02x}{green:02x}{blue:02x}" for part, (red, green, blue) in FACADE_COLOURS.items()}


def _is_bitstream(path: Path) -> bool:
    from img2img.tasks.compress.bitstream import MAGIC

    with path.open("rb") as file:
        return file.read(len(MAGIC)) == MAGIC


def _bitstream(path: Path) -> dict[str, Any]:
    from img2img.errors import BitstreamError
    from img2img.metrics.bitrate import bits_per_pixel
    from img2img.tasks.compress.bitstream import read_header, section_sizes

    data = path.read_bytes()
    try:
        header = read_header(data)
        sizes = {part.lower().replace(" ", "_"): size for part, size in section_sizes(data).items()}
    except BitstreamError as error:
        raise BitstreamError(f"{path}: {describe(error)}") from error
    return {
        "format": "i2i",
        "version": header.version,
        "lossless": header.lossless,
        "model": header.model or None,
        "model_hash": header.model_hash.hex() or None,
        "model_here": header.lossless or _is_here(header.model, header.model_hash),
        "width": header.width,
        "height": header.height,
        "channels": header.channels,
        "bits": header.bits,
        "alpha": "alpha" in sizes,
        "icc_profile": "icc_profile" in sizes,
        "exif": "exif_block" in sizes,
        "quality": None if header.lossless else round(1 + 99 * header.rate / 65535, 2),
        "bpp": round(bits_per_pixel(len(data), header.width, header.height), 4),
        "tile": None if header.lossless else list(header.tile),
        "tiles": header.tile_count,
        "sections": sizes,
    }


def _is_here(model: str, model_hash: bytes) -> bool:
    """Whether the weights of that name and hash are shipped."""
    from img2img.checkpoints import index, names, weights_file

    if model not in names("compress") or not weights_file(model).is_file():
        return False
    return bytes.fromhex(index()[model]["sha256"]).startswith(model_hash)


def _weights(path: Path) -> dict[str, Any]:
    from img2img.checkpoints import read_header

    header = read_header(path)
    with path.open("rb") as stream:
        digest = hashlib.file_digest(stream, "sha256").hexdigest()
    return {"sha256": digest, **header}
