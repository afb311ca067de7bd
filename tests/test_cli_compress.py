"""`img2img compress`, `decompress` and `info` on real files, with a small codec that has learnt nothing."""

import json
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import Result
from command_line import run
from PIL import Image, ImageCms
from untrained_codec import write_codec, write_detail

from img2img.checkpoints import load_checkpoint, save_checkpoint
from img2img.images import FORMATS, MAX_PIXELS, Picture, read_picture, write_picture
from img2img.metrics import psnr

pytestmark = pytest.mark.usefixtures("empty_folder")

SRGB = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> str:
    return str(write_codec(tmp_path_factory.mktemp("weights")))


@pytest.fixture
def other_model(model: str) -> str:
    """The same under another name."""
    checkpoint = load_checkpoint(model)
    save_checkpoint(Path("another.safetensors"), checkpoint.tensors, checkpoint.header | {"name": "another"})
    return "another.safetensors"


def compress(*args: str, model: str, stdin: bytes | None = None) -> Result:
    return run("compress", "--device", "cpu", "--model", model, *args, stdin=stdin)


def decompress(*args: str, model: str, stdin: bytes | None = None) -> Result:
    return run("decompress", "--device", "cpu", "--model", model, *args, stdin=stdin)


def waves(height: int = 40, width: int = 56, channels: int = 3, bits: int = 8) -> np.ndarray:
    """What a few block transforms hold."""
    y, x, channel = np.mgrid[0:height, 0:width, 0:channels]
    values = 0.5 + 0.4 * np.sin(x / 9 + channel) * np.cos(y / 7)
    return np.rint(values * (2**bits - 1)).astype(np.uint8 if bits == 8 else np.uint16)


def save(name: str, picture: Picture | None = None) -> None:
    Path(name).parent.mkdir(parents=True, exist_ok=True)
    write_picture(picture or Picture(waves()), Path(name), FORMATS[Path(name).suffix])


def tree(folder: str = ".") -> list[str]:
    return sorted(str(path.relative_to(folder)) for path in Path(folder).rglob("*") if path.is_file())


def facts(result: Result) -> dict[str, dict[str, Any]]:
    return {(line := json.loads(text))["input"]: line for text in result.stdout.splitlines()}


def test_a_folder_of_all_kinds_goes_there_and_back(model: str) -> None:
    exif = Image.Exif()
    exif[0x0112], exif[0x010F] = 6, "Maker"  # lies on its side
    Path("in/deep").mkdir(parents=True)
    Image.fromarray(waves(20, 30, 1)[..., 0]).save("in/grey.jpg", exif=exif)
    save("in/deep/sixteen.tiff", Picture(waves(33, 21, 3, 16), alpha=waves(33, 21, 1, 16)[..., 0]))
    save("in/alpha.png", Picture(waves(12, 13), alpha=waves(12, 13, 1)[..., 0], icc=SRGB))
    save("in/one.png", Picture(waves(1, 1)))
    Path("in/text.jpg").write_text("I am no picture")
    there = compress("-r", "in", "--json", "--errors", "errors.jsonl", "--quality", "90", model=model)
    assert there.exit_code == 1
    assert re.fullmatch(r"img2img: error: in/text\.jpg: .*\n", there.stderr)
    assert len(Path("errors.jsonl").read_text().splitlines()) == 1
    assert tree("in_compressed") == ["alpha.i2i", "deep/sixteen.i2i", "grey.i2i", "one.i2i"]
    for line in facts(there).values():
        size = Path(line["output"]).stat().st_size
        assert line["bytes"] == size
        assert line["bpp"] == pytest.approx(8 * size / (line["width"] * line["height"]), abs=1e-4)
        assert line["quality"] is None if line["lossless"] else line["quality"] == pytest.approx(90, abs=0.01)
    assert [line["input"] for line in facts(there).values() if line["lossless"]] == ["in/one.png"]
    assert facts(there)["in/deep/sixteen.tiff"]["bits"] == 16

    back = decompress("-r", "in_compressed", "-o", "out", "--json", model=model)
    assert (back.exit_code, back.stderr) == (0, "")
    assert tree("out") == ["alpha.png", "deep/sixteen.png", "grey.png", "one.png"]
    assert facts(back)["in_compressed/deep/sixteen.i2i"]["bits"] == 16
    for name in ("alpha.png", "deep/sixteen.tiff", "grey.jpg", "one.png"):
        before = read_picture(Path("in", name))
        after = read_picture(Path("out", name).with_suffix(".png"))
        assert after.samples.shape == before.samples.shape
        assert after.samples.dtype == before.samples.dtype
        assert (after.exif, after.icc) == (before.exif, before.icc)
        np.testing.assert_array_equal(np.asarray(after.alpha), np.asarray(before.alpha))
        assert psnr(before.to_tensor(), after.to_tensor()) > 25


