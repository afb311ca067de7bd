"""Image files: the only place where bytes become pixels, and pixels bytes.

Reads and writes PNG, JPEG, WebP, AVIF and TIFF, told apart by their first bytes. What each decoder does with a
truncated file differs; here it is always an ImageError, never a picture that is half grey. (Not seen: a JPEG with
damage in the middle and a proper end.) Of several pages or frames the first is read.

The decoders' classes are called directly, not through PIL.Image.open: its limit on pixels is global to the process, and
it would try formats outside the allow-list.
"""

from __future__ import annotations

import logging
import re
import struct
import zlib
from collections.abc import Callable
from dataclasses import dataclass, replace
from io import BytesIO
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO, NamedTuple

import numpy as np
from PIL import Image

from img2img.errors import ImageError

from . import exif as exif_block

if TYPE_CHECKING:
    from torch import Tensor

FORMATS = {
    ".png": "png",
    ".jpg": "jpg",
    ".jpeg": "jpg",
    ".jpe": "jpg",
    ".jfif": "jpg",
    ".webp": "webp",
    ".avif": "avif",
    ".tif": "tiff",
    ".tiff": "tiff",
}
MAX_PIXELS = 200_000_000
# Nearly nothing is lost, so that a picture may pass through the suite several times.
DEFAULT_QUALITY = {"jpg": 95, "webp": 95, "avif": 90}

_MAX_SIDE = {"jpg": 65500, "webp": 16383, "avif": 65536}
_MAX_PROFILE = 16 * 2**20  # ICC profiles of printers reach 4 MiB; more is a decompression bomb
_BAND_PIXELS = 2**20
_MAX_JPEG_EXIF = 65533  # a JPEG marker's length has 16 bits
_TO_8_BITS = np.rint(np.arange(65536) / 257).astype(np.uint8)

# tifffile logs what it finds wrong with a file; here an error says so, and without a handler it would be printed.
logging.getLogger("tifffile").addHandler(logging.NullHandler())


@dataclass(frozen=True, eq=False)
class Picture:
    """An image as it is in its file: integers, so that 24 megapixels cost 72 MB until they are computed on.

    Args:
        samples: (H, W, 1) grey or (H, W, 3) RGB, uint8 or uint16, upright.
        alpha: (H, W) of the same type, 0 is transparent, or None; colours are not multiplied by it.
        exif: EXIF block without JPEG's marker, its orientation 1 if it has one.
        icc: ICC profile.
        format: what the file was: `png`, `jpg`, `webp`, `avif` or `tiff`.

    Raises:
        ValueError: the arrays are not of these shapes and types.
    """

    samples: np.ndarray
    alpha: np.ndarray | None = None
    exif: bytes | None = None
    icc: bytes | None = None
    format: str = "png"

    def __post_init__(self) -> None:
        samples, alpha = self.samples, self.alpha
        if samples.ndim != 3 or samples.shape[2] not in (1, 3) or not samples.size:
            raise ValueError(f"samples must be (H, W, 1 or 3), not {samples.shape}")
        if samples.dtype not in (np.uint8, np.uint16):
            raise ValueError(f"samples must be uint8 or uint16, not {samples.dtype}")
        if alpha is not None and (alpha.shape != samples.shape[:2] or alpha.dtype != samples.dtype):
            raise ValueError(f"alpha must be {samples.dtype} {samples.shape[:2]}, not {alpha.dtype} {alpha.shape}")

    @property
    def bits(self) -> int:
        """Bits per sample, 8 or 16."""
        return int(self.samples.dtype.itemsize) * 8

    @property
    def width(self) -> int:
        """Pixels from left to right."""
        return int(self.samples.shape[1])

    @property
    def height(self) -> int:
        """Pixels from top to bottom."""
        return int(self.samples.shape[0])

    @property
    def channels(self) -> int:
        """1 for grey, 3 for RGB; alpha is not counted."""
        return int(self.samples.shape[2])

    def to_tensor(self) -> Tensor:
        """The samples as float32 (C, H, W) in [0, 1]."""
        import torch

        scaled = np.empty((self.channels, self.height, self.width), np.float32)
        for channel, plane in enumerate(scaled):
            np.divide(self.samples[..., channel], 2**self.bits - 1, out=plane, dtype=np.float32)
        return torch.from_numpy(scaled)

    def with_tensor(self, image: Tensor) -> Picture:
        """The same picture with new pixels, clipped to [0, 1] and rounded to this picture's bits.

        Alpha is dropped if the size differs, the ICC profile if grey became colour or the reverse.

        Args:
            image: (C, H, W), C 1 or 3, floating point, on any device.

        Raises:
            ValueError: the image has another shape.
            ImageError: the image holds values that are not numbers.
        """
        import torch

        if image.ndim != 3 or image.shape[0] not in (1, 3):
            raise ValueError(f"image must be (1 or 3, H, W), not {tuple(image.shape)}")
        channels, height, width = image.shape
        samples = np.empty((height, width, channels), self.samples.dtype)
        for channel, plane in enumerate(image.detach()):  # one plane at a time: floats take four times the room
            values = plane.to("cpu", torch.float32)
            if values.isnan().any():
                raise ImageError("the result holds values that are not numbers (NaN)")
            samples[..., channel] = values.clamp(0, 1).mul_(2**self.bits - 1).round_().numpy()
        alpha = self.alpha if samples.shape[:2] == self.samples.shape[:2] else None
        icc = self.icc if channels == self.channels else None
        return replace(self, samples=samples, alpha=alpha, icc=icc)


