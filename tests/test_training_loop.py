"""The training loop: resumed equals uninterrupted bit for bit, two processes agree, and what goes wrong is said."""

import csv
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from lightning.fabric import Fabric
from safetensors.torch import load_file
from skimage import data as photographs
from skimage.io import imsave

from img2img.checkpoints import load_checkpoint, read_header
from img2img.errors import TrainingError
from img2img.register import find_recipe, train
from img2img.tasks.denoise import Denoiser
from img2img.tasks.denoise.train import build
from img2img.training import state
from img2img.training.loop import Training, learning_rate
from img2img.training.photographs import load_photographs, split
from img2img.training.recipe import Phase, Recipe, read_recipe

RECIPE = """
name = "tiny"
task = "denoise"
steps = 8
warmup = 2
every = 3
precision = "fp32"
phases = [{ until = 0.5, patch = 16, batch = 4 }, { until = 1.0, patch = 24, batch = 2 }]
[model]
network = "unet"
widths = [8, 8]
blocks = 1
"""


@pytest.fixture(scope="module")
def pictures(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("pictures")
    for i, image in enumerate([photographs.astronaut(), photographs.coffee(), photographs.chelsea()]):
        imsave(folder / f"{i}.png", image[100:180, 100:200], check_contrast=False)
    return folder


@pytest.fixture
def recipe(tmp_path: Path) -> Path:
    path = tmp_path / "tiny.toml"
    path.write_text(RECIPE)
    return path


def run(recipe: Path, pictures: Path, out: Path, **options: object) -> Path:
    return train("denoise", pictures, recipe, out, device="cpu", **options)  # type: ignore[arg-type]


@pytest.mark.parametrize("optimizer", ["adamw", "muon"])
def test_interrupted_and_resumed_equals_uninterrupted_bit_for_bit(
    optimizer: str, recipe: Path, pictures: Path, tmp_path: Path
) -> None:
    recipe.write_text(f'optimizer = "{optimizer}"' + RECIPE)
    run(recipe, pictures, tmp_path / "whole")
    run(recipe, pictures, tmp_path / "parts", minutes=0)  # one step, then out of time
    assert int(list(csv.DictReader((tmp_path / "parts/log.csv").open()))[-1]["step"]) == 1
    for _ in range(3):
        run(recipe, pictures, tmp_path / "parts", minutes=0, resume=True)
    run(recipe, pictures, tmp_path / "parts", resume=True)
    _, facts = state.load(tmp_path / "parts/state.safetensors", torch.device("cpu"))
    assert list(facts["curve"]) == ["1", "2", "3", "4", "6", "8"]
    whole, parts = (load_file(tmp_path / folder / "state.safetensors") for folder in ("whole", "parts"))
    assert whole.keys() == parts.keys()
    assert [k for k in whole if not torch.equal(whole[k], parts[k])] == []


def test_ctrl_c_finishes_the_step_saves_it_and_is_gone_on_with(recipe: Path, pictures: Path, tmp_path: Path) -> None:
    """In a process of its own, as a user stops it."""
    run(recipe, pictures, tmp_path / "whole")
    code = (
        "import os, signal, sys\n"
        "from pathlib import Path\n"
        "from img2img import register\n"
        "from img2img.training import loop\n"
        "step = loop.Training._train_step\n"
        "def interrupted(self):\n"
        "    if self.step == 1: os.kill(os.getpid(), signal.SIGINT)\n"
        "    return step(self)\n"
        "loop.Training._train_step = interrupted\n"
        "recipe, pictures, out = map(Path, sys.argv[1:])\n"
        "register.train('denoise', pictures, recipe, out, device='cpu')\n"
    )
    command = [sys.executable, "-c", code, str(recipe), str(pictures), str(tmp_path / "parts")]
    result = subprocess.run(command, capture_output=True, text=True, timeout=240, check=False)
    assert "KeyboardInterrupt" in result.stderr
    assert "stopping after this step; --resume goes on from it" in result.stderr
    assert int(list(csv.DictReader((tmp_path / "parts/log.csv").open()))[-1]["step"]) == 2
    run(recipe, pictures, tmp_path / "parts", resume=True)
    whole, parts = (load_file(tmp_path / folder / "state.safetensors") for folder in ("whole", "parts"))
    assert [k for k in whole if not torch.equal(whole[k], parts[k])] == []


def test_training_learns_logs_and_ships(recipe: Path, pictures: Path, tmp_path: Path) -> None:
    best = run(recipe, pictures, tmp_path / "run", steps=60)
    rows = list(csv.DictReader((tmp_path / "run/log.csv").open()))
    assert [int(row["step"]) for row in rows] == list(range(3, 61, 3))
    assert float(rows[-1]["val/score"]) > float(rows[0]["val/score"])
    assert (tmp_path / "run/sample.png").is_file()
    assert list((tmp_path / "run/events").iterdir())
    header = read_header(best)
    assert header["config"] == {"widths": [8, 8], "blocks": 1}
    assert header["training"]["recipe"] == "tiny"
    curve = header["training"]["curve"]
    wanted = {row["step"]: float(row["val/score"]) for row in rows if int(row["step"]) <= header["training"]["steps"]}
    assert curve == pytest.approx(wanted, abs=1e-4)
    assert Denoiser.from_pretrained(best, device="cpu")(torch.rand(3, 9, 9).numpy(), 0.1).shape == (3, 9, 9)
    assert all(t.dtype == torch.float16 for t in load_checkpoint(best).tensors.values())


@pytest.mark.slow
def test_two_processes_train_and_agree(recipe: Path, pictures: Path, tmp_path: Path) -> None:
    """Each process saves its own model at the end; DDP over gloo must have kept them equal, and learning."""
    script = tmp_path / "two.py"
    script.write_text(
        "import sys, torch\n"
        "from dataclasses import replace\n"
        "from pathlib import Path\n"
        "from lightning.fabric import Fabric\n"
        "from img2img.tasks.denoise.train import build\n"
        "from img2img.training.loop import Training\n"
        "from img2img.training.recipe import read_recipe\n"
        "recipe, pictures, out = map(Path, sys.argv[1:])\n"
        "fabric = Fabric(accelerator='cpu', devices=2, strategy='ddp')\n"
        "fabric.launch()\n"
        "torch.manual_seed(fabric.global_rank)  # DDP must make the first weights equal\n"
        "plan = replace(read_recipe(recipe), steps=15)\n"
        "task = build(plan, pictures, fabric.device)\n"
        "# Only the first process's clock says that the time is over; the other must stop with it.\n"
        "Training(task, plan, out, fabric).run(minutes=9 * fabric.global_rank)\n"
        "torch.save(task.model.state_dict(), out / f'rank{fabric.global_rank}.pt')\n"
    )
    command = [sys.executable, str(script), str(recipe), str(pictures), str(tmp_path / "out")]
    result = subprocess.run(command, capture_output=True, text=True, timeout=240, check=False)
    assert result.returncode == 0, result.stderr[-2000:]
    one, two = (torch.load(tmp_path / f"out/rank{rank}.pt", weights_only=True) for rank in range(2))
    assert [k for k in one if not torch.equal(one[k], two[k])] == []
    assert int(list(csv.DictReader((tmp_path / "out/log.csv").open()))[-1]["step"]) == 10


def test_the_schedule_warms_up_and_ends_at_zero() -> None:
    recipe = Recipe("r", "denoise", steps=100, phases=(Phase(1, 8, 1),), lr=1.0, warmup=10)
    rates = [learning_rate(recipe, step) for step in range(101)]
    assert rates[0] == pytest.approx(0.1)
    assert max(rates) == rates[10] == pytest.approx(1)
    assert rates[55] == pytest.approx(0.5)
    assert rates[100] == pytest.approx(0)


def test_our_recipes_are_valid_and_name_pictures_to_hold_out() -> None:
    held_out = set()
    for name in (
        "denoise-fast",
        "denoise-fast-more",
        "denoise-photo",
        "denoise-photo-more",
        "denoise-photo-last",
    ):
        recipe = find_recipe("denoise", Path(name))
        assert name.startswith(recipe.name)
        assert len(recipe.validation) == 24
        held_out |= set(recipe.validation)
    assert len(held_out) == 24  # what one training holds out, no other that starts from its weights has seen


def test_a_recipe_names_a_list_of_what_is_held_out(recipe: Path, pictures: Path, tmp_path: Path) -> None:
    """One of ours, or a file beside it; a run that was begun with the same names written out goes on."""
    held_out = sorted(path.name for path in pictures.iterdir())[:1]
    recipe.write_text(f"validation = {held_out}\n{RECIPE}".replace("'", '"'))
    run(recipe, pictures, tmp_path / "run", minutes=0)
    recipe.write_text(f'validation = "mine.txt"\n{RECIPE}')
    with pytest.raises(
        TrainingError, match=r"no list of held-out files .*mine.txt, nor one of ours called .mine.txt. .everything, ph"
    ):
        read_recipe(recipe)
    (tmp_path / "mine.txt").write_text(f"# held out\n\n{held_out[0]}\n")
    assert read_recipe(recipe).validation == tuple(held_out)
    run(recipe, pictures, tmp_path / "run", resume=True)
    recipe.write_text(f'validation = "photographs"\n{RECIPE}')
    assert read_recipe(recipe).validation == find_recipe("denoise", None).validation
    with pytest.raises(TrainingError, match="begun with another validation"):
        run(recipe, pictures, tmp_path / "run", resume=True)


def test_pictures_of_a_folder_are_drawn_more_often(tmp_path: Path) -> None:
    for name, value in (("a/light", 200), ("b/dark", 50), ("b/held", 50)):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        imsave(tmp_path / f"{name}.png", np.full((16, 16, 3), value, np.uint8), check_contrast=False)
    plan = Recipe("r", "denoise", 1, (Phase(1.0, 8, 1),), validation=("b/held.png",), repeat={"a": 4})
    source, _ = load_photographs(plan, tmp_path, torch.device("cpu"))
    crops = source.sample(1000, 8, torch.Generator().manual_seed(0))
    assert 0.75 < (crops[:, 0, 0, 0] > 0.5).float().mean() < 0.85


def test_a_folder_to_draw_from_more_often_has_to_be_there(recipe: Path, pictures: Path, tmp_path: Path) -> None:
    recipe.write_text("repeat = { elsewhere = 2 }\n" + RECIPE)
    with pytest.raises(TrainingError, match="no folder elsewhere"):
        run(recipe, pictures, tmp_path / "out")


def test_a_run_from_before_there_were_other_optimisers_goes_on_with_its_own(
    recipe: Path, pictures: Path, tmp_path: Path
) -> None:
    run(recipe, pictures, tmp_path / "run", minutes=0)
    tensors, facts = state.load(tmp_path / "run/state.safetensors", torch.device("cpu"))
    del facts["recipe"]["optimizer"]
    state.save(tmp_path / "run/state.safetensors", tensors, facts)
    recipe.write_text('optimizer = "muon"' + RECIPE)
    with pytest.raises(TrainingError, match="another optimizer"):
        run(recipe, pictures, tmp_path / "run", resume=True)
    recipe.write_text(RECIPE)
    run(recipe, pictures, tmp_path / "run", resume=True)


def test_an_entry_that_a_task_would_pass_over_is_refused(recipe: Path, pictures: Path, tmp_path: Path) -> None:
    recipe.write_text('teacher = "somebody"\n' + RECIPE)
    with pytest.raises(TrainingError, match="denoise has no use for teacher"):
        run(recipe, pictures, tmp_path / "out")


def test_held_out_pictures_are_never_trained_on(pictures: Path) -> None:
    training, held_out = split(pictures, ("1.png",))
    assert [p.name for p in held_out] == ["1.png"]
    assert [p.name for p in training] == ["0.png", "2.png"]
    assert [p.name for p in split(pictures, ("elsewhere.png",))[1]] == ["0.png"]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (("steps = 8", "stepz = 8"), "unknown entries: stepz"),
        (("steps = 8", ""), "missing or wrong entry"),
        (("steps = 8", "steps ="), "cannot be read"),
        (('task = "denoise"', 'task = "codec"'), "is for 'codec'"),
        (("warmup = 2", "repeat = 2"), "repeat is no table"),
        (("warmup = 2", "repeat = { a = 1.5 }"), "cannot be drawn 1.5 times"),
        (('"unet"', '"gan"'), "network must be one of"),
        (('"fp32"', '"half"'), "precision must be auto or fp32 or bf16, not 'half'"),
    ],
)
def test_a_wrong_recipe_is_one_line(
    recipe: Path, pictures: Path, tmp_path: Path, change: tuple[str, str], message: str
) -> None:
    recipe.write_text(RECIPE.replace(*change))
    with pytest.raises(TrainingError, match=message):
        run(recipe, pictures, tmp_path / "run")


