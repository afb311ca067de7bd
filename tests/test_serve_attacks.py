"""What a service meets that others can reach, on a real socket: clients that mean no good, and sudden ends."""

from __future__ import annotations

import contextlib
import os
import re
import signal
import socket
import struct
import subprocess
import sys
import threading
import time
import zlib
from collections import Counter
from collections.abc import Callable, Iterator
from io import BytesIO
from pathlib import Path

import pytest
from PIL import Image
from serving import Answer, Server, noisy, pixels, serving

resource = pytest.importorskip("resource")  # POSIX, as are signals
pytest.importorskip("starlette")
pytest.importorskip("uvicorn")

QUEUE = 4
TOKEN = "a-word-of-many-letters"
LONG = "/v1/texture?method=patches&size=7000x7000"  # takes seconds


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    options = ("--queue", str(QUEUE), "--max-body", "1", "--max-pixels", "60000000")
    with serving(tmp_path_factory.mktemp("spool"), *options) as running:
        yield running


@pytest.fixture(autouse=True)
def still_well(server: Server) -> Iterator[None]:
    """After each attack the service is empty, and answers."""
    yield
    until(lambda: not server.files() and metric(server, "img2img_jobs_running") == 0)
    assert server.post("/v1/denoise?sigma=20", noisy()).status == 200


def until(holds: Callable[[], bool], seconds: float = 60) -> None:
    end = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < end, "it never held"
        time.sleep(0.05)


def metric(server: Server, name: str) -> float:
    lines = server.get("/metrics").body.decode().splitlines()
    return float(next(line.split()[1] for line in lines if line.startswith(f"{name} ")))


def raw(server: Server, data: bytes) -> socket.socket:
    connection = socket.create_connection(("127.0.0.1", server.port), timeout=60)
    connection.sendall(data)
    return connection


def head(server: Server, path: str, length: int, *more: str) -> bytes:
    lines = (f"POST {path} HTTP/1.1", f"Host: 127.0.0.1:{server.port}", f"Content-Length: {length}", *more, "", "")
    return "\r\n".join(lines).encode()