@pytest.mark.parametrize(
    ("inputs", "made"),
    [
        (["a.jpg"], ["a.i2i"]),
        (["sub/b.PNG", "a.jpg"], ["sub/b.i2i", "a.i2i"]),
        (["sub"], ["sub_compressed/b.i2i"]),
        (["a.jpg", "-o", "new/"], ["new/a.i2i"]),
        (["a.jpg", "-o", "x.i2i"], ["x.i2i"]),
        (["sub", "-o", "sub"], ["sub/b.i2i"]),
    ],
)
def test_outputs_have_the_documented_names(inputs: list[str], made: list[str], model: str) -> None:
    save("a.jpg")
    save("b.png")
    Path("sub").mkdir()
    Path("b.png").rename("sub/b.PNG")
    result = compress(*inputs, model=model)
    assert (result.exit_code, result.stdout.split()) == (0, made)
    back = decompress(*made, "--format", "tiff", model=model)
    assert back.stdout.split() == [name.replace(".i2i", ".tiff") for name in made]


def test_a_folder_of_files_gives_a_folder_of_pictures(model: str) -> None:
    save("in/a.jpg")
    assert compress("in/a.jpg", model=model).exit_code == 0
    assert decompress("in", model=model).stdout == "in_decompressed/a.png\n"
    assert decompress("in/a.i2i", model=model).stdout == "in/a.png\n"
    assert read_picture(Path("in/a.png")).samples.shape == (40, 56, 3)


def test_an_original_in_the_way_is_not_overwritten_on_advice(model: str) -> None:
    save("a.png")
    assert compress("a.png", model=model).exit_code == 0
    before = Path("a.png").read_bytes()
    result = decompress("a.i2i", model=model)
    assert (result.exit_code, result.stdout, Path("a.png").read_bytes()) == (2, "", before)
    assert result.stderr == "img2img: error: a.png exists already; use -o OUT, --skip-existing or --overwrite\n"


def test_results_of_earlier_runs_are_left_out(model: str) -> None:
    save("in/x/a.png")
    save("in/x_compressed/a.png")
    result = compress("-r", "in", model=model)
    assert result.stdout == "in_compressed/x/a.i2i\n"
    assert result.stderr == "img2img: in: 1 earlier results (*_compressed) left out\n"


def test_through_pipes_come_the_same_bytes(model: str) -> None:
    save("a.png")
    assert compress("a.png", model=model).exit_code == 0
    there = compress("-", model=model, stdin=Path("a.png").read_bytes())
    assert (there.exit_code, there.stderr, there.stdout_bytes) == (0, "", Path("a.i2i").read_bytes())
    back = decompress("-", model=model, stdin=there.stdout_bytes)
    assert (back.exit_code, back.stderr) == (0, "")
    assert decompress("a.i2i", "-o", "b.png", model=model).exit_code == 0
    assert back.stdout_bytes == Path("b.png").read_bytes()
    webp = decompress("-", "-o", "c.webp", "--quality", "30", model=model, stdin=there.stdout_bytes)
    assert webp.stdout == "c.webp\n"
    assert read_picture(Path("c.webp")).format == "webp"


