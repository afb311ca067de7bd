"""The one training loop, on Lightning Fabric: one step after another, resumable to the bit.

Step n draws its randomness from (seed, n, rank) alone, so a resumed run needs no generator states.
"""

import json
import math
import time
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path
from typing import Any, Protocol

import torch
from lightning.fabric import Fabric
from torch import Generator, Tensor, nn
from torch.optim import Optimizer

from ..errors import TrainingError
from ..runtime import pick_precision
from . import state
from .interrupt import at_a_step
from .log import Log
from .muon import Muon
from .recipe import Recipe


class Objective(Protocol):
    """A loss with an optimiser of its own: a module whose forward(batch) gives named scalars, `loss` is minimised."""

    def __call__(self, batch: Any) -> dict[str, Tensor]: ...
    def parameters(self) -> Iterator[nn.Parameter]: ...


class Task(Protocol):
    """What the loop asks of a task.

    `model` is averaged, validated and shipped; it is part of an objective. `objectives` are minimised in turn at each
    step, each by its own optimiser (one for a denoiser, two for a GAN).
    """

    model: nn.Module
    objectives: dict[str, nn.Module]

    def batch(self, patch: int, n: int, generator: Generator) -> Any: ...
    def validate(self, model: nn.Module) -> dict[str, float]:
        """Figures of the averaged model on held-out data; `score` chooses the best, higher is better."""
        ...

    def picture(self, model: nn.Module) -> Tensor:
        """What the averaged model does, (3, H, W) in [0, 1]; like validate called in eval mode, without gradients."""
        ...

    def ship(self, tensors: dict[str, Tensor], path: Path, facts: dict[str, Any]) -> None: ...


def learning_rate(recipe: Recipe, step: int) -> float:
    """Linear warm-up, then to zero at the last step.

    By a cosine (Loshchilov & Hutter 2017, arXiv:1608.03983), or at the full rate for half of the steps and from there
    along a line (Isola 2017, arXiv:1611.07004, as its authors' code has it).
    """
    if step < recipe.warmup:
        return recipe.lr * (step + 1) / recipe.warmup
    done = min(1.0, (step - recipe.warmup) / max(1, recipe.steps - recipe.warmup))
    if recipe.schedule == "linear":
        return recipe.lr * min(1.0, 2 * (1 - done))
    return recipe.lr * 0.5 * (1 + math.cos(math.pi * done))


def generator_for(device: torch.device, seed: int, step: int, rank: int = 0) -> Generator:
    """The randomness of one step of one process."""
    return Generator(device).manual_seed((seed * 1_000_003 + step) * 1_009 + rank)


def optimizer_of(recipe: Recipe, parameters: list[nn.Parameter]) -> Optimizer:
    """What a recipe's `optimizer` names, over these parameters."""
    if recipe.optimizer == "muon":
        return Muon(parameters, recipe.lr, betas=recipe.betas, weight_decay=recipe.weight_decay)
    return torch.optim.AdamW(parameters, recipe.lr, recipe.betas, weight_decay=recipe.weight_decay, fused=True)


def plan_of(recipe: Recipe) -> dict[str, Any]:
    """A recipe as JSON keeps it, without what may change on the way."""
    free = ("steps", "every", "source", "name")
    plan: dict[str, Any] = json.loads(json.dumps({k: v for k, v in asdict(recipe).items() if k not in free}))
    return plan


class Average:
    """Exponential moving average of a model's tensors, with the early steps' shorter memory."""

    def __init__(self, model: nn.Module, decay: float) -> None:
        self.decay = decay
        self.tensors = {k: v.detach().clone() for k, v in model.state_dict().items()}

    @torch.no_grad()
    def update(self, model: nn.Module, step: int) -> None:
        decay = min(self.decay, (1 + step) / (10 + step))
        current = model.state_dict()
        floats = [k for k, v in self.tensors.items() if v.is_floating_point()]
        torch._foreach_lerp_([self.tensors[k] for k in floats], [current[k] for k in floats], 1 - decay)
        for k in self.tensors.keys() - set(floats):
            self.tensors[k].copy_(current[k])

    def apply_to(self, model: nn.Module) -> dict[str, Tensor]:
        """Put the average into the model; returns what was there, for load_state_dict afterwards."""
        before = {k: v.detach().clone() for k, v in model.state_dict().items()}
        model.load_state_dict(self.tensors)
        return before


