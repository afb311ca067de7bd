"""The service's routes."""

from __future__ import annotations

import asyncio
import json
import re
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from importlib.resources import files
from typing import Any

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect, Request
from starlette.responses import FileResponse, JSONResponse, PlainTextResponse, Response, StreamingResponse
from starlette.routing import Route

from . import metrics, upload
from .jobs import STOPPING, Job, Jobs
from .openapi import FACTS, MEDIA_TYPES, document
from .settings import ServiceError

PAGE = {
    "/": ("index.html", "text/html; charset=utf-8"),
    "/page.css": ("page.css", "text/css; charset=utf-8"),
    "/page.js": ("page.js", "text/javascript; charset=utf-8"),
}
CHUNK = 1 << 20
RETRY = {"Retry-After": "5"}


class Service:
    """Answers requests.

    Args:
        jobs: the queue.
    """

    def __init__(self, jobs: Jobs) -> None:
        self.jobs = jobs
        self.answers: Counter[tuple[str, int]] = Counter()
        self.document = document(jobs.suite, jobs.limits)

    def app(self) -> Starlette:
        """The ASGI application."""
        routes = [
            *(Route(path, self._page(*page), methods=["GET"]) for path, page in PAGE.items()),
            Route("/openapi.json", self._counted(self.openapi), methods=["GET"]),
            Route("/healthz", self._counted(self.health), methods=["GET"]),
            Route("/metrics", self._counted(self.metrics), methods=["GET"]),
            Route("/v1/models", self._counted(self.models), methods=["GET"]),
            Route("/v1/jobs/{id}", self._counted(self.job), methods=["GET"]),
            Route("/v1/jobs/{id}", self._counted(self.delete), methods=["DELETE"]),
            Route("/v1/jobs/{id}/result", self._counted(self.result), methods=["GET"]),
            Route("/v1/jobs/{id}/preview", self._counted(self.preview), methods=["GET"]),
            *(
                Route(f"/v1/{name}", self._counted(self.post), methods=["POST"], name=name)
                for name in self.jobs.suite.commands
            ),
        ]

        @asynccontextmanager
        async def lifespan(_app: Starlette) -> AsyncIterator[None]:
            self.jobs.start()
            try:
                yield
            finally:
                await self.jobs.close()

        return Starlette(routes=routes, lifespan=lifespan, exception_handlers={HTTPException: _http_error})

    def _counted(self, answer: Callable[[Request], Awaitable[Response]]) -> Callable[[Request], Awaitable[Response]]:
        async def counted(request: Request) -> Response:
            route: str = request.scope["route"].path
            try:
                response = await answer(request)
            except ServiceError as error:
                if request.method == "POST":
                    await upload.drain(request)
                response = refusal(error)
            except ClientDisconnect:
                response = refusal(ServiceError(499, "the client went away"))
            self.answers[route, response.status_code] += 1
            return response

        return counted

    def _page(self, name: str, media_type: str) -> Callable[[Request], Awaitable[Response]]:
        content = (files(__package__) / "page" / name).read_bytes()

        async def page(_request: Request) -> Response:
            return Response(content, media_type=media_type)

        return page

    # ---- what is said of the service

    async def openapi(self, _request: Request) -> Response:
        """The description of all this."""
        return JSONResponse(self.document)

    async def health(self, _request: Request) -> Response:
        """Whether it works."""
        if self.jobs.stopping:
            raise ServiceError(503, STOPPING)
        return JSONResponse({"status": "ok", "version": self.jobs.suite.version})

    async def metrics(self, _request: Request) -> Response:
        """Numbers for Prometheus."""
        return PlainTextResponse(
            metrics.text(self.jobs, self.answers), media_type="text/plain; version=0.0.4; charset=utf-8"
        )

    async def models(self, _request: Request) -> Response:
        """The weights."""
        return JSONResponse(list(self.jobs.suite.models))

    # ---- pictures

    async def post(self, request: Request) -> Response:
        """Take a picture, and answer with the result, or with a job."""
        command: str = request.scope["path"].rpartition("/")[2]
        options, wait = _options(request.query_params.multi_items())
        suite, spool = self.jobs.suite, self.jobs.spool
        source = spool.path()
        with self.jobs.admit():
            checked = suite.check(command, options)  # before the upload: it may be long
            try:
                more = await upload.receive(request, self.jobs, source)
                if more:
                    of_form, of_wait = _options(more)
                    wait = wait and of_wait
                    checked = suite.check(command, [*options, *of_form])
                if self.jobs.stopping:
                    raise ServiceError(503, STOPPING)
            except BaseException:
                spool.remove(source)
                raise
            job = self.jobs.submit(command, checked, source)
        if not wait:
            return JSONResponse(self._about(job), 202, {"Location": f"/v1/jobs/{job.id}"})
        try:
            await _ended_or_gone(job, request)
        except BaseException:
            self.jobs.cancel(job)
            raise
        if job.state != "done":
            self.jobs.cancel(job)
            raise job.error or ServiceError(499, "cancelled")
        return self._file(job, once=True)

    def _about(self, job: Job) -> dict[str, Any]:
        about = job.about()
        return about | ({"before": self.jobs.place(job)} if job.state == "queued" else {})

    async def job(self, request: Request) -> Response:
        """How far a job is."""
        return JSONResponse(self._about(self.jobs.find(request.path_params["id"])))

    async def delete(self, request: Request) -> Response:
        """Stop a job, and remove what there is of it."""
        job = self.jobs.find(request.path_params["id"])
        self.jobs.cancel(job)
        return Response(status_code=204)

    async def result(self, request: Request) -> Response:
        """A job's result."""
        job = self.jobs.find(request.path_params["id"])
        if job.error is not None:
            raise job.error
        if job.state != "done":
            raise ServiceError(404, f"there is no result: the job is {job.state}")
        return self._file(job)

    async def preview(self, request: Request) -> Response:
        """What there is so far."""
        job = self.jobs.find(request.path_params["id"])
        if job.preview is None or not job.preview.exists():
            raise ServiceError(404, "there is no preview")
        return FileResponse(job.preview, media_type="image/jpeg")

    def _file(self, job: Job, once: bool = False) -> Response:
        """The result as a body; `once`: nobody will ask for it again."""
        try:
            file = job.target.open("rb")
        except OSError as error:
            raise ServiceError(404, "the result was removed to make room for others") from error

        async def chunks() -> AsyncIterator[bytes]:
            try:
                with file:
                    while chunk := await asyncio.to_thread(file.read, CHUNK):
                        yield chunk
                job.fetched = True
            finally:
                file.close()
                if once:
                    self.jobs.remove(job)

        format = job.checked.format
        headers = {
            **fact_headers(job.facts | {"bytes": job.size, "seconds": round(job.seconds, 4)}),
            "Content-Length": str(job.size),
            "Content-Disposition": f'attachment; filename="{job.command}.{format}"',
        }
        return StreamingResponse(chunks(), media_type=MEDIA_TYPES[format], headers=headers)


