"""The front door: every kind of picture goes in, the same kind comes out, and one exception says what is wrong."""

import inspect
import re
import subprocess
import sys
from collections.abc import Callable
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

import img2img
from img2img.checkpoints import weights_file
from img2img.errors import OptionError
from img2img.images import Picture, read_picture, write_picture

EXAMPLE = Path(__file__).parents[1] / "examples" / "noisy.png"
NOISY = np.ascontiguousarray(np.asarray(Image.open(EXAMPLE))[:48, :64])
FLOAT = NOISY.astype(np.float32) / 255
CHW = torch.from_numpy(FLOAT.transpose(2, 0, 1).copy())


def png(samples: np.ndarray = NOISY, **more: Any) -> bytes:
    stream = BytesIO()
    write_picture(Picture(samples, **more), stream, "png")
    return stream.getvalue()


def clean(x: Any, **options: Any) -> Any:
    return img2img.denoise(x, model="denoise-fast", sigma=25, device="cpu", engine="onnx", **options)


EXPECTED = clean(FLOAT)

KINDS: dict[str, tuple[Any, Callable[[Any], Any]]] = {
    "uint8": (NOISY, lambda y: y / 255),
    "uint16": (NOISY.astype(np.uint16) * 257, lambda y: y / 65535),
    "float32": (FLOAT, lambda y: y),
    "float64": (FLOAT.astype(np.float64), lambda y: y),
    "float16": (FLOAT.astype(np.float16), lambda y: y.astype(np.float32)),
    "pillow": (Image.fromarray(NOISY), lambda y: np.asarray(y) / 255),
    "tensor": (CHW, lambda y: y.numpy().transpose(1, 2, 0)),
    "tensor of bytes": ((CHW * 255).round().byte(), lambda y: y.numpy().transpose(1, 2, 0) / 255),
    "tensor of halves": (CHW.bfloat16(), lambda y: y.float().numpy().transpose(1, 2, 0)),
    "batch": (CHW[None].repeat(2, 1, 1, 1), lambda y: y[1].numpy().transpose(1, 2, 0)),
    "bytes": (png(), lambda y: np.asarray(Image.open(BytesIO(y))) / 255),
    "picture": (Picture(NOISY), lambda y: y.samples / 255),
}


@pytest.mark.parametrize("name", KINDS)
def test_the_answer_comes_as_what_went_in(name: str) -> None:
    x, in_floats = KINDS[name]
    y = clean(x)
    assert type(y) is type(x)
    for attribute in ("shape", "dtype", "mode", "size"):
        if not callable(getattr(x, attribute, None)):
            assert getattr(y, attribute, None) == getattr(x, attribute, None)
    difference = np.abs(in_floats(y) - EXPECTED.clip(0, 1) if name not in ("float32", "float64") else y - EXPECTED)
    # Rounding of what goes in and of what comes out; halves of 8 bits have 3 digits.
    assert difference.max() < (0.02 if "halves" in name else 0.004)
    assert difference.mean() < (0.004 if "halves" in name else 0.002)
    assert np.abs(EXPECTED - FLOAT).mean() > 0.03


def test_grey_comes_as_it_went_in() -> None:
    grey = NOISY[..., 1]
    assert clean(grey).shape == grey.shape
    assert clean(grey[..., None]).shape == (*grey.shape, 1)
    assert clean(Image.fromarray(grey)).mode == "L"
    assert clean(CHW[:1]).shape == (1, 48, 64)
    sixteen = clean(Image.fromarray(grey.astype(np.uint16) * 257))
    assert sixteen.mode == "I;16"
    np.testing.assert_allclose(np.asarray(sixteen) / 65535, clean(grey) / 255, atol=0.01)
    assert clean(Image.fromarray(grey).convert("1")).mode == "L"


def test_alpha_is_kept() -> None:
    alpha = np.arange(48 * 64, dtype=np.uint8).reshape(48, 64)
    with_alpha = np.dstack((NOISY, alpha))
    np.testing.assert_array_equal(clean(with_alpha)[..., 3], alpha)
    np.testing.assert_array_equal(clean(with_alpha)[..., :3], clean(NOISY))
    image = clean(Image.fromarray(with_alpha))
    assert image.mode == "RGBA"
    np.testing.assert_array_equal(np.asarray(image), clean(with_alpha))
    tensor = clean(torch.from_numpy(with_alpha.transpose(2, 0, 1).copy()))
    np.testing.assert_array_equal(tensor.numpy().transpose(1, 2, 0), clean(with_alpha))


