"""The codec's benchmarks: real bytes, the published protocol, and one run of each from pictures to files."""

import json
import math
from importlib import import_module
from importlib.metadata import entry_points
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner
from PIL import Image
from untrained_codec import write_codec

from img2img.errors import Img2ImgError
from img2img.metrics import ms_ssim

# By name: mypy cannot see that setup.cfg maps the folder benchmarks/ into the package.
codec_once = import_module("img2img.benchmarks.codec_once")
codec_peers = import_module("img2img.benchmarks.codec_peers")
codec_speed = import_module("img2img.benchmarks.codec_speed")
rate_distortion = import_module("img2img.benchmarks.codec_rate_distortion")
speed = import_module("img2img.benchmarks.speed")

PEERS = {peer.name: peer for peer in codec_peers.peers()}


def photograph(height: int, width: int) -> Any:
    """(H, W, 3) of smooth shapes and some grain, of which codecs make what they make of photographs."""
    rows, columns = np.mgrid[:height, :width]
    planes = [128 + 90 * np.sin(rows / (9 + c)) * np.cos(columns / (17 - 3 * c)) for c in range(3)]
    grain = np.random.default_rng(0).normal(0, 6, (height, width, 3))
    return np.clip(np.stack(planes, axis=2) + grain, 0, 255).astype(np.uint8)


def coarse(name: str = "coarse") -> Any:
    """A stand-in codec: its setting is how many bits of a value it keeps; 100 bytes of header."""

    def encode(pixels: Any, bits: float) -> bytes:
        kept = pixels >> (8 - int(bits))
        shape = np.array(pixels.shape, np.int32).tobytes() + bytes([int(bits)])
        return shape.ljust(100) + np.packbits(np.unpackbits(kept[..., None], axis=-1)[..., 8 - int(bits) :]).tobytes()

    def decode(data: bytes) -> Any:
        shape, bits = np.frombuffer(data[:12], np.int32), data[12]
        values = np.unpackbits(np.frombuffer(data[100:], np.uint8), count=int(np.prod(shape)) * bits)
        padded = np.zeros((int(np.prod(shape)), 8), np.uint8)
        padded[:, :bits] = values.reshape(-1, bits)
        padded[:, bits] = 1  # the middle of what was dropped
        return np.packbits(padded, axis=-1).reshape(shape)

    return codec_peers.PictureCodec(name, (1, 2, 3, 4), encode, decode)


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> str:
    return str(write_codec(tmp_path_factory.mktemp("weights")))


# ---- one picture


def test_a_score_is_of_all_bytes_and_of_8_bit_pixels() -> None:
    pixels = photograph(20, 30)
    score = rate_distortion.score(coarse(), 3, pixels, "a.png")
    expected = (pixels >> 5 << 5) + 16
    mse = np.mean((expected.astype(np.float64) - pixels) ** 2)
    assert score.bytes == 100 + math.ceil(20 * 30 * 3 * 3 / 8)
    assert score.bpp == 8 * score.bytes / (20 * 30)  # three channels are one pixel
    assert score.psnr == pytest.approx(10 * math.log10(255**2 / mse))
    assert score.ms_ssim is None  # too small for five scales
    assert score.megapixels == 0.0006
    assert score.encode_seconds > 0
    assert score.decode_seconds > 0


@pytest.mark.parametrize("name", sorted(PEERS))
def test_peers_return_colour_and_grey_and_get_better_with_their_setting(name: str) -> None:
    peer = PEERS[name]
    for pixels in (photograph(96, 128), photograph(96, 128)[..., :1].copy()):
        low, high = (rate_distortion.score(peer, peer.settings[i], pixels, "a") for i in (1, -1))
        assert low.bytes < high.bytes
        assert 15 < low.psnr < high.psnr - 1
        assert high.psnr > 30
    assert list(peer.settings) == sorted(peer.settings, reverse=name.startswith("JPEG XL"))


def test_the_reference_is_pillows_jpeg_as_it_comes(tmp_path: Path) -> None:
    pixels = photograph(64, 80)
    Image.fromarray(pixels).save(tmp_path / "a.jpg", quality=50)
    assert PEERS[codec_peers.REFERENCE].encode(pixels, 50) == (tmp_path / "a.jpg").read_bytes()


# ---- MS-SSIM