def test_each_target_is_reached(model: str) -> None:
    save("a.png", Picture(waves(120, 160)))
    original = read_picture(Path("a.png"))

    def coded(*target: str) -> dict[str, float]:
        result = compress("a.png", "--json", "--overwrite", *target, model=model)
        assert (result.exit_code, result.stderr) == (0, "")
        assert decompress("a.i2i", "-o", "back.png", "--overwrite", "--precision", "fp32", model=model).exit_code == 0
        size, back = Path("a.i2i").stat().st_size, read_picture(Path("back.png"))
        return {"bytes": size, "db": psnr(original.to_tensor(), back.to_tensor()), **json.loads(result.stdout)}

    assert coded()["quality"] == 50
    low, high = coded("--quality", "20"), coded("--quality", "80")
    assert low["bytes"] < high["bytes"]
    assert low["db"] + 5 < high["db"]
    assert 950 < coded("--max-bytes", "1000")["bytes"] <= 1000
    bpp = coded("--bpp", "0.5")["bytes"] * 8 / (120 * 160)
    assert 0.475 < bpp <= 0.5
    by_psnr = coded("--psnr", "35", "--precision", "fp32")
    assert 35 <= by_psnr["psnr"] < 35.5
    assert by_psnr["db"] == pytest.approx(by_psnr["psnr"], abs=0.01)


def test_targets_out_of_reach_fail_alone_and_are_explained(model: str) -> None:
    save("in/a.png")
    noise = np.random.default_rng(0).integers(0, 256, (40, 56), np.uint8)  # takes 2240 bytes, as alpha loses nothing
    save("in/b.png", Picture(waves(), alpha=noise))
    result = compress("in", "--max-bytes", "1000", model=model)
    assert (result.exit_code, result.stdout) == (1, "in_compressed/a.i2i\n")
    assert re.fullmatch(r"img2img: error: in/b\.png: 1000 bytes are too few.*\n", result.stderr)
    result = compress("in/a.png", "--psnr", "90", model=model)
    assert (result.exit_code, result.stdout) == (1, "")
    assert re.fullmatch(r"img2img: error: in/a\.png: 90 dB cannot be reached.*\n", result.stderr)


def test_two_pictures_of_one_name_are_refused_with_what_to_do(model: str) -> None:
    for name in ("in/a.jpg", "in/a.png", "in/b.jpg", "in/b.webp", "in/c.png"):
        save(name)
    before = tree()
    result = compress("in", model=model)
    assert (result.exit_code, result.stdout, tree()) == (2, "", before)
    assert result.stderr == (
        "img2img: error: in/a.jpg and in/a.png would both be written to in_compressed/a.i2i (1 more of this kind): "
        "rename one, or run them one by one, each with an -o of its own\n"
    )


@pytest.mark.parametrize(
    ("args", "words"),
    [
        (("compress", "a.png", "--quality", "0"), "0"),
        (("compress", "a.png", "--quality", "101"), "101"),
        (("compress", "a.png", "--bpp", "nan"), "'nan' is no number above 0"),
        (("compress", "a.png", "--bpp", "0"), "'0' is no number above 0"),
        (("compress", "a.png", "--psnr", "inf"), "'inf' is no number above 0"),
        (("compress", "a.png", "--psnr", "much"), "'much' is no number above 0"),
        (("compress", "a.png", "--max-bytes", "0"), "0"),
        (("compress", "a.png", "--quality", "50", "--bpp", "1"), "--quality and --bpp contradict each other"),
        (("compress", "a.png", "--psnr", "30", "--max-bytes", "9"), "--psnr and --max-bytes contradict each other"),
        (("compress", "a.png", "--model", "codec-none"), "no weights are called 'codec-none'"),
        (("compress", "a.png", "-o", "x.jpg"), "does not tell a format (.i2i)"),
        (("compress", "a.png", "b.i2i"), "b.i2i is compressed already"),
        (("compress", "nothing.png"), "nothing.png: no such file"),
        (("decompress", "b.i2i", "a.png"), "a.png is no .i2i file; img2img compress"),
        (("decompress", "b.i2i", "--format", "doc"), "doc"),
        (("decompress", "b.i2i", "-o", "x.i2i"), "does not tell a format"),
        (("decompress", "b.i2i", "--model", "codec-none"), "no weights are called 'codec-none'"),
    ],
)
def test_wrong_use_is_one_line_and_code_2(args: tuple[str, ...], words: str, model: str) -> None:
    save("a.png")
    Path("b.i2i").write_bytes(b"x")
    result = run(args[0], *(("--model", model) if args[0] == "compress" else ()), *args[1:])
    assert (result.exit_code, result.stdout, tree()) == (2, "", ["a.png", "b.i2i"])
    assert re.fullmatch(r"img2img: error: .*\n", result.stderr)
    assert words in result.stderr


