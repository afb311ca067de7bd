"""Files become pixels and pixels files; every pitfall of a format has a test. Files are made here, by other writers."""

import contextlib
import io
import os
import re
import struct
import subprocess
import sys
import threading
import warnings
import zlib
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tifffile
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image, ImageCms, features

from img2img.errors import ImageError
from img2img.images import DEFAULT_QUALITY, FORMATS, Picture, read_picture, write_picture

LOSSLESS = ("png", "tiff")
ALL = ("png", "jpg", "webp", "avif", "tiff")
SRGB = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
GREY_PROFILE = SRGB[:16] + b"GRAY" + SRGB[20:]
CMYK_PROFILE = SRGB[:16] + b"CMYK" + SRGB[20:]  # no colour engine can use it


def random_samples(height: int, width: int, channels: int, bits: int, seed: int = 0) -> np.ndarray:
    kind = np.uint8 if bits == 8 else np.uint16
    return np.random.default_rng(seed).integers(0, 2**bits, (height, width, channels)).astype(kind)


def smooth_picture(channels: int = 3, bits: int = 8, alpha: bool = False, **metadata: Any) -> Picture:
    """Slow gradients, which lossy formats keep within a few levels."""
    y, x = np.mgrid[0:40, 0:64]
    planes = np.stack([x * 4, y * 5 + 20, 240 - x - y][:channels], axis=2).clip(0, 255).astype(np.uint8)
    transparency = (y * 6).astype(np.uint8) if alpha else None
    if bits == 16:
        planes = planes.astype(np.uint16) * 257
        transparency = None if transparency is None else transparency.astype(np.uint16) * 257
    return Picture(planes, transparency, **metadata)


def camera_exif(orientation: int | None = None, endian: str = "<") -> bytes:
    """An EXIF block as a camera writes it: model, exposure, place; without JPEG's marker."""
    exif = Image.Exif()
    exif.endian = endian
    exif[0x0110] = "Camera 1"
    if orientation is not None:
        exif[0x0112] = orientation
    exif.get_ifd(0x8769)[0x829A] = 0.004
    exif.get_ifd(0x8769)[0x927C] = b"maker note of some length"
    exif.get_ifd(0x8825)[1] = "N"
    return exif.tobytes()[6:]


def parsed(block: bytes | None) -> Image.Exif:
    assert block is not None
    exif = Image.Exif()
    exif.load(block)
    return exif


def encoded(picture: Picture, format: str, quality: int | None = None) -> bytes:
    stream = io.BytesIO()
    write_picture(picture, stream, format, quality)
    return stream.getvalue()


def decoded(data: bytes, **options: Any) -> Picture:
    return read_picture(io.BytesIO(data), **options)


def by_pillow(image: Image.Image, codec: str, **options: Any) -> bytes:
    stream = io.BytesIO()
    image.save(stream, codec, **options)
    return stream.getvalue()


def by_tifffile(pixels: np.ndarray, **options: Any) -> bytes:
    stream = io.BytesIO()
    tifffile.imwrite(stream, pixels, **options)
    return stream.getvalue()


def png_of_chunks(*chunks: tuple[bytes, bytes]) -> bytes:
    parts = [struct.pack(">I", len(b)) + k + b + struct.pack(">I", zlib.crc32(k + b)) for k, b in chunks]
    return b"\x89PNG\r\n\x1a\n" + b"".join(parts)


def png_header(width: int, height: int, bits: int = 8, colours: int = 2) -> tuple[bytes, bytes]:
    return b"IHDR", struct.pack(">IIBBBBB", width, height, bits, colours, 0, 0, 0)


# --- Round trips ---


@settings(max_examples=60, deadline=None)
@given(
    h=st.integers(1, 40), w=st.integers(1, 40), channels=st.sampled_from([1, 3]), bits=st.sampled_from([8, 16]),
    alpha=st.booleans(), exif=st.booleans(), icc=st.booleans(), format=st.sampled_from(LOSSLESS),
)  # fmt: skip
def test_lossless_formats_keep_everything(
    h: int, w: int, channels: int, bits: int, alpha: bool, exif: bool, icc: bool, format: str
) -> None:
    samples = random_samples(h, w, channels + 1, bits, seed=h * w)
    profile = (SRGB if channels == 3 else GREY_PROFILE) if icc else None
    block = camera_exif(orientation=1) if exif else None
    picture = Picture(samples[..., :channels], samples[..., -1] if alpha else None, block, profile, format)
    back = decoded(encoded(picture, format))
    np.testing.assert_array_equal(back.samples, picture.samples)
    assert back.samples.dtype == picture.samples.dtype
    assert (back.alpha is None) == (picture.alpha is None)
    if alpha:
        np.testing.assert_array_equal(back.alpha, picture.alpha)
    assert (back.icc, back.format, back.bits, back.width, back.height) == (profile, format, bits, w, h)
    if exif:
        assert parsed(back.exif)[0x0110] == "Camera 1"
        assert parsed(back.exif).get_ifd(0x8769)[0x927C] == b"maker note of some length"
    else:
        assert back.exif is None


