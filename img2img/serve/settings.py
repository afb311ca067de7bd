"""Limits of the service, and the errors that it answers with."""

from __future__ import annotations

from dataclasses import dataclass

MIB = 1 << 20


@dataclass(frozen=True)
class Limits:
    """What one client, or all together, may take of the machine.

    Attributes:
        body: bytes of an upload.
        pixels: of a picture.
        queue: requests that are being received or wait for a worker; one more is refused.
        seconds: that one computation may take.
        folder: bytes of all uploads and results in the temporary folder.
        keep: seconds for which a result that nobody has fetched is kept.
        upload: seconds that an upload may take.
        silence: seconds that a client may say nothing while it owes something: the rest of a request's head, or of a
            body.
        connections: at one time.
    """

    body: int = 256 * MIB
    pixels: int = 100_000_000
    queue: int = 16
    seconds: float = 600.0
    folder: int = 2048 * MIB
    keep: float = 600.0
    upload: float = 300.0
    silence: float = 10.0
    connections: int = 256


class ServiceError(Exception):
    """What is answered instead of a result.

    Args:
        status: of HTTP.
        text: one line.
    """

    def __init__(self, status: int, text: str) -> None:
        super().__init__(text)
        self.status, self.text = status, text


class OptionError(ServiceError):
    """An option is unknown, or has a value that it cannot have."""

    def __init__(self, text: str) -> None:
        super().__init__(400, text)
