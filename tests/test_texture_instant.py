"""Textures in one pass: transport against closed forms, the decoder, its training, and the whole on a small network."""

from functools import cache
from importlib.metadata import entry_points
from pathlib import Path

import pytest
import torch
from click.testing import CliRunner
from skimage import data as photographs
from skimage.io import imsave
from torch import Generator, Tensor
from untrained_texture import CPU, gravel, noise

from img2img.checkpoints import build, load_checkpoint, save_checkpoint
from img2img.errors import TrainingError, WeightsError
from img2img.metrics.texture import seam_scores
from img2img.register import find_recipe, train
from img2img.tasks.texture import Texture
from img2img.tasks.texture.decoder import Decoder
from img2img.tasks.texture.descriptor import VGG, RandomFilters, fingerprint
from img2img.tasks.texture.methods.instant import instant
from img2img.tasks.texture.pyramid import levels
from img2img.tasks.texture.transport import moved_as_gaussians, ranked_as, transported

(command,) = entry_points(group="console_scripts", name="img2img")

WIDTHS = ((8, 8), (8, 8), (12, 8), (12, 12), (12,))

RECIPE = """
name = "tiny-decoder"
task = "texture"
steps = 200
lr = 1e-2
warmup = 5
every = 50
ema = 0.8
precision = "fp32"
phases = [{ until = 1.0, patch = 32, batch = 4 }]
[model]
channels = [8, 8, 12]
inside = [8, 8, 8]
"""


@cache
def small_vgg() -> VGG:
    torch.manual_seed(0)
    vgg = VGG(WIDTHS, circular=True)
    for conv in vgg.convolutions():
        conv.bias.fill_(0.3)  # type: ignore[union-attr]  # or an untrained network's channels hardly ever fire
    return vgg.eval()


# Transport


def test_ranks_are_kept_and_values_are_the_wanted_ones() -> None:
    values, wanted = noise(3, 40), noise(3, 40, seed=1).square()
    moved = ranked_as(values, wanted)
    assert torch.equal(moved.sort(1).values, wanted.sort(1).values)
    assert torch.equal(moved.argsort(1), values.argsort(1))
    longer = ranked_as(values, noise(3, 4001, seed=1).square())
    torch.testing.assert_close(longer.mean(1), torch.full((3,), 1 / 3), atol=0.02, rtol=0)


def test_gaussians_get_mean_and_covariance_by_the_least_motion() -> None:
    mixing = torch.tensor([[1.0, 0, 0], [0.8, 0.6, 0], [-0.3, 0.2, 0.5]])
    values, wanted = torch.randn(3, 4000, generator=Generator().manual_seed(0)), mixing @ noise(3, 3000, seed=1) + 2
    moved = moved_as_gaussians(values, wanted)
    torch.testing.assert_close(moved.mean(1), wanted.mean(1), atol=1e-4, rtol=0)
    torch.testing.assert_close(torch.cov(moved, correction=0), torch.cov(wanted, correction=0), atol=1e-4, rtol=1e-3)
    # The map between Gaussians that moves least is symmetric; whitening and colouring's is not.
    linear = torch.linalg.lstsq(
        (values - values.mean(1, keepdim=True)).T, (moved - moved.mean(1, keepdim=True)).T
    ).solution
    torch.testing.assert_close(linear, linear.T, atol=1e-4, rtol=1e-3)


def test_what_is_alike_stays_and_what_never_varied_does_not_explode() -> None:
    spectrum = 10 ** -torch.linspace(0, 2, 8)[:, None]  # variances over four decades, as features have
    wanted = torch.linalg.qr(noise(8, 8)).Q @ (spectrum * torch.randn(8, 2000, generator=Generator().manual_seed(2)))
    torch.testing.assert_close(moved_as_gaussians(wanted, wanted), wanted, atol=1e-4, rtol=0)
    flat = torch.full((8, 500), 0.5)
    assert moved_as_gaussians(flat, wanted).isfinite().all()
    torch.testing.assert_close(moved_as_gaussians(wanted, flat), flat.mean(1, keepdim=True).expand(-1, 2000))


