"""What the register says of a task is there, and nothing is there that it does not say."""

import subprocess
import sys
from pathlib import Path

import pytest

from img2img.checkpoints import index, names, read_header, weights_file
from img2img.errors import TrainingError
from img2img.register import (
    FIRST_TRAININGS,
    TASKS,
    TRAININGS,
    Task,
    builder,
    exporter,
    find_recipe,
    load,
    task,
)

ROOT = Path(__file__).parents[1]


def test_every_folder_of_a_task_is_registered_under_its_name() -> None:
    folders = {path.parent.name for path in (ROOT / "img2img/tasks").glob("*/__init__.py")}
    assert {each.name for each in TASKS} == folders
    assert len({command for each in TASKS for command in each.commands}) == sum(len(each.commands) for each in TASKS)


@pytest.mark.parametrize("each", TASKS, ids=lambda each: each.name)
def test_what_is_named_exists(each: Task) -> None:
    assert each.commands[0] == each.name
    assert all((ROOT / f"cli/{command}.py").is_file() for command in each.commands)
    assert callable(load(each.pipeline).from_pretrained)
    assert all(callable(load(network)) for network in each.networks.values())
    assert all(callable(builder(training.name)) for training in each.trainings)
    assert not each.graphs or load(each.graphs).keys() <= each.networks.keys()
    assert each.exporters.keys() <= each.networks.keys()
    assert all(exporter(network) is load(place) for network, place in each.exporters.items())
    assert task(each.name) is each


@pytest.mark.parametrize("each", TASKS, ids=lambda each: each.name)
def test_recipes_are_for_their_tasks_trainings_and_called_as_their_weights(each: Task) -> None:
    recipes = {path.stem for path in each.recipes.glob("*.toml")}
    mine = {training.name for training in each.trainings}
    for name in recipes:
        (fitting,) = [training for training in mine if fits(training, name)]
        assert name.startswith(find_recipe(fitting, name).name)  # denoise-fast-more goes on with denoise-fast
    assert {training.recipe for training in each.trainings} <= recipes


def fits(training: str, recipe: str) -> bool:
    try:
        find_recipe(training, recipe)
    except TrainingError:
        return False
    return True


def test_the_index_of_weights_knows_no_other_tasks_networks_and_folders() -> None:
    for name, entry in index().items():
        (owner,) = (task for task in TASKS if entry["task"] in task.kinds)
        assert Path(entry["file"]).parts[0] == owner.name
        header = read_header(weights_file(name))
        assert header["network"] in owner.networks
        load(owner.networks[header["network"]])(**header["config"])
    assert all(names(each.kinds[0]) for each in TASKS)


def test_a_task_stands_for_its_first_training() -> None:
    assert FIRST_TRAININGS == {
        "denoise": "denoise",
        "texture": "texture",
        "translate": "translate",
        "compress": "codec",
    }
    assert set(FIRST_TRAININGS.values()) <= TRAININGS.keys()


def test_nothing_slow_is_imported() -> None:
    code = "import sys, img2img.register; print(sorted({'torch', 'numpy', 'PIL', 'lightning'} & sys.modules.keys()))"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout == "[]\n"
