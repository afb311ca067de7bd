"""Orientation is applied, and EXIF blocks and profiles are kept as they are, in every format."""

import warnings
import zlib
from pathlib import Path

import numpy as np
import pytest
import tifffile
from hypothesis import given, settings
from hypothesis import strategies as st
from image_files import (
    ALL,
    GREY_PROFILE,
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

from img2img.images import write_picture

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
