"""The scripts of docs/scale.md do what the page says: run as they stand, with the variables that schedulers set."""

import os
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from skimage.io import imsave

PAGE = Path(__file__).parents[1] / "docs" / "scale.md"
SCRIPTS = re.findall(r"```sh\n(#!/bin/sh\n.*?)```", PAGE.read_text(encoding="utf-8"), re.DOTALL)

SLURM = {"SLURM_ARRAY_TASK_COUNT": "8", "SLURM_ARRAY_TASK_MIN": "1", "SLURM_ARRAY_TASK_MAX": "8"}


def variables(scheduler: str, task: int) -> dict[str, str]:
    """What a scheduler sets for its task, counted from 1."""
    if scheduler == "SLURM":
        return SLURM | {"SLURM_ARRAY_TASK_ID": str(task)}
    return {"JOB_COMPLETION_INDEX": str(task - 1)} if scheduler == "JOB_COMPLETION" else {"PARALLEL_SEQ": str(task)}


@pytest.mark.skipif(sys.platform == "win32", reason="the scripts are for sh")
@pytest.mark.parametrize(("scheduler", "mark"), [("SLURM", "#SBATCH"), ("JOB_COMPLETION", "JOB_"), ("PARALLEL", "SEQ")])
def test_two_tasks_of_eight_do_their_own_parts(scheduler: str, mark: str, empty_folder: Path) -> None:
    (script,) = [each for each in SCRIPTS if mark in each]
    names = [f"{number:02}.png" for number in range(10)]
    for name in names:
        imsave(empty_folder / name, np.full((8, 8), 99, np.uint8), check_contrast=False)
    (empty_folder / "list.txt").write_text("\n".join(names))
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    done = []
    for task in (1, 4):
        environment = os.environ | {"PATH": path, "OMP_NUM_THREADS": "1"} | variables(scheduler, task)
        result = subprocess.run(["sh", "-c", script], env=environment, capture_output=True, text=True, check=False)
        assert result.returncode == 0, result.stderr
        done.append({Path(line).name for line in result.stdout.split()})
    # Slurm's ids leave other remainders than shards counted from 1, but each picture belongs to one task.
    assert not done[0] & done[1]
    for part in done:
        places = sorted(int(name[:2]) for name in part)
        assert places
        assert all(place % 8 == places[0] % 8 for place in places)
