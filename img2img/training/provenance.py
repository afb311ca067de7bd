"""Where a weight file comes from: what every task writes into its header alike."""

import subprocess
from pathlib import Path
from typing import Any

from .. import __version__
from .recipe import Recipe


def provenance(recipe: Recipe, facts: dict[str, Any]) -> dict[str, Any]:
    """Name, data, version, commit and course of the training, for the header of a weight file."""
    return {
        "name": recipe.name,
        "data": recipe.source,
        "version": __version__,
        "commit": commit(),
        "training": facts,
    }


def commit() -> str:
    """The git commit of the code, or "unknown" outside a checkout."""
    result = subprocess.run(
        ["git", "describe", "--always", "--dirty", "--abbrev=12"],
        cwd=Path(__file__).parent,
        capture_output=True,
        text=True,
        check=False,
    )
    return result.stdout.strip() or "unknown"
