"""Pillow reads and writes `.i2i` files once this module is imported.

    import img2img.pillow
    from PIL import Image

    Image.open("photo.jpg").save("photo.i2i", quality=60)
    picture = Image.open("photo.i2i")

**Opening** reads what the file says of itself: size, mode, `info["icc_profile"]` and `info["exif"]` are there at once;
the pixels are decoded by `load()`, which Pillow calls when they are needed, and damage is found then, or by `verify()`.
`thumbnail()` and `draft()` decode a quarter of the size where that is enough. Modes are L, LA, RGB and RGBA, and I;16
for grey of 16 bits. Pillow has no other modes of 16 bits, so such pictures are rounded to 8.

**Saving** takes one of `quality` (1 to 100; 50 if none of the four is given), `bpp` (bits per pixel), `psnr`
(decibels) and `max_bytes`; also `model` ("codec-fast"; a name of `img2img weights list`, or a file),
`icc_profile` (the image's own; None leaves it out) and `exif` (bytes or `Image.Exif`), which is stored only if
given, as in JPEG and PNG. Its orientation is applied to the pixels, for `.i2i` files are upright. Palettes, 1, RGBX,
La and RGBa are converted, and a transparent colour becomes alpha; other modes (CMYK, YCbCr, LAB, HSV, I, F) are an
OSError, as with other formats.

**Errors**: a damaged file, or one whose model is not here, raises I2IError, which is a BitstreamError of this suite and
an UnidentifiedImageError, hence OSError, of Pillow. Weights that are not shipped are made known by `use_model(FILE)`.

Neither this import nor opening needs torch; it and the weights are loaded with the first pixels, and kept, once for
all threads. Processes forked from one that has decoded (PyTorch's DataLoader makes such) decode, too, in one thread.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from io import BytesIO
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

import numpy as np
from PIL import Image, ImageFile, UnidentifiedImageError

from .checkpoints import names
from .choices import CODEC_QUALITY
from .errors import BitstreamError, TruncatedError
from .images import Picture, in_8_bits
from .images import exif as exif_block
from .runtime import lock_across_forks
from .tasks.compress.bitstream import MAGIC, Metadata, read_metadata, read_stream

if TYPE_CHECKING:
    from .tasks.compress import Compressor, Decompressor

FORMAT, EXTENSION = "I2I", ".i2i"

_TARGETS = ("quality", "bpp", "psnr", "max_bytes")
_STORED = ("L", "LA", "RGB", "RGBA")
_CONVERTED = {"1": "L", "P": "RGB", "PA": "RGBA", "RGBX": "RGB", "La": "LA", "RGBa": "RGBA"}
_WITH_ALPHA = {"L": "LA", "RGB": "RGBA"}
# What turns pixels upright that are stored in one of EXIF's orientations.
_UPRIGHT = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}

_models: list[str] = []


def use_model(file: str | Path) -> None:
    """Let files be opened that need these weights, which are not shipped. Saving with `model=file` does so, too."""
    if str(file) not in _models:
        _models.append(str(file))


class I2IError(BitstreamError, UnidentifiedImageError):
    """A `.i2i` file cannot be decoded: damaged, truncated, of an unknown version, or its model is not here."""


class I2IImageFile(ImageFile.ImageFile):
    """A `.i2i` file: what it says of itself at once, its pixels when they are needed."""

    format = FORMAT
    format_description = "img2img learned codec"

    _whole: tuple[int, int] | None = None  # the picture's size, once `draft` has changed this one's

    def _open(self) -> None:
        assert self.fp is not None
        with _pillows_errors():
            header, icc, exif, alpha = _read_metadata(self.fp)
        self._size = (header.width, header.height)
        self._mode = _mode(header.channels, alpha, header.bits)
        if icc:
            self.info["icc_profile"] = icc
        if exif:
            self.info["exif"] = b"Exif\0\0" + exif  # as Pillow's JPEG and PNG have it
        self.tile = [ImageFile._Tile("raw", (0, 0, *self.size), 0, self.mode)]  # not loaded yet

    def verify(self) -> None:
        """Check all of the file's checksums, whether it ends where it should, and alpha; the tiles are not decoded."""
        if self.fp is None or not self.tile:
            raise RuntimeError("verify must be called directly after open")
        with _pillows_errors():
            read_stream(self._bytes(), max_pixels=self._pixels())
        super().verify()

    def draft(self, mode: str | None, size: tuple[int, int] | None) -> tuple[str, tuple[int, int, float, float]] | None:
        """Let the picture be decoded at a quarter of its size if that is at least `size`; `thumbnail` calls this.

        From the first layers of the file only. The mode stays.
        """
        if not self.tile or self._whole or not size or 4 * max(1, size[0]) > self.width:
            return None
        if 4 * max(1, size[1]) > self.height:
            return None
        self._whole = self.size
        self._size = (-(-self.width // 4), -(-self.height // 4))
        self.tile = [ImageFile._Tile("raw", (0, 0, *self.size), 0, self.mode)]
        return self.mode, (0, 0, self._whole[0] / 4, self._whole[1] / 4)

    def load(self) -> Any:
        """Decode the pixels, unless that is done."""
        if self.tile:
            assert self.fp is not None
            data = self._bytes()
            with _pillows_errors():
                picture = _decoded(data, self._pixels(), preview=self._whole is not None)
            if self._exclusive_fp:
                self.fp.close()
            self.fp = BytesIO(_raw(picture).tobytes())
        return super().load()

    def _bytes(self) -> bytes:
        assert self.fp is not None
        self.fp.seek(0)
        return self.fp.read()

    def _pixels(self) -> int:
        """Of the whole picture; Pillow has warned of, or refused, too many when it opened the file."""
        width, height = self._whole or self.size
        return width * height

    def load_seek(self, pos: int) -> None:
        """Keep Pillow from mapping the file itself into memory: it does not hold these pixels."""


def _accept(prefix: bytes) -> bool:
    return prefix.startswith(MAGIC)


def _read_metadata(file: IO[bytes]) -> Metadata:
    """From the beginning of a file, of which as little is read as holds them."""
    data, more = b"", 4096
    while True:
        piece = file.read(more)
        data, more = data + piece, 4 * more
        try:
            return read_metadata(data)
        except TruncatedError:
            if not piece:
                raise


@contextmanager
def _pillows_errors() -> Iterator[None]:
    try:
        yield
    except BitstreamError as error:
        raise I2IError(str(error)) from error


def _mode(channels: int, alpha: bool, bits: int) -> str:
    if bits == 16 and channels == 1 and not alpha:
        return "I;16"
    return ("L" if channels == 1 else "RGB") + ("A" if alpha else "")


def _raw(picture: Picture) -> np.ndarray:
    """The samples as the mode's raw bytes lie."""
    if _mode(picture.channels, picture.alpha is not None, picture.bits) == "I;16":
        return picture.samples.astype("<u2", copy=False)
    samples = in_8_bits(picture.samples)
    if picture.alpha is None:
        return samples
    return np.concatenate([samples, in_8_bits(picture.alpha)[..., None]], axis=2)


def _save(im: Image.Image, fp: IO[bytes], filename: str | bytes) -> None:
    options = im.encoderinfo
    asked = {name: options[name] for name in _TARGETS if options.get(name) is not None} or {"quality": CODEC_QUALITY}
    if len(asked) > 1:
        raise ValueError(f"{' and '.join(asked)} contradict each other: give one of them")
    picture = _picture(im, options.get("exif"), options.get("icc_profile", im.info.get("icc_profile")))

    from .tasks.compress import Target

    model = str(options.get("model", "codec-fast"))
    compressor = _compressor(model)
    if model not in names("compress"):
        use_model(model)
    fp.write(compressor.compress(picture, Target(**asked)).data)


def _picture(im: Image.Image, exif: bytes | Image.Exif | None, icc: bytes | None) -> Picture:
    """What is to be stored.

    Raises:
        OSError: the mode can only be converted with loss.
        ValueError: no pixels, or no EXIF block.
    """
    if not im.width or not im.height:
        raise ValueError(f"cannot write empty image as {FORMAT}")
    block: bytes | None = exif.tobytes() if isinstance(exif, Image.Exif) else exif
    if block:
        block = exif_block.normalise(block)
        if block is None:
            raise ValueError("exif is no EXIF block")
        orientation, block = exif_block.upright(block)
        im = im.transpose(_UPRIGHT[orientation]) if orientation in _UPRIGHT else im
    pixels = np.asarray(_converted(im))
    pixels = pixels.reshape(im.height, im.width, -1)
    colours = 1 if pixels.shape[2] < 3 else 3
    alpha = np.ascontiguousarray(pixels[..., -1]) if pixels.shape[2] in (2, 4) else None
    return Picture(np.ascontiguousarray(pixels[..., :colours]), alpha, block or None, icc or None)


def _converted(im: Image.Image) -> Any:
    """The image in a mode that is stored, or an array of 16-bit grey."""
    if im.mode.startswith("I;16"):
        return np.asarray(im).astype(np.uint16)  # from any byte order
    mode = _CONVERTED.get(im.mode, im.mode)
    if mode not in _STORED:
        raise OSError(f"cannot write mode {im.mode} as {FORMAT}: convert it to L, LA, RGB, RGBA or I;16 first")
    if im.has_transparency_data:
        mode = _WITH_ALPHA.get(mode, mode)
    return im if mode == im.mode else im.convert(mode)


def _save_all(im: Image.Image, fp: IO[bytes], filename: str | bytes) -> None:
    if getattr(im, "n_frames", 1) > 1 or im.encoderinfo.get("append_images"):
        raise OSError(f"{FORMAT} holds one picture, no animation and no pages: save each by itself")
    _save(im, fp, filename)


def _compressor(model: str) -> Compressor:
    with _loading:
        return _load_compressor(model)


def _decoded(data: bytes, max_pixels: int, preview: bool) -> Picture:
    from .tasks.compress import View

    with _loading:
        decompressor = _load_decompressor(tuple(_models))
    # By Pillow's own switch, truncated files show what there is of them.
    view = View(preview=preview, partial=ImageFile.LOAD_TRUNCATED_IMAGES)
    return decompressor.decompress(data, max_pixels, view)


_loading = lock_across_forks()  # so that many threads load a network once


@cache
def _load_compressor(model: str) -> Compressor:
    from .tasks.compress import Compressor

    return Compressor.from_pretrained(model)


@cache
def _load_decompressor(models: tuple[str, ...]) -> Decompressor:
    from .tasks.compress import Decompressor

    return Decompressor(models=models)


Image.register_open(FORMAT, I2IImageFile, _accept)
Image.register_save(FORMAT, _save)
Image.register_save_all(FORMAT, _save_all)
Image.register_extension(FORMAT, EXTENSION)
