"""PNG: bit depths, palettes, transparency, and chunks that explode."""

import struct
import zlib

import numpy as np
import pytest
from image_files import by_pillow, decoded, png_header, png_of_chunks, random_samples
from PIL import Image

from img2img.errors import ImageError

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
