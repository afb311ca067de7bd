"""A picture's integers become float tensors and come back; wrong arrays are refused."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from image_files import GREY_PROFILE, random_samples, smooth_picture

from img2img.errors import ImageError
from img2img.images import Picture


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