def test_a_pillow_image_keeps_what_it_says_and_is_turned_upright() -> None:
    exif = Image.Exif()
    exif[0x0112], exif[0x010F] = 6, "Maker"
    stream = BytesIO()
    Image.fromarray(NOISY).save(stream, "png", exif=exif.tobytes(), icc_profile=b"profile")
    y = clean(Image.open(stream))
    assert y.size == (48, 64)
    assert y.info["icc_profile"] == b"profile"
    assert (y.getexif().get(0x0112, 1), y.getexif()[0x010F]) == (1, "Maker")


def test_a_palette_is_seen_as_its_colours() -> None:
    paletted = Image.fromarray(NOISY).quantize(64)
    np.testing.assert_array_equal(np.asarray(clean(paletted)), clean(np.asarray(paletted.convert("RGB"))))


def test_a_path_gives_the_path_of_a_file_beside_it(tmp_path: Path) -> None:
    source = tmp_path / "photo.png"
    source.write_bytes(png())
    assert clean(source) == tmp_path / "photo_denoised.png"
    assert clean(str(source), overwrite=True) == str(tmp_path / "photo_denoised.png")
    np.testing.assert_array_equal(np.asarray(Image.open(tmp_path / "photo_denoised.png")), clean(NOISY))
    with pytest.raises(img2img.InputError, match="exists already"):
        clean(source)
    assert clean(source, output=tmp_path / "other.jpg", quality=90) == tmp_path / "other.jpg"
    assert Image.open(tmp_path / "other.jpg").format == "JPEG"
    assert clean(source, format="webp") == tmp_path / "photo_denoised.webp"
    assert clean(NOISY, output=tmp_path / "array.tiff") == tmp_path / "array.tiff"
    np.testing.assert_array_equal(read_picture(tmp_path / "array.tiff").samples, clean(NOISY))
    assert sorted(path.name for path in tmp_path.iterdir()) == [
        "array.tiff",
        "other.jpg",
        "photo.png",
        "photo_denoised.png",
        "photo_denoised.webp",
    ]


@pytest.mark.parametrize("kind", ["bytes", "pillow", "numpy", "tensor", "picture"])
def test_another_kind_can_be_asked_for(kind: Any, tmp_path: Path) -> None:
    source = tmp_path / "photo.png"
    source.write_bytes(png())
    y = clean(source, kind=kind)
    samples = {
        "bytes": lambda: np.asarray(Image.open(BytesIO(y))),
        "pillow": lambda: np.asarray(y),
        "numpy": lambda: y,
        "tensor": lambda: (y * 255).round().byte().numpy().transpose(1, 2, 0),
        "picture": lambda: y.samples,
    }[kind]()
    np.testing.assert_array_equal(samples, clean(NOISY))
    assert [path.name for path in tmp_path.iterdir()] == ["photo.png"]


def test_frames_of_a_file_are_all_denoised() -> None:
    stream = BytesIO()
    frames = [Image.fromarray(np.roll(NOISY, shift, 1)) for shift in (0, 7)]
    frames[0].save(stream, "tiff", save_all=True, append_images=frames[1:])
    with Image.open(BytesIO(clean(stream.getvalue(), format="tiff"))) as image:
        assert image.n_frames == 2
        image.seek(1)
        np.testing.assert_array_equal(np.asarray(image), clean(np.roll(NOISY, 7, 1)))


