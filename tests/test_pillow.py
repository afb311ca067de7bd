"""Pillow opens and saves `.i2i` files; with a small codec that has learnt nothing."""

import copy
import io
import os
import pickle
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image, ImageCms, ImageFile, ImageOps, UnidentifiedImageError
from untrained_codec import write_codec

import img2img.pillow
import img2img.tasks.compress.pipeline
from img2img.errors import BitstreamError
from img2img.metrics import psnr
from img2img.pillow import I2IError
from img2img.tasks.compress import Compressor, Target
from img2img.tasks.compress.bitstream import read_stream

SRGB = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
MODES = ("L", "LA", "RGB", "RGBA", "I;16")


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> str:
    return str(write_codec(tmp_path_factory.mktemp("weights")))


def waves(mode: str, width: int = 56, height: int = 40) -> Image.Image:
    """What a few block transforms hold, in a mode that Pillow makes of an array."""
    bands = len(Image.new(mode, (1, 1)).getbands())
    y, x, band = np.mgrid[0:height, 0:width, 0:bands]
    values = 0.5 + 0.4 * np.sin(x / 9 + band) * np.cos(y / 7)
    levels, kind = (65535, np.uint16) if mode == "I;16" else (255, np.uint8)
    pixels = np.rint(values * levels).astype(kind)
    return Image.fromarray(pixels[..., 0] if bands == 1 else pixels)


def saved(im: Image.Image, model: str, **options: Any) -> bytes:
    stream = io.BytesIO()
    im.save(stream, "I2I", model=model, **options)
    return stream.getvalue()


def opened(data: bytes) -> Image.Image:
    return Image.open(io.BytesIO(data))


def decibels(a: Image.Image, b: Image.Image) -> float:
    white = 65535 if a.mode == "I;16" else 255
    return psnr(np.asarray(a) / white, np.asarray(b) / white)


@pytest.mark.parametrize("mode", MODES)
def test_every_mode_comes_back(mode: str, model: str, tmp_path: Path) -> None:
    im = waves(mode)
    im.save(tmp_path / "a.i2i", model=model, quality=90)
    with Image.open(tmp_path / "a.i2i") as back:
        assert (back.format, back.mode, back.size) == ("I2I", mode, im.size)
        assert decibels(im, back) > 30
        if "A" in mode:
            assert back.getchannel("A").tobytes() == im.getchannel("A").tobytes()
    assert back.getpixel((0, 0)) is not None  # still there after the file is closed


@pytest.mark.parametrize(
    ("mode", "stored"), [("1", "L"), ("P", "RGB"), ("PA", "RGBA"), ("RGBX", "RGB"), ("La", "LA"), ("RGBa", "RGBA")]
)
def test_modes_that_convert_without_loss_are_converted(mode: str, stored: str, model: str) -> None:
    im = {"PA": waves("LA"), "La": waves("LA")}.get(mode, waves("RGBA" if mode == "RGBa" else "RGB")).convert(mode)
    back = opened(saved(im, model, quality=90))
    assert back.mode == stored
    assert back.tobytes() == opened(saved(im.convert(stored), model, quality=90)).tobytes()


def test_grey_of_16_bits_in_any_byte_order(model: str) -> None:
    im = waves("I;16")
    swapped = Image.frombytes("I;16B", im.size, np.asarray(im).astype(">u2").tobytes())
    assert saved(swapped, model) == saved(im, model)


@pytest.mark.parametrize("mode", ["CMYK", "YCbCr", "LAB", "HSV", "I", "F"])
def test_other_modes_are_refused_as_pillow_does_and_leave_no_file(mode: str, model: str, tmp_path: Path) -> None:
    with pytest.raises(OSError, match=f"cannot write mode {mode} as I2I: convert it"):
        Image.new(mode, (8, 8)).save(tmp_path / "a.i2i", model=model)
    with pytest.raises(ValueError, match="empty image"):
        Image.new("RGB", (0, 8)).save(tmp_path / "a.i2i", model=model)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("mode", ["L", "RGB", "P"])
def test_a_transparent_colour_becomes_alpha(mode: str, model: str) -> None:
    im = Image.new(mode, (20, 10), 0)
    im.paste(Image.new(mode, (10, 10), 1 if mode == "P" else "white"))
    stream = io.BytesIO()
    im.save(stream, "PNG", transparency=(0, 0, 0) if mode == "RGB" else 0)
    back = opened(saved(opened(stream.getvalue()), model))
    assert back.mode == ("LA" if mode == "L" else "RGBA")
    np.testing.assert_array_equal(np.asarray(back.getchannel("A")), [[255] * 10 + [0] * 10] * 10)