def test_ms_ssim_of_plain_pictures_is_their_luminance_at_the_last_scale() -> None:
    dark, light = np.full((3, 176, 190), 60.0), np.full((3, 176, 190), 90.0)
    constant = (0.01 * 255) ** 2
    luminance = (2 * 60 * 90 + constant) / (60**2 + 90**2 + constant)  # without structure nothing else differs
    assert ms_ssim(dark, light, data_range=255) == pytest.approx(luminance**0.1333, abs=2e-4)


def test_ms_ssim_of_equal_and_of_noisy_pictures() -> None:
    clean = photograph(176, 190).transpose(2, 0, 1)
    noisy = [clean + np.random.default_rng(1).normal(0, sigma, clean.shape) for sigma in (5, 20)]
    assert ms_ssim(clean, clean, data_range=255) == pytest.approx(1)
    assert 0.995 > ms_ssim(clean, noisy[0], data_range=255) > ms_ssim(clean, noisy[1], data_range=255) + 0.02
    assert ms_ssim(clean[0], noisy[1][0], data_range=255) < 0.97
    with pytest.raises(ValueError, match="161 pixels"):
        ms_ssim(clean[:, :160], clean[:, :160], data_range=255)
    with pytest.raises(ValueError, match="one shape"):
        ms_ssim(clean, clean[:, :170], data_range=255)


# ---- curves


def curve(points: list[tuple[float, float]], name: str = "a") -> Any:
    return rate_distortion.Curve(name, [rate_distortion.Point(None, bpp, psnr, None) for bpp, psnr in points])


def test_means_and_seconds_of_a_summary() -> None:
    def score(image: str, setting: float, bpp: float, psnr: float, similarity: float | None) -> Any:
        return rate_distortion.Score("ours", setting, image, 10, bpp, psnr, similarity, 1.0, 3.0, 0.5)

    (found,) = rate_distortion.summarise(
        [
            score("a", 9, 1, 30, 0.9),
            score("b", 9, 3, 40, 0.8),
            score("a", 2, 0.5, 20, 0.9),
            score("b", 2, 1.5, 22, None),
        ]
    )
    assert [(p.setting, p.bpp, p.psnr) for p in found.points] == [(9, 2, 35), (2, 1, 21)]
    assert [p.ms_ssim for p in found.points] == [pytest.approx(0.85), None]  # of all pictures or of none
    assert found.points[0].ms_ssim_db == pytest.approx(-10 * math.log10(0.15))
    assert (found.encode_seconds, found.decode_seconds) == (2, 6)


def test_points_that_cost_more_and_are_no_better_are_left_out_of_lines() -> None:
    uneven = curve([(0.2, 30), (0.1, 28), (0.3, 29.5), (0.4, 33), (0.5, math.inf)])
    assert rate_distortion._line(uneven, "psnr") == [(0.1, 28), (0.2, 30), (0.4, 33)]
    assert rate_distortion._line(uneven, "ms_ssim_db") == []
    assert rate_distortion.at_rate(uneven, math.sqrt(0.1 * 0.2)) == pytest.approx(29)  # halfway, as rates go
    assert rate_distortion.at_rate(uneven, 0.4) == pytest.approx(33)
    assert rate_distortion.at_rate(uneven, 0.45) is None
    assert rate_distortion.at_rate(curve([]), 0.5) is None


def test_published_curves_are_where_the_papers_have_them() -> None:
    found = {c.codec: c for c in rate_distortion.published()}
    assert rate_distortion.at_rate(found["bmshj2018-factorized"], 0.5) == pytest.approx(31.8, abs=0.1)
    assert rate_distortion.at_rate(found["bmshj2018-hyperprior"], 0.5) == pytest.approx(33.04, abs=0.1)
    assert rate_distortion.at_rate(found["mbt2018-mean"], 1.0) == pytest.approx(37.44, abs=0.1)
    for published in found.values():
        assert len(rate_distortion._line(published, "psnr")) == len(rate_distortion._line(published, "ms_ssim_db")) == 8


# ---- from pictures to files


@pytest.fixture
def pictures(tmp_path: Path) -> Path:
    """Two colour pictures, large enough for MS-SSIM."""
    folder = tmp_path / "pictures"
    folder.mkdir()
    for name, side in (("a.png", 176), ("b.png", 200)):
        Image.fromarray(photograph(side, 168)).save(folder / name)
    return folder


