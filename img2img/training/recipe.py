"""A recipe: everything a training needs besides the data, as TOML."""

import tomllib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, fields
from importlib.resources import files
from pathlib import Path
from typing import Any

from ..choices import PRECISIONS
from ..errors import TrainingError

CHOICES = {
    "optimizer": ("adamw", "muon"),
    "precision": PRECISIONS,
    "schedule": ("cosine", "linear"),
    "keep": ("best", "last"),
}


@dataclass(frozen=True)
class Phase:
    """Crops of one size: `batch` of `patch` x `patch` pixels until this share of the steps."""

    until: float
    patch: int
    batch: int


@dataclass(frozen=True)
class Recipe:
    """How one weight is made.

    Args:
        name: of the weight.
        task: denoise, ...
        steps: optimiser steps in all.
        phases: crop and batch sizes over the run (small crops early are quicker, large ones late see context).
        optimizer: `adamw`, or `muon` (training.muon).
        lr: peak learning rate; linear warm-up over `warmup` steps, then by the schedule to zero.
        schedule: `cosine`, or `linear`: kept for half of the steps, then falling evenly (pix2pix).
        weight_decay: of either.
        betas: of AdamW, and of what Muon leaves to Adam.
        clip: largest norm of the gradient.
        ema: decay of the averaged weights, which are what is validated and shipped; 0: the weights themselves.
        precision: of the forward and backward pass: auto (bf16 where the processor is fast at it, else fp32), bf16
            or fp32.
        seed: of everything random.
        every: steps between validations, which also save the state.
        keep: which weights are kept: `best`, those of the highest score, or `last`, those validated last (a GAN's
            PSNR falls while its pictures get better).
        loss: which of the task's losses; its first one without.
        source: the training data and its licence, as the weight file is to name them.
        init: weights to start from (a name or file); networks may grow from smaller ones.
        teacher: file or name of the network to learn from, for tasks that learn from one.
        repeat: how many times as often pictures of a folder of --data are drawn, by its name.
        validation: files (relative to --data) never trained on, which choose the best weights. In TOML a list of them,
            or the name of a list: a text file beside the recipe, or one of `img2img/data/held_out` without `.txt`.
        model: arguments of the model's constructor.
        data: arguments of the task's training data.
        objective: arguments of the task's objective.
    """

    name: str
    task: str
    steps: int
    phases: tuple[Phase, ...]
    optimizer: str = "adamw"
    lr: float = 1e-3
    schedule: str = "cosine"
    warmup: int = 500
    weight_decay: float = 1e-4
    betas: tuple[float, float] = (0.9, 0.999)
    clip: float = 1.0
    ema: float = 0.999
    precision: str = "auto"
    seed: int = 0
    every: int = 1000
    keep: str = "best"
    loss: str = ""
    source: str = ""
    init: str | None = None
    teacher: str | None = None
    repeat: dict[str, int] = field(default_factory=dict)
    validation: tuple[str, ...] = ()
    model: dict[str, Any] = field(default_factory=dict)
    data: dict[str, Any] = field(default_factory=dict)
    objective: dict[str, Any] = field(default_factory=dict)

    def phase(self, step: int) -> Phase:
        return next((p for p in self.phases if step < p.until * self.steps), self.phases[-1])

    @contextmanager
    def building(self) -> Iterator[None]:
        """Inside, arguments that do not fit a network or an objective are this recipe's fault.

        Raises:
            TrainingError: some did not.
        """
        try:
            yield
        except (TypeError, ValueError, RuntimeError) as error:
            raise TrainingError(f"recipe {self.name}: {' '.join(str(error).split())}") from error

    def require_multiples(self, side: int) -> None:
        """Say so if crops are not of whole blocks.

        Raises:
            TrainingError: they are not.
        """
        if any(phase.patch % side for phase in self.phases):
            raise TrainingError(f"recipe {self.name}: crops must be multiples of {side} pixels")

    def refuse(self, *entries: str) -> None:
        """Say so if one of these entries is there, for a task that would pass it over.

        Raises:
            TrainingError: it is.
        """
        unused = [name for name in entries if getattr(self, name)]
        if unused:
            raise TrainingError(f"recipe {self.name}: {self.task} has no use for {', '.join(unused)}")


def read_list(file: Path, name: str) -> list[str]:
    """The lines of a file, or else of our list of that name, without comments and empty ones.

    Raises:
        TrainingError: there is neither.
        OSError: it cannot be read.
    """
    ours = Path(str(files("img2img.data"))) / "held_out" / f"{name}.txt"
    found = next((path for path in (file, ours) if path.is_file()), None)
    if found is None:
        known = ", ".join(sorted(path.stem for path in ours.parent.glob("*.txt")))
        raise TrainingError(f"there is no list of held-out files {file}, nor one of ours called {name!r} ({known})")
    lines = found.read_text(encoding="utf-8").splitlines()
    return [line.strip() for line in lines if line.strip() and not line.startswith("#")]


def read_recipe(path: Path) -> Recipe:
    """A recipe from its TOML file.

    Raises:
        TrainingError: not readable, not TOML, an unknown or missing entry, a value that is no choice.
    """
    try:
        entries = tomllib.loads(path.read_text(encoding="utf-8"))
        unknown = entries.keys() - {f.name for f in fields(Recipe)}
        if unknown:
            raise TrainingError(f"recipe {path}: unknown entries: {', '.join(sorted(unknown))}")
        entries["phases"] = tuple(Phase(**phase) for phase in entries["phases"])
        if isinstance(held_out := entries.get("validation"), str):
            entries["validation"] = read_list(path.parent / held_out, held_out)
        for name in ("betas", "validation"):
            if name in entries:
                entries[name] = tuple(entries[name])
        for name in ("repeat", "model", "data", "objective"):
            if not isinstance(entries.get(name, {}), dict):
                raise TypeError(f"{name} is no table")
        for folder, times in entries.get("repeat", {}).items():
            if type(times) is not int or times < 1:
                raise TypeError(f"pictures of {folder} cannot be drawn {times!r} times as often")
        recipe = Recipe(**entries)
        for name, choices in CHOICES.items():
            if (value := getattr(recipe, name)) not in choices:
                raise TrainingError(f"recipe {path}: {name} must be {' or '.join(choices)}, not {value!r}")
        return recipe
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise TrainingError(f"recipe {path} cannot be read: {error}") from error
    except (KeyError, TypeError) as error:
        raise TrainingError(f"recipe {path}: missing or wrong entry: {error}") from error
