"""What a blind denoiser is trained on: mixtures of photographs, pictures worked over by other programs, drawn ones."""

from random import Random

import numpy as np
import pytest
import torch
from test_data_camera import generator, smooth_scene

from img2img.data.camera import MARGIN, CameraRange, photograph
from img2img.data.drawn import KINDS
from img2img.data.noise import NoiseMixture
from img2img.data.patches import PatchSource
from img2img.data.photographs import PhotoMixture, draw
from img2img.data.rework import STEPS


def test_a_batch_holds_clean_white_and_camera_pictures() -> None:
    pixels = (smooth_scene(3, 120).permute(0, 2, 3, 1) * 255).round().byte().numpy()
    source = PatchSource(list(pixels), torch.device("cpu"))
    mixture = PhotoMixture(white=0.25, clean=0.25, grey=0, noise=NoiseMixture(eight_bit=1, camera=0, grey=0))
    truth, noisy = draw(source, mixture, 48, 8, generator(2))
    assert truth.shape == noisy.shape == (8, 3, 48, 48)
    assert torch.equal(truth[:2], noisy[:2])
    assert (truth[2:] != noisy[2:]).flatten(1).any(1).all()


def test_grey_photographs_stay_grey() -> None:
    pixels = (smooth_scene(3, 120).permute(0, 2, 3, 1) * 255).round().byte().numpy()
    source = PatchSource(list(pixels), torch.device("cpu"))
    for picture in draw(source, PhotoMixture(grey=1), 48, 6, generator(2)):
        torch.testing.assert_close(picture[:, 0], picture[:, 1])
        torch.testing.assert_close(picture[:, 0], picture[:, 2])


def test_a_recipes_tables_make_the_mixture() -> None:
    mixture = PhotoMixture.from_recipe({"white": 0.5, "cameras": {"quality": [80, 90]}, "noise": {"sigma_max": 20}})
    assert mixture.cameras.quality == (80, 90)
    assert mixture.noise.sigma_max == 20
    with pytest.raises(TypeError, match="colour"):
        PhotoMixture.from_recipe({"cameras": {"colour": 1}})


@pytest.mark.parametrize("name", STEPS)
@pytest.mark.parametrize("size", [(48, 48), (33, 50)])
def test_each_step_of_other_programs_keeps_size_and_range(name: str, size: tuple[int, int]) -> None:
    clean = smooth_scene(1, 64)[..., : size[0], : size[1]]
    noisy = (clean + 0.1 * torch.randn(clean.shape, generator=generator())).clamp(0, 1)
    truth, worked = STEPS[name](clean, noisy, generator(1), Random(1))
    assert truth.shape == worked.shape == clean.shape
    for picture in (truth, worked):
        assert picture.min() >= 0
        assert picture.max() <= 1
    if name in ("grain", "compress", "half colours"):  # noise and compression never reach the truth
        assert torch.equal(truth, clean)
        assert not torch.equal(worked, noisy)
    else:  # what changes geometry and sharpness changes both alike
        alone, _ = STEPS[name](noisy, noisy, generator(1), Random(1))
        torch.testing.assert_close(alone, worked)


def test_pictures_worked_over_still_show_their_scene() -> None:
    scene = smooth_scene(6, 48 + 2 * MARGIN)
    clean, noisy = photograph(scene, CameraRange(worked=1), generator(3))
    assert clean.shape == noisy.shape == (6, 3, 48, 48)
    assert torch.cdist(clean.flatten(1), noisy.flatten(1)).argmin(1).tolist() == list(range(6))


@pytest.mark.parametrize("name", KINDS)
def test_drawn_pictures_have_their_size_and_differ(name: str) -> None:
    drawn = [np.asarray(KINDS[name](61, Random(seed))) for seed in (1, 2)]
    assert drawn[0].shape == drawn[1].shape == (61, 61, 3)
    assert drawn[0].dtype == np.uint8
    assert (drawn[0] != drawn[1]).any()
    assert np.array_equal(drawn[0], np.asarray(KINDS[name](61, Random(1))))