def test_damaged_files_fail_alone(model: str) -> None:
    save("a.png")
    data = compress("a.png", "-o", "-", model=model).stdout_bytes
    files = {
        "empty": b"",
        "flipped": data[:-20] + bytes([data[-20] ^ 1]) + data[-19:],
        "good": data,
        "newer": data[:4] + b"\x09" + data[5:],
        "png": Path("a.png").read_bytes(),
        "short": data[:-1],
        "tiny": data[:3],
    }
    Path("in").mkdir()
    for name, content in files.items():
        Path(f"in/{name}.i2i").write_bytes(content)
    result = decompress("in", model=model)
    assert (result.exit_code, result.stdout) == (1, "in_decompressed/good.png\n")
    lines = result.stderr.splitlines()
    assert [line.split(":")[2].strip() for line in lines] == [f"in/{name}.i2i" for name in files if name != "good"]
    assert "version 9" in result.stderr
    assert not [line for line in lines if "Error" in line]  # an error that nobody has put in words has its class's name
    piped = decompress("-", model=model, stdin=data[:-1])
    assert (piped.exit_code, piped.stdout_bytes) == (1, b"")
    assert piped.stderr.startswith("img2img: error: standard input: ")


def test_every_truncation_and_every_flipped_byte_is_reported_in_a_line(model: str) -> None:
    save("a.png", Picture(waves(17, 19), alpha=waves(17, 19, 1)[..., 0] // 64))
    data = compress("a.png", "-o", "-", "--quality", "20", model=model).stdout_bytes
    Path("in").mkdir()
    Path("in/good.i2i").write_bytes(data)
    for i in range(len(data)):
        Path(f"in/short{i:04}.i2i").write_bytes(data[:i])
        flipped = bytes([data[i] ^ (1 << i % 8)])
        Path(f"in/flipped{i:04}.i2i").write_bytes(data[:i] + flipped + data[i + 1 :])
    result = decompress("in", model=model)
    assert (result.exit_code, result.stdout) == (1, "in_decompressed/good.png\n")
    lines = result.stderr.splitlines()
    assert len(lines) == 2 * len(data)
    known = re.compile(
        r"img2img: error: in/\w+\.i2i: "
        r"(truncated|damaged|empty file|not an|version \d+ of|made by a newer|a tile|the file needs)"
    )
    assert [line for line in lines if not known.match(line)] == []


def test_a_missing_model_is_named(model: str, other_model: str) -> None:
    save("a.png")
    assert compress("a.png", model=model).exit_code == 0
    for args in ((), ("--model", other_model)):
        result = run("decompress", "a.i2i", "-o", "b.png", *args)
        assert (result.exit_code, len(result.stderr.splitlines())) == (1, 1)
        assert "'untrained'" in result.stderr
    assert decompress("a.i2i", "-o", "b.png", "--model", other_model, model=model).exit_code == 0


def test_too_large_a_picture_fails_alone(model: str) -> None:
    save("in/a.png", Picture(waves(10, 10)))
    save("in/b.png", Picture(waves(11, 10)))
    assert compress("in", "-o", "out", model=model).exit_code == 0
    for way, folder in ((compress, "in"), (decompress, "out")):
        result = way(folder, "-o", "new", "--max-pixels", "100", model=model)
        assert (result.exit_code, len(result.stdout.splitlines())) == (1, 1)
        assert re.fullmatch(rf"img2img: error: {folder}/b\.\w+: .*--max-pixels\n", result.stderr)


def test_a_compressed_file_among_pictures_says_what_it_is(model: str) -> None:
    save("a.png")
    assert compress("a.png", model=model).exit_code == 0
    Path("a.i2i").rename("b.png")
    for result in (compress("b.png", "-o", "c.i2i", model=model), run("denoise", "b.png", "--sigma", "5")):
        assert (result.exit_code, result.stdout) == (1, "")
        assert "img2img decompress" in result.stderr


def test_info_says_what_a_file_says_of_itself(model: str) -> None:
    alpha = waves(20, 30, 1, 16)[..., 0]
    save("a.tiff", Picture(waves(20, 30, 1, 16), alpha=alpha, icc=SRGB[:16] + b"GRAY" + SRGB[20:]))
    assert compress("a.tiff", "--quality", "30", model=model).exit_code == 0
    Path("a.i2i").rename("a.png")  # told apart by its bytes, not by its name
    result = run("info", "a.png")
    assert (result.exit_code, result.stderr) == (0, "")
    said = json.loads(result.stdout)
    size = Path("a.png").stat().st_size
    assert said.pop("tile") == [32, 32]
    expected = {
        "file": "a.png", "bytes": size, "format": "i2i", "version": 2, "lossless": False, "model": "untrained",
        "model_here": False, "width": 30, "height": 20, "channels": 1, "bits": 16, "alpha": True, "icc_profile": True,
        "exif": False, "quality": 30, "bpp": round(8 * size / 600, 4), "tiles": 1,
    }  # fmt: skip
    assert {key: said[key] for key in expected} == expected
    assert list(said["sections"]) == ["header", "icc_profile", "alpha", "tiles"]
    assert sum(said["sections"].values()) == size
    assert json.loads(run("info", model).stdout)["sha256"].startswith(said["model_hash"])


def test_a_region_a_preview_and_what_is_there_of_a_file(model: str) -> None:
    save("a.png", Picture(waves(150, 200)))
    assert compress("a.png", "--quality", "80", model=model).exit_code == 0
    assert decompress("a.i2i", "-o", "whole.png", model=model).exit_code == 0
    whole = read_picture(Path("whole.png")).samples

    result = decompress("a.i2i", "-o", "part.png", "--region", "60,20,50,30", "--json", model=model)
    assert facts(result)["a.i2i"].items() >= {"width": 50, "height": 30, "tiles": 1}.items()
    part = read_picture(Path("part.png")).samples
    assert np.abs(part.astype(int) - whole[20:50, 60:110]).max() <= 1
    assert decompress("a.i2i", "-o", "small.png", "--preview", model=model).exit_code == 0
    assert read_picture(Path("small.png")).samples.shape == (38, 50, 3)

    data = Path("a.i2i").read_bytes()
    Path("b.i2i").write_bytes(data[:-10])
    result = decompress("b.i2i", model=model)
    assert (result.exit_code, result.stdout) == (1, "")
    assert result.stderr == (
        "img2img: error: b.i2i: truncated .i2i file: the last 10 bytes are missing; --partial shows the others\n"
    )
    result = decompress("b.i2i", "--partial", "--json", model=model)
    assert result.exit_code == 0
    assert result.stderr == "img2img: b.i2i: not kept: the last 10 bytes, which the truncated file lacks\n"
    assert facts(result)["b.i2i"].items() >= {"width": 200, "missing_bytes": 10, "incomplete_tiles": 1}.items()
    assert read_picture(Path("b.png")).samples.shape == (150, 200, 3)


def test_looks_go_from_faithful_to_vivid(model: str) -> None:
    detail = str(write_detail(Path.cwd()))
    save("a.png", Picture(waves(64, 80)))
    assert compress("a.png", "--quality", "5", model=model).exit_code == 0
    pictures = []
    for look in ([], ["--look", "faithful"], ["--look", "0.5"], ["--look", "vivid"]):
        result = decompress("a.i2i", "-o", "b.png", "--overwrite", *look, "--model", detail, model=model)
        assert result.exit_code == 0, result.stderr
        pictures.append(read_picture(Path("b.png")).samples.astype(int))
    usual, faithful, half, vivid = pictures
    assert (usual == faithful).all()
    assert (faithful != vivid).any()
    inside = (vivid > 0) & (vivid < 255) & (faithful > 0) & (faithful < 255)
    assert np.abs(2 * half - faithful - vivid)[inside].max() <= 2


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--region", "1,2,3"], "'1,2,3' is not X,Y,W,H"),
        (["--region", "1,2,0,4"], "'1,2,0,4' is not X,Y,W,H"),
        (["--region", "-1,2,5,4"], "'-1,2,5,4' is not X,Y,W,H"),
        (["--region", "1,2,a,4"], "'1,2,a,4' is not X,Y,W,H"),
        (["--region", "1,2,3,4", "--preview"], "--region and --preview contradict each other"),
        (["--look", "bright"], "'bright' is none of plain, faithful, vivid and no number from 0 to 1"),
        (["--look", "1.5"], "--look is plain, faithful, vivid, or a number from 0 to 1, not 1.5"),
        (["--look", "nan"], "--look is plain, faithful, vivid, or a number from 0 to 1, not nan"),
        (["--look", "0.5", "--preview"], "--look and --preview contradict each other"),
    ],
)
def test_views_that_are_none_are_wrong_use(arguments: list[str], message: str, model: str) -> None:
    Path("a.i2i").write_bytes(b"")
    result = decompress("a.i2i", *arguments, model=model)
    assert (result.exit_code, result.stdout) == (2, "")
    assert message in " ".join(result.stderr.split())


