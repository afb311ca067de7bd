"""The service's OpenAPI document: made of the commands' options, which stand in one place, the command line."""

from __future__ import annotations

from typing import Any

from .settings import Limits
from .suite import Command, Parameter, Suite

VERSION = "3.1.0"
COMPRESSED = "application/x-i2i"
MEDIA_TYPES = {
    "png": "image/png",
    "jpg": "image/jpeg",
    "webp": "image/webp",
    "avif": "image/avif",
    "tiff": "image/tiff",
    "gif": "image/gif",
    "jxl": "image/jxl",
    "heic": "image/heic",
    "i2i": COMPRESSED,
}
IMAGES = tuple(kind for kind in MEDIA_TYPES.values() if kind != COMPRESSED)
ERRORS = {
    400: "An option is unknown or cannot have this value.",
    408: "The upload took too long.",
    413: "The body or the picture is too large.",
    415: "The body is no picture in a known format.",
    422: "The picture is damaged, or the command cannot do this with it.",
    429: "The queue is full.",
    503: "The service is stopping.",
    504: "The computation took too long.",
    507: "The temporary folder, the disk or the memory is full.",
}
FACTS = "X-Img2img-Facts"
BINARY: dict[str, Any] = {"schema": {"type": "string", "format": "binary"}}


def document(suite: Suite, limits: Limits) -> dict[str, Any]:
    """The document."""
    tasks = {f"/v1/{command.name}": {"post": _post(command)} for command in suite.commands.values()}
    return {
        "openapi": VERSION,
        "info": {
            "title": "img2img",
            "version": suite.version,
            "summary": "Images into better or other images, on this machine.",
        },
        "x-limits": {"body": limits.body, "pixels": limits.pixels, "queue": limits.queue, "seconds": limits.seconds},
        "paths": tasks | _others(),
        "components": {
            "schemas": {"Error": _object(error={"type": "string"}), "Job": _job()},
            "securitySchemes": {"token": {"type": "http", "scheme": "bearer"}},
        },
    }


def _post(command: Command) -> dict[str, Any]:
    gives = (COMPRESSED,) if command.name == "compress" else IMAGES
    form = {"schema": _object(file={"type": "string", "contentMediaType": "image/*"}), "x-options": "as the parameters"}
    facts = {
        "description": "What is known of the result, as JSON; each fact also has a header X-Img2img-NAME of its own.",
        "schema": {"type": "string"},
    }
    return {
        "operationId": command.name,
        "summary": command.about.split("\n")[0],
        "description": command.about,
        "parameters": [*(_parameter(parameter) for parameter in command.parameters), _WAIT],
        "requestBody": {
            "required": True,
            "content": {**{kind: BINARY for kind in command.takes}, "multipart/form-data": form},
        },
        "responses": {
            "200": {
                "description": "The result.",
                "headers": {FACTS: facts},
                "content": {kind: BINARY for kind in gives},
            },
            "202": {"description": "With wait=0: the job.", **_json("Job")},
            **{str(status): _error(text) for status, text in ERRORS.items()},
        },
    }


def _parameter(parameter: Parameter) -> dict[str, Any]:
    schema = dict(parameter.schema)
    if parameter.default is not None:
        schema["default"] = parameter.default
    return {
        "name": parameter.name,
        "in": "query",
        "required": parameter.required,
        "description": parameter.about,
        "schema": schema,
    }


_WAIT = {
    "name": "wait",
    "in": "query",
    "description": "0: do not wait for the result; the answer is a job, whose state and result are asked for later.",
    "schema": {"enum": [0, 1], "default": 1},
    "x-service": True,  # no option of the command
}
_ID = {"name": "id", "in": "path", "required": True, "schema": {"type": "string"}}


def _others() -> dict[str, Any]:
    job = {"parameters": [_ID]}
    result = {"200": {"description": "The result.", "content": {kind: BINARY for kind in (*IMAGES, COMPRESSED)}}}
    preview = {"200": {"description": "What there is so far.", "content": {"image/jpeg": BINARY}}}
    missing = {"404": _error("There is no such job, or it is not as far.")}
    return {
        "/v1/jobs/{id}": {
            **job,
            "get": {"operationId": "job", "responses": {"200": {"description": "It.", **_json("Job")}, **missing}},
            "delete": {"operationId": "cancel", "responses": {"204": {"description": "Stopped, removed."}, **missing}},
        },
        "/v1/jobs/{id}/result": {**job, "get": {"operationId": "result", "responses": {**result, **missing}}},
        "/v1/jobs/{id}/preview": {**job, "get": {"operationId": "preview", "responses": {**preview, **missing}}},
        "/v1/models": {"get": {"operationId": "models", "responses": {"200": {"description": "All weights."}}}},
        "/healthz": {"get": {"operationId": "health", "responses": {"200": {"description": "It works."}}}},
        "/metrics": {"get": {"operationId": "metrics", "responses": {"200": {"description": "For Prometheus."}}}},
    }


def _job() -> dict[str, Any]:
    return _object(
        id={"type": "string"},
        task={"type": "string"},
        state={"enum": ["queued", "running", "done", "failed", "cancelled"]},
        progress={"type": ["number", "null"], "minimum": 0, "maximum": 1},
        before={"type": "integer", "description": "Jobs before it in the queue."},
        previews={"type": "integer", "description": "So many pictures of the unfinished result there have been."},
        bytes={"type": "integer"},
        seconds={"type": "number"},
        format={"type": "string"},
        facts={"type": "object"},
        error={"type": "string"},
        status={"type": "integer"},
    )


def _object(**properties: Any) -> dict[str, Any]:
    return {"type": "object", "properties": properties}


def _json(name: str) -> dict[str, Any]:
    return {"content": {"application/json": {"schema": {"$ref": f"#/components/schemas/{name}"}}}}


def _error(text: str) -> dict[str, Any]:
    return {"description": text, **_json("Error")}
