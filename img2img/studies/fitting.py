"""Training inside a study: the suite's one loop, in a folder that is gone afterwards."""

from __future__ import annotations

import csv
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import torch
import torch.nn.functional as F
from safetensors.torch import load_file, save_file
from torch import Generator, Tensor, nn

from ..training.loop import Training
from ..training.recipe import Phase, Recipe
from ..training.run import launched
from .data import Labelled
from .study import Settings, progress

M = TypeVar("M", bound=nn.Module)
Batch = Callable[[int, Generator], tuple[Tensor, Tensor]]  # how many -> inputs, what they should give
Loss = Callable[[Tensor, Tensor], Tensor]


@dataclass(frozen=True)
class Plan:
    """How long and with what a study trains.

    Args:
        steps: of the optimiser.
        batch: pictures a step.
        lr: peak learning rate of AdamW; it warms up over a tenth of the steps and falls by a cosine.
        weight_decay: of AdamW.
        judged: how often the score is taken.
        precision: `fp32` gives the same numbers on processors with and without bf16; `auto` trains in bf16 where that
            is quicker, for what takes hours.
    """

    steps: int
    batch: int = 64
    lr: float = 2e-3
    weight_decay: float = 1e-4
    judged: int = 10
    precision: str = "fp32"


@dataclass(frozen=True)
class Curve:
    """The course of a training: after which steps, after how many seconds, what loss (of one batch) and score."""

    steps: list[int]
    seconds: list[float]
    losses: list[float]
    scores: list[float]


class Fit(nn.Module):
    """The objective: a model's answer to a batch, compared with what it should be."""

    def __init__(self, model: nn.Module, loss: Loss) -> None:
        super().__init__()
        self.model, self.loss = model, loss

    def forward(self, batch: tuple[Tensor, Tensor]) -> dict[str, Tensor]:
        inputs, wanted = batch
        return {"loss": self.loss(self.model(inputs), wanted)}


class FitTask:
    """What the training loop asks of a task (training.loop.Task)."""

    def __init__(
        self, model: nn.Module, loss: Loss, batch: Batch, score: Callable[[Any], float], tick: Callable[[], Any]
    ) -> None:
        self.model, self.score, self.tick, self.draw_batch = model, score, tick, batch
        self.objectives: dict[str, nn.Module] = {"main": Fit(model, loss)}

    def batch(self, patch: int, n: int, generator: Generator) -> tuple[Tensor, Tensor]:
        self.tick()
        return self.draw_batch(n, generator)

    def validate(self, model: Any) -> dict[str, float]:
        return {"score": self.score(model)}

    def picture(self, model: nn.Module) -> Tensor:
        """Nothing to look at: the study draws what there is."""
        return torch.zeros(3, 1, 1)

    def ship(self, tensors: dict[str, Tensor], path: Path, facts: dict[str, Any]) -> None:
        save_file({k: v.detach().cpu().clone(memory_format=torch.contiguous_format) for k, v in tensors.items()}, path)


def fit(
    model: M,
    batch: Batch,
    loss: Loss,
    plan: Plan,
    settings: Settings,
    label: str,
    score: Callable[[M], float] = lambda _: 0.0,
) -> tuple[M, Curve]:
    """Train a model; it comes back in eval mode on the CPU with its last weights, and the course of the training.

    Args:
        model: changed in place.
        batch: draws a batch on the generator's device.
        loss: of an answer and what it should be.
        plan: how long.
        settings: seed, device, and minutes after which it stops.
        label: of the progress bar.
        score: higher is better; of the model in eval mode, without gradients, on the training's device.

    Raises:
        TrainingError: the score is no number: the training has diverged.
        KeyboardInterrupt: Ctrl-C.
    """
    every = max(1, plan.steps // plan.judged)
    recipe = Recipe(
        name=label,
        task="study",
        steps=plan.steps,
        phases=(Phase(1.0, 1, plan.batch),),
        lr=plan.lr,
        warmup=max(1, plan.steps // 10),
        weight_decay=plan.weight_decay,
        ema=0.0,  # the weights themselves
        precision=plan.precision,
        seed=settings.seed,
        every=every,
        keep="last",
    )
    bar = progress(range(plan.steps), label, plan.steps)
    fabric = launched(settings.device, recipe.precision)
    with tempfile.TemporaryDirectory(prefix="img2img-study-") as name:
        task = FitTask(model, loss, batch, score, lambda: next(bar, None))
        try:
            best = Training(task, recipe, Path(name), fabric, quiet=True).run(settings.minutes)
        finally:
            bar.close()  # type: ignore[attr-defined]
        tensors, curve = load_file(best), read_curve(Path(name) / "log.csv")
    model.to("cpu").to(memory_format=torch.contiguous_format).load_state_dict(tensors)
    return model.eval(), curve


def read_curve(path: Path) -> Curve:
    """The course of a training from its log.csv."""
    with path.open(newline="") as lines:
        rows = list(csv.DictReader(lines))
    return Curve(
        [int(row["step"]) for row in rows],
        [float(row["seconds"]) for row in rows],
        [float(row["main/loss"]) for row in rows],
        [float(row["val/score"]) for row in rows],
    )


@torch.no_grad()
def answers(model: nn.Module, inputs: Tensor, batch: int = 250) -> Tensor:
    """A model's answers to many inputs, batch by batch; on the model's device and back."""
    device = next(model.parameters()).device
    return torch.cat([model(part.to(device)).float().cpu() for part in inputs.split(batch)])


def accuracy(model: nn.Module, inputs: Tensor, labels: Tensor) -> float:
    """The share of inputs (N, 1, H, W) whose highest answer is their label."""
    return float((answers(model, inputs).argmax(1) == labels).float().mean())


def classify(
    model: M, data: Labelled, plan: Plan, settings: Settings, label: str, shift: int = 0, mirror: bool = False
) -> tuple[M, Curve]:
    """Train a classifier on labelled pictures; its score is the accuracy on the test pictures."""
    return fit(
        model,
        lambda n, generator: data.sample(n, generator, shift, mirror),
        F.cross_entropy,
        plan,
        settings,
        label,
        lambda trained: accuracy(trained, data.test, data.test_labels),
    )


def seeded(seed: int, build: Callable[[], M]) -> M:
    """A network whose first weights depend on the seed alone; everybody else's randomness stays as it was."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return build()
