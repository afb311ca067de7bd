"""An S3 server on this machine's loopback, for tests and measurements: moto's, which answers as S3 does."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any
from urllib.request import Request, urlopen

from img2img.errors import Img2ImgError

BUCKET = "pictures"
HOST = "127.0.0.1"


class Server:
    """A server in a thread of this process. What it holds stays there while it is down."""

    def __init__(self) -> None:
        self.port = 0  # any that is free, at first
        self.up()

    @property
    def url(self) -> str:
        """Where it answers."""
        return f"http://{HOST}:{self.port}"

    def up(self) -> None:
        """Answer, at the port of before.

        Raises:
            Img2ImgError: moto is not installed.
        """
        try:
            from moto.server import ThreadedMotoServer
        except ImportError as error:
            raise Img2ImgError("an S3 server on this machine needs the extra dev: img2img-suite[dev]") from error

        self._server = ThreadedMotoServer(HOST, self.port, verbose=False)
        self._server.start()
        _, self.port = self._server.get_host_and_port()

    def down(self) -> None:
        """Answer no more."""
        self._server.stop()


@contextmanager
def s3_server() -> Iterator[Any]:
    """A server with the bucket `pictures`; gives the file system. While it runs, s3:// means it, for every process."""
    with s3_server_that_fails() as (system, _):
        yield system


@contextmanager
def s3_server_that_fails() -> Iterator[tuple[Any, Server]]:
    """The same with the server, which can be taken down and up."""
    import fsspec

    server = Server()
    before = dict(os.environ)
    os.environ |= {"AWS_ENDPOINT_URL": server.url, "AWS_DEFAULT_REGION": "us-east-1"}
    os.environ |= {"AWS_ACCESS_KEY_ID": "test", "AWS_SECRET_ACCESS_KEY": "test", "AWS_EC2_METADATA_DISABLED": "true"}
    kind = fsspec.get_filesystem_class("s3")
    kind.clear_instance_cache()
    try:
        system = fsspec.filesystem("s3", use_listings_cache=False)
        urlopen(Request(f"{server.url}/moto-api/reset", method="POST")).close()  # of a server before it
        system.mkdir(BUCKET)
        yield system, server
    finally:
        server.down()
        os.environ.clear()
        os.environ |= before
        kind.clear_instance_cache()