def test_distributions_that_gaussians_do_not_tell_apart_are_transported() -> None:
    # Four spots at the corners of a square, turned by 45 degrees: covariance of a round Gaussian.
    corners = torch.tensor([[1.0, -1, 0, 0], [0, 0, 1, -1]])
    wanted = corners.repeat(1, 250) + 0.01 * noise(2, 1000)
    start = torch.randn(2, 1000, generator=Generator().manual_seed(1))
    moved = transported(start, wanted, 30, Generator().manual_seed(0))
    nearest = torch.cdist(moved.T, corners.T).amin(1)
    before = torch.cdist(moved_as_gaussians(start, wanted).T, corners.T).amin(1)
    assert nearest.mean() < 0.35 * before.mean()
    assert torch.equal(moved, transported(start, wanted, 30, Generator().manual_seed(0)))


# The decoder


def test_every_parameter_of_the_decoder_learns_and_images_do_not_touch_each_other() -> None:
    decoder = Decoder((4, 6, 8), (4, 5, 6))
    features = noise(2, 8, 3, 5)
    decoder(features, 3).square().mean().backward()
    assert [name for name, p in decoder.named_parameters() if p.grad is None or not p.grad.any()] == []
    alone = torch.cat([decoder(features[i : i + 1], 3) for i in range(2)])
    torch.testing.assert_close(decoder(features, 3), alone)
    assert decoder(features[:, :4], 1).shape == (2, 3, 3, 5)
    for layer in (0, 4):
        with pytest.raises(ValueError, match="from 1 to 3"):
            decoder(features, layer)
    with pytest.raises(ValueError, match="3 layers and 2 widths"):
        Decoder((4, 6, 8), (4, 5))


def test_a_turned_torus_is_decoded_to_a_turned_torus() -> None:
    decoder, features = Decoder((4, 6), (4, 5)), noise(1, 6, 8, 7)
    torch.testing.assert_close(decoder(features.roll((3, 2), (2, 3)), 2), decoder(features, 2).roll((6, 4), (2, 3)))


