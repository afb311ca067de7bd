"""Networks that stay loaded, for a process that is asked again and again (`img2img serve`)."""

from collections.abc import Callable
from functools import lru_cache
from typing import Any, TypeVar, cast

T = TypeVar("T")

LOADED = 8


def kept(load: Callable[..., T], *arguments: Any, **options: Any) -> T:
    """What `load` gives for these arguments; the latest few are kept."""
    return cast(T, _load(load, *arguments, **options))


@lru_cache(maxsize=LOADED)
def _load(load: Callable[..., Any], *arguments: Any, **options: Any) -> Any:
    return load(*arguments, **options)