def fact_headers(facts: dict[str, Any]) -> dict[str, str]:
    """Facts as headers: all as JSON, and each that is a plain value by itself.

    Example:
        >>> fact_headers({"sigma": 12.5, "lost": ["EXIF"], "max_bytes": None})["X-Img2img-Sigma"]
        '12.5'
    """
    headers = {FACTS: json.dumps(facts, default=str)}  # ASCII: other letters are escaped
    for name, value in facts.items():
        if isinstance(value, int | float | str) and re.fullmatch(r"\w+", name, re.ASCII):
            text = str(value).lower() if isinstance(value, bool) else str(value)
            if text.isascii() and text.isprintable():
                headers[f"X-Img2img-{name.replace('_', '-').title()}"] = text
    return headers


def refusal(error: ServiceError) -> Response:
    """An error as one line of JSON."""
    headers = RETRY if error.status in (429, 503) else {}
    return Response(json.dumps({"error": error.text}) + "\n", error.status, {**headers}, media_type="application/json")


async def _http_error(_request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    response = refusal(ServiceError(error.status_code, error.detail))
    response.headers.update(error.headers or {})
    return response


def _options(given: list[tuple[str, str]]) -> tuple[list[tuple[str, str]], bool]:
    """The command's options, and whether the result is waited for, which is none of them."""
    waits = [value for name, value in given if name == "wait"]
    if not {*waits} <= {"0", "1"}:
        raise ServiceError(400, f"wait is 0 or 1, not {waits[0]!r}")
    return [(name, value) for name, value in given if name != "wait"], "0" not in waits


async def _ended_or_gone(job: Job, request: Request) -> None:
    """Wait for a job.

    Raises:
        ClientDisconnect: the client went away before.
    """

    async def gone() -> None:
        while (await request.receive())["type"] != "http.disconnect":
            pass

    waiting = [asyncio.ensure_future(job.ended.wait()), asyncio.ensure_future(gone())]
    try:
        await asyncio.wait(waiting, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for task in waiting:
            task.cancel()
        with suppress(asyncio.CancelledError):
            await asyncio.gather(*waiting, return_exceptions=True)
    if not job.ended.is_set():
        raise ClientDisconnect
