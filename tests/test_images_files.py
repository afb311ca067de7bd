"""Files become pixels and pixels files, in every format. Files are made here, by other writers."""

import contextlib
import io
import os
import re
import threading
import warnings
import zlib
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from image_files import (
    ALL,
    GREY_PROFILE,
    LOSSLESS,
    SRGB,
    by_pillow,
    by_tifffile,
    camera_exif,
    decoded,
    encoded,
    parsed,
    png_header,
    png_of_chunks,
    random_samples,
    smooth_picture,
)
from PIL import Image

from img2img.errors import ImageError
from img2img.images import DEFAULT_QUALITY, FORMATS, KEEPS, Picture, read_8_bits, read_picture, write_picture


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


def test_sixteen_bits_are_rounded_to_eight() -> None:
    levels = np.array([0, 128, 129, 385, 386, 65406, 65407, 65535], np.uint16).reshape(1, 8, 1)
    tall = np.repeat(np.repeat(levels, 8, axis=0), 8, axis=1)
    back = decoded(encoded(Picture(tall), "jpg", quality=100))
    assert back.samples[4, 4::8, 0].tolist() == [0, 0, 1, 1, 2, 254, 255, 255]


def test_quality_is_used_and_has_a_default() -> None:
    picture = Picture(random_samples(48, 48, 3, 8))
    for format, default in DEFAULT_QUALITY.items():
        if format == "heic" and find_spec("pillow_heif") is None:
            continue  # of the extra heic
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


# --- What is no picture ---


@pytest.mark.parametrize("own", [True, False])
@pytest.mark.parametrize("format", ALL)
def test_a_truncated_file_is_an_error_or_says_what_is_missing(format: str, own: bool) -> None:
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
            assert picture.samples.shape == whole.samples.shape
            assert length > len(data) * 0.3
            if not picture.about.lost:  # a TIFF may end in metadata; its pixels are whole
                assert (format, own) == ("tiff", True)
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
    with pytest.raises(ImageError, match=re.escape("not an image in a known format (png, jpg, webp, avif, tiff, gif,")):
        read_picture(path)
    write_picture(smooth_picture(), path, "png")
    assert read_picture(path).format == "png"


@pytest.mark.parametrize("codec", ["ICO", "PCX", "SGI"])
def test_other_formats_are_not_read(codec: str) -> None:
    with pytest.raises(ImageError, match="known format"):
        decoded(by_pillow(Image.new("RGB", (20, 20)), codec))


def test_heic_is_no_avif() -> None:
    with pytest.raises(ImageError, match=r"heic"):
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
    expected = "40000x30000 = 1200 megapixels, more than the limit of 200; raise max_pixels"
    with pytest.raises(ImageError, match=f"^{re.escape(expected)}$"):
        decoded(data)


@pytest.mark.parametrize("format", ALL)
def test_the_limit_is_exact_in_every_format(format: str) -> None:
    data = encoded(smooth_picture(), format)
    assert decoded(data, max_pixels=40 * 64).width == 64
    with pytest.raises(ImageError, match=r"64x40 = 0.00256 megapixels, more than the limit"):
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
    assert set(FORMATS.values()) == KEEPS.keys() - {"i2i"} > set(ALL)
    for suffix in FORMATS:
        assert suffix == suffix.lower()
        assert suffix.startswith(".")


def test_samples_in_8_bits_leave_alpha_out_and_errors_name_the_file(tmp_path: Path) -> None:
    levels = random_samples(9, 7, 3, 8)
    (tmp_path / "deep.tif").write_bytes(encoded(Picture(levels.astype(np.uint16) * 257), "tiff"))
    (tmp_path / "alpha.png").write_bytes(encoded(Picture(levels, np.full((9, 7), 7, np.uint8)), "png"))
    for name in ("deep.tif", "alpha.png"):
        np.testing.assert_array_equal(read_8_bits(tmp_path / name), levels)
    (tmp_path / "bad.png").write_bytes(b"\x89PNG\r\n\x1a\n")
    with pytest.raises(ImageError, match=r"bad\.png: "):
        read_8_bits(tmp_path / "bad.png")