def test_targets_are_those_of_the_library(model: str) -> None:
    im = waves("RGB", 160, 120)
    assert saved(im, model) == saved(im, model, quality=50)
    assert len(saved(im, model, quality=20)) < len(saved(im, model, quality=80))
    assert len(saved(im, model, max_bytes=1000)) <= 1000
    assert len(saved(im, model, bpp=0.5)) * 8 <= 0.5 * 160 * 120
    assert decibels(im, opened(saved(im, model, psnr=35))) > 34.9
    with pytest.raises(ValueError, match="quality and bpp contradict each other"):
        saved(im, model, quality=50, bpp=1)
    with pytest.raises(ValueError, match="between 1 and 100"):
        saved(im, model, quality=0)


def test_the_profile_is_kept_unless_it_is_given(model: str) -> None:
    im = waves("RGB")
    assert "icc_profile" not in opened(saved(im, model)).info
    assert opened(saved(im, model, icc_profile=SRGB)).info["icc_profile"] == SRGB
    im.info["icc_profile"] = SRGB
    assert opened(saved(im, model)).info["icc_profile"] == SRGB
    assert "icc_profile" not in opened(saved(im, model, icc_profile=None)).info


def test_exif_is_stored_if_it_is_given(model: str) -> None:
    exif = Image.Exif()
    exif[0x010F] = "Maker"
    im = waves("RGB")
    im.info["exif"] = exif.tobytes()
    assert "exif" not in opened(saved(im, model)).info
    for given in (exif, exif.tobytes(), exif.tobytes()[6:]):
        assert opened(saved(im, model, exif=given)).getexif()[0x010F] == "Maker"
    jpeg = io.BytesIO()
    im.save(jpeg, "JPEG", exif=opened(saved(im, model, exif=exif)).info["exif"])
    assert opened(jpeg.getvalue()).getexif()[0x010F] == "Maker"
    with pytest.raises(ValueError, match="no EXIF block"):
        saved(im, model, exif=b"nonsense")


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("mode", ["RGB", "I;16"])
def test_an_orientation_is_applied(orientation: int, mode: str, model: str) -> None:
    exif = Image.Exif()
    exif[0x0112] = orientation
    im = waves(mode)
    back = opened(saved(im, model, exif=exif, quality=90))
    assert back.getexif()[0x0112] == 1
    im.info["exif"] = exif.tobytes()
    upright = ImageOps.exif_transpose(im)
    assert back.size == upright.size
    assert decibels(upright, back) > 30


@pytest.mark.parametrize(("channels", "alpha", "mode"), [(3, False, "RGB"), (3, True, "RGBA"), (1, True, "LA")])
def test_16_bits_that_pillow_has_no_mode_for_are_rounded(channels: int, alpha: bool, mode: str, model: str) -> None:
    from img2img.images import Picture

    samples = np.asarray(waves("I;16"))[..., None].repeat(channels, 2)
    opacity = np.ascontiguousarray(samples[..., 0]) if alpha else None
    data = Compressor.from_pretrained(model).compress(Picture(samples, opacity), Target(quality=90)).data
    img2img.pillow.use_model(model)
    back = opened(data)
    assert back.mode == mode
    assert psnr(np.asarray(back.convert("RGB" if channels == 3 else "L")) / 255, samples.squeeze() / 65535) > 30
    if opacity is not None:
        np.testing.assert_array_equal(np.asarray(back.getchannel("A")), np.rint(opacity / 257))


def test_damaged_files_are_errors_of_pillow_and_of_the_suite(model: str, tmp_path: Path) -> None:
    data = saved(waves("RGBA"), model, icc_profile=SRGB)
    file = tmp_path / "a.i2i"
    for count in (4, 12, 30, 200, len(data) - 1):
        file.write_bytes(data[:count])
        with pytest.raises(I2IError, match="truncated") as caught, Image.open(file) as im:
            im.load()
        assert isinstance(caught.value, BitstreamError)
        assert isinstance(caught.value, UnidentifiedImageError)
        assert isinstance(caught.value, OSError)
    file.write_bytes(data[:2])
    with pytest.raises(UnidentifiedImageError):
        Image.open(file)