WRONG: dict[str, tuple[Callable[[], Any], str]] = {
    "a number": (lambda: clean(5), "not int"),
    "channels first": (lambda: clean(FLOAT.transpose(2, 0, 1)), r"\(3, 48, 64\)"),
    "channels last": (lambda: clean(torch.from_numpy(FLOAT)), r"\(48, 64, 3\)"),
    "nothing": (lambda: clean(np.zeros((0, 4), np.uint8)), r"\(0, 4\)"),
    "truths": (lambda: clean(np.zeros((4, 4), bool)), "bool"),
    "whole numbers": (lambda: clean(np.zeros((4, 4), np.int64)), "int64"),
    "floats up to 255": (lambda: clean(NOISY.astype(np.float32)), "between 0 and 1"),
    "not a number": (lambda: clean(FLOAT * np.nan), "not numbers"),
    "no image": (lambda: clean(b"abc"), "known format"),
    "no file": (lambda: clean("nowhere.png"), "nowhere.png: cannot be read"),
    "a level": (lambda: img2img.denoise(NOISY, sigma=300), "sigma"),
    "a strength": (lambda: clean(NOISY, strength=3), "strength"),
    "a model": (lambda: img2img.denoise(NOISY, model="nobody"), "nobody"),
    "a device": (lambda: img2img.denoise(NOISY, device="abacus"), "abacus"),
    "a kind": (lambda: clean(NOISY, kind="painting"), "painting"),
    "a format": (lambda: clean(png(), format="bmp"), "bmp"),
    "a format of an array": (lambda: clean(NOISY, format="png"), "format"),
    "no output": (lambda: clean(NOISY, kind="path"), "output"),
    "an output and a kind": (lambda: clean(NOISY, kind="numpy", output="x.png"), "contradict"),
    "two targets": (lambda: img2img.compress(NOISY, quality=5, bpp=1), "contradict"),
    "a quality": (lambda: img2img.compress(NOISY, quality=500), "quality"),
    "too few bytes": (lambda: img2img.compress(NOISY, max_bytes=1), "too few"),
    "a picture to decompress": (lambda: img2img.decompress(NOISY), "ndarray"),
    "no i2i": (lambda: img2img.decompress(b"abc"), "i2i"),
    "a method": (lambda: img2img.texture(NOISY, (8, 8), method="weave"), "weave"),
    "a size": (lambda: img2img.texture(NOISY, (0, 8)), "8x0"),
    "a task": (lambda: img2img.process("paint", b""), "denoise, texture"),
    "bytes of nothing": (lambda: img2img.process("denoise", b""), "empty"),
}


@pytest.mark.parametrize("name", WRONG)
def test_what_is_wrong_is_said_by_one_exception(name: str) -> None:
    function, words = WRONG[name]
    with pytest.raises(img2img.Img2ImgError, match=words) as caught:
        function()
    assert "\n" not in str(caught.value)
    assert "--" not in str(caught.value)  # the names of options are the command line's


def test_compressed_and_back(tmp_path: Path) -> None:
    data = img2img.compress(NOISY, quality=70, device="cpu")
    assert data[:4] == img2img.process("compress", png(), quality=70, device="cpu")[0][:4]
    back = img2img.decompress(data, kind="numpy", device="cpu")
    assert back.shape == NOISY.shape
    assert np.square(back.astype(float) - NOISY).mean() < 500
    np.testing.assert_array_equal(np.asarray(Image.open(BytesIO(img2img.decompress(data, device="cpu")))), back)
    source = tmp_path / "photo.png"
    source.write_bytes(png())
    assert img2img.compress(source, device="cpu") == tmp_path / "photo.i2i"
    source.unlink()
    assert img2img.decompress(tmp_path / "photo.i2i", device="cpu") == source
    assert img2img.decompress(img2img.compress(FLOAT, device="cpu"), kind="numpy", device="cpu").dtype == np.uint16


def test_grey_gets_colours() -> None:
    assert img2img.translate(NOISY[..., 0], model="colorize", device="cpu").shape == NOISY.shape
    with pytest.raises(img2img.InputError, match="weights"):
        img2img.Translator.from_pretrained()


def test_a_texture_has_the_samples_pixels() -> None:
    texture = img2img.texture(NOISY, (30, 40), method="patches", seed=1)
    assert (texture.shape, texture.dtype) == ((30, 40, 3), NOISY.dtype)
    assert set(map(tuple, texture.reshape(-1, 3))) <= set(map(tuple, NOISY.reshape(-1, 3)))
    np.testing.assert_array_equal(texture, img2img.texture(NOISY, (30, 40), method="patches", seed=1))
    np.testing.assert_allclose(img2img.texture(FLOAT, (30, 40), method="patches", seed=1), texture / 255, atol=1e-6)


def test_classes_are_of_one_shape_and_equal_the_functions() -> None:
    for name in ("Denoiser", "Translator", "Compressor", "Decompressor", "Texture"):
        kind = getattr(img2img, name)
        assert list(inspect.signature(kind.from_pretrained).parameters) == ["model", "computing"]
        assert next(iter(inspect.signature(kind.__call__).parameters.values())).name == "self"
    denoiser = img2img.Denoiser.from_pretrained("denoise-fast", device="cpu", engine="onnx")
    np.testing.assert_array_equal(denoiser(NOISY, sigma=25), clean(NOISY))


def test_a_weight_file_that_was_replaced_is_read_anew(tmp_path: Path) -> None:
    weights = tmp_path / "net.safetensors"
    weights.write_bytes(weights_file("denoise-fast").read_bytes())
    img2img.denoise(NOISY[:16, :16], model=weights, sigma=25)
    weights.write_bytes(b"a training was cut off")
    with pytest.raises(img2img.Img2ImgError, match="damaged"):
        img2img.denoise(NOISY[:16, :16], model=weights, sigma=25)


