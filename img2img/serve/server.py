"""Sockets, time limits of connections, and signals."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Callable, Collection
from pathlib import Path
from types import FrameType
from typing import Any

import h11
import uvicorn
from uvicorn.protocols.http.h11_impl import H11Protocol

from .app import Service
from .guard import Guard
from .jobs import Jobs
from .settings import Limits
from .spool import Spool
from .suite import Suite


def listen(host: str, port: int) -> socket.socket:
    """A socket that listens.

    Raises:
        OSError: another program listens there, or this is no address of the machine.
    """
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    return socket.create_server((host, port), family=family, backlog=512)


def address(sock: socket.socket) -> str:
    """The address to open in a browser."""
    host, port = sock.getsockname()[:2]
    host = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(host, host)
    return f"http://[{host}]:{port}/" if ":" in host else f"http://{host}:{port}/"


def serve(
    suite: Suite,
    sock: socket.socket,
    limits: Limits,
    *,
    workers: int = 1,
    hosts: Collection[str] = (),
    token: str | None = None,
    folder: Path | None = None,
    ready: Callable[[], None] = lambda: None,
    stopping: Callable[[], None] = lambda: None,
) -> None:
    """Serve until SIGTERM or Ctrl-C: what is computed is then finished. The second of them ends it at once.

    Args:
        suite: what.
        sock: where.
        limits: how much.
        workers: processes that compute.
        hosts: further names that this machine may be called by.
        token: that requests have to give.
        folder: where the temporary folder is made.
        ready: is called when requests are taken.
        stopping: is called when no more are.
    """
    spool = Spool(limits.folder, folder)
    jobs = Jobs(suite, limits, spool, workers)
    try:
        app = Guard(Service(jobs).app(), hosts, token)
        config = uvicorn.Config(
            app,
            http=protocol(limits.silence),
            ws="none",
            lifespan="on",
            log_config=None,
            access_log=False,
            server_header=False,
            proxy_headers=False,
            limit_concurrency=limits.connections,
            timeout_keep_alive=5,
            timeout_graceful_shutdown=10,
        )
        _Server(config, jobs, ready, stopping).run([sock])
    finally:
        for worker in jobs.workers:
            worker.kill()
        spool.close()


def protocol(silence: float) -> type[H11Protocol]:
    """HTTP that waits so many seconds for the head of a request, and then hangs up (uvicorn itself waits for ever)."""

    class Patient(H11Protocol):
        _hang_up: asyncio.TimerHandle | None = None

        def connection_made(self, transport: Any) -> None:
            super().connection_made(transport)
            self._wait()

        def data_received(self, data: bytes) -> None:
            super().data_received(data)
            self._wait()

        def on_response_complete(self) -> None:
            super().on_response_complete()
            self._wait()

        def connection_lost(self, exc: Exception | None) -> None:
            if self._hang_up is not None:
                self._hang_up.cancel()
            super().connection_lost(exc)

        def _wait(self) -> None:
            """Count the time from the first moment at which a head is owed; further bytes of it do not begin anew."""
            if self.conn.their_state is h11.IDLE:
                if self._hang_up is None:
                    self._hang_up = self.loop.call_later(silence, self.transport.close)
            elif self._hang_up is not None:
                self._hang_up.cancel()
                self._hang_up = None

    return Patient


class _Server(uvicorn.Server):
    """Stops in two steps: it refuses what is new while it finishes what it computes, then it ends."""

    def __init__(
        self, config: uvicorn.Config, jobs: Jobs, ready: Callable[[], None], stopping: Callable[[], None]
    ) -> None:
        super().__init__(config)
        self.jobs, self.ready, self.stopping = jobs, ready, stopping
        self._ending: asyncio.Task[None] | None = None
        self._loop: asyncio.AbstractEventLoop | None = None

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Begin to listen."""
        await super().startup(sockets)
        self._loop = asyncio.get_running_loop()
        if self.started:
            self.ready()

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        """The first signal lets it finish, the second does not."""
        if self._loop is None or self.jobs.stopping:
            self.force_exit = self.should_exit = True
        else:
            self.jobs.stopping = True
            self._loop.call_soon_threadsafe(self._begin_to_end)

    def _begin_to_end(self) -> None:
        self.stopping()
        self._ending = asyncio.ensure_future(self._end())

    async def _end(self) -> None:
        await self.jobs.stop()
        self.should_exit = True
