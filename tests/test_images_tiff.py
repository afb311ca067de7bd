"""TIFF: layouts, kinds of samples and colours, alpha, further channels, and what is refused."""

import io
import struct
from typing import Any

import numpy as np
import pytest
from image_files import SRGB, by_pillow, by_tifffile, decoded, encoded, random_samples, smooth_picture
from PIL import Image, ImageCms

from img2img.errors import ImageError
from img2img.images import read_frames

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
    "kind", [np.float16, np.float32, np.float64, np.int8, np.int16, np.int32, np.uint32, np.uint64]
)
def test_samples_of_every_type_come_back_exactly(kind: type) -> None:
    values = (PLANES[..., :3].astype(np.float64) - 100) * 3.7
    stored = (np.abs(values) if np.dtype(kind).kind == "u" else values.clip(-128, 127)).astype(kind)
    frames = read_frames(io.BytesIO(by_tifffile(stored, photometric="rgb")))
    picture = frames[0].with_tensor(frames[0].to_tensor())
    assert picture.samples.dtype == kind
    np.testing.assert_array_equal(picture.samples, stored)
    np.testing.assert_array_equal(read_frames(io.BytesIO(encoded(picture, "tiff")))[0].samples, stored)
    tensor = frames[0].to_tensor()
    assert (tensor.min().item(), tensor.max().item()) == (0, 1)
    brighter = frames[0].with_tensor(tensor.clamp(0, 0.5) + 0.25)
    spread = float(stored.max()) - float(stored.min())
    expected = float(stored.min()) + spread * (np.minimum((stored - float(stored.min())) / spread, 0.5) + 0.25)
    step = 1.0 if np.dtype(kind).kind in "iu" else spread * (2e-3 if kind is np.float16 else 1e-6)
    assert np.abs(brighter.samples.astype(np.float64) - expected).max() <= step


def test_what_is_no_number_remains_none() -> None:
    stored = PLANES[..., :1].astype(np.float32)
    stored[3, 4], stored[5, 6] = np.nan, np.inf
    picture = read_frames(io.BytesIO(by_tifffile(stored[..., 0])))[0]
    assert picture.to_tensor().isfinite().all()
    np.testing.assert_array_equal(picture.with_tensor(picture.to_tensor()).samples, stored)


def test_who_knows_sixteen_bits_only_is_told() -> None:
    stored = np.linspace(-3, 5, 60, dtype=np.float32).reshape(6, 10)
    picture = decoded(by_tifffile(stored))
    assert picture.samples.dtype == np.uint16
    assert picture.samples[0, 0, 0] == 0
    assert picture.samples[-1, -1, 0] == 65535
    assert picture.about.lost == ("float32 samples (rounded to 16 bits)",)


def test_inks_and_lab_become_rgb_and_are_said() -> None:
    inks = np.array([[[0, 0, 0, 0], [255, 0, 0, 0], [0, 0, 0, 255], [0, 255, 255, 0]]], np.uint8)
    for scale, kind in ((1, np.uint8), (257, np.uint16)):
        picture = decoded(by_tifffile(inks.astype(kind) * kind(scale), photometric="separated"))
        expected = [[255, 255, 255], [0, 255, 255], [0, 0, 0], [255, 0, 0]]
        assert (picture.samples // scale).tolist() == [expected]
        assert picture.about.lost == ("CMYK (converted to RGB)",)
    rgb = smooth_picture().samples
    lab = np.asarray(
        ImageCms.applyTransform(
            Image.fromarray(rgb),
            ImageCms.buildTransform(ImageCms.createProfile("sRGB"), ImageCms.createProfile("LAB"), "RGB", "LAB"),
        )
    )
    stored = lab.copy()
    stored[..., 1:] = (lab[..., 1:].astype(int) + 128) % 256  # Pillow gives TIFF's CIELab, which is signed
    for photometric, pixels in (("cielab", lab), ("icclab", stored)):
        picture = decoded(by_tifffile(pixels, photometric=photometric))
        assert picture.about.lost == ("Lab (converted to sRGB)",)
        assert np.abs(picture.samples.astype(int) - rgb).mean() < 2


def test_fax_and_ycbcr_within_a_tiff_are_read() -> None:
    image = Image.fromarray(smooth_picture().samples)
    bilevel = image.convert("1")
    for compression in ("group3", "group4", "tiff_ccitt"):
        picture = decoded(by_pillow(bilevel, "TIFF", compression=compression))
        np.testing.assert_array_equal(picture.samples[..., 0] > 0, np.asarray(bilevel))
    picture = decoded(by_pillow(image.convert("YCbCr"), "TIFF"))
    assert np.abs(picture.samples.astype(int) - np.asarray(image)).max() < 6


def test_further_channels_of_a_tiff_are_kept() -> None:
    pixels = random_samples(20, 30, 6, 16)
    kinds = ["unspecified", "unassalpha", "unspecified"]
    picture = decoded(by_tifffile(pixels, photometric="rgb", extrasamples=kinds, planarconfig="contig"))
    np.testing.assert_array_equal(picture.samples, pixels[..., :3])
    np.testing.assert_array_equal(picture.alpha, pixels[..., 4])
    np.testing.assert_array_equal(picture.further, pixels[..., [3, 5]])
    again = decoded(encoded(picture.with_tensor(picture.to_tensor()), "tiff"))
    np.testing.assert_array_equal(again.further, pixels[..., [3, 5]])


def test_raw_files_are_refused() -> None:
    with pytest.raises(ImageError, match="raw file"):
        decoded(by_tifffile(PLANES[..., :3], photometric="rgb", extratags=[(50706, 1, 4, b"\1\4\0\0", True)]))
    with pytest.raises(ImageError, match="raw file"):
        decoded(by_tifffile(PLANES[..., :3], photometric="rgb", subfiletype=1))
