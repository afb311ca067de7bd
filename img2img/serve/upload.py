"""A request's body into a file of ours: so many bytes, in so much time, and under no name of the client's."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import suppress
from pathlib import Path
from typing import Any

from python_multipart.exceptions import FormParserError
from python_multipart.multipart import MultipartParser, parse_options_header
from starlette.requests import ClientDisconnect, Request

from .jobs import Jobs
from .settings import MIB, ServiceError

FIELDS, FIELD_BYTES = 100, 10_000  # options in a multipart body
DRAINED, DRAINING = 8 * MIB, 2.0  # of a body that is refused: so much is read, so long


async def receive(request: Request, jobs: Jobs, target: Path) -> list[tuple[str, str]]:
    """Write the picture in a body into a file.

    Args:
        request: whose body is the picture, or a multipart form with the picture as its `file`, and options.
        jobs: whose limits hold, and whose folder the file is in.
        target: the file.

    Returns:
        the options in the form.

    Raises:
        ServiceError: it is too large, too slow, or no picture is in it.
        ClientDisconnect: the client went away.
    """
    limits = jobs.limits
    declared = request.headers.get("content-length", "")
    if declared.isdecimal() and int(declared) > limits.body:
        raise too_large(limits.body)
    kind, options = parse_options_header(request.headers.get("content-type"))
    try:
        async with asyncio.timeout(limits.upload):
            with target.open("xb") as file:
                sink = _Sink(jobs, target, file)
                if kind != b"multipart/form-data":
                    async for chunk in _chunks(request, limits.body, limits.silence):
                        sink.write(chunk)
                    fields: list[tuple[str, str]] = []
                else:
                    form = _Form(options.get(b"boundary", b""), sink)
                    async for chunk in _chunks(request, limits.body, limits.silence):
                        form.feed(chunk)
                    fields = form.finish()
    except TimeoutError as error:
        raise ServiceError(408, "the upload took too long") from error
    except OSError as error:
        raise ServiceError(507, f"the upload cannot be kept: {error.strerror or error}") from error
    if not sink.size:
        raise ServiceError(400, "the body is empty: it has to be a picture")
    return fields


def too_large(limit: int) -> ServiceError:
    """What is answered to a large body."""
    return ServiceError(413, f"larger than {limit / MIB:g} MiB, which this service allows (--max-body)")


async def _chunks(request: Request, limit: int, silence: float) -> AsyncIterator[bytes]:
    size = 0
    stream = request.stream()
    while True:
        try:
            async with asyncio.timeout(silence):
                chunk = await anext(stream)
        except StopAsyncIteration:
            return
        size += len(chunk)
        if size > limit:
            raise too_large(limit)
        if chunk:
            yield chunk


async def drain(request: Request) -> None:
    """Read some of a body that was refused, for a client that is still sending would not see the answer."""
    with suppress(TimeoutError, ClientDisconnect, RuntimeError):
        async with asyncio.timeout(DRAINING):
            size = 0
            async for chunk in request.stream():
                size += len(chunk)
                if size > DRAINED:
                    return


class _Sink:
    """A file whose bytes are accounted for."""

    def __init__(self, jobs: Jobs, target: Path, file: Any) -> None:
        self.jobs, self.target, self.file = jobs, target, file
        self.size = 0

    def write(self, data: bytes) -> None:
        self.jobs.make_room(len(data))
        self.jobs.spool.take(self.target, len(data))
        self.file.write(data)
        self.size += len(data)


class _Form:
    """A multipart form: the part `file` goes into the sink, the others are options."""

    def __init__(self, boundary: bytes, sink: _Sink) -> None:
        self.sink = sink
        self.fields: list[tuple[str, str]] = []
        self.complete = False
        self._header, self._value = b"", b""
        self._headers: dict[bytes, bytes] = {}
        self._name, self._data = "", b""
        self._files = 0
        callbacks: Any = {
            "on_part_begin": self._begin,
            "on_header_field": self._field,
            "on_header_value": self._content,
            "on_header_end": self._end_header,
            "on_headers_finished": self._named,
            "on_part_data": self._more,
            "on_part_end": self._finished,
            "on_end": self._end,
        }
        with _as_bad_form():
            self._parser = MultipartParser(boundary, callbacks)

    def feed(self, data: bytes) -> None:
        """Take the next bytes."""
        with _as_bad_form():
            self._parser.write(data)

    def finish(self) -> list[tuple[str, str]]:
        """The options, when all bytes were taken."""
        if not self.complete:
            raise ServiceError(400, "the form is truncated: its last boundary is missing")
        if not self._files:
            raise ServiceError(400, "the form has no part called file")
        return self.fields

    def _begin(self) -> None:
        self._headers, self._name, self._data = {}, "", b""

    def _field(self, data: bytes, start: int, end: int) -> None:
        self._header += data[start:end]

    def _content(self, data: bytes, start: int, end: int) -> None:
        self._value += data[start:end]

    def _end_header(self) -> None:
        self._headers[self._header.lower()] = self._value
        self._header = self._value = b""

    def _named(self) -> None:
        _, options = parse_options_header(self._headers.get(b"content-disposition"))
        self._name = options.get(b"name", b"").decode("utf-8", "replace")
        if self._name == "file":
            self._files += 1
        if self._files > 1:
            raise ServiceError(400, "one picture at a time: the form has several parts called file")
        if len(self.fields) >= FIELDS:
            raise ServiceError(400, f"the form has more than {FIELDS} parts")

    def _more(self, data: bytes, start: int, end: int) -> None:
        if self._name == "file":
            self.sink.write(data[start:end])
            return
        self._data += data[start:end]
        if len(self._data) > FIELD_BYTES:
            raise ServiceError(400, f"a part of the form that is no picture has more than {FIELD_BYTES} bytes")

    def _finished(self) -> None:
        if self._name != "file":
            self.fields.append((self._name, self._data.decode("utf-8", "replace")))

    def _end(self) -> None:
        self.complete = True


class _as_bad_form:
    def __enter__(self) -> None:
        pass

    def __exit__(self, kind: Any, error: BaseException | None, _: object) -> None:
        if isinstance(error, FormParserError):
            raise ServiceError(400, f"no multipart form: {' '.join(str(error).split())[:200]}") from error
