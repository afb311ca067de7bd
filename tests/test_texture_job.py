"""What a texture's settings say where nothing was asked for."""

import pytest

from img2img.tasks.texture.job import TextureJob


@pytest.mark.parametrize(
    ("job", "samples", "steps"),
    [
        (TextureJob(size=(256, 256)), 1, 30),
        (TextureJob(size=(384, 384)), 1, 30),
        (TextureJob(size=(385, 384)), 1, 15),
        (TextureJob(size=(2048, 2048)), 2, 100),  # of a mixture, which begins with noise
        (TextureJob(size=(2048, 2048), start="noise"), 1, 100),
        (TextureJob(size=(2048, 2048), steps=40), 1, 40),
    ],
)
def test_large_textures_of_patches_take_half_of_the_steps(job: TextureJob, samples: int, steps: int) -> None:
    assert job.chosen_steps(samples) == steps
    assert job.settings(samples)["steps"] == steps