def bomb(width: int, height: int) -> bytes:
    """A small PNG that says that it is large."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    return (
        b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(bytes(1000))) + chunk(b"IEND", b"")
    )


def test_a_large_body_is_refused_before_and_while_it_comes(server: Server) -> None:
    answer = server.post("/v1/denoise", bytes((1 << 20) + 1))
    assert (answer.status, "1 MiB" in answer.error) == (413, True)
    with raw(
        server, head(server, "/v1/denoise", 0).replace(b"Content-Length: 0", b"Transfer-Encoding: chunked")
    ) as sent:
        with contextlib.suppress(OSError):
            for _ in range(100):  # says nothing of its length
                sent.sendall(b"10000\r\n" + bytes(1 << 16) + b"\r\n")
        with contextlib.suppress(OSError):
            assert sent.recv(100).split()[1] == b"413"


def test_a_decompression_bomb_is_not_decompressed(server: Server) -> None:
    answer = server.post("/v1/denoise", bomb(50_000, 50_000))
    assert (answer.status, "megapixels" in answer.error) == (413, True)


def test_too_many_requests_are_refused_and_the_others_are_right(server: Server) -> None:
    wanted = server.post("/v1/denoise?sigma=20", noisy()).body
    answers: list[Answer] = []
    started = threading.Barrier(20)

    def ask() -> None:
        started.wait()
        for _ in range(25):
            with contextlib.suppress(OSError):
                answers.append(server.post("/v1/denoise?sigma=20", noisy()))

    threads = [threading.Thread(target=ask) for _ in range(20)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    counts = Counter(answer.status for answer in answers)
    assert {*counts} == {200, 429}
    assert all(answer.body == wanted for answer in answers if answer.status == 200)
    assert all(answer.headers["retry-after"] for answer in answers if answer.status == 429)


@pytest.mark.slow
def test_ten_thousand_queued_jobs_are_not_queued(server: Server) -> None:
    long = server.post(f"{LONG}&wait=0", noisy(200, 200)).json["id"]
    until(lambda: server.get(f"/v1/jobs/{long}").json["state"] == "running")
    request = head(server, "/v1/denoise?wait=0", 4) + b"nope"
    statuses: Counter[bytes] = Counter()
    for _ in range(100):  # a hundred at a time through one connection each
        with raw(server, request * 100) as sent:
            answered = b""
            with contextlib.suppress(OSError):
                while part := sent.recv(1 << 16):
                    answered += part
                    if answered.count(b"HTTP/1.1 ") >= 100:
                        break
            statuses.update(re.findall(rb"HTTP/1\.1 (\d+)", answered))
    assert statuses[b"202"] == QUEUE
    assert statuses[b"429"] >= 9_000
    assert metric(server, "img2img_jobs_waiting") == QUEUE
    assert server.ask("DELETE", f"/v1/jobs/{long}").status == 204


@pytest.mark.slow
def test_a_slow_client_is_hung_up_on(server: Server) -> None:
    start = time.monotonic()
    with raw(server, b"POST /v1/denoise HTTP/1.1\r\nHost: ") as sent:
        for _ in range(100):
            time.sleep(0.5)
            try:
                sent.sendall(b"1")  # more of the head now and then makes no difference
                sent.settimeout(0.01)
                if sent.recv(1) == b"":
                    break
            except TimeoutError:
                continue
            except OSError:
                break
    assert 5 < time.monotonic() - start < 30


@pytest.mark.slow
def test_a_slow_body_is_given_up(server: Server) -> None:
    with raw(server, head(server, "/v1/denoise", 1000) + b"a few bytes") as sent:
        assert sent.recv(1000).split()[1] == b"408"


def test_another_hosts_name_is_refused(server: Server) -> None:
    for host in ("evil.example", f"evil.example:{server.port}", "127.0.0.1.evil.example", "", "a@127.0.0.1", "[::1"):
        assert server.get("/", Host=host).status == 421
    for host in (f"127.0.0.1:{server.port}", f"localhost:{server.port}", f"[::1]:{server.port}"):
        assert server.get("/healthz", Host=host).status == 200


def test_another_sites_page_is_refused(server: Server) -> None:
    for origin in ("http://evil.example", "null", f"http://localhost:{server.port}", "http://127.0.0.1:1"):
        answer = server.post("/v1/denoise", noisy(), Origin=origin)
        assert answer.status == 403
        assert "access-control-allow-origin" not in answer.headers
    assert server.get("/v1/models", **{"Sec-Fetch-Site": "cross-site"}).status == 403
    assert server.post("/v1/denoise?sigma=20", noisy(), Origin=server.url.rstrip("/")).status == 200


def test_every_answer_forbids_what_a_page_needs_not(server: Server) -> None:
    for answer in (server.get("/"), server.get("/v1/models"), server.get("/nothing"), server.get("/", Host="evil")):
        assert "default-src 'none'" in answer.headers["content-security-policy"]
        assert "unsafe" not in answer.headers["content-security-policy"]
        assert answer.headers["x-content-type-options"] == "nosniff"


@pytest.mark.parametrize("path", ["/page.js/../../app.py", "/..%2fapp.py", "/v1/jobs/..%2f..%2flock/result", "/page/"])
def test_paths_lead_nowhere(path: str, server: Server) -> None:
    assert server.get(path).status == 404


def test_names_of_uploads_are_not_used(server: Server) -> None:
    name = "../../../../tmp/evil\r\nSet-Cookie: a=b.png"
    form = f'--B\r\nContent-Disposition: form-data; name="file"; filename="{name}"\r\n\r\n'.encode("latin-1")
    kind = {"Content-Type": "multipart/form-data; boundary=B"}
    answer = server.post("/v1/denoise?sigma=20", form + noisy() + b"\r\n--B--\r\n", **kind)
    assert answer.status in (200, 400)
    assert "evil" not in str(answer.headers)
    assert "set-cookie" not in answer.headers


@pytest.mark.parametrize(
    "form",
    [
        b'--B\r\nContent-Disposition: form-data; name="file"\r\n\r\n\x89PNG',
        b"--B\r\nContent-Disp",
        b"",
        b"no form at all",
        b'--B\r\nContent-Disposition: form-data; name="x"\r\n\r\n1\r\n--B--\r\n',
        b'--B\r\nContent-Disposition: form-data; name="x"\r\n\r\n' + bytes(20_000) + b"\r\n--B--\r\n",
    ],
)
def test_a_broken_form_is_refused(form: bytes, server: Server) -> None:
    assert server.post("/v1/denoise", form, **{"Content-Type": "multipart/form-data; boundary=B"}).status == 400


def test_a_form_without_a_boundary_is_refused(server: Server) -> None:
    assert server.post("/v1/denoise", b"--", **{"Content-Type": "multipart/form-data"}).status == 400


def test_a_client_that_goes_away_stops_its_computation(server: Server) -> None:
    sample = noisy(200, 200)
    sent = raw(server, head(server, LONG, len(sample)) + sample)
    until(lambda: metric(server, "img2img_jobs_running") == 1)
    sent.close()
    start = time.monotonic()
    until(lambda: metric(server, "img2img_jobs_running") == 0)
    assert time.monotonic() - start < 10


def test_a_client_that_goes_away_while_it_sends_leaves_nothing(server: Server) -> None:
    sent = raw(server, head(server, "/v1/denoise", 500_000) + bytes(300_000))
    until(lambda: len(server.files()) == 1)
    sent.close()
    until(lambda: not server.files())


# ---- services of their own


def test_sigterm_finishes_what_is_computed(tmp_path: Path) -> None:
    with serving(tmp_path, "--queue", "4") as server:
        answers: list[Answer] = []
        sample = noisy(300, 300)
        thread = threading.Thread(target=lambda: answers.append(server.post("/v1/denoise?sigma=20&tta=true", sample)))
        thread.start()
        until(lambda: metric(server, "img2img_jobs_running") == 1)
        server.process.send_signal(signal.SIGTERM)
        until(lambda: _refused(server))
        thread.join()
        assert pixels(answers[0].body).shape == (300, 300, 3)
        assert server.process.wait(60) == 0
        assert [*tmp_path.iterdir()] == []


def _refused(server: Server) -> bool:
    try:
        return server.post("/v1/denoise", noisy()).status == 503
    except OSError:
        return True  # it was quicker than we


@pytest.mark.slow
def test_after_sigkill_nobody_computes_and_the_next_start_cleans_up(tmp_path: Path) -> None:
    with serving(tmp_path) as server:
        job = server.post(f"{LONG}&wait=0", noisy(200, 200)).json["id"]
        until(lambda: server.get(f"/v1/jobs/{job}").json["state"] == "running")
        workers = children(server.process.pid)
        assert workers
        server.process.kill()
        server.process.wait()
        until(lambda: not any(map(alive, workers)), 20)
        assert server.files()  # it had no chance
    (abandoned,) = tmp_path.iterdir()
    with serving(tmp_path) as server:
        assert not abandoned.exists()
        assert server.stop() == 0
    assert [*tmp_path.iterdir()] == []


def children(pid: int) -> list[int]:
    listed = subprocess.run(["ps", "-o", "pid=", "--ppid", str(pid)], capture_output=True, text=True, check=False)
    return [int(word) for word in listed.stdout.split()]


def alive(pid: int) -> bool:
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except OSError:
        return False
    return state != "Z"


def test_a_worker_that_dies_is_replaced(tmp_path: Path) -> None:
    with serving(tmp_path) as server:
        assert server.post("/v1/denoise?sigma=20", noisy()).status == 200
        answers: list[Answer] = []
        thread = threading.Thread(target=lambda: answers.append(server.post(LONG, noisy(200, 200))))
        thread.start()
        until(lambda: metric(server, "img2img_jobs_running") == 1)
        for pid in children(server.process.pid):
            os.kill(pid, signal.SIGKILL)
        thread.join()
        assert (answers[0].status, "without a result" in answers[0].error) == (500, True)
        assert server.post("/v1/denoise?sigma=20", noisy()).status == 200


def test_a_computation_that_takes_too_long_is_ended(tmp_path: Path) -> None:
    with serving(tmp_path, "--seconds", "1") as server:
        answer = server.post(LONG, noisy(200, 200))
        assert (answer.status, "--seconds" in answer.error) == (504, True)
        until(lambda: not server.files())


def test_a_full_disk_is_said_and_survived(tmp_path: Path) -> None:
    """A limit of the system on the size of files stands for it: a write fails in the same place."""

    def limited() -> None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, 100_000))

    with serving(tmp_path, preexec_fn=limited) as server:
        upload = server.post("/v1/denoise", bytes(300_000))
        assert upload.status == 507
        small = BytesIO()  # as a JPEG; as a PNG it is too large
        Image.open(BytesIO(noisy(250, 250))).save(small, "JPEG")
        result = server.post("/v1/denoise?sigma=1&strength=0&format=png", small.getvalue())
        assert (result.status, "full" in result.error) == (507, True)
        assert server.post("/v1/denoise?sigma=20", noisy()).status == 200
        until(lambda: not server.files())


def test_the_folder_holds_no_more_than_it_may(tmp_path: Path) -> None:
    with serving(tmp_path, "--max-folder", "1") as server:
        ids = []
        for i in range(8):
            ids.append(server.post("/v1/denoise?sigma=1&strength=0&wait=0", noisy(250, 250, seed=i)).json["id"])
            until(lambda: metric(server, "img2img_jobs_running") + metric(server, "img2img_jobs_waiting") == 0)
        assert server.post("/v1/denoise?sigma=20", noisy(250, 250)).status == 200  # old results make room
        assert metric(server, "img2img_folder_bytes") <= 1 << 20
        statuses = [server.get(f"/v1/jobs/{id}/result").status for id in ids]
        assert (statuses[0], statuses[-1]) == (404, 200)
        assert server.post("/v1/denoise", bytes(2 << 20)).status == 507


def test_a_token_is_asked_for(tmp_path: Path) -> None:
    with serving(tmp_path, "--host", "127.0.0.1", "--token", TOKEN) as server:
        assert server.get("/").status == server.get("/healthz").status == 200
        for authorization in ("", f"Bearer {TOKEN}x", f"Basic {TOKEN}", "Bearer"):
            assert server.post("/v1/denoise", noisy(), Authorization=authorization).status == 401
        assert server.get("/openapi.json").status == 401
        assert server.post("/v1/denoise", noisy(), Authorization=f"Bearer {TOKEN}").status == 200


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--host", "0.0.0.0"], "--token"),
        (["--host", "192.0.2.1", "--token", TOKEN], "cannot listen at 192.0.2.1"),
        (["--token", "short"], "16 letters"),
    ],
)
def test_what_is_not_safe_is_wrong_use(options: list[str], message: str) -> None:
    command = Path(sys.executable).with_name("img2img")
    done = subprocess.run([command, "serve", "--port", "0", *options], capture_output=True, text=True, timeout=60)
    assert done.returncode == 2
    assert message in done.stderr.splitlines()[-1]
