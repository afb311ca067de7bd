"""What the service has done, in Prometheus' text format (version 0.0.4)."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from typing import Any

from .jobs import Jobs

STARTED = time.monotonic()


def text(jobs: Jobs, answers: Mapping[tuple[str, int], int]) -> str:
    """All of it; `answers` are counted by path and status."""
    return "\n".join(_lines(jobs, answers)) + "\n"


def _lines(jobs: Jobs, answers: Mapping[tuple[str, int], int]) -> Iterator[str]:
    yield from _metric(
        "img2img_requests_total",
        "counter",
        "Answers, by route and status.",
        {f'route="{route}",status="{status}"': count for (route, status), count in answers.items()},
    )
    yield from _metric(
        "img2img_jobs_total",
        "counter",
        "Jobs that have ended, by task and how.",
        {f'task="{task}",state="{state}"': count for (task, state), count in jobs.counts.items()},
    )
    seconds = {f'task="{task}"': round(spent, 4) for task, spent in jobs.spent.items()}
    yield from _metric("img2img_compute_seconds_total", "counter", "Time spent computing, by task.", seconds)
    one: dict[str, tuple[str, str, Any]] = {
        "img2img_jobs_waiting": ("gauge", "Jobs in the queue.", len(jobs.waiting)),
        "img2img_jobs_running": ("gauge", "Jobs that are computed now.", len(jobs.running())),
        "img2img_folder_bytes": ("gauge", "Uploads and results in the temporary folder.", jobs.spool.used),
        "img2img_worker_starts_total": (
            "counter",
            "Worker processes started.",
            sum(worker.starts for worker in jobs.workers),
        ),
        "img2img_uptime_seconds": ("gauge", "Since the service was started.", round(time.monotonic() - STARTED, 3)),
    }
    for name, (kind, about, value) in one.items():
        yield from _metric(name, kind, about, {"": value})


def _metric(name: str, kind: str, about: str, values: Mapping[str, Any]) -> Iterator[str]:
    yield f"# HELP {name} {about}"
    yield f"# TYPE {name} {kind}"
    for labels, value in values.items():
        yield f"{name}{{{labels}}} {value}" if labels else f"{name} {value}"