@pytest.fixture
def two_peers(monkeypatch: pytest.MonkeyPatch) -> None:
    """The quick ones, at few settings; and no processes."""

    def few(slow: bool = False) -> list[Any]:
        return [
            codec_peers._pillow(name, "JPEG", (5, 20, 50, 90), subsampling=sampling)
            for name, sampling in ((codec_peers.REFERENCE, "4:2:0"), ("JPEG 4:4:4", "4:4:4"))
        ]

    def once(codec: str, setting: float, source: Path, device: str, precision: str) -> Any:
        assert (codec[:4], setting, source.suffix) == ("JPEG", 50, ".png")
        return [codec_speed.Once(speed.Cost(0.1, mb), {}) for mb in (70.4, 60.0)]

    monkeypatch.setattr(rate_distortion, "peers", few)
    monkeypatch.setattr(codec_speed, "once", once)


@pytest.mark.usefixtures("two_peers")
def test_curves_from_pictures_to_files(pictures: Path, tmp_path: Path) -> None:
    said: list[str] = []
    settings = rate_distortion.Settings(data=pictures, models=[], out=tmp_path / "out")
    rate_distortion.run(settings, said.append, others=[coarse()])
    record = json.loads((tmp_path / "out" / "codec.json").read_text())

    assert record["images"] == ["a.png", "b.png"]
    assert {"command", "commit", "threads"} <= record["environment"].keys()
    assert record["settings"]["data"] == str(pictures)
    assert "out" not in record["settings"]
    assert [curve["codec"] for curve in record["curves"]] == [codec_peers.REFERENCE, "JPEG 4:4:4", "coarse"]
    assert len(record["scores"]) == 3 * 4 * 2
    jpeg, _, ours = record["curves"]
    point = ours["points"][1]
    assert point["setting"] == 2
    assert point["bpp"] == pytest.approx(6 + np.mean([800 / (168 * side) for side in (176, 200)]))
    assert 0.5 < jpeg["points"][-1]["ms_ssim"] < 1
    assert jpeg["peak_mb"] == {"encode": 70.4, "decode": 60}
    assert ours["peak_mb"] == {}  # what was handed in cannot be started in a process of its own
    assert "published" not in said[0]
    assert "| coarse " in said[0]
    assert "70 / 60" in said[0]
    with Image.open(tmp_path / "out" / "codec_curve.png") as drawn:
        assert np.asarray(drawn).std() > 0


@pytest.mark.usefixtures("two_peers")
def test_bd_rates_stand_in_the_table(pictures: Path) -> None:
    pytest.importorskip("bjontegaard")
    record = rate_distortion.run(rate_distortion.Settings(data=pictures, models=[], limit=1), lambda line: None)
    assert record["images"] == ["a.png"]
    assert record["curves"][0]["bd_rate"] == pytest.approx(0, abs=1e-9)
    assert abs(record["curves"][1]["bd_rate"]) > 1


@pytest.mark.usefixtures("two_peers")
def test_without_bjontegaard_the_rest_is_measured(pictures: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rate_distortion, "_has_bjontegaard", lambda: False)
    said: list[str] = []
    record = rate_distortion.run(rate_distortion.Settings(data=pictures, models=[], limit=1), said.append)
    assert record["curves"][1]["bd_rate"] is None
    assert "pip install 'img2img-suite[bench]'" in said[-1]


@pytest.mark.usefixtures("two_peers")
def test_published_curves_join_kodak_only_when_it_is_whole(tmp_path: Path) -> None:
    folder = tmp_path / "kodak"
    folder.mkdir()
    for i in range(24):
        Image.fromarray(photograph(8, 8 + i)).save(folder / f"{i:02d}.png")

    def codecs(limit: int | None) -> list[str]:
        settings = rate_distortion.Settings(data=folder, models=[], limit=limit)
        return [curve["codec"] for curve in rate_distortion.run(settings, lambda line: None)["curves"]]

    assert codecs(None)[2:] == ["bmshj2018-factorized", "bmshj2018-hyperprior", "mbt2018-mean"]
    assert len(codecs(23)) == 2