def test_a_network_is_replaced_only_when_asked_for(tmp_path: Path) -> None:
    kept = tmp_path / "net.safetensors"
    kept.write_bytes(b"mine")
    options: dict[str, Any] = {"size": 16, "method": "network", "save": kept, "overwrite": False}
    with pytest.raises(img2img.Img2ImgError, match="exists"):
        img2img.texture(NOISY[:16, :16], **options)
    assert kept.read_bytes() == b"mine"


def test_samples_that_are_rounded_are_said(tmp_path: Path) -> None:
    Image.fromarray(np.linspace(-1, 1, 64 * 64, dtype=np.float32).reshape(64, 64)).save(tmp_path / "a.tif")
    _, facts = img2img.process("compress", (tmp_path / "a.tif").read_bytes())
    assert facts["lost"] == ["float32 samples (rounded to 16 bits)"]
    with pytest.raises(img2img.Img2ImgError, match="float32 samples"):
        img2img.process("compress", (tmp_path / "a.tif").read_bytes(), strict=True)


def test_nothing_is_imported_before_it_is_used() -> None:
    code = (
        "import sys, img2img; dir(img2img)\n"
        "print(sorted({'numpy', 'torch', 'PIL', 'onnxruntime', 'click', 'img2img.front'} & sys.modules.keys()))\n"
        "import numpy; img2img.denoise(numpy.zeros((8, 8), 'u1'), sigma=5, device='cpu', engine='onnx')\n"
        "img2img.texture(numpy.zeros((8, 8), 'u1'), (9, 9), method='patches')\n"
        "print(sorted({'torch', 'click'} & sys.modules.keys()))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n[]\n"


def test_there_is_nothing_else() -> None:
    with pytest.raises(AttributeError, match="paint"):
        _ = img2img.paint  # type: ignore[attr-defined]
    assert set(img2img.__all__) == set(dir(img2img))
    assert all(getattr(img2img, name) is not None for name in img2img.__all__)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda x: img2img.denoise(x, sgima=25), "no option 'sgima' here; there are sigma, strength"),
        (lambda x: img2img.denoise(x, frame=2), "no option 'frame'"),
        (lambda x: img2img.denoise(x, sigma="25"), "sigma is auto or a number of grey levels from 0 to 255, not '25'"),
        (lambda x: img2img.denoise(x, strength="1"), "strength is a number, not '1'"),
        (lambda x: img2img.denoise(x, tile="auto"), "tile is a number of pixels, or None, not 'auto'"),
        (lambda x: img2img.denoise(x, device=3), "3 is none of auto, cpu"),
        (lambda x: img2img.translate(x, model="colorize", seed="x"), "seed is a number, not 'x'"),
        (lambda x: img2img.compress(x, qality=3), "no option 'qality' here; there are quality, bpp"),
        (lambda x: img2img.compress(x, quality="3"), "quality is a number, not '3'"),
        (lambda x: img2img.compress(x, effort=3), "effort is 0, 1 or 2, not 3"),
        (lambda x: img2img.compress(x, tile=64), "no option 'tile' here; where and how is said by device"),
        (lambda x: img2img.decompress(img2img.compress(x), look=None), "look is plain, faithful, vivid, or a number"),
        (lambda x: img2img.decompress(img2img.compress(x), region=3), "region is four whole numbers"),
        (lambda x: img2img.decompress(img2img.compress(x), strict=True), "no option 'strict' here; there are region"),
        (lambda x: img2img.texture(x, 64, count=0), "count is a whole number from 1, not 0"),
        (lambda x: img2img.texture(x, "64", method="patches"), "size is height and width, or one number for both"),
    ],
)
def test_options_that_are_none_or_no_numbers_are_said(call: Callable[[Any], Any], message: str) -> None:
    with pytest.raises(OptionError, match=re.escape(message)):
        call(np.full((16, 16, 3), 100, np.uint8))


def test_inks_become_colours_without_the_profile_of_the_inks() -> None:
    image = Image.fromarray(np.full((16, 16, 4), 100, np.uint8), "CMYK")
    image.info["icc_profile"] = b"no profile at all"
    result = img2img.denoise(image, strength=0)
    assert result.mode == "RGB"
    assert "icc_profile" not in result.info
    assert np.array_equal(np.asarray(result), np.asarray(image.convert("RGB")))
