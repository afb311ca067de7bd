"""Training a translator on pairs, resuming it to the bit, and using its weights on pictures of any size."""

import csv
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from lightning.fabric import Fabric
from safetensors.torch import load_file
from scipy.ndimage import zoom
from skimage import data as photographs
from torch import Generator, Tensor

from img2img.checkpoints import load_checkpoint, read_header, save_checkpoint
from img2img.core.blocks import InstanceNorm
from img2img.core.parts import coarse_scale
from img2img.data.pairs import make_pair
from img2img.engines.graphs import make_graphs
from img2img.engines.torch_engine import TorchEngine
from img2img.errors import ImageError, TrainingError, WeightsError
from img2img.images import Picture, read_picture, write_picture
from img2img.metrics import psnr
from img2img.register import train
from img2img.tasks.translate import Translator, UNetGenerator
from img2img.tasks.translate.coding import lightness_of
from img2img.tasks.translate.networks import generator_of, networks
from img2img.tasks.translate.shape import Shape
from img2img.tasks.translate.train import build, resized
from img2img.training.loop import Training, learning_rate
from img2img.training.recipe import Phase, Recipe, read_recipe

RECIPE = """
name = "tiny"
task = "translate"
steps = 6
lr = 2e-3
schedule = "linear"
warmup = 0
weight_decay = 0.0
betas = [0.5, 0.999]
clip = inf
ema = 0.0
every = 3
keep = "last"
precision = "fp32"
phases = [{ until = 1.0, patch = 32, batch = 2 }]
[model]
width = 4
depth = 4
[data]
load = 36
[objective]
patch = 16
width = 4
"""


@pytest.fixture
def recipe(tmp_path: Path) -> Path:
    path = tmp_path / "tiny.toml"
    path.write_text(RECIPE)
    return path


