"""TIFF: layouts, bit depths, alpha, and what is refused."""

import struct
from typing import Any

import numpy as np
import pytest
from image_files import SRGB, by_tifffile, decoded, random_samples, smooth_picture

from img2img.errors import ImageError

PLANES = random_samples(50, 37, 4, 8)


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"compression": "deflate", "predictor": True},
        {"compression": "lzw"},
        {"compression": "packbits"},
        {"compression": "zstd"},
        {"byteorder": ">"},
        {"bigtiff": True},
        {"tile": (16, 32), "compression": "lzw"},
        {"rowsperstrip": 7},
    ],
    ids=str,
)
@pytest.mark.parametrize("channels", [1, 2, 3, 4])
@pytest.mark.parametrize("bits", [8, 16])
def test_tiffs_of_every_layout(options: dict[str, Any], channels: int, bits: int) -> None:
    pixels = random_samples(50, 37, channels, bits)
    extra = {"extrasamples": ["unassalpha"]} if channels in (2, 4) else {}
    photometric = "rgb" if channels > 2 else "minisblack"
    flat = pixels[..., 0] if channels == 1 else pixels
    planar = {} if channels == 1 else {"planarconfig": "contig"}
    layouts = [by_tifffile(flat, photometric=photometric, iccprofile=SRGB, **planar, **extra, **options)]
    if channels > 1:
        separate = np.moveaxis(pixels, 2, 0).copy()
        layouts.append(
            by_tifffile(separate, photometric=photometric, planarconfig="separate", iccprofile=SRGB, **extra, **options)
        )
    for data in layouts:
        picture = decoded(data)
        colours = 1 if channels < 3 else 3
        np.testing.assert_array_equal(picture.samples, pixels[..., :colours])
        assert (picture.alpha is not None) == (channels in (2, 4))
        if picture.alpha is not None:
            np.testing.assert_array_equal(picture.alpha, pixels[..., -1])
        assert picture.samples.dtype.isnative
        assert picture.icc == SRGB


def test_white_may_be_zero() -> None:
    grey = PLANES[..., 0]
    np.testing.assert_array_equal(decoded(by_tifffile(grey, photometric="miniswhite")).samples[..., 0], 255 - grey)


@pytest.mark.parametrize("photometric", ["minisblack", "miniswhite"])
def test_a_tiff_of_one_bit(photometric: str) -> None:
    bits = PLANES[..., 0] > 128
    white = bits if photometric == "minisblack" else ~bits
    data = by_tifffile(bits, photometric=photometric)
    np.testing.assert_array_equal(decoded(data).samples[..., 0], white * np.uint8(255))


def test_a_tiff_of_twelve_bits_is_stretched() -> None:
    values = np.array([[0, 1, 2048, 4095]], np.uint16)
    packed = int("".join(f"{v:012b}" for v in values[0]), 2).to_bytes(6, "big")
    fields = [(256, 4), (257, 1), (258, 12), (259, 1), (262, 1), (273, 8), (277, 1), (278, 1), (279, 6)]
    table = b"".join(struct.pack("<HHII", tag, 3, 1, value) for tag, value in fields)
    data = b"II*\0" + struct.pack("<I", 14) + packed + struct.pack("<H", len(fields)) + table + bytes(4)
    assert decoded(data).samples[..., 0].tolist() == [[0, 16, 32776, 65535]]


def test_a_tiff_with_a_palette() -> None:
    colours = random_samples(3, 256, 1, 8)[..., 0]
    grey = PLANES[..., 0]
    for scale in (257, 256, 1):
        data = by_tifffile(grey, photometric="palette", colormap=colours.astype(np.uint16) * scale)
        np.testing.assert_array_equal(decoded(data).samples, colours.T[grey])


def test_premultiplied_alpha_is_taken_out() -> None:
    for bits, top in ((8, 255), (16, 65535)):
        kind = np.uint8 if bits == 8 else np.uint16
        pixels = np.array([[[top // 2, 0, top // 4, top // 2], [9, 9, 9, 0], [top, 7, 0, top]]], kind)
        data = by_tifffile(pixels, photometric="rgb", extrasamples=["assocalpha"], planarconfig="contig")
        picture = decoded(data)
        assert picture.samples[0, 0, 0] == top
        assert abs(int(picture.samples[0, 0, 2]) - top // 2) <= 1
        assert picture.samples[0, 2].tolist() == [top, 7, 0]


def test_a_jpeg_within_a_tiff_becomes_rgb() -> None:
    expected = smooth_picture().samples
    data = by_tifffile(expected, photometric="rgb", compression="jpeg", compressionargs={"level": 98})
    assert np.abs(decoded(data).samples.astype(int) - expected).max() < 12


def test_the_first_page_is_read() -> None:
    pages = np.stack([PLANES[..., :3], 255 - PLANES[..., :3]])
    np.testing.assert_array_equal(decoded(by_tifffile(pages, photometric="rgb")).samples, pages[0])
    stack = np.stack([PLANES[..., 0], PLANES[..., 1]]).astype(np.uint16)
    np.testing.assert_array_equal(decoded(by_tifffile(stack, imagej=True)).samples[..., 0], stack[0])


@pytest.mark.parametrize(
    ("kind", "message"),
    [
        (np.float32, "tiff with 32-bit float samples"),
        (np.float16, "tiff with 16-bit float samples"),
        (np.uint32, "tiff with 32-bit integer samples"),
        (np.int16, "tiff with 16-bit integer samples: only unsigned"),
    ],
)
def test_tiffs_of_other_samples_are_refused(kind: type, message: str) -> None:
    with pytest.raises(ImageError, match=message):
        decoded(by_tifffile(PLANES[..., :3].astype(kind), photometric="rgb"))


def test_tiffs_of_other_colours_and_raw_files_are_refused() -> None:
    with pytest.raises(ImageError, match="SEPARATED"):
        decoded(by_tifffile(PLANES, photometric="separated"))
    with pytest.raises(ImageError, match="raw file"):
        decoded(by_tifffile(PLANES[..., :3], photometric="rgb", extratags=[(50706, 1, 4, b"\1\4\0\0", True)]))
    with pytest.raises(ImageError, match="raw file"):
        decoded(by_tifffile(PLANES[..., :3], photometric="rgb", subfiletype=1))
