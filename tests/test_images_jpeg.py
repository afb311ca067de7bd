"""JPEG: CMYK, restarts, several pictures, ends that are missing."""

import io
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from image_files import CMYK_PROFILE, by_pillow, camera_exif, decoded, encoded, random_samples, smooth_picture
from PIL import Image

from img2img.errors import ImageError
from img2img.images import Picture


def test_jpeg_lays_transparency_on_white() -> None:
    samples, alpha = np.zeros((16, 16, 3), np.uint16), np.zeros((16, 16), np.uint16)
    alpha[:, 8:] = 65535
    back = decoded(encoded(Picture(samples, alpha), "jpg"))
    assert back.alpha is None
    assert (back.samples[:, :8] == 255).all()
    assert (back.samples[:, 8:] == 0).all()


def test_jpeg_keeps_grey_and_full_colour_resolution() -> None:
    grey = encoded(smooth_picture(1), "jpg")
    assert Image.open(io.BytesIO(grey)).mode == "L"
    assert decoded(grey).channels == 1
    stripes = np.zeros((32, 32, 3), np.uint8)
    stripes[:, ::2, 0] = 255  # 4:2:0 would blur them into one dark red
    back = decoded(encoded(Picture(stripes), "jpg"))
    assert np.abs(back.samples.astype(int) - stripes).mean() < 6
    assert by_pillow(Image.fromarray(stripes), "JPEG", quality=95, subsampling=0) == encoded(Picture(stripes), "jpg")


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
        cut = data[:whole] + bytes(len(data) - whole)
        assert any("truncated" in word or "end marker" in word for word in decoded(cut).about.lost)
        with pytest.raises(ImageError, match="would lose"):
            decoded(cut, strict=True)
    with pytest.raises(ImageError, match="truncated jpg"):
        decoded(by_pillow(Image.fromarray(random_samples(256, 64, 3, 8)), "JPEG")[:1000])


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
