"""docs/i2i.md is enough to write a decoder from: examples/decode_i2i.py, which knows nothing else, reads our files."""

import importlib.util
import subprocess
import sys
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest
from PIL import Image
from skimage import data as photographs

from img2img.checkpoints import names, weights_file
from img2img.choices import LOOKS
from img2img.images import Picture
from img2img.tasks.compress import Compressor, Decompressor, Target, View

EXAMPLE = Path(__file__).parent.parent / "examples" / "decode_i2i.py"


@pytest.fixture(scope="module")
def example() -> ModuleType:
    specification = importlib.util.spec_from_file_location("decode_i2i", EXAMPLE)
    assert specification is not None
    assert specification.loader is not None
    module = importlib.util.module_from_spec(specification)
    specification.loader.exec_module(module)
    return module


def test_the_example_uses_nothing_of_the_package() -> None:
    code = f"import sys, runpy; runpy.run_path({str(EXAMPLE)!r}); print({{'img2img', 'torch'}} & sys.modules.keys())"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "set()\n"


@pytest.mark.parametrize("look", ["plain", "faithful"])
@pytest.mark.parametrize("model", names("compress"))
@pytest.mark.parametrize("kind", ["colour", "grey with alpha", "sixteen bits", "drawing"])
def test_the_example_decodes_what_we_write(model: str, kind: str, look: str, example: ModuleType) -> None:
    samples = np.ascontiguousarray(photographs.astronaut()[100:180, 180:285])
    picture = {
        "colour": Picture(samples),
        "grey with alpha": Picture(samples[..., :1].copy(), samples[..., 1].copy()),
        "sixteen bits": Picture(samples[:33, :40].astype(np.uint16) * 257),
        "drawing": Picture(np.full((40, 50, 3), 99, np.uint8)),
    }[kind]
    data = Compressor.from_pretrained(model, "cpu", "fp32").compress(picture, Target(quality=70)).data
    ours = Decompressor("cpu", "fp32").decompress(data, view=View(look=LOOKS[look]))
    expected = ours.samples if ours.alpha is None else np.dstack([ours.samples, ours.alpha])
    if picture.bits == 16:
        expected = np.rint(expected / 257)
    restoration = [str(weights_file("codec-restoration"))] if look == "faithful" else []
    image = example.decode(data, str(weights_file(model)), *restoration)
    assert isinstance(image, Image.Image)
    difference = np.abs(np.asarray(image).reshape(expected.shape).astype(int) - expected)
    assert difference.max() <= 1
    assert (difference > 0).mean() < 0.001


def test_the_example_decodes_several_tiles(example: ModuleType) -> None:
    compressor = Compressor.from_pretrained("codec-fast", "cpu", "fp32")
    compressor.tile = 64
    samples = np.ascontiguousarray(photographs.astronaut()[100:164, 180:290])
    data = compressor.compress(Picture(samples)).data
    difference = np.asarray(example.decode(data, str(weights_file("codec-fast")))).astype(int)
    difference -= Decompressor("cpu", "fp32").decompress(data, view=View(look=None)).samples
    assert np.abs(difference).max() <= 1


def test_the_example_notices_damage(example: ModuleType) -> None:
    data = Compressor.from_pretrained("codec-fast", "cpu", "fp32").compress(Picture(np.zeros((9, 9, 3), np.uint8))).data
    for damaged in (data[:-1], data[:30] + b"?" + data[31:], b"\x89i2i\1" + data[5:]):
        with pytest.raises(AssertionError):
            example.decode(damaged, str(weights_file("codec-fast")))