def test_a_region_beyond_the_picture_is_that_files_error(model: str) -> None:
    save("a.png")
    assert compress("a.png", model=model).exit_code == 0
    result = decompress("a.i2i", "-o", "b.png", "--region", "50,0,7,40", model=model)
    assert result.exit_code == 1
    assert result.stderr == (
        "img2img: error: a.i2i: the region of 7x40 pixels at 50,0 reaches beyond the picture of 56x40\n"
    )
    assert not Path("b.png").exists()


def test_animations_are_refused_unless_a_frame_is_asked_for(model: str) -> None:
    frames = [Image.fromarray(waves(30, 40)[:, ::-1] if i else waves(30, 40)) for i in range(2)]
    frames[0].save("a.webp", save_all=True, append_images=frames[1:])
    result = compress("a.webp", model=model)
    assert result.exit_code == 1
    assert result.stderr == (
        "img2img: error: a.webp: it has 2 frames or pages, an .i2i file holds one picture: choose one by --frame\n"
    )
    assert compress("a.webp", "--frame", "2", model=model).exit_code == 0


def test_a_drawing_becomes_a_lossless_file(model: str) -> None:
    pixels = np.full((100, 120, 3), 250, np.uint8)
    pixels[20:40, 10:90] = (200, 30, 30)
    save("a.png", Picture(pixels))
    result = compress("a.png", "--json", model=model)
    assert facts(result)["a.png"].items() >= {"lossless": True, "quality": None}.items()
    said = json.loads(run("info", "a.i2i").stdout)
    assert said.items() >= {"lossless": True, "model": None, "model_here": True, "tile": None, "tiles": 0}.items()
    assert list(said["sections"]) == ["header", "lossless_picture"]
    assert decompress("a.i2i", "-o", "b.png", model=model).exit_code == 0
    np.testing.assert_array_equal(read_picture(Path("b.png")).samples, pixels)