def test_a_missing_model_is_named_when_pixels_are_needed(model: str, monkeypatch: pytest.MonkeyPatch) -> None:
    data = saved(waves("RGB"), model)
    monkeypatch.setattr(img2img.pillow, "_models", [])
    im = opened(data)
    assert im.size == (56, 40)
    for _ in range(2):
        with pytest.raises(OSError, match="'untrained'"):
            im.load()
    img2img.pillow.use_model(model)
    assert im.load() is not None


def test_a_size_that_pillow_refuses_is_refused_before_alpha_is_decoded(
    model: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    data = saved(waves("RGBA"), model)
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 1000)
    monkeypatch.setattr(img2img.pillow, "read_stream", None)
    with pytest.raises(Image.DecompressionBombError):
        opened(data)


# --- As programs use it ---


def test_opening_reads_the_beginning_only_and_finds_damage_when_it_must(model: str, tmp_path: Path) -> None:
    data = saved(waves("RGB", 700, 500), model, quality=100, icc_profile=SRGB)
    assert len(data) > 20_000
    stream = io.BytesIO(data[:-5])
    im = Image.open(stream)
    assert (im.size, im.info["icc_profile"]) == ((700, 500), SRGB)
    assert stream.tell() < len(data) / 2
    with pytest.raises(I2IError, match="the last 5 bytes are missing"):
        im.load()


def test_verify_checks_the_whole_file(model: str, tmp_path: Path) -> None:
    data = saved(waves("RGBA"), model)
    file = tmp_path / "a.i2i"
    file.write_bytes(data)
    with Image.open(file) as im:
        im.verify()
    for damaged in (data[:-1], data[:-9] + b"?" + data[-8:], data[:200] + b"?" + data[201:]):
        with pytest.raises(I2IError), Image.open(io.BytesIO(damaged)) as im:
            im.verify()
    im = opened(data)
    im.load()
    with pytest.raises(RuntimeError, match="directly after open"):
        im.verify()


def test_truncated_files_are_shown_if_pillow_is_told_so(model: str, monkeypatch: pytest.MonkeyPatch) -> None:
    data = saved(waves("RGB"), model)
    with pytest.raises(OSError, match="truncated"):
        opened(data[:-30]).load()
    monkeypatch.setattr(ImageFile, "LOAD_TRUNCATED_IMAGES", True)
    assert np.asarray(opened(data[:-30])).shape == (40, 56, 3)


@pytest.mark.parametrize("mode", ["RGB", "LA", "L"])
def test_thumbnails_are_decoded_at_a_quarter(mode: str, model: str) -> None:
    im = waves(mode, 403, 300)
    data = saved(im, model, quality=90)
    small = opened(data)
    assert small.draft(None, (100, 75)) == (mode, (0, 0, 100.75, 75))
    assert small.size == (101, 75)
    assert decibels(im.resize((101, 75), Image.Resampling.BOX), small) > 30
    for size in ((101, 75), (100, 76)):
        whole = opened(data)
        assert whole.draft(None, size) is None
        assert whole.size == (403, 300)
    thumbnail = opened(data)
    thumbnail.thumbnail((40, 40))
    assert thumbnail.size == (40, 30)
    if mode == "RGB":
        assert decibels(im.resize((40, 30), Image.Resampling.BICUBIC), thumbnail) > 28


def test_animations_are_refused_with_a_word(model: str, tmp_path: Path) -> None:
    frames = [waves("RGB"), waves("RGB").transpose(Image.Transpose.ROTATE_180)]
    frames[0].save(tmp_path / "a.webp", save_all=True, append_images=frames[1:])
    with pytest.raises(OSError, match="I2I holds one picture, no animation"):
        Image.open(tmp_path / "a.webp").save(tmp_path / "a.i2i", save_all=True, model=model)
    with pytest.raises(OSError, match="I2I holds one picture, no animation"):
        saved(frames[0], model, append_images=frames[1:])
    assert saved(frames[0], model, save_all=True) == saved(frames[0], model)
    assert not (tmp_path / "a.i2i").exists()


def test_pictures_can_be_pickled_and_copied(model: str) -> None:
    im = opened(saved(waves("RGBA"), model))
    again = pickle.loads(pickle.dumps(im))
    assert (again.mode, again.size, again.tobytes()) == (im.mode, im.size, im.tobytes())
    assert copy.deepcopy(opened(saved(waves("L"), model))).size == (56, 40)


