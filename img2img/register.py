"""The tasks, and what belongs to each: the one list, which the command line, training and the weights' index go by.

Imports nothing that is slow. Networks, pipelines and trainings are named as `module:name` and imported when asked for.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any

from .errors import TrainingError
from .extras import need

if TYPE_CHECKING:
    import torch

    from .checkpoints import Checkpoint
    from .engines.network import Network
    from .training.loop import Task as TrainingTask
    from .training.recipe import Recipe


@dataclass(frozen=True)
class Training:
    """Something that `img2img train NAME` trains.

    Args:
        name: as the command line and the recipes' `task` call it.
        build: `module:function` that makes what the training loop asks of a task: (recipe, data, device) to Task.
        recipe: name of the default recipe.
    """

    name: str
    build: str
    recipe: str


@dataclass(frozen=True)
class Task:
    """A task of the suite.

    Args:
        name: of its command, of its folder in `img2img/tasks` and of its folder in `weights`.
        commands: all its commands, the one called as the task first.
        pipeline: `module:class` with `from_pretrained`.
        kinds: what its weights are called in the index (`task` there); those that `--model` takes first.
        networks: `module:class` of the networks, by the name that a weight file's header gives (`network`).
        trainings: what can be trained for it.
        graphs: `module:name` of a table of the networks that engines run, by the same names as `networks`, or of what
            tells them from the weights; without one only PyTorch runs the task.
        exporters: `module:function` that makes of weights what `img2img export` writes (engines/subject.py), by the
            names of `networks`; only networks that have one can be exported.
    """

    name: str
    commands: tuple[str, ...]
    pipeline: str
    kinds: tuple[str, ...]
    networks: dict[str, str]
    trainings: tuple[Training, ...]
    graphs: str = ""
    exporters: Mapping[str, str] = field(default_factory=dict)

    @property
    def recipes(self) -> Path:
        """The folder of its recipes."""
        from importlib.resources import files  # slow for `img2img --help`

        return Path(str(files(f"img2img.tasks.{self.name}"))) / "recipes"


TASKS = (
    Task(
        "denoise",
        commands=("denoise",),
        pipeline="img2img.tasks.denoise:Denoiser",
        kinds=("denoise",),
        networks={
            "unet": "img2img.tasks.denoise.model:DenoisingUNet",
            "blind": "img2img.tasks.denoise.model:BlindDenoiser",
        },
        trainings=(Training("denoise", "img2img.tasks.denoise.train:build", "denoise-fast"),),
        graphs="img2img.tasks.denoise.networks:NETWORKS",
        exporters={
            "unet": "img2img.tasks.denoise.export:denoiser",
            "blind": "img2img.tasks.denoise.export:blind_denoiser",
        },
    ),
    Task(
        "texture",
        commands=("texture",),
        pipeline="img2img.tasks.texture:Texture",
        kinds=("descriptor",),
        networks={
            "vgg": "img2img.core.descriptor:VGG",
            "texture-net": "img2img.tasks.texture.generator:TextureGenerator",
        },
        trainings=(
            Training("texture", "img2img.tasks.texture.train_network:build", "texture-network"),
            Training("descriptor", "img2img.tasks.texture.train_descriptor:build", "vgg-slim"),
        ),
        graphs="img2img.tasks.texture.networks:NETWORKS",
    ),
    Task(
        "translate",
        commands=("translate",),
        pipeline="img2img.tasks.translate:Translator",
        kinds=("translate",),
        networks={
            "generator": "img2img.tasks.translate.generator:UNetGenerator",
            "classifier": "img2img.tasks.translate.classifier:ColourClassifier",
        },
        trainings=(Training("translate", "img2img.tasks.translate.train:build", "pairs"),),
        graphs="img2img.tasks.translate.networks:NETWORKS",
        exporters=dict.fromkeys(("generator", "classifier"), "img2img.tasks.translate.export:translator"),
    ),
    Task(
        "compress",
        commands=("compress", "decompress"),
        pipeline="img2img.tasks.compress:Compressor",
        kinds=("compress", "detail", "restoration", "tuning"),
        networks={
            "factorized": "img2img.tasks.compress.model:Codec",
            "hyperprior": "img2img.tasks.compress.hyperprior:HyperpriorCodec",
            "detail": "img2img.tasks.compress.detail:DetailNetwork",
            "restoration": "img2img.tasks.compress.detail:RestorationNetwork",
            "tuning": "img2img.tasks.compress.tuning:TuningNetwork",
        },
        trainings=(
            Training("codec", "img2img.tasks.compress.train:build", "codec-fast"),
            Training("detail", "img2img.tasks.compress.train_detail:build", "codec-vivid"),
            Training("restoration", "img2img.tasks.compress.train_restoration:build", "codec-restoration"),
            Training("tuning", "img2img.tasks.compress.train_tuning:build", "codec-fast-tuning"),
        ),
        graphs="img2img.tasks.compress.networks:NETWORKS",
    ),
)
TRAININGS = {training.name: training for task in TASKS for training in task.trainings}
# Who asks for the training of a task gets its first: `img2img train compress` is `img2img train codec`.
FIRST_TRAININGS = {task.name: task.trainings[0].name for task in TASKS}


def task(name: str) -> Task:
    """The task of that name; KeyError without one."""
    return {each.name: each for each in TASKS}[name]


def networks_of(checkpoint: Checkpoint) -> tuple[Network, ...]:
    """The networks of a weight file that engines run as graphs; none for those that only PyTorch runs."""
    kind = str(checkpoint.header.get("network"))
    tables = [load(each.graphs) for each in TASKS if each.graphs and kind in each.networks]
    found = tables[0].get(kind, ()) if tables else ()
    graphs: tuple[Network, ...] = found(checkpoint) if callable(found) else found
    return graphs


def exporter(network: str) -> Callable[..., Any] | None:
    """What makes of weights what is exported, by what their header calls the network; None if that has none."""
    places = {name: place for task in TASKS for name, place in task.exporters.items()}
    found: Callable[..., Any] | None = load(places[network]) if network in places else None
    return found


def load(place: str) -> Any:
    """What `module:name` names, imported."""
    module, _, name = place.partition(":")
    return getattr(import_module(module), name)


def find_recipe(training: str, recipe: Path | str | None = None) -> Recipe:
    """A recipe by file, by the name of one of ours, or the training's default.

    Raises:
        TrainingError: no such training, no such recipe, or it is for another training.
    """
    from .training.recipe import read_recipe

    if training not in TRAININGS:
        raise TrainingError(f"no task {training!r} to train; there are: {', '.join(TRAININGS)}")
    name = str(recipe) if recipe else TRAININGS[training].recipe
    owner = next(each for each in TASKS if TRAININGS[training] in each.trainings)
    ours = owner.recipes / f"{name}.toml"
    read = read_recipe(ours if ours.is_file() else Path(name))
    if read.task != training:
        raise TrainingError(f"recipe {name} is for {read.task!r}, not for {training!r}")
    return read


def builder(training: str) -> Callable[[Recipe, Path, torch.device], TrainingTask]:
    """What makes the training loop's task of a recipe, a folder of data and a device."""
    build: Callable[[Recipe, Path, torch.device], TrainingTask] = load(TRAININGS[training].build)
    return build


def train(training: str, data: Path, recipe: Path | str | None = None, out: Path | None = None, **options: Any) -> Path:
    """Train and return the file of the best weights.

    Args:
        training: which of TRAININGS.
        data: folder of training data.
        recipe: file, or name of a shipped recipe; the training's default without.
        out: folder of the run; `runs/<the recipe file's name>` without.
        options: see `img2img.training.run.train`.

    Raises:
        TrainingError: recipe, data or folder do not fit.
    """
    need("training", "torch", "lightning")
    from .training import run

    plan = find_recipe(training, recipe)
    folder = out or Path("runs") / Path(recipe or plan.name).stem
    return run.train(builder(training), plan, data, folder, **options)