def test_info_of_a_damaged_file_is_one_line(model: str) -> None:
    save("a.png", Picture(waves(), icc=SRGB))
    assert compress("a.png", model=model).exit_code == 0
    data = Path("a.i2i").read_bytes()
    for damaged in (data[:10], data[:100], data[:8] + b"?" + data[9:]):
        Path("a.i2i").write_bytes(damaged)
        result = run("info", "a.i2i")
        assert (result.exit_code, result.stdout) == (1, "")
        assert re.fullmatch(r"img2img: error: a\.i2i: .*\n", result.stderr)


def test_documented_defaults_are_the_commands() -> None:
    for name in ("compress", "decompress"):
        shown = " ".join(run(name, "--help").stdout.split())
        assert f"[default: {MAX_PIXELS};" in shown
    assert "[default: 50]" in " ".join(run("compress", "--help").stdout.split())


SLOW = {"torch", "torchvision", "compressai", "kornia", "lightning", "skimage", "scipy"}


@pytest.mark.parametrize(
    ("commands", "unneeded"),
    [
        (
            [["compress", "a.png", "--model", "MODEL"], ["decompress", "a.i2i", "--model", "MODEL", "-o", "c.png"]],
            SLOW - {"torch"},
        ),
        ([["info", "b.i2i"]], SLOW),
        ([["compress", "--help"], ["decompress", "--help"]], SLOW | {"numpy", "PIL", "tqdm"}),
    ],
)
def test_nobody_waits_for_what_is_not_needed(commands: list[list[str]], unneeded: set[str], model: str) -> None:
    save("a.png")
    assert compress("a.png", "-o", "b.i2i", model=model).exit_code == 0
    code = (
        "import sys; from importlib.metadata import entry_points\n"
        "(command,) = entry_points(group='console_scripts', name='img2img')\n"
        f"for words in {[[model if word == 'MODEL' else word for word in words] for words in commands]!r}:\n"
        "    try: command.load()(words)\n"
        "    except SystemExit as end: assert not end.code\n"
        f"print(sorted({unneeded!r} & sys.modules.keys()), file=sys.stderr)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stderr == "[]\n"