def test_many_threads_load_one_network(model: str, monkeypatch: pytest.MonkeyPatch) -> None:
    data = [saved(waves("RGB", 40 + i, 30), model) for i in range(8)]
    expected = [opened(each).tobytes() for each in data]
    img2img.pillow._load_decompressor.cache_clear()
    loads: list[object] = []
    original = img2img.tasks.compress.pipeline.load_codec
    monkeypatch.setattr(img2img.tasks.compress.pipeline, "load_codec", lambda *a: loads.append(a) or original(*a))
    with ThreadPoolExecutor(8) as pool:
        assert list(pool.map(lambda each: opened(each).tobytes(), data)) == expected
    assert len(loads) == len(img2img.pillow._models)


def test_a_thousand_files_can_be_open_at_once(model: str, tmp_path: Path) -> None:
    file = tmp_path / "a.i2i"
    file.write_bytes(saved(waves("RGB"), model))
    images = [Image.open(io.BytesIO(file.read_bytes())) for _ in range(1000)]
    assert {im.size for im in images} == {(56, 40)}
    assert images[0].tobytes() == images[999].tobytes()


FORKED = """
import io, multiprocessing, sys
import numpy as np, torch
import img2img.pillow
from PIL import Image
torch.set_num_threads(2)
model, warm, files = sys.argv[1], sys.argv[2] == "warm", sys.argv[3:]
img2img.pillow.use_model(model)
class Pictures(torch.utils.data.Dataset):
    def __len__(self): return len(files)
    def __getitem__(self, i): return np.asarray(Image.open(files[i])).astype(int).sum()
pictures = Pictures()
if warm: pictures[0]
with multiprocessing.get_context("fork").Pool(2) as pool:
    sums = pool.map_async(pictures.__getitem__, range(len(files))).get(timeout=60)
loader = torch.utils.data.DataLoader(pictures, num_workers=2, multiprocessing_context="fork", timeout=60)
assert [int(batch) for batch in loader] == [int(each) for each in sums]
assert [int(pictures[i]) for i in range(len(files))] == [int(each) for each in sums]
print("same")
"""


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork here")
@pytest.mark.parametrize("parent", ["cold", "warm"])
def test_forked_workers_decode_whether_their_parent_has_or_not(parent: str, model: str, tmp_path: Path) -> None:
    files = [tmp_path / f"{i}.i2i" for i in range(3)]
    for i, file in enumerate(files):
        file.write_bytes(saved(waves("RGB", 300 + i, 200), model))
    command = [sys.executable, "-c", FORKED, model, parent, *map(str, files)]
    done = subprocess.run(command, capture_output=True, text=True, check=True, timeout=200)
    assert done.stdout == "same\n"


def test_pillow_and_the_commands_make_the_same_file(model: str) -> None:
    from img2img.images import Picture

    im = waves("RGBA")
    pixels = np.asarray(im)
    picture = Picture(np.ascontiguousarray(pixels[..., :3]), np.ascontiguousarray(pixels[..., 3]))
    assert saved(im, model, quality=40) == Compressor.from_pretrained(model).compress(picture, Target(quality=40)).data
    assert read_stream(saved(im, model, quality=40)).model == "untrained"


def test_a_file_can_be_saved_over_itself_and_in_other_formats(model: str, tmp_path: Path) -> None:
    file = tmp_path / "a.i2i"
    waves("RGB").save(file, model=model, quality=90)
    Image.open(file).save(file, model=model, quality=90)
    Image.open(file).save(tmp_path / "b.png")
    with Image.open(file) as a, Image.open(tmp_path / "b.png") as b:
        assert a.tobytes() == b.tobytes()
        assert a.copy().resize((5, 5)).size == (5, 5)


def test_neither_the_import_nor_opening_waits_for_torch(model: str, tmp_path: Path) -> None:
    waves("RGB").save(tmp_path / "a.i2i", model=model, icc_profile=SRGB)
    code = (
        "import sys, img2img.pillow; from PIL import Image\n"
        f"im = Image.open({str(tmp_path / 'a.i2i')!r})\n"
        "assert im.size == (56, 40) and im.info['icc_profile']\n"
        "print(sorted({'torch', 'torchvision', 'compressai', 'constriction', 'tqdm'} & sys.modules.keys()))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert (done.stdout, done.stderr) == ("[]\n", "")