@pytest.mark.parametrize("bits", [8, 16])
@pytest.mark.parametrize("alpha", [False, True])
@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("format", ["jpg", "webp", "avif"])
def test_lossy_formats_come_close_and_keep_metadata(format: str, channels: int, alpha: bool, bits: int) -> None:
    profile = SRGB if channels == 3 else None
    picture = smooth_picture(channels, bits, alpha, exif=camera_exif(), icc=profile)
    back = decoded(encoded(picture, format))
    expected = picture.samples // (257 if bits == 16 else 1)
    if alpha and format == "jpg":
        opacity = (picture.alpha // (257 if bits == 16 else 1))[..., None] / 255
        expected = expected * opacity + 255 * (1 - opacity)
    difference = np.abs(back.samples.astype(float) - expected)
    if alpha and format != "jpg":
        difference = difference[1:]  # the first row is transparent
        transparency = (picture.alpha // (257 if bits == 16 else 1)).astype(float)
        assert np.abs(back.alpha - transparency).max() <= 3
    assert difference.mean() < 1.5
    assert back.bits == 8
    assert back.icc == profile
    assert parsed(back.exif)[0x0110] == "Camera 1"
    assert parsed(back.exif).get_ifd(0x8825)[1] == "N"


def test_jpeg_keeps_grey_and_full_colour_resolution() -> None:
    grey = encoded(smooth_picture(1), "jpg")
    assert Image.open(io.BytesIO(grey)).mode == "L"
    assert decoded(grey).channels == 1
    stripes = np.zeros((32, 32, 3), np.uint8)
    stripes[:, ::2, 0] = 255  # 4:2:0 would blur them into one dark red
    back = decoded(encoded(Picture(stripes), "jpg"))
    assert np.abs(back.samples.astype(int) - stripes).mean() < 6
    assert by_pillow(Image.fromarray(stripes), "JPEG", quality=95, subsampling=0) == encoded(Picture(stripes), "jpg")


def test_avif_keeps_grey() -> None:
    assert decoded(encoded(smooth_picture(1), "avif")).channels == 1


def test_sixteen_bits_are_rounded_to_eight() -> None:
    levels = np.array([0, 128, 129, 385, 386, 65406, 65407, 65535], np.uint16).reshape(1, 8, 1)
    tall = np.repeat(np.repeat(levels, 8, axis=0), 8, axis=1)
    back = decoded(encoded(Picture(tall), "jpg", quality=100))
    assert back.samples[4, 4::8, 0].tolist() == [0, 0, 1, 1, 2, 254, 255, 255]


def test_jpeg_lays_transparency_on_white() -> None:
    samples, alpha = np.zeros((16, 16, 3), np.uint16), np.zeros((16, 16), np.uint16)
    alpha[:, 8:] = 65535
    back = decoded(encoded(Picture(samples, alpha), "jpg"))
    assert back.alpha is None
    assert (back.samples[:, :8] == 255).all()
    assert (back.samples[:, 8:] == 0).all()


def test_quality_is_used_and_has_a_default() -> None:
    picture = Picture(random_samples(48, 48, 3, 8))
    for format, default in DEFAULT_QUALITY.items():
        assert encoded(picture, format) == encoded(picture, format, default)
        assert len(encoded(picture, format, 30)) < len(encoded(picture, format))
    for quality in (0, 101, -1):
        with pytest.raises(ValueError, match="quality"):
            encoded(picture, "jpg", quality)
    with pytest.raises(ValueError, match="format"):
        encoded(picture, "bmp")


@pytest.mark.parametrize("format", ALL)
def test_the_same_picture_gives_the_same_bytes(format: str) -> None:
    picture = smooth_picture(exif=camera_exif(), icc=SRGB, alpha=True)
    assert encoded(picture, format) == encoded(picture, format)


@pytest.mark.parametrize("format", ALL)
def test_one_pixel(format: str) -> None:
    back = decoded(encoded(Picture(np.full((1, 1, 3), 200, np.uint8)), format))
    assert (back.width, back.height) == (1, 1)
    assert np.abs(back.samples.astype(int) - 200).max() <= 2


# --- Tensors ---


@settings(max_examples=20, deadline=None)
@given(h=st.integers(1, 20), w=st.integers(1, 20), channels=st.sampled_from([1, 3]), bits=st.sampled_from([8, 16]))
def test_pixels_survive_the_way_through_a_tensor(h: int, w: int, channels: int, bits: int) -> None:
    picture = Picture(random_samples(h, w, channels, bits), random_samples(h, w, 1, bits)[..., 0], b"e", b"i", "tiff")
    tensor = picture.to_tensor()
    assert tensor.shape == (channels, h, w)
    assert tensor.dtype == torch.float32
    torch.testing.assert_close(
        tensor.double(), torch.from_numpy(picture.samples / (2**bits - 1)).permute(2, 0, 1), atol=1e-7, rtol=0
    )
    back = picture.with_tensor(tensor)
    np.testing.assert_array_equal(back.samples, picture.samples)
    assert (back.exif, back.icc, back.format) == (b"e", b"i", "tiff")
    assert back.alpha is picture.alpha


def test_every_level_survives_a_tensor() -> None:
    for kind in (np.uint8, np.uint16):
        levels = np.arange(np.iinfo(kind).max + 1).astype(kind).reshape(-1, 16, 1)
        np.testing.assert_array_equal(Picture(levels).with_tensor(Picture(levels).to_tensor()).samples, levels)


def test_tensors_are_clipped_and_rounded() -> None:
    image = torch.tensor([[[-1.0, 0.0, 0.4999 / 255, 0.5001 / 255, 1.0, 7.0, float("inf")]]])
    assert smooth_picture(1).with_tensor(image).samples.ravel().tolist() == [0, 0, 0, 1, 255, 255, 255]
    assert smooth_picture(1).with_tensor(torch.full((1, 2, 2), 0.5, dtype=torch.bfloat16)).samples[0, 0, 0] == 128
    with pytest.raises(ImageError, match="NaN"):
        smooth_picture(1).with_tensor(torch.full((1, 2, 2), float("nan")))
    with pytest.raises(ValueError, match="image must be"):
        smooth_picture(1).with_tensor(torch.zeros(2, 3, 4))


def test_alpha_goes_with_the_size_and_the_profile_with_the_colours() -> None:
    picture = smooth_picture(1, alpha=True, icc=GREY_PROFILE)
    coloured = picture.with_tensor(torch.zeros(3, 40, 64, requires_grad=True))
    assert coloured.alpha is not None
    assert coloured.icc is None
    assert picture.with_tensor(torch.zeros(1, 80, 128)).alpha is None


def test_a_picture_of_wrong_arrays_is_refused() -> None:
    good = np.zeros((4, 5, 3), np.uint8)
    for samples, alpha in (
        (good[..., :2], None),
        (good[..., 0], None),
        (good[:0], None),
        (good.astype(np.float32), None),
        (good, np.zeros((5, 4), np.uint8)),
        (good, np.zeros((4, 5), np.uint16)),
    ):
        with pytest.raises(ValueError, match="must be"):
            Picture(samples, alpha)


# --- Orientation and metadata ---

# Where the stored rows and columns of EXIF's eight orientations go, by Pillow's names.
TURNS = {
    1: None,
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}


@pytest.mark.parametrize("endian", ["<", ">"])
@pytest.mark.parametrize("orientation", TURNS)
def test_orientation_is_applied_and_reset(orientation: int, endian: str) -> None:
    stored = Image.fromarray(random_samples(7, 11, 4, 8), "RGBA")
    turn = TURNS[orientation]
    expected = np.asarray(stored if turn is None else stored.transpose(turn))
    block = camera_exif(orientation, endian)
    for data in (
        by_pillow(stored, "PNG", exif=block),
        by_pillow(stored, "WEBP", exif=block, lossless=True, exact=True),
        by_tifffile(np.asarray(stored), photometric="rgb", extratags=[(274, 3, 1, orientation, True)]),
    ):
        picture = decoded(data)
        np.testing.assert_array_equal(np.dstack([picture.samples, picture.alpha]), expected)
        assert picture.exif is None or parsed(picture.exif).get(0x0112, 1) == 1
        again = decoded(encoded(picture, "tiff"))
        np.testing.assert_array_equal(again.samples, picture.samples)


@pytest.mark.parametrize("orientation", TURNS)
def test_orientation_of_grey_jpeg_and_avif(orientation: int) -> None:
    stored = Image.fromarray(smooth_picture(1).samples[..., 0])
    turn = TURNS[orientation]
    expected = np.asarray(stored if turn is None else stored.transpose(turn)).astype(int)
    for codec in ("JPEG", "AVIF"):
        marker = b"Exif\0\0" if codec == "JPEG" else b""
        picture = decoded(by_pillow(stored, codec, quality=95, exif=marker + camera_exif(orientation)))
        assert np.abs(picture.samples[..., 0] - expected).max() < 12
        assert parsed(picture.exif).get(0x0112, 1) == 1
        assert parsed(picture.exif)[0x0110] == "Camera 1"
        np.testing.assert_array_equal(decoded(encoded(picture, "png")).samples, picture.samples)
        assert decoded(encoded(picture, "avif")).samples.shape == picture.samples.shape


@pytest.mark.parametrize("value", [0, 9, 65535])
def test_a_nonsense_orientation_is_none(value: int) -> None:
    stored = random_samples(4, 6, 3, 8)
    picture = decoded(by_pillow(Image.fromarray(stored), "PNG", exif=camera_exif(value)))
    np.testing.assert_array_equal(picture.samples, stored)
    tiff = by_tifffile(stored, photometric="rgb", extratags=[(274, 3, 1, value, True)])
    np.testing.assert_array_equal(decoded(tiff).samples, stored)


def test_exif_is_kept_byte_for_byte_but_for_the_orientation() -> None:
    block = camera_exif(6) + b"thumbnails and notes that no table mentions"
    picture = decoded(by_pillow(Image.new("RGB", (9, 5)), "JPEG", exif=b"Exif\0\0" + block))
    assert picture.exif is not None
    changed = [i for i, (a, b) in enumerate(zip(block, picture.exif, strict=True)) if a != b]
    assert len(changed) == 1
    for format in ("png", "jpg", "webp"):
        assert decoded(encoded(picture, format)).exif == picture.exif


@pytest.mark.parametrize("endian", ["<", ">"])
@pytest.mark.parametrize("bits", [8, 16])
def test_exif_of_a_tiff_is_read_by_others(bits: int, endian: str, tmp_path: Path) -> None:
    picture = smooth_picture(bits=bits, exif=camera_exif(6, endian), icc=SRGB)
    path = tmp_path / "x.tiff"
    write_picture(picture, path, "tiff")
    with tifffile.TiffFile(path) as tiff:
        assert tiff.pages.first.tags.valueof(0x0110) == "Camera 1"
        assert tiff.pages.first.tags.valueof(0x8769)["ExposureTime"] == pytest.approx(0.004)
        assert tiff.pages.first.tags.get(274) is None  # the pixels lie as they are seen
        np.testing.assert_array_equal(tiff.asarray(), picture.samples)
    if bits == 8:
        with Image.open(path) as image:
            assert image.getexif().get_ifd(0x8825)[1] == "N"
            assert image.info["icc_profile"] == SRGB


def test_exif_by_pillow_in_a_tiff_is_read() -> None:
    exif = parsed(camera_exif(3))
    picture = decoded(by_pillow(Image.new("RGB", (9, 5)), "TIFF", exif=exif))
    assert parsed(picture.exif)[0x0110] == "Camera 1"
    assert parsed(picture.exif).get_ifd(0x8769)[0x829A] == 0.004
    assert 0x0112 not in parsed(picture.exif)


def test_notes_on_a_stack_of_pages_are_not_kept() -> None:
    for options in ({"imagej": True}, {"metadata": {"axes": "YX"}}, {"ome": True}):
        picture = decoded(by_tifffile(random_samples(8, 9, 1, 16)[..., 0], **options))
        assert picture.exif is None or 0x010E not in parsed(picture.exif)
    # tifffile writes its note as a second description.
    picture = decoded(by_tifffile(random_samples(8, 9, 3, 16), photometric="rgb", description="a bird"))
    assert parsed(picture.exif)[0x010E] == "a bird"


@pytest.mark.parametrize(
    "block",
    [
        b"garbage",
        b"II*\0",
        b"II*\0\xff\xff\xff\xff",
        b"II*\0\x08\0\0\0\xff\xff",
        b"MM\0*\0\0\0\0",
        b"II*\0\x08\0\0\0\x01\0\x12\x01\x07\0\x01\0\0\0\x06\0\0\0\0\0\0\0",
    ],
)
def test_unreadable_exif_does_not_stop_a_picture(block: bytes) -> None:
    stored = Image.fromarray(random_samples(5, 8, 3, 8))
    for codec in ("PNG", "JPEG", "WEBP"):
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # Pillow's, on the way in
            picture = decoded(by_pillow(stored, codec, exif=b"Exif\0\0" + block))
            assert (picture.width, picture.height) == (8, 5)
            for format in ALL:
                decoded(encoded(picture, format))


@settings(max_examples=50, deadline=None)
@given(data=st.data())
def test_damaged_exif_never_stops_a_picture(data: st.DataObject) -> None:
    block = bytearray(camera_exif(6, data.draw(st.sampled_from("<>"))))
    for _ in range(data.draw(st.integers(1, 4))):
        block[data.draw(st.integers(0, len(block) - 1))] = data.draw(st.integers(0, 255))
    chunks = (png_header(2, 1), (b"eXIf", bytes(block)), (b"IDAT", zlib.compress(bytes(7))), (b"IEND", b""))
    picture = decoded(png_of_chunks(*chunks))
    assert {picture.width, picture.height} == {1, 2}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for format in ALL:
            decoded(encoded(picture, format))


def test_exif_that_no_jpeg_marker_holds_is_left_out() -> None:
    picture = smooth_picture(exif=camera_exif() + bytes(70000))
    assert decoded(encoded(picture, "jpg")).exif is None
    assert decoded(encoded(picture, "png")).exif == picture.exif


def test_profiles_stay_only_where_they_fit() -> None:
    grey = smooth_picture(1, icc=GREY_PROFILE)
    assert decoded(encoded(grey, "webp")).icc is None  # WebP made it RGB
    for format in ("png", "jpg", "avif", "tiff"):
        assert decoded(encoded(grey, format)).icc == GREY_PROFILE
    srgb_on_grey = smooth_picture(1, icc=SRGB)
    assert decoded(encoded(srgb_on_grey, "jpg")).icc == SRGB
    assert decoded(encoded(srgb_on_grey, "png")).icc is None  # PNG forbids it
    large = SRGB + random_samples(1, 200_000, 1, 8).tobytes()  # more than one JPEG marker
    for format in ALL:
        assert decoded(encoded(smooth_picture(icc=large), format)).icc == large


# --- PNG ---


ADAM7 = [(0, 0, 8, 8), (0, 4, 8, 8), (4, 0, 8, 4), (0, 2, 4, 4), (2, 0, 4, 2), (0, 1, 2, 2), (1, 0, 2, 1)]


@pytest.mark.parametrize("interlaced", [False, True])
def test_sixteen_bit_colour_png_of_another_writer(interlaced: bool) -> None:
    """By hand, since Pillow has none: big-endian rows, each behind a filter byte."""
    samples = random_samples(13, 11, 3, 16)
    passes = [samples[y::down, x::right] for y, x, down, right in ADAM7] if interlaced else [samples]
    rows = b"".join(b"\0" + row.astype(">u2").tobytes() for part in passes for row in part if row.size)
    kind, header = png_header(11, 13, bits=16)
    picture = decoded(
        png_of_chunks((kind, header[:-1] + bytes([interlaced])), (b"IDAT", zlib.compress(rows)), (b"IEND", b""))
    )
    np.testing.assert_array_equal(picture.samples, samples)
    assert picture.bits == 16


def test_palettes_become_colours() -> None:
    image = Image.fromarray(random_samples(9, 7, 3, 8)).quantize(50)
    np.testing.assert_array_equal(decoded(by_pillow(image, "PNG")).samples, np.asarray(image.convert("RGB")))
    few = image.quantize(4)
    np.testing.assert_array_equal(decoded(by_pillow(few, "PNG", bits=2)).samples, np.asarray(few.convert("RGB")))


def test_transparent_palettes_become_colours_and_alpha() -> None:
    image = Image.fromarray(random_samples(9, 7, 3, 8)).quantize(50)
    picture = decoded(by_pillow(image, "PNG", transparency=bytes(range(50))))
    np.testing.assert_array_equal(picture.alpha, np.asarray(image))
    np.testing.assert_array_equal(picture.samples, np.asarray(image.convert("RGB")))


def test_one_bit_and_four_bits_become_eight() -> None:
    bits = np.random.default_rng(0).integers(0, 2, (5, 19)).astype(bool)
    np.testing.assert_array_equal(
        decoded(by_pillow(Image.fromarray(bits), "PNG")).samples[..., 0], bits * np.uint8(255)
    )
    rows = b"\0\x01\x2f" + b"\0\x80\xff"
    picture = decoded(png_of_chunks(png_header(4, 2, 4, 0), (b"IDAT", zlib.compress(rows)), (b"IEND", b"")))
    assert picture.samples[..., 0].tolist() == [[0, 17, 34, 255], [136, 0, 255, 255]]


@pytest.mark.parametrize(("bits", "scale"), [(8, ">u1"), (16, ">u2")])
def test_a_transparent_colour_becomes_alpha(bits: int, scale: str) -> None:
    values = np.array([[1, 2, 3], [4, 5, 6]], scale)
    data = png_of_chunks(
        png_header(2, 1, bits),
        (b"tRNS", struct.pack(">HHH", 4, 5, 6)),
        (b"IDAT", zlib.compress(b"\0" + values.tobytes())),
        (b"IEND", b""),
    )
    picture = decoded(data)
    assert picture.alpha is not None
    assert picture.alpha.tolist() == [[2**bits - 1, 0]]
    assert picture.samples.tolist() == [values.tolist()]


def test_an_animated_png_gives_its_first_frame() -> None:
    frames = [Image.new("RGB", (6, 4), colour) for colour in ("red", "blue")]
    picture = decoded(by_pillow(frames[0], "PNG", save_all=True, append_images=frames[1:]))
    assert (picture.samples == (255, 0, 0)).all()


def test_profiles_and_comments_that_explode_are_not_unpacked() -> None:
    bomb = zlib.compress(bytes(120 * 2**20), 1)
    pixels = (b"IDAT", zlib.compress(b"\0\1\2\3"))
    data = png_of_chunks(
        png_header(1, 1), (b"iCCP", b"x\0\0" + bomb), (b"zTXt", b"x\0\0" + bomb), pixels, (b"IEND", b"")
    )
    del bomb
    import tracemalloc

    tracemalloc.start()
    picture = decoded(data)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert picture.samples.tolist() == [[[1, 2, 3]]]
    assert picture.icc is None
    assert peak < 60 * 2**20


def test_a_damaged_comment_does_not_matter_but_damaged_pixels_do() -> None:
    good = (png_header(1, 1), (b"tEXt", b"note\0text"), (b"IDAT", zlib.compress(b"\0\1\2\3")), (b"IEND", b""))
    data = png_of_chunks(*good)
    assert decoded(data.replace(b"note", b"toast"[:4])).samples.tolist() == [[[1, 2, 3]]]
    at = data.index(b"IDAT") + 8
    with pytest.raises(ImageError, match="damaged png"):
        decoded(data[:at] + bytes([data[at] ^ 255]) + data[at + 1 :])


def test_a_png_with_too_few_rows_is_refused() -> None:
    with pytest.raises(ImageError, match="damaged png file: Not enough image data"):
        decoded(png_of_chunks(png_header(10, 10), (b"IDAT", zlib.compress(bytes(31 * 5))), (b"IEND", b"")))


# --- JPEG ---


def test_cmyk_becomes_rgb_without_its_profile() -> None:
    image = Image.fromarray(smooth_picture().samples).convert("CMYK")
    for profile in (None, CMYK_PROFILE, b"short"):
        data = by_pillow(image, "JPEG", quality=98, icc_profile=profile)
        picture = decoded(data)
        assert picture.icc is None
        np.testing.assert_array_equal(picture.samples, np.asarray(Image.open(io.BytesIO(data)).convert("RGB")))


def test_progressive_jpegs_with_restarts_and_fill_bytes_are_whole() -> None:
    image = Image.fromarray(random_samples(64, 80, 3, 8))
    for options in ({"progressive": True}, {"restart_marker_blocks": 2}, {"optimize": True}):
        data = by_pillow(image, "JPEG", **options)
        expected = np.asarray(Image.open(io.BytesIO(data)))
        np.testing.assert_array_equal(decoded(data).samples, expected)
        np.testing.assert_array_equal(decoded(data[:-2] + b"\xff\xff" + data[-2:]).samples, expected)
        np.testing.assert_array_equal(decoded(data + b"a camera's film behind the picture").samples, expected)


def test_the_first_picture_of_a_multi_picture_jpeg() -> None:
    first = Image.fromarray(smooth_picture().samples)
    data = by_pillow(first, "MPO", save_all=True, append_images=[Image.new("RGB", (30, 20))], quality=95)
    picture = decoded(data)
    assert (picture.width, picture.height) == first.size
    assert np.abs(picture.samples.astype(int) - smooth_picture().samples).mean() < 2


@pytest.mark.parametrize("progressive", [False, True])
def test_a_jpeg_that_ends_in_zeros_is_truncated(progressive: bool) -> None:
    """A download cut short leaves the right size; libjpeg makes grey blocks of the zeros."""
    data = by_pillow(Image.fromarray(random_samples(64, 64, 3, 8)), "JPEG", progressive=progressive)
    for whole in (len(data) // 2, len(data) - 20, len(data) - 2):
        with pytest.raises(ImageError, match="truncated jpg"):
            decoded(data[:whole] + bytes(len(data) - whole))


def test_a_photograph_takes_little_more_memory_than_its_pixels(tmp_path: Path) -> None:
    """12 megapixels are 36 MB; decoder and turned copy may take twice that again."""
    path = tmp_path / "large.jpg"
    Image.linear_gradient("L").resize((4000, 3000)).convert("RGB").save(
        path, quality=90, exif=b"Exif\0\0" + camera_exif(6)
    )
    code = (
        "import resource, sys; from pathlib import Path; from PIL import JpegImagePlugin, ImageCms\n"
        "from img2img.images import read_picture\n"
        "peak = lambda: resource.getrusage(resource.RUSAGE_SELF).ru_maxrss\n"
        "before = peak(); assert read_picture(Path(sys.argv[1])).width == 3000; print(peak() - before)"
    )
    path_to_package = os.pathsep.join(sys.path)
    output = subprocess.run(
        [sys.executable, "-c", code, str(path)],
        env=os.environ | {"PYTHONPATH": path_to_package},
        check=True, capture_output=True, text=True,
    ).stdout  # fmt: skip
    assert int(output) / 1024 < 3 * 36e6 / 2**20


# --- WebP and AVIF ---


@pytest.mark.parametrize("codec", ["WEBP", "AVIF"])
def test_animations_give_their_first_frame(codec: str) -> None:
    frames = [Image.new("RGB", (32, 24), colour) for colour in ("red", "blue")]
    picture = decoded(by_pillow(frames[0], codec, save_all=True, append_images=frames[1:], duration=100))
    assert np.abs(picture.samples.astype(int) - (255, 0, 0)).max() < 12
    assert (picture.width, picture.height) == (32, 24)


@pytest.mark.parametrize("options", [{}, {"lossless": True}, {"lossless": True, "exif": b"Exif\0\0"}])
def test_every_kind_of_webp_tells_its_size(options: dict[str, Any]) -> None:
    for mode in ("RGB", "RGBA"):
        image = Image.fromarray(random_samples(33, 50, len(mode), 8))
        data = by_pillow(image, "WEBP", **options)
        np.testing.assert_array_equal(decoded(data).samples, np.asarray(Image.open(io.BytesIO(data)))[..., :3])
        with pytest.raises(ImageError, match="50x33"):
            decoded(data, max_pixels=1649)


def test_ten_bit_avif_is_read_in_eight_bits() -> None:
    import imagecodecs

    expected = smooth_picture()
    data = imagecodecs.avif_encode(expected.samples.astype(np.uint16) * 4, level=100, bitspersample=10)
    picture = decoded(bytes(data))
    assert picture.bits == 8
    assert np.abs(picture.samples.astype(int) - expected.samples).max() <= 4


def test_avif_is_there() -> None:
    assert features.check("avif")


# --- TIFF ---

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


# --- What is no picture ---


@pytest.mark.parametrize("own", [True, False])
@pytest.mark.parametrize("format", ALL)
def test_a_truncated_file_is_an_error_wherever_it_ends(format: str, own: bool) -> None:
    image = Image.fromarray(random_samples(40, 30, 3, 8))
    if own:
        data = encoded(Picture(np.asarray(image), exif=camera_exif(), icc=SRGB), format)
    elif format == "tiff":
        data = by_tifffile(np.asarray(image), rowsperstrip=5, photometric="rgb", compression="lzw")
    else:
        options: dict[str, Any] = {"jpg": {"progressive": True}, "webp": {"lossless": True}}.get(format, {})
        data = by_pillow(image, "JPEG" if format == "jpg" else format, **options)
    whole = decoded(data)
    for length in {*range(1, 80), *range(80, len(data), 97), *range(len(data) - 12, len(data))}:
        try:
            picture = decoded(data[:length])
        except ImageError as error:
            assert "\n" not in str(error)  # noqa: PT017 - an error or a whole picture
        else:
            # A TIFF may end in metadata; its pixels are whole.
            assert (format, own) == ("tiff", True)
            assert length > len(data) - 400
            np.testing.assert_array_equal(picture.samples, whole.samples)


@settings(max_examples=250, deadline=None)
@given(format=st.sampled_from(ALL), data=st.data())
def test_damage_is_an_image_error_or_nothing(format: str, data: st.DataObject) -> None:
    """Whatever bytes change, no other exception comes out, and no picture above the limit."""
    damaged = bytearray(SAMPLE_FILES[format])
    for _ in range(data.draw(st.integers(1, 5))):
        # Headers and tables are where damage is interesting.
        damaged[data.draw(st.integers(0, min(len(damaged) - 1, 700)))] = data.draw(st.integers(0, 255))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        with contextlib.suppress(ImageError):
            picture = decoded(bytes(damaged), max_pixels=100_000)
            assert picture.width * picture.height <= 100_000


SAMPLE_FILES = {format: encoded(Picture(random_samples(12, 9, 3, 8), exif=camera_exif(6)), format) for format in ALL}


def test_a_name_says_nothing(tmp_path: Path) -> None:
    path = tmp_path / "text.jpg"
    path.write_text("This is no picture, whatever its name says, and quite long enough to look like one.")
    with pytest.raises(ImageError, match=re.escape("not an image in a known format (png, jpg, webp, avif, tiff)")):
        read_picture(path)
    write_picture(smooth_picture(), path, "png")
    assert read_picture(path).format == "png"


@pytest.mark.parametrize("codec", ["BMP", "GIF", "PPM", "JPEG2000", "ICO"])
def test_other_formats_are_not_read(codec: str) -> None:
    with pytest.raises(ImageError, match="known format"):
        decoded(by_pillow(Image.new("RGB", (20, 20)), codec))


def test_heic_is_no_avif() -> None:
    with pytest.raises(ImageError, match="known format"):
        decoded(b"\0\0\0\x18ftypheic\0\0\0\0mif1heic" + bytes(200))


def test_empty_and_missing_files(tmp_path: Path) -> None:
    empty = tmp_path / "empty.png"
    empty.touch()
    with pytest.raises(ImageError, match=r"^empty file$"):
        read_picture(empty)
    with pytest.raises(ImageError, match=r"^cannot be read: No such file or directory$"):
        read_picture(tmp_path / "missing.png")
    with pytest.raises(ImageError, match=r"^cannot be read: Is a directory$"):
        read_picture(tmp_path)
    with pytest.raises(ImageError, match=r"^cannot be written: No such file or directory$"):
        write_picture(smooth_picture(), tmp_path / "nowhere" / "x.png", "png")


def test_images_without_pixels() -> None:
    with pytest.raises(ImageError, match="0x7 has no pixels"):
        decoded(png_of_chunks(png_header(0, 7), (b"IDAT", zlib.compress(b"")), (b"IEND", b"")))


def test_large_images_are_refused_before_they_are_decoded() -> None:
    data = png_of_chunks(png_header(40000, 30000), (b"IDAT", b""), (b"IEND", b""))
    expected = "40000x30000 = 1200.0 megapixels, more than the limit of 200.0; raise --max-pixels"
    with pytest.raises(ImageError, match=f"^{re.escape(expected)}$"):
        decoded(data)


@pytest.mark.parametrize("format", ALL)
def test_the_limit_is_exact_in_every_format(format: str) -> None:
    data = encoded(smooth_picture(), format)
    assert decoded(data, max_pixels=40 * 64).width == 64
    with pytest.raises(ImageError, match=r"64x40 = 0.0 megapixels, more than the limit"):
        decoded(data, max_pixels=40 * 64 - 1)


@pytest.mark.parametrize("format", ALL)
def test_the_limit_of_pillow_does_not_interfere(format: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """A limit of 10 pixels stands for a picture of 200 megapixels; neither warning nor error."""
    data = encoded(smooth_picture(alpha=True), format)
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 40 * 64 // 3)
    before = Image.MAX_IMAGE_PIXELS
    if format in ("jpg", "avif"):  # these are cropped into bands, the only check on the way
        monkeypatch.setattr("img2img.images.by_pillow.BAND_PIXELS", 640)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert decoded(data).width == 64
    assert before == Image.MAX_IMAGE_PIXELS


@pytest.mark.parametrize(("format", "side"), [("webp", 16383), ("jpg", 65500), ("avif", 65536)])
def test_pictures_too_long_for_a_format(format: str, side: int) -> None:
    with pytest.raises(ImageError, match=f"{format} has at most {side} pixels a side, this picture {side + 1}x1"):
        encoded(Picture(np.zeros((1, side + 1, 3), np.uint8)), format)


def test_the_longest_pictures_of_a_format() -> None:
    for format, side in (("webp", 16383), ("jpg", 65500)):
        assert decoded(encoded(Picture(np.zeros((1, side, 1), np.uint8)), format)).width == side


# --- Streams ---


@pytest.mark.parametrize("format", ALL)
def test_pipes_can_be_read(format: str) -> None:
    data = encoded(smooth_picture(), format)
    reading, writing = os.pipe()

    def feed() -> None:
        with open(writing, "wb") as stream:  # noqa: PTH123 - a file descriptor
            stream.write(data)

    thread = threading.Thread(target=feed)
    thread.start()
    with open(reading, "rb") as stream:  # noqa: PTH123
        picture = read_picture(stream)
    thread.join()
    assert picture.format == format


def test_what_is_no_image_is_not_read_to_its_end() -> None:
    stream = io.BytesIO(b"x" * 100_000)
    with pytest.raises(ImageError):
        read_picture(stream)
    assert stream.tell() < 1000


def test_suffixes_name_formats_that_can_be_written() -> None:
    assert set(FORMATS.values()) == set(ALL)
    for suffix in FORMATS:
        assert suffix == suffix.lower()
        assert suffix.startswith(".")