def test_the_command_and_its_alias(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (command,) = entry_points(group="console_scripts", name="img2img")
    seen: list[Any] = []
    monkeypatch.setattr(rate_distortion, "run", lambda settings, echo: seen.append(settings))
    for name in ("codec", "rd"):
        arguments = ["bench", name, "--data", str(tmp_path), "--quality", "5,60", "--limit", "3", "--slow-peers"]
        assert CliRunner().invoke(command.load(), arguments).exit_code == 0
    assert seen[0] == seen[1]
    assert seen[0] == rate_distortion.Settings(data=tmp_path, qualities=(5, 60), limit=3, slow_peers=True)
    assert CliRunner().invoke(command.load(), ["bench", "codec", "--quality", "0,60"]).exit_code == 2
    defaults = CliRunner().invoke(command.load(), ["bench", "codec"])
    assert defaults.exit_code == 0
    assert seen[2] == rate_distortion.Settings()
    assert " rd " not in CliRunner().invoke(command.load(), ["bench", "--help"]).stdout


# ---- processes


def test_a_part_inside_a_part_is_counted_once(monkeypatch: pytest.MonkeyPatch) -> None:
    ticks = iter([0, 1, 5, 10, 20, 21])
    monkeypatch.setattr(codec_once.time, "perf_counter", lambda: float(next(ticks)))

    class Owner:
        def work(self, number: int) -> int:
            return number + 1

    clock = codec_once.Clock()
    clock.watch(Owner, ("work",), "inner")
    with clock.part("outer"):  # 0 to 10
        assert Owner().work(1) == 2  # 1 to 5
    with clock.part("outer"):  # 20 to 21
        pass
    assert clock.seconds == {"inner": 4, "outer": 7}
    clock.release()
    assert Owner().work(1) == 2  # asks the clock no more


def test_one_picture_in_a_process_of_its_own(tmp_path: Path) -> None:
    Image.fromarray(photograph(40, 50)).save(tmp_path / "a.png")
    encoded, decoded = codec_speed.once(codec_peers.REFERENCE, 50, tmp_path / "a.png", "cpu", "fp32")
    assert (tmp_path / "coded").read_bytes() == PEERS[codec_peers.REFERENCE].encode(photograph(40, 50), 50)
    with Image.open(tmp_path / "decoded.png") as picture:
        assert picture.size == (50, 40)
    for found in (encoded, decoded):
        assert found.parts.keys() == {"import", "file", "codec"}
        assert 0 < sum(found.parts.values()) < found.cost.seconds
        assert 20 < found.cost.peak_mb < 150  # without torch
    with pytest.raises(Img2ImgError):
        codec_speed.once(codec_peers.REFERENCE, 50, tmp_path / "missing.png", "cpu", "fp32")


def test_our_codec_in_a_process_of_its_own_says_what_took_how_long(tmp_path: Path, model: str) -> None:
    Image.fromarray(photograph(40, 50)).save(tmp_path / "a.png")
    seconds = tmp_path / "seconds.json"
    arguments = [str(tmp_path / "a.png"), str(tmp_path / "a.i2i"), str(seconds), "cpu", "fp32"]
    codec_once.main("encode", model, "50", *arguments)
    assert (tmp_path / "a.i2i").read_bytes().startswith(b"\x89i2i")
    parts = {"import", "weights", "file", "transform", "entropy parameters", "entropy coding", "codec"}
    assert json.loads(seconds.read_text()).keys() == parts
    arguments[:2] = str(tmp_path / "a.i2i"), str(tmp_path / "out.png")
    codec_once.main("decode", model, "50", *arguments)
    assert json.loads(seconds.read_text()).keys() == parts
    with Image.open(tmp_path / "out.png") as picture:
        assert picture.size == (50, 40)


# ---- our codec, and the speed benchmark


def test_our_codec_is_measured_as_the_others_are(model: str) -> None:
    codec = rate_distortion.our_codec(model, (1, 50, 100), 1, "cpu", "fp32")
    for pixels in (photograph(50, 70), photograph(50, 70)[..., :1].copy()):
        scores = [rate_distortion.score(codec, quality, pixels, "a") for quality in codec.settings]
        assert scores[0].bytes < scores[1].bytes < scores[2].bytes
        assert scores[0].psnr < scores[1].psnr < scores[2].psnr
    assert (codec.name, rate_distortion.middle(codec)) == (model, 50)


def test_speed_from_commands_to_file(model: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    commands: list[list[str]] = []

    def cost_of(command: list[str]) -> Any:  # the processes themselves take seconds and have their own tests
        if "img2img.benchmarks.codec_once" in command:
            Path(command[8]).write_text(json.dumps({"import": 0.25, "codec": 0.125}))
            return speed.Cost(0.5, 90.0)
        commands.append(command[1:])
        return speed.Cost(0.5, 100.0)

    monkeypatch.setattr(codec_speed, "cost_of", cost_of)
    monkeypatch.setattr(codec_speed, "LARGE", (60, 50))
    monkeypatch.setattr(codec_speed, "COMPRESSAI_QUALITY", 1)
    monkeypatch.setattr(codec_speed, "ARCHITECTURES", ("bmshj2018_factorized", "bmshj2018_hyperprior"))
    said: list[str] = []
    settings = codec_speed.Settings(
        models=[model], device="cpu", rounds=2, large=True, photo=(64, 64), out=tmp_path / "out"
    )
    codec_speed.run(settings, said.append)
    record = json.loads((tmp_path / "out" / "codec_speed.json").read_text())

    assert [command[0] for command in commands] == ["compress", "decompress"] * 3
    assert commands[0][4:8] == ["--model", model, "--quality", "50"]
    assert commands[1][1] == commands[0][3]  # what was compressed
    assert commands[1][4:6] == ["--model", model]  # a file, of which files of pictures only know the name
    assert [row["seconds_per_megapixel"] for row in record["commands"]] == pytest.approx(
        [0.5 / (64 * 64) * 1e6] * 2 + [0.5 / (60 * 50) * 1e6] * 2
    )
    assert [row["direction"] for row in record["parts"]] == ["encode", "decode"]
    assert record["parts"][0]["parts"] == {"import": 0.25, "codec": 0.125, "Python": 0.125}
    networks = {row["network"]: row for row in record["networks"]}
    assert all(len(row["runs"]) == 2 for row in record["networks"])
    assert 0 < networks[model]["kmac_per_pixel"]["synthesis"] < 15
    if find_spec("compressai") is None:
        assert networks.keys() == {model}
        assert networks[model]["decode_hyperprior_is_1"] is None
        assert any("not installed" in line for line in said)
        return
    assert networks.keys() == {"bmshj2018-factorized", "bmshj2018-hyperprior", model}
    assert networks["bmshj2018-hyperprior"]["decode_hyperprior_is_1"] == 1
    # 5x5 convolutions 3 -> 128 -> 128 -> 128 -> 192, each halving the size, and GDN behind the first three.
    layers = [(3, 128, 2), (128, 128, 4), (128, 128, 8), (128, 192, 16)]
    by_hand = sum((25 * a * b + (b * b if scale < 16 else 0)) / scale**2 for a, b, scale in layers) / 1000
    assert networks["bmshj2018-factorized"]["kmac_per_pixel"]["analysis"] == pytest.approx(by_hand)
    assert networks["bmshj2018-factorized"]["kmac_per_pixel"]["synthesis"] == pytest.approx(by_hand)
    assert any("untrained" in line for line in said)


def test_ours_are_measured_by_each_tune_and_plainly(tmp_path: Path) -> None:
    for number in range(2):
        Image.fromarray(photograph(64, 64)).save(tmp_path / f"{number}.png")
    settings = rate_distortion.Settings(
        tmp_path,
        models=["codec-fast"],
        qualities=(1, 50),
        efforts=(0, 1),
        tunes=("psnr", "ms-ssim"),
        plain=True,
        peers=False,
        device="cpu",
        precision="fp32",
        out=tmp_path / "out",
    )
    curves = rate_distortion.run(settings, lambda text: None)["curves"]
    assert [curve["codec"] for curve in curves] == [
        "codec-fast, effort 0",
        "codec-fast, effort 0, ms-ssim",
        "codec-fast",
        "codec-fast, ms-ssim",
        "codec-fast, plain",
    ]
    assert len({curve["points"][0]["psnr"] for curve in curves}) == 5
    assert [curve["codec"] for curve in curves if curve["peak_mb"]] == ["codec-fast"]
    assert (tmp_path / "out" / "codec.json").is_file()
