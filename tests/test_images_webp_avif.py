"""WebP and AVIF: sizes, animations, ten bits."""

import io
from typing import Any

import numpy as np
import pytest
from image_files import by_pillow, decoded, encoded, random_samples, smooth_picture
from PIL import Image, features

from img2img.errors import ImageError


def test_avif_keeps_grey() -> None:
    assert decoded(encoded(smooth_picture(1), "avif")).channels == 1


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