class Training:
    """One run of a recipe in a folder: `state.safetensors`, `best.safetensors`, `log.csv`, pictures, events.

    Args:
        task: model, objectives and data.
        recipe: how.
        folder: where; made if missing.
        fabric: device, precision and processes, launched.
        quiet: say nothing and log no events, because whoever runs this shows how far it is.
    """

    def __init__(self, task: Task, recipe: Recipe, folder: Path, fabric: Fabric, quiet: bool = False) -> None:
        self.task, self.recipe, self.folder, self.fabric, self.quiet = task, recipe, folder, fabric, quiet
        folder.mkdir(parents=True, exist_ok=True)
        self.step, self.seconds, self.pixels, self.best = 0, 0.0, 0, -math.inf
        self.curve: dict[str, float] = {}  # score by step
        self.objectives, self.optimizers = {}, {}
        for name, objective in task.objectives.items():
            objective.to(fabric.device).to(memory_format=torch.channels_last)
            trained = [p for p in objective.parameters() if p.requires_grad]
            optimizer = optimizer_of(recipe, trained)
            self.objectives[name], self.optimizers[name] = fabric.setup(objective, optimizer)
        self.average = Average(task.model, recipe.ema)  # last, so that it lies in memory as the model does

    def resume(self) -> None:
        """Go on from the folder's state.

        Raises:
            TrainingError: there is none, or it belongs to another model, or to another recipe but for `steps`.
        """
        tensors, facts = state.load(self.folder / "state.safetensors", self.fabric.device)
        plan = plan_of(self.recipe)
        before = plan_of(Recipe("", "", 0, ())) | facts.get("recipe", plan)
        changed = [name for name in plan if plan[name] != before[name]]
        if changed:
            raise TrainingError(f"{self.folder} was begun with another {', '.join(changed)}: go on with the same")
        try:
            for name, objective in self.task.objectives.items():
                objective.load_state_dict(state.part(tensors, f"objective.{name}"))
                state.load_optimizer(self.optimizers[name], state.part(tensors, f"optimizer.{name}"))
            for k, v in state.part(tensors, "average").items():
                self.average.tensors[k].copy_(v)
        except (RuntimeError, KeyError, IndexError) as error:
            raise TrainingError(f"{self.folder}: its state belongs to another recipe") from error
        self.step, self.seconds = facts["step"], facts["seconds"]
        self.pixels, self.best, self.curve = facts["pixels"], facts["best"], facts.get("curve", {})

    def save(self) -> None:
        tensors = state.prefixed("average", self.average.tensors)
        for name, objective in self.task.objectives.items():
            tensors |= state.prefixed(f"objective.{name}", objective.state_dict())
            tensors |= state.prefixed(f"optimizer.{name}", state.optimizer_tensors(self.optimizers[name]))
        facts: dict[str, Any] = {"step": self.step, "seconds": self.seconds, "pixels": self.pixels, "best": self.best}
        facts |= {"curve": self.curve, "recipe": plan_of(self.recipe)}
        state.save(self.folder / "state.safetensors", tensors, facts)

    def run(self, minutes: float | None = None) -> Path:
        """Train to the recipe's last step, or for that many minutes, and save. Returns the best weights' file.

        Raises:
            TrainingError: there are no best weights, because no score is a number or because they were taken away.
            KeyboardInterrupt: Ctrl-C; the last step is saved.
        """
        log = Log(self.folder, self.step, self.quiet) if self.fabric.is_global_zero else None
        started, seconds_before = time.monotonic(), self.seconds
        with at_a_step(self.quiet) as interrupt:
            while self.step < self.recipe.steps:
                figures = self._train_step()
                self.seconds = seconds_before + time.monotonic() - started
                if log:
                    log.sign_of_life(self.step, self.recipe.steps, self.seconds)
                out_of_time = minutes is not None and time.monotonic() - started > minutes * 60
                stop = self._for_all(out_of_time or interrupt.asked)
                if self.step % self.recipe.every == 0 or self.step == self.recipe.steps or stop:
                    self._validate_and_save(figures, log)
                if stop:
                    break
        if log:
            log.close()
        if interrupt.asked:
            raise KeyboardInterrupt
        best = self.folder / "best.safetensors"
        if not best.is_file():
            diverged = self.best == -math.inf
            reason = "no score is a number, the training has diverged" if diverged else "nothing new scored better"
            raise TrainingError(f"there is no {best}: {reason}")
        return best

    def _for_all(self, decision: bool) -> bool:
        """The first process's decision: clocks differ, and a process that went on alone would wait for ever."""
        if self.fabric.world_size == 1:
            return decision
        # Asked for at every tenth step only, because a GPU has to wait for the answer.
        return self.step % 10 == 0 and self.fabric.broadcast(decision)

    def _train_step(self) -> dict[str, Tensor]:
        recipe, fabric = self.recipe, self.fabric
        phase = recipe.phase(self.step)
        generator = generator_for(fabric.device, recipe.seed, self.step, fabric.global_rank)
        torch.manual_seed(generator.initial_seed())  # for dropout
        share = max(1, phase.batch // fabric.world_size)
        batch = self.task.batch(phase.patch, share, generator)
        figures: dict[str, Tensor] = {}
        for name, objective in self.objectives.items():
            optimizer = self.optimizers[name]
            for group in optimizer.param_groups:
                group["lr"] = learning_rate(recipe, self.step)
            losses = objective(batch)
            optimizer.zero_grad()
            fabric.backward(losses["loss"])
            torch.nn.utils.clip_grad_norm_(objective.parameters(), recipe.clip)
            optimizer.step()
            figures |= {f"{name}/{k}": v.detach() for k, v in losses.items()}
        self.step += 1
        self.pixels += share * fabric.world_size * phase.patch**2
        self.average.update(self.task.model, self.step)
        return figures

    def _validate_and_save(self, figures: dict[str, Tensor], log: Log | None) -> None:
        if log:
            scores, picture = self._judge_average()
            score = scores["score"]
            self.curve[str(self.step)] = round(score, 4)
            if score > self.best or (self.recipe.keep == "last" and not math.isnan(score)):
                self.best = score
                self.task.ship(self.average.tensors, self.folder / "best.safetensors", self._facts(scores))
            log.picture(picture, self.step)
            row = {k: v.item() for k, v in figures.items()} | {f"val/{k}": v for k, v in scores.items()}
            row |= {"lr": learning_rate(self.recipe, self.step)}
            row |= {"seconds": self.seconds, "megapixels": self.pixels / 1e6}
            log.row(self.step, row)
            self.save()
        self.fabric.barrier()

    def _judge_average(self) -> tuple[dict[str, float], Tensor]:
        """Scores and picture of the averaged model."""
        model = self.task.model
        before = self.average.apply_to(model)
        model.eval()
        with torch.inference_mode(), self.fabric.autocast():
            scores, picture = self.task.validate(model), self.task.picture(model)
        model.train()
        model.load_state_dict(before)
        return scores, picture

    def _facts(self, scores: dict[str, float]) -> dict[str, Any]:
        return {
            "recipe": self.recipe.name,
            "steps": self.step,
            "megapixels": round(self.pixels / 1e6, 1),
            "minutes": round(self.seconds / 60, 1),
            "device": device_name(self.fabric.device),
            "precision": str(pick_precision(self.recipe.precision, self.fabric.device)).removeprefix("torch."),
            "validation": {k: round(v, 3) for k, v in scores.items()},
            "curve": self.curve,
        }


def device_name(device: torch.device) -> str:
    """What the device is called in cards: the GPU's name, or the number of CPU threads."""
    if device.type == "cuda":
        return torch.cuda.get_device_name(device)
    return f"{device.type}, {torch.get_num_threads()} threads"
