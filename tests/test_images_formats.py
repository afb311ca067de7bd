"""Formats that are read only, or by libraries of extras: GIF, JPEG XL, HEIC, BMP, Netpbm, QOI, JPEG 2000, EXR, raw."""

import io
import struct
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import imagecodecs
import numpy as np
import pytest
from image_files import by_pillow, by_tifffile, camera_exif, decoded, encoded, parsed, random_samples, smooth_picture
from PIL import Image, ImageCms

from img2img.errors import ImageError
from img2img.images import FORMATS, READABLE, Frames, Picture, read_frames, read_picture
from img2img.images import files as image_files_module
from img2img.images.boxes import box

NOISE = random_samples(30, 41, 4, 8)


def test_every_readable_format_has_a_reader() -> None:
    assert set(READABLE.values()) <= image_files_module._FORMATS.keys()
    assert FORMATS.items() <= READABLE.items()


@pytest.mark.parametrize("mode", ["1", "L", "P", "RGB", "RGBA"])
@pytest.mark.parametrize("codec", ["BMP", "GIF", "PPM"])
def test_what_pillow_writes_is_read_as_pillow_shows_it(codec: str, mode: str) -> None:
    image = Image.fromarray(NOISE).convert(mode)
    if codec == "PPM" and mode in ("P", "RGBA"):
        image = image.convert("RGB")
    data = by_pillow(image, codec)
    shown = Image.open(io.BytesIO(data))
    picture = decoded(data)
    np.testing.assert_array_equal(
        picture.samples.repeat(3 // picture.channels, axis=2), np.asarray(shown.convert("RGB"))
    )
    if picture.alpha is not None:
        np.testing.assert_array_equal(picture.alpha, np.asarray(shown.convert("RGBA"))[..., 3])


@pytest.mark.parametrize("top", [1, 3, 255, 1000, 4095, 65535])
@pytest.mark.parametrize("channels", [1, 3])
def test_netpbm_of_every_depth(channels: int, top: int) -> None:
    values = np.random.default_rng(top).integers(0, top + 1, (7, 9, channels))
    values[0, 0], values[0, 1] = 0, top
    head = b"9 7 # a comment\n%d\n" % top
    binary = values.astype("u1" if top < 256 else ">u2").tobytes()
    digits = " ".join(map(str, values.ravel())).encode()
    white = 255 if top < 256 else 65535
    expected = np.rint(values * (white / top))
    for data in (
        (b"P6 " if channels == 3 else b"P5 ") + head + binary,
        (b"P3 " if channels == 3 else b"P2 ") + head + digits,
        b"P7\nWIDTH 9\nHEIGHT 7\nDEPTH %d\nMAXVAL %d\nTUPLTYPE x\nENDHDR\n" % (channels, top) + binary,
    ):
        picture = decoded(data)
        assert np.abs(picture.samples - expected).max() <= 0.5
        assert picture.bits == (8 if top < 256 else 16)
        with pytest.raises(ImageError, match="truncated"):
            decoded(data[:-8])
        with pytest.raises(ImageError, match="more than the limit"):
            decoded(data, max_pixels=62)


def test_netpbm_of_one_bit() -> None:
    ink = np.random.default_rng(0).integers(0, 2, (5, 11))
    packed = np.packbits(ink, axis=1).tobytes()
    digits = "".join(map(str, ink.ravel())).encode()
    for data in (b"P4\n11 5\n" + packed, b"P1\n11 5\n" + digits):
        np.testing.assert_array_equal(decoded(data).samples[..., 0], 255 * (1 - ink))


@pytest.mark.parametrize(
    "data", [b"P6 3", b"P5\n3 3\n0\n" + bytes(9), b"P5\n3 3\n70000\n" + bytes(18), b"P7\nWIDTH 2\n"]
)
def test_netpbm_without_sense_is_refused(data: bytes) -> None:
    with pytest.raises(ImageError):
        decoded(data.ljust(100, b"\0") if data.startswith(b"P5") else data)


@pytest.mark.parametrize("channels", [3, 4])
def test_qoi(channels: int) -> None:
    data = bytes(imagecodecs.qoi_encode(NOISE[..., :channels].copy()))
    picture = decoded(data)
    np.testing.assert_array_equal(picture.samples, NOISE[..., :3])
    assert (picture.alpha is not None) == (channels == 4)
    with pytest.raises(ImageError, match="more than the limit"):
        decoded(data, max_pixels=100)


@pytest.mark.parametrize("bits", [8, 12, 16])
@pytest.mark.parametrize("container", ["j2k", "jp2"])
def test_jpeg_2000(container: str, bits: int) -> None:
    samples = np.random.default_rng(bits).integers(0, 2**bits, (30, 41, 3)).astype("u1" if bits == 8 else "u2")
    data = bytes(
        imagecodecs.jpeg2k_encode(samples, level=0, codecformat=container, bitspersample=bits, reversible=True)
    )
    picture = decoded(data)
    expected = np.rint(samples * ((2**picture.bits - 1) / (2**bits - 1)))
    assert np.abs(picture.samples - expected).max() <= 0.5
    with pytest.raises(ImageError, match="more than the limit"):
        decoded(data, max_pixels=100)
    with pytest.raises(ImageError):
        decoded(data[: len(data) // 4])


def test_metadata_of_jpeg_2000() -> None:
    plain = by_pillow(Image.fromarray(NOISE[..., :3]), "JPEG2000")
    uuid = bytes.fromhex("be7acfcb97a942e89c71999491e3afac")
    picture = decoded(plain + box(b"uuid", uuid + b"<x:xmpmeta/>") + box(b"uuid", b"JpgTiffExif->JP2" + camera_exif()))
    assert picture.about.xmp == b"<x:xmpmeta/>"
    assert parsed(picture.exif)[0x0110] == "Camera 1"
    assert decoded(plain + box(b"xml ", b"<a/>")).about.lost == ("JPEG 2000's box xml",)


@pytest.mark.parametrize("seconds", [[0.1, 0.25, 0.5]])
@pytest.mark.parametrize("loop", [0, 1, 4])
def test_gifs_keep_frames_and_timing(seconds: list[float], loop: int) -> None:
    images = [Image.fromarray(np.full((12, 16), 60 * i, np.uint8)) for i in range(3)]
    options: dict[str, Any] = {} if loop == 1 else {"loop": max(0, loop - 1)}
    durations = [round(1000 * s) for s in seconds]
    data = by_pillow(images[0], "GIF", save_all=True, append_images=images[1:], duration=durations, **options)
    frames = read_frames(io.BytesIO(data))
    assert (len(frames), frames.animated, frames.loop) == (3, True, loop)
    assert [frame.about.duration for frame in frames] == seconds
    assert [frame.samples[0, 0, 0] for frame in frames] == [0, 60, 120]
    again = read_frames(io.BytesIO(written(frames, "gif")))
    assert (len(again), again.loop, [frame.about.duration for frame in again]) == (3, loop, seconds)
    whole_frames = read_frames(io.BytesIO(data[:-12]))
    assert len(whole_frames) < 3
    assert "truncated" in whole_frames[0].about.lost[0]


def written(frames: Frames, format: str) -> bytes:
    stream = io.BytesIO()
    image_files_module.write_frames(frames, stream, format)
    return stream.getvalue()


# --- JPEG XL ---


@pytest.mark.parametrize("bits", [8, 16])
@pytest.mark.parametrize("channels", [1, 2, 3, 4])
@pytest.mark.parametrize(("height", "width"), [(30, 41), (64, 64), (48, 64), (1, 3000), (700, 300)])
def test_jpeg_xl_tells_its_size_and_loses_nothing_at_100(height: int, width: int, channels: int, bits: int) -> None:
    samples = random_samples(height, width, channels, bits)
    picture = Picture(
        samples[..., : 3 if channels > 2 else 1].copy(), samples[..., -1].copy() if channels in (2, 4) else None
    )
    data = encoded(picture, "jxl", 100)
    back = decoded(data)
    np.testing.assert_array_equal(back.samples, picture.samples)
    if picture.alpha is not None:
        np.testing.assert_array_equal(back.alpha, picture.alpha)
    assert back.about.lost == ()
    with pytest.raises(ImageError, match=f"{width}x{height} ="):
        decoded(data, max_pixels=width * height - 1)


def test_quality_of_jpeg_xl() -> None:
    picture = smooth_picture()
    sizes = [len(encoded(picture, "jxl", quality)) for quality in (5, 40, 95)]
    assert sizes == sorted(sizes)
    assert np.abs(decoded(encoded(picture, "jxl")).samples.astype(int) - picture.samples).mean() < 2


def test_a_lossless_jpeg_xl_file_remains_lossless_and_no_other_becomes_so() -> None:
    picture = decoded(encoded(smooth_picture(), "jxl", 100))
    assert picture.about.lossless
    np.testing.assert_array_equal(decoded(encoded(picture, "jxl")).samples, picture.samples)
    lossy = decoded(encoded(picture, "jxl", 90))
    assert not lossy.about.lossless
    photograph = by_pillow(Image.fromarray(picture.samples), "JPEG", quality=90)
    assert not decoded(imagecodecs.jpegxl_encode_jpeg(photograph, usecontainer=True)).about.lossless


def test_frames_of_jpeg_xl() -> None:
    stack = np.stack([NOISE[..., :3], 255 - NOISE[..., :3]])
    frames = read_frames(io.BytesIO(imagecodecs.jpegxl_encode(stack, lossless=True)))
    assert (len(frames), frames.animated) == (2, True)
    np.testing.assert_array_equal(frames[1].samples, stack[1])
    assert frames[0].about.lost == ("timing of the frames",)


# --- Libraries of extras ---


@pytest.mark.skipif(not find_spec("pillow_heif"), reason="needs pillow-heif")
def test_heic() -> None:
    import pillow_heif

    image = Image.fromarray(smooth_picture().samples)
    stream = io.BytesIO()
    exif = b"Exif\0\0" + camera_exif(6)
    icc = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    pillow_heif.from_pillow(image).save(stream, quality=95, chroma=444, exif=exif, xmp=b"<x/>", icc_profile=icc)
    picture = decoded(stream.getvalue())
    expected = np.asarray(image.transpose(Image.Transpose.ROTATE_270)).astype(int)
    assert picture.samples.shape == expected.shape
    assert np.abs(picture.samples - expected).mean() < 2
    assert parsed(picture.exif)[0x0110] == "Camera 1"
    assert parsed(picture.exif).get(0x0112, 1) == 1
    assert (picture.about.xmp, picture.icc) == (b"<x/>", icc)
    again = decoded(encoded(picture, "heic"))
    assert np.abs(again.samples.astype(int) - picture.samples).mean() < 2
    assert again.icc == icc
    deep = decoded(encoded(smooth_picture(bits=16), "heic"))
    assert deep.bits == 16
    with pytest.raises(ImageError, match="more than the limit"):
        decoded(stream.getvalue(), max_pixels=100)
    with pytest.raises(ImageError):
        decoded(stream.getvalue()[:500])


@pytest.mark.skipif(not find_spec("OpenEXR"), reason="needs OpenEXR")
@pytest.mark.parametrize("kind", ["f2", "f4"])
def test_exr(kind: str, tmp_path: Path) -> None:
    import OpenEXR

    values = (NOISE[..., :3] / 16).astype(kind)
    header = {"compression": OpenEXR.ZIP_COMPRESSION, "type": OpenEXR.scanlineimage}
    OpenEXR.File(header, {"RGB": values, "Z": NOISE[..., 3].astype("f4")}).write(str(tmp_path / "x.exr"))
    picture = read_frames(tmp_path / "x.exr")[0]
    np.testing.assert_array_equal(picture.samples, values)
    np.testing.assert_array_equal(picture.further[..., 0], NOISE[..., 3])
    with pytest.raises(ImageError, match="more than the limit"):
        read_picture(tmp_path / "x.exr", max_pixels=100)


def digital_negative(pixels: np.ndarray) -> bytes:
    """A DNG of linear light (H, W, 3) from 0 to 4000, behind a Bayer filter."""
    mosaic = np.zeros(pixels.shape[:2], np.uint16)
    for row, column, channel in ((0, 0, 0), (0, 1, 1), (1, 0, 1), (1, 1, 2)):
        mosaic[row::2, column::2] = pixels[row::2, column::2, channel] + 64
    matrix = [3240479, -1537150, -498535, -969256, 1875992, 41556, 55648, -204043, 1057311]
    tags: list[tuple[int, int, int, Any, bool]] = [
        (50706, 1, 4, b"\1\4\0\0", True), (33421, 3, 2, (2, 2), True), (33422, 1, 4, b"\0\1\1\2", True),
        (50708, 2, 0, "Camera 1", True), (272, 2, 0, "Camera 1", True), (50714, 3, 1, 64, True),
        (50717, 4, 1, 4064, True),
        (50721, 10, 9, [n for value in matrix for n in (value, 1000000)], True),
        (50728, 5, 3, (1, 1, 1, 1, 1, 1), True), (50778, 3, 1, 21, True),
    ]  # fmt: skip
    return by_tifffile(mosaic, photometric=32803, metadata=None, extratags=tags)


@pytest.mark.skipif(not find_spec("rawpy"), reason="needs rawpy")
def test_raw_files_are_developed() -> None:
    shown = smooth_picture().samples.repeat(2, axis=0).repeat(2, axis=1)
    data = digital_negative((shown / 255.0) ** 2.2 * 4000)
    picture = decoded(data)
    assert picture.bits == 16
    assert (picture.width, picture.height) == (128, 80)
    assert picture.about.lost == ("raw samples (developed)",)
    assert parsed(picture.exif)[0x0110] == "Camera 1"
    bright = picture.samples / 65535.0
    assert np.corrcoef(bright[8:-8, 8:-8, 0].ravel(), shown[8:-8, 8:-8, 0].ravel())[0, 1] > 0.95
    with pytest.raises(ImageError, match="more than the limit"):
        decoded(data, max_pixels=100)


# --- What surrounds a picture ---


def test_junk_around_a_jpeg() -> None:
    data = by_pillow(Image.fromarray(smooth_picture().samples), "JPEG", quality=90)
    expected = decoded(data).samples
    picture = decoded(b"HTTP/1.1 200 OK\r\n\r\n" * 5 + data)
    np.testing.assert_array_equal(picture.samples, expected)
    assert decoded(data + b"some text that nobody expects").about.lost == ("29 bytes behind the picture",)
    assert decoded(data + bytes(100)).about.lost == ()


def test_a_jpeg_that_tells_its_height_late() -> None:
    data = bytearray(by_pillow(Image.fromarray(smooth_picture().samples), "JPEG"))
    expected = decoded(bytes(data)).samples
    frame = data.index(b"\xff\xc0")
    height = bytes(data[frame + 5 : frame + 7])
    data[frame + 5 : frame + 7] = b"\0\0"
    late = bytes(data[:-2]) + b"\xff\xdc" + struct.pack(">H", 4) + height + bytes(data[-2:])
    np.testing.assert_array_equal(decoded(late).samples, expected)


def test_a_jpeg_of_twelve_bits() -> None:
    samples = smooth_picture().samples.astype(np.uint16) * 16
    picture = decoded(bytes(imagecodecs.jpeg8_encode(samples, bitspersample=12, level=98)))
    assert picture.bits == 16
    assert np.abs(picture.samples / 16.0037 - samples).mean() < 30