def read_picture(source: Path | BinaryIO, max_pixels: int = MAX_PIXELS) -> Picture:
    """Read one image.

    Palettes, bit depths below 8 and CMYK become 8-bit grey or RGB (CMYK through its ICC profile where it has one),
    depths of 9 to 15 bits become 16; AVIF of more than 8 bits is reduced to 8. The EXIF orientation is applied.
    Metadata that cannot be read is left out.

    Args:
        source: a file, or a stream open for reading bytes, which may be a pipe.
        max_pixels: larger images are refused before their pixels are decoded.

    Raises:
        ImageError: no image in a known format, damaged, or too large; one line without the path.
    """
    format, data = _read_bytes(source)
    try:
        decoded = _DECODERS[format](data, max_pixels)
        return _finish(decoded, format)
    except ImageError:
        raise
    except MemoryError as error:
        raise ImageError(f"not enough memory to decode this {format} file") from error
    except Exception as error:  # what a decoder raises on hostile bytes is anybody's guess
        raise ImageError(f"damaged {format} file: {_one_line(error)}") from error


def write_picture(picture: Picture, target: Path | BinaryIO, format: str, quality: int | None = None) -> None:
    """Write one image.

    PNG and TIFF keep everything. JPEG, WebP and AVIF have 8 bits a sample (rounded) and lose a little. JPEG has no
    alpha: the picture is laid on white; and no room for EXIF over 64 KiB, which is left out. WebP has no grey, which
    becomes RGB.

    Args:
        picture: what to write.
        target: a file, overwritten if it exists, or a stream open for writing bytes.
        format: `png`, `jpg`, `webp`, `avif` or `tiff`.
        quality: 1 to 100 for jpg, webp and avif, see DEFAULT_QUALITY; the others are lossless and have none.

    Raises:
        ImageError: the format cannot hold the picture, or the file cannot be written; one line without the path.
        ValueError: no such format or quality.
    """
    if format not in _ENCODERS:
        raise ValueError(f"no such format: {format}")
    if quality is not None and not 1 <= quality <= 100:
        raise ValueError(f"quality must be 1 to 100, not {quality}")
    if max(picture.width, picture.height) > _MAX_SIDE.get(format, 2**31):
        raise ImageError(
            f"{format} has at most {_MAX_SIDE[format]} pixels a side, this picture {picture.width}x{picture.height}"
        )
    try:
        data = _ENCODERS[format](picture, quality or DEFAULT_QUALITY.get(format, 0))
    except Exception as error:  # encoders raise as freely as decoders
        raise ImageError(f"cannot be written as {format}: {_one_line(error)}") from error
    if not isinstance(target, Path):
        target.write(data)
        return
    try:
        target.write_bytes(data)
    except OSError as error:
        raise ImageError(f"cannot be written: {error.strerror or error}") from error


