"""An S3 server on this machine's loopback, for tests: moto's, which answers as S3 does."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any
from urllib.request import Request, urlopen

import fsspec

BUCKET = "pictures"


@contextmanager
def s3_server() -> Iterator[Any]:
    """A server with the bucket `pictures`; gives the file system. While it runs, s3:// means it, for every process."""
    from moto.server import ThreadedMotoServer

    server = ThreadedMotoServer("127.0.0.1", 0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    before = dict(os.environ)
    os.environ |= {"AWS_ENDPOINT_URL": f"http://{host}:{port}", "AWS_DEFAULT_REGION": "us-east-1"}
    os.environ |= {"AWS_ACCESS_KEY_ID": "test", "AWS_SECRET_ACCESS_KEY": "test", "AWS_EC2_METADATA_DISABLED": "true"}
    kind = fsspec.get_filesystem_class("s3")
    kind.clear_instance_cache()
    try:
        system = fsspec.filesystem("s3", use_listings_cache=False)
        urlopen(Request(f"http://{host}:{port}/moto-api/reset", method="POST")).close()  # of a server before it
        system.mkdir(BUCKET)
        yield system
    finally:
        server.stop()
        os.environ.clear()
        os.environ |= before
        kind.clear_instance_cache()