@pytest.fixture(scope="module")
def decoder_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A decoder of the small network, trained for seconds by the command, on pieces of photographs."""
    folder = tmp_path_factory.mktemp("decoder")
    for i, image in enumerate([photographs.astronaut(), photographs.coffee(), photographs.chelsea()]):
        for k in range(2):
            (folder / "pictures").mkdir(exist_ok=True)
            imsave(folder / f"pictures/{i}{k}.png", image[100 + k : 180 + k, 100:200], check_contrast=False)
    (folder / "tiny.toml").write_text(RECIPE)
    save_checkpoint(
        folder / "vgg.safetensors",
        {f"vgg.{k}": v for k, v in small_vgg().state_dict().items()},
        {"task": "descriptor", "network": "vgg", "config": {"widths": WIDTHS}},
    )
    words = [
        "--data",
        folder / "pictures",
        "--recipe",
        folder / "tiny.toml",
        "--out",
        folder / "run",
        "--device",
        "cpu",
    ]
    result = CliRunner().invoke(
        command.load(), ["train", "texture", *map(str, words), "--teacher", str(folder / "vgg.safetensors")]
    )
    assert result.exit_code == 0, result.stderr
    return folder / "run/best.safetensors"


def test_training_makes_a_decoder_that_gives_pictures_back(decoder_file: Path) -> None:
    checkpoint = load_checkpoint(decoder_file)
    assert (checkpoint.header["task"], checkpoint.header["network"]) == ("texture", "decoder")
    assert checkpoint.header["descriptor"] == fingerprint(small_vgg())
    decoder = build(checkpoint, "decoder", Decoder)
    image = torch.from_numpy(photographs.astronaut()[:64, 200:264].copy()).permute(2, 0, 1)[None] / 255
    with torch.no_grad():
        back = decoder(small_vgg()(image)[0], 1)
    assert (back - image).square().mean() < 0.3 * image.var()
    scores = checkpoint.header["training"]["validation"]
    assert scores["psnr_relu1_1"] > scores["psnr_relu3_1"] > 8


def test_decoders_are_trained_for_a_descriptor_that_fits(decoder_file: Path, tmp_path: Path) -> None:
    folder = decoder_file.parents[1]
    with pytest.raises(TrainingError, match="name it by --teacher"):
        train("texture", folder / "pictures", folder / "tiny.toml", tmp_path / "run", device="cpu")
    other = tmp_path / "other.toml"
    other.write_text(RECIPE.replace("channels = [8, 8, 12]", "channels = [8, 8, 13]"))
    odd = tmp_path / "odd.toml"
    odd.write_text(RECIPE.replace("patch = 32", "patch = 30"))
    with pytest.raises(TrainingError, match="multiples of 4"):
        train("texture", folder / "pictures", odd, tmp_path / "run", device="cpu", teacher=folder / "vgg.safetensors")
    with pytest.raises(TrainingError, match="not made for the layers"):
        train("texture", folder / "pictures", other, tmp_path / "run", device="cpu", teacher=folder / "vgg.safetensors")


def test_the_shipped_recipe_is_for_the_shipped_descriptors_layers() -> None:
    plan = find_recipe("texture", None)
    assert plan.teacher == "vgg-slim"
    assert VGG().channels[: len(plan.model["channels"])] == list(Decoder(**plan.model).channels)


# The whole


def synthesiser(decoder_file: Path, dtype: torch.dtype = torch.float32) -> Texture:
    texture = Texture(small_vgg(), CPU, dtype)
    decoder = build(load_checkpoint(decoder_file), "decoder", Decoder)
    texture.__dict__["decoder"] = decoder.requires_grad_(False)  # in the place of the shipped one
    return texture


@pytest.mark.parametrize(("size", "channels"), [((1, 1), 3), ((33, 50), 3), ((64, 48), 1)])
def test_any_size_and_the_same_seed_the_same_bytes(decoder_file: Path, size: tuple[int, int], channels: int) -> None:
    texture, sample = synthesiser(decoder_file), noise(channels, 40, 44)
    made = texture.instant(sample, size, seed=3)
    assert made.shape == (channels, *size)
    assert torch.equal(made, texture.instant(sample, size, seed=3))
    if size != (1, 1):
        assert not torch.equal(made, texture.instant(sample, size, seed=4))


def test_colours_are_the_samples_and_tiles_have_no_seam(decoder_file: Path) -> None:
    sample = gravel(96)
    made = synthesiser(decoder_file).instant(sample, (64, 64), tileable=True)
    torch.testing.assert_close(made.mean((1, 2)), sample.mean((1, 2)), atol=0.02, rtol=0)
    torch.testing.assert_close(torch.cov(made.flatten(1)), torch.cov(sample.flatten(1)), atol=5e-3, rtol=0.2)
    assert max(seam_scores(made).values()) < 4


def test_refining_goes_on_from_the_texture(decoder_file: Path) -> None:
    texture, sample, losses = synthesiser(decoder_file), gravel(48), []
    plain = texture.instant(sample, (48, 48))
    refined = texture.instant(sample, (48, 48), refine=6, watch=lambda progress: losses.append(progress.loss))
    assert len(losses) == 6
    assert losses[-1] < losses[0]
    assert not torch.equal(refined, plain)
    assert torch.corrcoef(torch.stack([refined.flatten(), plain.flatten()]))[0, 1] > 0.7
    with pytest.raises(ValueError, match="0 steps of refinement or more"):
        texture.instant(sample, (48, 48), refine=-1)


def test_mixtures_have_colours_of_all_samples_however_small(decoder_file: Path) -> None:
    texture = synthesiser(decoder_file)
    mixed = texture.instant([torch.zeros(3, 32, 32), torch.ones(3, 32, 32)], (32, 32), mix=[0.75, 0.25], tileable=True)
    assert mixed.mean().item() == pytest.approx(0.25, abs=0.02)
    for side in (1, 8):
        tiny = [noise(3, side, side, seed=seed) for seed in range(3)]
        assert texture.instant(tiny, (20, 24)).isfinite().all()


def test_bf16_makes_much_the_same(decoder_file: Path) -> None:
    exact, rough = (synthesiser(decoder_file, dtype) for dtype in (torch.float32, torch.bfloat16))
    one, other = (texture.instant(gravel(48), (32, 32)) for texture in (exact, rough))
    assert other.dtype == torch.float32
    torch.testing.assert_close(one.mean((1, 2)), other.mean((1, 2)), atol=0.03, rtol=0)
    assert torch.corrcoef(torch.stack([one.flatten(), other.flatten()]))[0, 1] > 0.5
    other.mul_(2)  # no tensor that may not be changed


def test_one_colour_stays_that_colour(decoder_file: Path) -> None:
    made = synthesiser(decoder_file).instant(torch.full((3, 20, 20), 0.25), (24, 24))
    torch.testing.assert_close(made, torch.full_like(made, 0.25), atol=0.01, rtol=0)


def test_the_pyramid_ends_at_its_finest_canvas(decoder_file: Path) -> None:
    decoder = build(load_checkpoint(decoder_file), "decoder", Decoder)
    pyramid = levels((64, 96), [(80, 80)], True)
    made = instant(small_vgg(), decoder, [noise(1, 3, 80, 80)], [1.0], pyramid, 0, torch.float32)
    assert made.shape == (1, 3, *pyramid[-1].canvas)
    assert 0 <= made.min() <= made.max() <= 1


def test_a_descriptor_without_a_decoder_is_said(decoder_file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("img2img.tasks.texture.pipeline.DECODER", decoder_file)
    assert Texture(small_vgg(), CPU).decoder.channels == (8, 8, 12)
    torch.manual_seed(5)
    for descriptor in (VGG(WIDTHS, circular=True), RandomFilters(2, (3,), circular=True)):
        with pytest.raises(WeightsError, match="no other has a decoder"):
            Texture(descriptor, CPU).instant(noise(3, 20, 20), (16, 16))


@pytest.mark.parametrize(
    ("args", "words"),
    [
        (("--method", "instant", "--descriptor", "random"), "needs a descriptor that can be inverted"),
        (("--method", "instant", "--loss", "gram"), "--loss has no part in --method instant without --refine"),
        (("--method", "instant", "--steps", "5"), "--steps is for --method optimize"),
        (("--refine", "5"), "--refine is for --method instant"),
        (("--method", "network", "--loss", "shifted"), "--loss shifted is not for --method network"),
        (("--method", "instant", "--refine", "-1"), "-1 is not in the range"),
    ],
)
def test_wrong_use_is_one_line_and_code_2(args: tuple[str, ...], words: str, tmp_path: Path) -> None:
    imsave(tmp_path / "a.png", photographs.gravel()[:32, :32], check_contrast=False)
    result = CliRunner().invoke(command.load(), ["texture", str(tmp_path / "a.png"), *args])
    assert (result.exit_code, result.stdout, len(result.stderr.splitlines())) == (2, "", 1)
    assert words in result.stderr


def test_the_command_names_a_descriptor_without_a_decoder_once(decoder_file: Path, tmp_path: Path) -> None:
    (tmp_path / "in").mkdir()
    for name in ("a.png", "b.png"):
        imsave(tmp_path / "in" / name, photographs.gravel()[:32, :32], check_contrast=False)
    words = [
        "texture",
        tmp_path / "in",
        "--method",
        "instant",
        "--descriptor",
        decoder_file.parents[1] / "vgg.safetensors",
    ]
    result = CliRunner().invoke(command.load(), [*map(str, words), "--device", "cpu"])
    assert (result.exit_code, result.stdout, len(result.stderr.splitlines())) == (1, "", 1)


# --- Shipped weights ---


@pytest.fixture(scope="module")
def shipped() -> Texture:
    return Texture.from_pretrained(device="cpu", precision="fp32")


def unlike(texture: Texture, made: Tensor, sample: Tensor) -> float:
    distances = texture.measure(made, sample)["gram_distance"]
    return sum(distances.values()) / len(distances)


def test_shipped_textures_are_nearer_to_the_sample_than_another_material_is(shipped: Texture) -> None:
    grass, gravel = (
        torch.from_numpy(getattr(photographs, name)()[None, :96, :96].copy()) / 255 for name in ("grass", "gravel")
    )
    other = unlike(shipped, gravel, grass)
    assert unlike(shipped, shipped.instant(grass, (96, 96)), grass) < 0.7 * other
    assert unlike(shipped, shipped(grass, (96, 96), steps=25), grass) < 0.5 * other