class _Decoded(NamedTuple):
    pixels: np.ndarray  # (H, W, 1 to 4): grey or RGB, then alpha
    exif: bytes | None = None
    icc: bytes | None = None
    orientation: int = 1  # beside the one in the EXIF block


def _read_bytes(source: Path | BinaryIO) -> tuple[str, bytes]:
    if isinstance(source, Path):
        try:
            with source.open("rb") as stream:
                return _read_bytes(stream)
        except OSError as error:
            raise ImageError(f"cannot be read: {error.strerror or error}") from error
    head = source.read(64)
    if not head:
        raise ImageError("empty file")
    format = _detect(head)  # before the rest is read: it may be a video of many gigabytes
    return format, head + source.read()


def _detect(head: bytes) -> str:
    if head.startswith(b"\x89PNG\r\n\x1a\n"):
        return "png"
    if head.startswith(b"\xff\xd8\xff"):
        return "jpg"
    if head.startswith(b"RIFF") and head[8:12] == b"WEBP":
        return "webp"
    if head.startswith((b"II*\0", b"MM\0*", b"II+\0", b"MM\0+")):
        return "tiff"
    # Some writers name the container first and AVIF among the compatible brands; HEIC has the same container.
    if head[4:8] == b"ftyp" and {b"avif", b"avis"} & {head[i : i + 4] for i in range(8, len(head), 4)}:
        return "avif"
    if head.startswith(b"\x89i2i"):
        raise ImageError("a compressed .i2i file; img2img decompress makes a picture of it")
    raise ImageError("not an image in a known format (png, jpg, webp, avif, tiff)")


def _check_size(width: int, height: int, max_pixels: int) -> None:
    if width < 1 or height < 1:
        raise ImageError(f"an image of {width}x{height} has no pixels")
    if width * height > max_pixels:
        raise ImageError(
            f"{width}x{height} = {width * height / 1e6:.1f} megapixels, more than the limit of "
            f"{max_pixels / 1e6:.1f}; raise --max-pixels"
        )


def _finish(decoded: _Decoded, format: str) -> Picture:
    pixels = decoded.pixels
    exif, orientation = exif_block.normalise(decoded.exif), decoded.orientation
    if exif is not None:
        found, exif = exif_block.upright(exif)
        orientation = found if found != 1 else orientation
    pixels = _turn(pixels, orientation)
    colours = 1 if pixels.shape[2] < 3 else 3
    alpha = np.ascontiguousarray(pixels[..., -1]) if pixels.shape[2] in (2, 4) else None
    samples = np.ascontiguousarray(pixels[..., :colours])
    return Picture(samples, alpha, exif, _fitting_profile(decoded.icc, colours), format)


def _turn(pixels: np.ndarray, orientation: int) -> np.ndarray:
    """The upright view of (H, W, N) pixels stored in one of EXIF's eight orientations."""
    if orientation >= 5:
        pixels = pixels.swapaxes(0, 1)
    if orientation in (3, 4, 7, 8):
        pixels = pixels[::-1]
    if orientation in (2, 3, 6, 7):
        pixels = pixels[:, ::-1]
    return pixels


def _fitting_profile(icc: bytes | None, colours: int) -> bytes | None:
    """The profile unless it describes other colours than these (that of a CMYK file that became RGB)."""
    spaces = (b"RGB ",) if colours == 3 else (b"GRAY", b"RGB ")  # JPEGs in grey often carry sRGB
    return icc if icc and icc[16:20] in spaces else None


def _one_line(error: Exception) -> str:
    return " ".join(str(error).split())[:200] or type(error).__name__


# --- PNG: libpng knows 16 bits and every kind of transparency; metadata lies in chunks around the pixels. ---

_PNG_PIXELS = {b"IHDR", b"PLTE", b"tRNS", b"IDAT", b"IEND"}
_PNG_SIGNATURE = b"\x89PNG\r\n\x1a\n"


