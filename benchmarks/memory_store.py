"""fsspec's file system in memory, with something done before it answers: it can be late, or fail."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

REQUESTS = {"cat_file": "get", "pipe_file": "put", "info": "info", "ls": "list"}


@contextmanager
def memory_store(before: Callable[[str], None]) -> Iterator[Any]:
    """While this lasts, memory:// is an empty one of its own; gives its file system.

    Args:
        before: is called with the kind of each request, `get`, `put`, `info` or `list`, and may raise. From several
            threads. What a request asks for while it is answered is no request of its own.
    """
    import fsspec
    from fsspec.implementations.memory import MemoryFileSystem

    here = threading.local()

    def method(name: str) -> Callable[..., Any]:
        def call(self: Any, *arguments: Any, **named: Any) -> Any:
            within = getattr(here, "within", False)
            if not within:
                before(REQUESTS[name])
            here.within = True
            try:
                return getattr(MemoryFileSystem, name)(self, *arguments, **named)
            finally:
                here.within = within

        return call

    own = {"store": {}, "pseudo_dirs": [""], **{name: method(name) for name in REQUESTS}}
    fsspec.register_implementation("memory", type("Store", (MemoryFileSystem,), own), clobber=True)
    try:
        yield fsspec.filesystem("memory")
    finally:
        fsspec.register_implementation("memory", MemoryFileSystem, clobber=True)