@pytest.fixture(scope="module")
def pairs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Photographs (left) and their negatives (right): what a tiny network can learn in seconds."""
    folder = tmp_path_factory.mktemp("pairs")
    for i in range(4):
        image = photographs.coffee()[90 * i : 90 * i + 40, 200:250]
        write_picture(Picture(np.concatenate((image, 255 - image), 1)), folder / f"{i}.png", "png")
    return folder


def run(recipe: Path, data: Path, out: Path, **options: Any) -> Path:
    return train("translate", data, recipe, out, device="cpu", **options)


def test_interrupted_and_resumed_equals_uninterrupted_bit_for_bit(recipe: Path, pairs: Path, tmp_path: Path) -> None:
    """Both networks, both optimisers, and the noise of the dropout."""
    run(recipe, pairs, tmp_path / "whole")
    run(recipe, pairs, tmp_path / "parts", minutes=0)  # one step, then out of time
    run(recipe, pairs, tmp_path / "parts", minutes=0, resume=True)
    run(recipe, pairs, tmp_path / "parts", resume=True)
    whole, parts = (load_file(tmp_path / folder / "state.safetensors") for folder in ("whole", "parts"))
    assert {key.split(".")[1] for key in whole if key.startswith("o")} == {"generator", "discriminator"}
    assert [k for k in whole if not torch.equal(whole[k], parts[k])] == []


def test_training_learns_and_its_file_needs_nothing_else(recipe: Path, pairs: Path, tmp_path: Path) -> None:
    best = run(recipe, pairs, tmp_path / "run", steps=150)
    rows = list(csv.DictReader((tmp_path / "run/log.csv").open()))
    assert float(rows[-1]["val/psnr"]) > float(rows[0]["val/psnr"]) + 2
    assert float(rows[-1]["val/l1"]) < float(rows[0]["val/l1"])
    assert {"generator/gan", "generator/l1", "discriminator/real", "discriminator/fake"} <= rows[0].keys()
    assert (tmp_path / "run/sample.png").is_file()
    header = read_header(best)
    assert header["config"] == {
        **{"in_channels": 3, "out_channels": 3, "width": 4, "widest": 8, "depth": 4, "up": "transposed"},
        **{"norm": "instance", "skip": "concat", "dropout": 0.5},
    }  # whatever the defaults of a later version are
    assert (header["task"], header["space"], header["direction"], header["pairs"]) == (
        "translate",
        "rgb",
        "AtoB",
        "files",
    )
    image = torch.from_numpy(photographs.coffee()[:40, 200:250].copy()).permute(2, 0, 1).float() / 255
    result = Translator.from_pretrained(best, device="cpu", precision="fp32")(image.numpy(), noise=False)
    negative = 1 - image
    assert (torch.from_numpy(result) - negative).abs().mean() < 0.7 * (image - negative).abs().mean()


def test_a_run_is_not_gone_on_with_under_another_objective(recipe: Path, pairs: Path, tmp_path: Path) -> None:
    run(recipe, pairs, tmp_path / "run", minutes=0, loss="hinge")
    with pytest.raises(TrainingError, match="begun with another loss: go on with the same"):
        run(recipe, pairs, tmp_path / "run", resume=True)
    assert run(recipe, pairs, tmp_path / "run", resume=True, loss="hinge", steps=2).is_file()


def test_the_last_weights_are_kept_unless_the_best_are_asked_for(recipe: Path, pairs: Path, tmp_path: Path) -> None:
    fabric = Fabric(accelerator="cpu", devices=1)
    for keep, kept in (("last", 6), ("best", 3)):
        recipe.write_text(RECIPE.replace('"last"', f'"{keep}"'))
        plan = read_recipe(recipe)
        task = build(plan, pairs, fabric.device)
        training = Training(task, plan, tmp_path / keep, fabric)
        task.validate = lambda model, t=training: {"score": -t.step}  # type: ignore[method-assign,misc]
        assert read_header(training.run())["training"]["steps"] == kept


def test_without_averaging_the_weights_themselves_are_kept(recipe: Path, pairs: Path, tmp_path: Path) -> None:
    run(recipe, pairs, tmp_path / "run")
    state = load_file(tmp_path / "run/state.safetensors")
    averaged = {k.removeprefix("average."): v for k, v in state.items() if k.startswith("average.")}
    assert averaged
    assert all(torch.equal(v, state[f"objective.generator.generator.{k}"]) for k, v in averaged.items())


def test_the_linear_schedule_stays_and_then_falls() -> None:
    recipe = Recipe("r", "translate", steps=100, phases=(Phase(1, 8, 1),), lr=2.0, warmup=0, schedule="linear")
    assert [learning_rate(recipe, step) for step in (0, 50, 75, 100)] == [2.0, 2.0, 1.0, 0.0]


@pytest.mark.parametrize("kind", ["gray", "edges", "blank", "down", "jpeg"])
def test_pairs_are_made_on_the_fly(kind: str, recipe: Path, photos: Path) -> None:
    channels = 1 if kind in ("gray", "edges") else 3
    text = RECIPE.replace("load = 36", f'make = "{kind}"').replace("depth = 4", f"depth = 4\nin_channels = {channels}")
    recipe.write_text(text)
    task = build(read_recipe(recipe), photos, torch.device("cpu"))
    x, y = task.batch(32, 2, Generator().manual_seed(0))
    assert (x.shape, y.shape) == ((2, channels, 32, 32), (2, 3, 32, 32))
    assert -1 <= x.min() < x.max() <= 1
    assert torch.equal(x, task.batch(32, 2, Generator().manual_seed(0))[0])
    assert task.picture(task.model.eval()).shape == (3, 70, 270)


def test_colours_are_learnt_in_lab(recipe: Path, photos: Path, tmp_path: Path) -> None:
    text = RECIPE.replace("load = 36", 'make = "gray"\nspace = "lab"')
    recipe.write_text(text.replace("depth = 4", "depth = 4\nin_channels = 1\nout_channels = 2\ndropout = 0.0"))
    best = run(recipe, photos, tmp_path / "run", steps=60)
    image = torch.from_numpy(photographs.coffee()[:64, 200:264].copy()).permute(2, 0, 1).float() / 255
    result = Translator.from_pretrained(best, device="cpu")(image.numpy())
    assert result.shape == tuple(image.shape)
    red, _, blue = result.mean((1, 2))
    assert red > blue + 0.05  # the photographs are of brown coffee


def test_direction_turns_the_pairs_round(recipe: Path, pairs: Path) -> None:
    batches = []
    for direction in ("AtoB", "BtoA"):
        recipe.write_text(RECIPE.replace("load = 36", f'direction = "{direction}"'))
        batches.append(build(read_recipe(recipe), pairs, torch.device("cpu")).batch(32, 2, Generator().manual_seed(0)))
    (a, b), (c, d) = batches
    assert torch.equal(a, d)
    assert torch.equal(b, c)
    torch.testing.assert_close(a, -b)


def test_pairs_that_must_not_be_mirrored_are_not(recipe: Path, tmp_path: Path) -> None:
    ramp = np.arange(0, 200, 5, dtype=np.uint8)[None, :, None].repeat(40, 0).repeat(3, 2)
    for i in range(2):
        write_picture(Picture(np.concatenate((ramp, ramp), 1)), tmp_path / f"{i}.png", "png")
    for flip, rising in (("true", {False, True}), ("false", {True})):
        recipe.write_text(RECIPE.replace("load = 36", f"flip = {flip}"))
        x, _ = build(read_recipe(recipe), tmp_path, torch.device("cpu")).batch(32, 20, Generator().manual_seed(0))
        assert {bool(each[0, 0, -1] > each[0, 0, 0]) for each in x} == rising


def test_pictures_are_resized_by_their_shorter_side() -> None:
    image = photographs.coffee()[:40, :60]
    assert resized(image, 20).shape == (20, 30, 3)
    assert resized(image[:, :30], 60).shape == (80, 60, 3)
    np.testing.assert_array_equal(resized(np.full((30, 40, 6), 77, np.uint8), 15), np.full((15, 20, 6), 77))


def test_train_and_val_folders_are_taken_as_they_are(recipe: Path, pairs: Path, tmp_path: Path) -> None:
    for i, part in enumerate(("train", "train", "val", "test")):
        (tmp_path / "divided" / part).mkdir(parents=True, exist_ok=True)
        (tmp_path / "divided" / part / f"{i}.png").write_bytes((pairs / f"{i}.png").read_bytes())
    task = build(read_recipe(recipe), tmp_path / "divided", torch.device("cpu"))
    assert len(task.source.heights) == 2
    assert len(task.held_out) == 1


def test_unusable_pairs_are_named_and_left_out(
    recipe: Path, pairs: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = tmp_path / "ab"
    for side, columns in (("A", np.s_[:, :50]), ("B", np.s_[:, 50:])):
        (folder / side).mkdir(parents=True)
        for i in range(3):
            image = photographs.coffee()[90 * i : 90 * i + 40, 200:300][columns]
            write_picture(Picture(np.ascontiguousarray(image)), folder / side / f"{i}.png", "png")
    write_picture(Picture(np.zeros((5, 5, 3), np.uint8)), folder / "A/1.png", "png")
    (folder / "A/3.png").write_bytes((folder / "A/2.png").read_bytes())
    build(read_recipe(recipe), folder, torch.device("cpu"))
    lines = capsys.readouterr().err.splitlines()
    assert lines == [
        f"img2img: left out: {folder / 'A/3.png'}: no partner in {folder / 'B'}",
        f"img2img: left out: {folder / 'A/1.png'} is 5x5, but its partner {folder / 'B/1.png'} is 50x40",
    ]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (("width = 4\ndepth", "breadth = 4\ndepth"), "unexpected keyword argument 'breadth'"),
        (("depth = 4", "depth = 6"), "crops must be multiples of 64"),
        (("depth = 4", "depth = 4\nin_channels = 4"), "has 3 channels (RGB), the model takes 4 channels"),
        (("load = 36", 'make = "sepia"'), "make must be one of gray, "),
        (("load = 36", 'direction = "AtoC"'), "direction must be one of AtoB, BtoA"),
        (("load = 36", 'space = "lab"'), "in Lab a network has 1 channel in and 2 out"),
        (("load = 36", "load = 20"), "holds no pairs to train on"),
        (("patch = 16", "patch = 17"), "patch must be one of 1, 16, 70, 286"),
        (("patch = 16", "patch = 286"), "crops of 32 pixels are too small"),
        (('"last"', '"first"'), "keep must be best or last"),
        (('"linear"', '"steep"'), "schedule must be cosine or linear"),
        (("clip = inf", 'clip = inf\nloss = "wgan"'), "vanilla, lsgan, hinge"),
    ],
)
def test_a_wrong_recipe_is_one_line(
    change: tuple[str, str], message: str, recipe: Path, pairs: Path, tmp_path: Path
) -> None:
    assert change[0] in RECIPE
    recipe.write_text(RECIPE.replace(*change))
    with pytest.raises(TrainingError) as caught:
        run(recipe, pairs, tmp_path / "run")
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)


def test_l1_alone_needs_no_discriminator_and_init_begins_where_another_ended(
    recipe: Path, pairs: Path, tmp_path: Path
) -> None:
    first = run(recipe, pairs, tmp_path / "first")
    recipe.write_text(f'init = "{first}"\n' + RECIPE.replace("patch = 16", "gan = 0.0"))
    task = build(read_recipe(recipe), pairs, torch.device("cpu"))
    assert list(task.objectives) == ["generator"]
    stored = load_checkpoint(first).part("generator")
    assert all(torch.equal(v, stored[k]) for k, v in task.model.state_dict().items())
    recipe.write_text(f'init = "{first}"\n' + RECIPE.replace("width = 4\ndepth", "width = 6\ndepth"))
    with pytest.raises(TrainingError, match=r"the weights .* are of another shape"):
        build(read_recipe(recipe), pairs, torch.device("cpu"))


# --- In use ---


def write(path: Path, channels: int = 3, out: int = 3, **arguments: Any) -> Path:
    """A weight file of a network that has learnt nothing."""
    torch.manual_seed(0)
    config = {"in_channels": channels, "out_channels": out, "width": 6, "depth": 5} | arguments
    tensors = {f"generator.{k}": v for k, v in UNetGenerator(**config).state_dict().items()}
    header = {"task": "translate", "network": "generator", "config": config, "space": "lab" if out == 2 else "rgb"}
    save_checkpoint(path, tensors, header)
    return path


def translator(path: Path, *channels: int, tile: int | None = None, **arguments: Any) -> Translator:
    return Translator(load_checkpoint(write(path, *channels, **arguments)), TorchEngine("cpu", "fp32"), tile)


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "untrained.safetensors"


def image(height: int = 70, width: int = 90, channels: int = 3) -> np.ndarray:
    return np.random.default_rng(0).random((channels, height, width), dtype=np.float32)


@pytest.mark.parametrize("size", [(1, 1), (1, 40), (33, 7), (64, 64)])
@pytest.mark.parametrize(("channels", "out"), [(3, 3), (1, 2), (8, 1), (2, 8)])
def test_any_size_and_any_channels(size: tuple[int, int], channels: int, out: int, file: Path) -> None:
    result = translator(file, channels, out)(image(*size, channels))
    assert result.shape == (3 if out == 2 else out, *size)
    assert 0 <= result.min() <= result.max() <= 1


@pytest.mark.parametrize("engine", ["torch", "onnx"])
def test_tiles_cannot_be_seen(engine: str, file: Path) -> None:
    """At 1024x1024 the tiled picture differs from the whole by less than a hundredth of a grey level."""
    picture = zoom(image(128, 128), (1, 8, 8), order=3).clip(0, 1)
    write(file, width=4)
    make_graphs(file, networks(load_checkpoint(file)))
    whole, tiled = (
        Translator.from_pretrained(file, "cpu", "fp32", tile, engine)(picture, seed=3) for tile in (1024, 320)
    )
    assert whole.std() > 0.05
    assert np.abs(whole - tiled).max() < 0.01 / 255


def test_engines_agree_on_the_noise_of_a_seed(file: Path) -> None:
    write(file)
    make_graphs(file, networks(load_checkpoint(file)))
    for tile in (1024, 32):
        by_torch, by_graph = (
            Translator.from_pretrained(file, "cpu", "fp32", tile, engine)(image(), seed=7)
            for engine in ("torch", "onnx")
        )
        assert np.abs(by_torch - by_graph).max() < 0.05 / 255


def test_noise_follows_its_seed_and_can_be_left_out(file: Path) -> None:
    turn, picture = translator(file), image()
    assert np.array_equal(turn(picture), turn(picture, seed=0))
    assert np.abs(turn(picture, seed=1) - turn(picture, seed=2)).mean() > 1e-3
    assert np.array_equal(turn(picture, seed=1, noise=False), turn(picture, seed=2, noise=False))


def test_a_weight_file_gives_the_same_picture_as_the_model(file: Path) -> None:
    turn, x = translator(file), torch.from_numpy(image())[None] * 2 - 1
    with torch.no_grad():
        expected = generator_of(load_checkpoint(file))(x)[0].numpy() / 2 + 0.5
    np.testing.assert_allclose(turn(image(), noise=False), expected, atol=1e-5)
    bf16 = Translator.from_pretrained(file, device="cpu", precision="bf16")
    assert np.abs(bf16(image()) - turn(image())).mean() < 2 / 255


def test_weights_that_do_not_fit_are_refused(file: Path) -> None:
    checkpoint = load_checkpoint(write(file))
    for wrong in ({"space": "xyz"}, {"space": "lab"}, {"config": {"width": 5, "depth": 5}}, {"config": {"size": 5}}):
        save_checkpoint(file, checkpoint.tensors, checkpoint.header | wrong)
        with pytest.raises(WeightsError, match="do not fit"):
            Translator.from_pretrained(file, device="cpu")
    save_checkpoint(file, checkpoint.tensors, checkpoint.header | {"network": "unet"})
    with pytest.raises(WeightsError, match="hold a 'unet' network, not a 'generator'"):
        Translator.from_pretrained(file, device="cpu")


@pytest.mark.parametrize(
    "config",
    [
        {},
        {"depth": 6, "up": "resize", "dropout": 0.0},
        {"depth": 7, "skip": "none"},
        {"depth": 2, "norm": "batch"},
        {"depth": 8, "widest": 4},
    ],
)
def test_the_shape_that_needs_no_pytorch_is_the_networks(config: dict[str, Any]) -> None:
    """Where dropout is, where norms are and where a large image is put together."""
    shape, net = Shape(**config), UNetGenerator(**config).net
    assert (shape.widths, shape.stride) == (net.layout.widths, net.layout.stride)
    assert shape.coarse == coarse_scale(net)
    dropout = net.layout.dropout or ()
    assert shape.noisy == tuple(s for s in reversed(range(shape.depth - 1)) if dropout[s])

    def normed(layers: Any, scales: range) -> tuple[int, ...]:
        return tuple(s for s in scales if any(isinstance(m, InstanceNorm) for m in layers[s]))

    assert shape.down_norms == normed(net.encoder.stages, range(shape.coarse))
    assert shape.up_norms == normed([*reversed(net.decoder.after)], range(shape.coarse - 1, -1, -1))
    assert [m.shape[1] for m in shape.masks(9, 9, None)] == [shape.widths[s] for s in shape.noisy]


def test_wrong_pictures_are_said(file: Path) -> None:
    with pytest.raises(ImageError, match="has 2 channels, the model takes 3 channels"):
        translator(file)(image(channels=2))
    with pytest.raises(ValueError, match=r"\(C, H, W\)"):
        translator(file)(image()[None])


# --- Shipped weights ---


def shipped(name: str, image: Tensor) -> Tensor:
    return torch.from_numpy(Translator.from_pretrained(name, device="cpu", precision="fp32")(image.numpy()))


def photograph(samples: np.ndarray) -> Tensor:
    return torch.tensor(samples).permute(2, 0, 1).float() / 255


def test_colorize_gives_colours_nearer_to_the_true_ones_than_grey_is() -> None:
    errors = {"grey": 0.0, "coloured": 0.0}
    for samples in (photographs.astronaut(), photographs.coffee(), photographs.chelsea()):
        photo = photograph(samples)
        grey, _ = make_pair("gray", photo[None], Generator())
        coloured = shipped("colorize", grey[0])
        assert (coloured.amax(0) - coloured.amin(0)).mean() > 0.02
        torch.testing.assert_close(lightness_of(coloured[None]), lightness_of(grey), atol=0.1, rtol=0)
        errors["grey"] += float((grey[0] - photo).square().mean())
        errors["coloured"] += float((coloured - photo).square().mean())
    assert errors["coloured"] < errors["grey"]


def test_facades_have_windows_where_the_labels_have() -> None:
    labels = read_picture(Path(__file__).parents[1] / "examples/labels.png").to_tensor()
    light = shipped("facades", labels).mean(0)
    window = (labels - torch.tensor([0, 128, 255])[:, None, None] / 255).abs().amax(0) < 0.01
    wall = (labels - torch.tensor([0, 48, 255])[:, None, None] / 255).abs().amax(0) < 0.01
    assert window.sum() > 5000
    assert light[window].mean() < light[wall].mean() - 0.08


def test_edges_gives_back_more_of_a_photograph_than_its_drawing_has() -> None:
    for samples in (photographs.astronaut()[:256, :256], photographs.coffee()[:256, 150:406], photographs.chelsea()):
        photo = photograph(samples)
        ink, _ = make_pair("edges", photo[None], Generator(), "xdog")
        made = shipped("edges", ink[0])
        assert made.shape == photo.shape
        assert psnr(made, photo) > psnr(ink[0].expand(3, -1, -1), photo) + 4