def _decode_png(data: bytes, max_pixels: int) -> _Decoded:
    import imagecodecs

    if data[12:16] != b"IHDR" or len(data) < 33:
        raise ImageError("damaged png file: no header")
    width, height = struct.unpack_from(">II", data, 16)
    _check_size(width, height, max_pixels)
    kept: list[bytes | memoryview] = [_PNG_SIGNATURE]
    exif, icc, position, kind = None, None, 8, b""
    while kind != b"IEND":
        if position + 12 > len(data):
            raise ImageError("truncated png file")
        (length,) = struct.unpack_from(">I", data, position)
        chunk = memoryview(data)[position : position + 12 + length]
        if len(chunk) < 12 + length:
            raise ImageError("truncated png file")
        kind, body = bytes(chunk[4:8]), chunk[8:-4]
        if kind in _PNG_PIXELS:
            kept.append(chunk)
        elif kind in (b"eXIf", b"iCCP") and zlib.crc32(chunk[4:-4]) == struct.unpack(">I", chunk[-4:])[0]:
            if kind == b"eXIf":
                exif = bytes(body)
            else:
                icc = _png_profile(bytes(body))
        position += 12 + length
    # Comments, thumbnails and animation never reach the decoder, whatever they expand to.
    pixels = imagecodecs.png_decode(b"".join(kept))
    return _Decoded(pixels.reshape(*pixels.shape[:2], -1), exif, icc)


def _png_profile(body: bytes) -> bytes | None:
    _, _, compressed = body.partition(b"\0")
    inflater = zlib.decompressobj()
    try:
        profile = inflater.decompress(compressed[1:], _MAX_PROFILE)
    except zlib.error:
        return None
    return bytes(profile) if inflater.eof else None


def _encode_png(picture: Picture, quality: int) -> bytes:
    import imagecodecs

    pixels = _with_alpha(picture.samples, picture.alpha)
    # By way of one dimension, because the encoder wants exact strides even along an axis of length 1.
    pixels = np.ravel(pixels).reshape(pixels.shape[:2] if pixels.shape[2] == 1 else pixels.shape)
    # Run lengths suit what PNG's filters leave of a photograph: level 6's size within 3 % in a quarter of its time.
    data = bytes(imagecodecs.png_encode(pixels, level=1, strategy=imagecodecs.PNG.STRATEGY.RLE))
    chunks = b""
    icc = picture.icc
    if icc and icc[16:20] == (b"GRAY" if picture.channels == 1 else b"RGB "):  # as PNG prescribes
        chunks += _png_chunk(b"iCCP", b"ICC profile\0\0" + zlib.compress(icc))
    if picture.exif:
        chunks += _png_chunk(b"eXIf", picture.exif)
    end_of_header = len(_PNG_SIGNATURE) + 25
    return data[:end_of_header] + chunks + data[end_of_header:]


def _png_chunk(kind: bytes, body: bytes) -> bytes:
    return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))


# --- JPEG ---

_JPEG_MARKER = re.compile(rb"\xff[^\x00\x01\xd0-\xd8\xff]")  # without stuffing, restarts and fill bytes
_JPEG_END = 0xD9


def _decode_jpg(data: bytes, max_pixels: int) -> _Decoded:
    from PIL.JpegImagePlugin import JpegImageFile

    image = JpegImageFile(BytesIO(data))
    _check_size(*image.size, max_pixels)
    if not _reaches_end(data):
        raise ImageError("truncated jpg file")
    exif, icc = image.info.get("exif"), image.info.get("icc_profile")
    return _Decoded(_pixels(image, _cmyk_converter(icc) if image.mode == "CMYK" else None), exif, icc)


def _reaches_end(data: bytes) -> bool:
    """Whether a JPEG has its end marker. libjpeg takes a tail of zeros (a download cut short) for grey blocks."""
    position = 2
    while found := _JPEG_MARKER.search(data, position):
        if data[found.start() + 1] == _JPEG_END:
            return True
        length = int.from_bytes(data[found.end() : found.end() + 2], "big")
        position = found.end() + length
    return False


def _cmyk_converter(icc: bytes | None) -> Callable[[Image.Image], Image.Image]:
    from PIL import ImageCms

    if icc:
        try:
            profile = ImageCms.ImageCmsProfile(BytesIO(icc))
            transform = ImageCms.buildTransform(profile, ImageCms.createProfile("sRGB"), "CMYK", "RGB")
            return lambda band: ImageCms.applyTransform(band, transform) or band
        except (ImageCms.PyCMSError, OSError):
            pass  # an unreadable profile is as good as none
    return lambda band: band.convert("RGB")