def test_no_pictures_no_state_and_a_run_already_there_are_said(recipe: Path, pictures: Path, tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    with pytest.raises(TrainingError, match="holds 0 pictures"):
        run(recipe, tmp_path / "empty", tmp_path / "a")
    with pytest.raises(TrainingError, match="no training that could be resumed"):
        run(recipe, pictures, tmp_path / "b", resume=True)
    assert not (tmp_path / "b").exists()
    run(recipe, pictures, tmp_path / "c", minutes=0)
    with pytest.raises(TrainingError, match="resume goes on"):
        run(recipe, pictures, tmp_path / "c")
    recipe.write_text(RECIPE.replace("steps = 8", "steps = 9").replace("every = 3", "every = 2"))
    run(recipe, pictures, tmp_path / "c", resume=True, minutes=0)  # these may change
    recipe.write_text(RECIPE.replace("[8, 8]", "[8, 12]"))
    with pytest.raises(TrainingError, match="begun with another model: go on with the same"):
        run(recipe, pictures, tmp_path / "c", resume=True)
    (tmp_path / "c/state.safetensors").write_bytes(b"half")
    with pytest.raises(TrainingError, match="cannot be resumed from"):
        run(recipe, pictures, tmp_path / "c", resume=True)


def test_an_unreadable_picture_is_named_and_left_out(
    recipe: Path, pictures: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for name in ("0.png", "1.png", "2.png"):
        (tmp_path / name).write_bytes((pictures / name).read_bytes())
    (tmp_path / "broken.png").write_bytes(b"\x89PNG\r\n\x1a\nnothing")
    build(read_recipe(recipe), tmp_path, torch.device("cpu"))
    assert "broken.png" in capsys.readouterr().err
    (tmp_path / "0.png").write_bytes(b"")  # the only one held out
    with pytest.raises(TrainingError, match="none of the pictures held out"):
        build(read_recipe(recipe), tmp_path, torch.device("cpu"))


@pytest.fixture
def training(recipe: Path, pictures: Path, tmp_path: Path) -> Training:
    fabric = Fabric(accelerator="cpu", devices=1)
    task = build(read_recipe(recipe), pictures, fabric.device)
    return Training(task, read_recipe(recipe), tmp_path / "run", fabric)


def test_the_average_is_what_is_validated(training: Training) -> None:
    model = training.task.model
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(1)
    training.average.update(model, step=10**9)
    name, parameter = next(iter(model.named_parameters()))
    torch.testing.assert_close(training.average.tensors[name], parameter.detach() - 0.999, rtol=0, atol=1e-5)
    assert training.average.tensors[name].stride() == parameter.stride()  # or a GPU averages tensor by tensor


def test_scores_and_picture_come_from_the_model_in_eval_mode(
    training: Training, monkeypatch: pytest.MonkeyPatch
) -> None:
    modes = []
    for name in ("validate", "picture"):
        original = getattr(training.task, name)

        def noted(model: torch.nn.Module, original: Callable[..., object] = original) -> object:
            modes.append((model.training, torch.is_inference_mode_enabled()))
            return original(model)

        monkeypatch.setattr(training.task, name, noted)
    training.run(minutes=0)
    assert modes == [(False, True)] * 2
    assert training.task.model.training


def test_a_training_without_any_score_says_so(training: Training, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(training.task, "validate", lambda model: {"score": float("nan")})
    with pytest.raises(TrainingError, match="diverged"):
        training.run()
