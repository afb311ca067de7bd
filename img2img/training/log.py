"""What a training says of itself: a CSV file, TensorBoard events, sample pictures, a line on standard error."""

import csv
import sys
import time
from pathlib import Path
from typing import Any

from torch import Tensor

SILENCE = 60.0  # seconds after which a line is printed between two judgements


class Log:
    """Writes into a training's folder; rows after `step` of an earlier, interrupted run are dropped.

    Args:
        folder: of the run.
        step: that it is at.
        quiet: print nothing, and write no events.
    """

    def __init__(self, folder: Path, step: int, quiet: bool = False) -> None:
        self.folder, self.events = folder, None if quiet else _events(folder, step)
        self.quiet, self.spoke = quiet, time.monotonic()
        self.file = folder / "log.csv"
        self.rows: list[dict[str, str]] = []
        if self.file.is_file() and step:
            with self.file.open(newline="") as lines:
                self.rows = [row for row in csv.DictReader(lines) if int(row["step"]) <= step]

    def row(self, step: int, figures: dict[str, float]) -> None:
        self.rows.append({"step": str(step)} | {name: f"{value:.6g}" for name, value in figures.items()})
        columns = list(dict.fromkeys(name for row in self.rows for name in row))
        with self.file.open("w", newline="") as lines:
            writer = csv.DictWriter(lines, columns)
            writer.writeheader()
            writer.writerows(self.rows)
        if self.events is None:
            return
        for name, value in figures.items():
            self.events.add_scalar(name, value, step)
        shown = "  ".join(f"{name} {value:.4g}" for name, value in figures.items())
        print(f"step {step}  {shown}", file=sys.stderr, flush=True)
        self.spoke = time.monotonic()

    def sign_of_life(self, step: int, steps: int, seconds: float) -> None:
        """Print how far the training is, if nothing was printed for a minute."""
        if not self.quiet and time.monotonic() - self.spoke >= SILENCE:
            self.spoke = time.monotonic()
            print(f"step {step} of {steps}, {seconds / step:.2g} s a step", file=sys.stderr, flush=True)

    def picture(self, image: Tensor, step: int) -> None:
        """(3, H, W) in [0, 1]; the latest is kept as sample.png, all of them in the events."""
        from PIL import Image

        samples = (image.clamp(0, 1) * 255).round().byte().cpu()
        if self.events is not None:
            self.events.add_image("sample", samples, step)
        Image.fromarray(samples.permute(1, 2, 0).numpy()).save(self.folder / "sample.png")

    def close(self) -> None:
        if self.events is not None:
            self.events.close()


def _events(folder: Path, step: int) -> Any:
    from torch.utils.tensorboard import SummaryWriter

    return SummaryWriter(str(folder / "events"), purge_step=step + 1)