def _pixels(image: Image.Image, convert: Callable[[Image.Image], Image.Image] | None) -> np.ndarray:
    """A Pillow image of 8 bits as (H, W, N), in bands: numpy's way from Pillow holds all pixels three times."""
    channels = 3 if convert else len(image.getbands())
    pixels = np.empty((image.height, image.width, channels), np.uint8)
    rows = max(1, _BAND_PIXELS // image.width)
    for top in range(0, image.height, rows):
        band = image.crop((0, top, image.width, min(top + rows, image.height)))
        pixels[top : top + rows] = np.asarray(convert(band) if convert else band).reshape(-1, image.width, channels)
    return pixels


def _encode_jpg(picture: Picture, quality: int) -> bytes:
    from PIL import JpegImagePlugin  # noqa: F401 - registers the encoder

    samples = picture.samples if picture.alpha is None else _on_white(picture.samples, picture.alpha)
    options: dict[str, Any] = {"quality": quality, "subsampling": 0}
    if picture.exif and len(picture.exif) + 6 <= _MAX_JPEG_EXIF:
        options["exif"] = b"Exif\0\0" + picture.exif
    return _save(in_8_bits(samples), "JPEG", picture.icc, options)


def _on_white(samples: np.ndarray, alpha: np.ndarray) -> np.ndarray:
    white = np.iinfo(samples.dtype).max
    opacity = alpha[..., None].astype(np.uint32)
    # Exact: the sum is at most white * (white + 1/2), which 32 bits hold for 16-bit samples too.
    laid = (samples * opacity + (white - opacity) * white + white // 2) // white
    return laid.astype(samples.dtype)


# --- WebP: libwebp through imagecodecs, for Pillow's reader has a limit on pixels of its own. ---


def _decode_webp(data: bytes, max_pixels: int) -> _Decoded:
    import imagecodecs

    if len(data) < 30 or len(data) < 8 + int.from_bytes(data[4:8], "little"):
        raise ImageError("truncated webp file")
    _check_size(*_webp_size(data), max_pixels)
    chunks = _webp_metadata(data)
    pixels = imagecodecs.webp_decode(data)
    return _Decoded(pixels.reshape(*pixels.shape[:2], -1), chunks.get(b"EXIF"), chunks.get(b"ICCP"))


def _webp_size(data: bytes) -> tuple[int, int]:
    kind = data[12:16]
    if kind == b"VP8X":
        return 1 + int.from_bytes(data[24:27], "little"), 1 + int.from_bytes(data[27:30], "little")
    if kind == b"VP8L":
        bits = int.from_bytes(data[21:25], "little")
        return 1 + (bits & 0x3FFF), 1 + (bits >> 14 & 0x3FFF)
    if kind == b"VP8 ":
        width, height = struct.unpack_from("<HH", data, 26)
        return width & 0x3FFF, height & 0x3FFF
    raise ImageError("damaged webp file: no header")


def _webp_metadata(data: bytes) -> dict[bytes, bytes]:
    chunks: dict[bytes, bytes] = {}
    position = 12
    while position + 8 <= len(data):
        kind, length = struct.unpack_from("<4sI", data, position)
        if kind in (b"EXIF", b"ICCP"):
            chunks.setdefault(kind, data[position + 8 : position + 8 + length])
        position += 8 + length + length % 2
    return chunks


def _encode_webp(picture: Picture, quality: int) -> bytes:
    from PIL import WebPImagePlugin  # noqa: F401 - registers the encoder

    samples = np.repeat(picture.samples, 3, axis=2) if picture.channels == 1 else picture.samples
    pixels = in_8_bits(_with_alpha(samples, picture.alpha))
    return _save(pixels, "WEBP", _fitting_profile(picture.icc, 3), {"quality": quality, "exif": picture.exif or b""})


# --- AVIF ---


def _decode_avif(data: bytes, max_pixels: int) -> _Decoded:
    from PIL.AvifImagePlugin import AvifImageFile

    image = AvifImageFile(BytesIO(data))
    _check_size(*image.size, max_pixels)
    return _Decoded(_pixels(image, None), image.info.get("exif"), image.info.get("icc_profile"))


def _encode_avif(picture: Picture, quality: int) -> bytes:
    from PIL import AvifImagePlugin  # noqa: F401 - registers the encoder

    grey = picture.channels == 1 and picture.alpha is None  # Pillow has no AVIF of grey and alpha
    samples = picture.samples if grey or picture.channels == 3 else np.repeat(picture.samples, 3, axis=2)
    options: dict[str, Any] = {"quality": quality, "subsampling": "4:0:0" if grey else "4:4:4"}
    if picture.exif:
        # AVIF turns pictures by its own means; given the field, Pillow would rewrite the whole block without it.
        options["exif"] = exif_block.without_orientation(picture.exif)
    pixels = in_8_bits(_with_alpha(samples, picture.alpha))
    return _save(pixels, "AVIF", _fitting_profile(picture.icc, samples.shape[2]), options)


# --- TIFF ---

_TIFF_GREY_INVERTED, _TIFF_GREY, _TIFF_RGB, _TIFF_PALETTE, _TIFF_YCBCR = 0, 1, 2, 3, 6
_TIFF_JPEG = 7
_TIFF_PREMULTIPLIED = 1
_TIFF_ICC, _TIFF_COLORMAP, _TIFF_ORIENTATION, _DNG_VERSION = 34675, 320, 274, 50706


def _decode_tiff(data: bytes, max_pixels: int) -> _Decoded:
    import tifffile

    with tifffile.TiffFile(BytesIO(data)) as tiff:
        page = tiff.pages.first
        _check_size(page.imagewidth, page.imagelength, max_pixels)
        _check_tiff(page, len(data))
        pixels = page.asarray()
        if pixels.size != page.imagelength * page.imagewidth * page.samplesperpixel:
            raise ImageError("damaged tiff file: not as many pixels as it says")
        if page.planarconfig == 2:
            pixels = np.moveaxis(pixels.reshape(page.samplesperpixel, *page.shape[-2:]), 0, 2)
        pixels = _tiff_colours(page, pixels.reshape(page.imagelength, page.imagewidth, page.samplesperpixel))
        tags = page.tags
        icc, orientation = tags.valueof(_TIFF_ICC), tags.valueof(_TIFF_ORIENTATION, 1)
    return _Decoded(pixels, exif_block.from_tiff(data), icc, orientation if orientation in range(1, 9) else 1)


def _check_tiff(page: Any, size: int) -> None:
    """Refuse what would not come out as it is meant, and pixels that lie outside the file (tifffile makes them 0)."""
    if page.tags.get(_DNG_VERSION) is not None or page.subfiletype & 1:
        raise ImageError("a camera's raw file, of which only a preview could be read: develop it first")
    if page.sampleformat != 1 or page.bitspersample > 16:
        raise ImageError(
            f"tiff with {page.bitspersample}-bit {'integer' if page.sampleformat in (1, 2) else 'float'} samples: "
            "only unsigned integers of up to 16 bits are read"
        )
    grey = page.photometric in (_TIFF_GREY_INVERTED, _TIFF_GREY, _TIFF_PALETTE)
    from_jpeg = page.photometric == _TIFF_YCBCR and page.compression == _TIFF_JPEG  # its decoder returns RGB
    if not (grey or from_jpeg or page.photometric == _TIFF_RGB) or page.imagedepth != 1:
        raise ImageError(f"tiff with colours of kind {getattr(page.photometric, 'name', page.photometric)} is not read")
    if page.samplesperpixel < (1 if grey else 3):
        raise ImageError(f"damaged tiff file: {page.samplesperpixel} samples per pixel")
    pieces = list(zip(page.dataoffsets, page.databytecounts, strict=False))
    complete = all(count > 0 and offset + count <= size for offset, count in pieces)
    if not complete or len(pieces) < np.prod(page.chunked):
        raise ImageError("truncated tiff file")


def _tiff_colours(page: Any, pixels: np.ndarray) -> np.ndarray:
    """Samples of a page as grey or RGB and alpha, of 8 or 16 bits."""
    if page.photometric == _TIFF_PALETTE:
        colormap = np.asarray(page.tags.valueof(_TIFF_COLORMAP)).reshape(3, -1)
        # Entries have 16 bits, though old programs wrote 8.
        palette = (colormap >> 8 if colormap.max() > 255 else colormap).astype(np.uint8)
        colours: np.ndarray = palette.T[pixels[..., 0]]
        return colours
    pixels = _in_whole_bytes(pixels, page.bitspersample)
    white = np.iinfo(pixels.dtype).max
    first = 1 if page.photometric in (_TIFF_GREY_INVERTED, _TIFF_GREY) else 3
    samples, extra = pixels[..., :first], pixels[..., first : first + 1]
    if page.photometric == _TIFF_GREY_INVERTED:
        samples = white - samples
    if not extra.size:
        return samples
    if page.extrasamples and page.extrasamples[0] == _TIFF_PREMULTIPLIED:
        opacity = np.maximum(extra, 1).astype(np.uint32)
        samples = np.minimum((samples.astype(np.uint32) * white + opacity // 2) // opacity, white).astype(pixels.dtype)
    return np.concatenate([samples, extra], axis=2)


def _in_whole_bytes(pixels: np.ndarray, bits: int) -> np.ndarray:
    """Samples of 1 to 16 bits stretched to 8 or 16: 4-bit white, 15, becomes 255."""
    kind = np.uint8 if bits <= 8 else np.uint16
    if bits in (8, 16):
        return pixels.astype(kind, copy=False)
    stretch = np.rint(np.arange(2**bits) * (np.iinfo(kind).max / (2**bits - 1))).astype(kind)
    stretched: np.ndarray = stretch[pixels.astype(np.uint16)]
    return stretched


def _encode_tiff(picture: Picture, quality: int) -> bytes:
    import tifffile

    pixels = _with_alpha(picture.samples, picture.alpha)
    stream = BytesIO()
    tifffile.imwrite(
        stream,
        pixels[..., 0] if pixels.shape[2] == 1 else pixels,
        byteorder=exif_block.byte_order_mark(picture.exif or b"II"),
        photometric="minisblack" if picture.channels == 1 else "rgb",
        planarconfig=None if pixels.shape[2] == 1 else "contig",
        extrasamples=None if picture.alpha is None else ["unassalpha"],
        compression="deflate",
        predictor=True,
        rowsperstrip=max(1, 2**20 // (pixels.itemsize * pixels.shape[1] * pixels.shape[2])),
        iccprofile=picture.icc,
        metadata=None,
        software=False,
    )
    data = stream.getvalue()
    # Over 4 GB tifffile writes BigTIFF, whose directories are laid out otherwise.
    return exif_block.into_tiff(data, picture.exif) if picture.exif and data[2:4] in (b"*\0", b"\0*") else data


# --- What several formats need ---


def _with_alpha(samples: np.ndarray, alpha: np.ndarray | None) -> np.ndarray:
    return samples if alpha is None else np.concatenate([samples, alpha[..., None]], axis=2)


def in_8_bits(pixels: np.ndarray) -> np.ndarray:
    """uint8 or uint16 samples as uint8, rounded."""
    return pixels if pixels.dtype == np.uint8 else _TO_8_BITS[pixels]


def _save(pixels: np.ndarray, codec: str, icc: bytes | None, options: dict[str, Any]) -> bytes:
    stream = BytesIO()
    image = Image.fromarray(pixels[..., 0] if pixels.shape[2] == 1 else pixels)
    image.save(stream, codec, icc_profile=icc, **options)
    return stream.getvalue()


_DECODERS: dict[str, Callable[[bytes, int], _Decoded]] = {
    "png": _decode_png,
    "jpg": _decode_jpg,
    "webp": _decode_webp,
    "avif": _decode_avif,
    "tiff": _decode_tiff,
}
_ENCODERS: dict[str, Callable[[Picture, int], bytes]] = {
    "png": _encode_png,
    "jpg": _encode_jpg,
    "webp": _encode_webp,
    "avif": _encode_avif,
    "tiff": _encode_tiff,
}
