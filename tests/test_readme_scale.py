"""The scripts of docs/scale.md do what the page says: run as they stand, with the variables that schedulers set."""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from skimage.io import imsave

PAGE = Path(__file__).parents[1] / "docs" / "scale.md"
TEXT = PAGE.read_text(encoding="utf-8")
SLURM_SCRIPT, PARALLEL_SCRIPT = re.findall(r"```sh\n(#!/bin/sh\n.*?)```", TEXT, re.DOTALL)
(WORDS,) = re.findall(r"^ +command: \[(.+)\]$", TEXT, re.MULTILINE)  # of the Kubernetes job

SLURM = {"SLURM_ARRAY_TASK_COUNT": "8", "SLURM_ARRAY_TASK_MIN": "1", "SLURM_ARRAY_TASK_MAX": "8"}


def variables(scheduler: str, task: int) -> dict[str, str]:
    """What a scheduler sets for its task, counted from 1."""
    if scheduler == "SLURM":
        return SLURM | {"SLURM_ARRAY_TASK_ID": str(task)}
    return {"JOB_COMPLETION_INDEX": str(task - 1)} if scheduler == "JOB_COMPLETION" else {"PARALLEL_SEQ": str(task)}


@pytest.mark.skipif(sys.platform == "win32", reason="the scripts are for sh")
@pytest.mark.parametrize(
    ("scheduler", "script"),
    [("SLURM", SLURM_SCRIPT), ("JOB_COMPLETION", WORDS.replace(",", "")), ("PARALLEL", PARALLEL_SCRIPT)],
)
def test_two_tasks_of_eight_do_their_own_parts(scheduler: str, script: str, empty_folder: Path) -> None:
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


@pytest.mark.skipif(shutil.which("parallel") is None, reason="GNU parallel is not installed")
def test_gnu_parallel_does_all(empty_folder: Path) -> None:
    for number in range(3):
        imsave(empty_folder / f"{number}.png", np.full((8, 8), 99, np.uint8), check_contrast=False)
    (empty_folder / "list.txt").write_text("0.png\n1.png\n2.png\n")
    (empty_folder / "task.sh").write_text(PARALLEL_SCRIPT.replace("/8", "/2"))
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    command = ["sh", "-c", "seq 2 | parallel --will-cite -j2 -N0 sh task.sh"]
    environment = os.environ | {"PATH": path, "OMP_NUM_THREADS": "1"}
    result = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stderr
    assert sorted(path.name for path in (empty_folder / "clean").iterdir()) == ["0.png", "1.png", "2.png"]
