"""The service, on a real socket: every task, options, jobs."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from importlib.metadata import entry_points
from pathlib import Path
from urllib.parse import quote

import numpy as np
import pytest
from click.testing import CliRunner
from serving import Server, noisy, pixels, png, serving

pytest.importorskip("starlette")
pytest.importorskip("uvicorn")

(ENTRY,) = entry_points(group="console_scripts", name="img2img")
TASKS = ("denoise", "compress", "decompress", "translate", "texture")


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    with serving(tmp_path_factory.mktemp("spool")) as running:
        yield running
        assert running.files() == []  # every test's uploads and results are gone


def command(*arguments: str) -> None:
    done = CliRunner().invoke(ENTRY.load(), arguments)
    assert done.exit_code == 0, done.output


def finished(server: Server, id: str) -> dict[str, object]:
    for _ in range(3000):
        about: dict[str, object] = server.get(f"/v1/jobs/{id}").json
        if about["state"] not in ("queued", "running"):
            return about
        time.sleep(0.1)
    raise AssertionError("it takes too long")


def test_denoise_gives_what_the_command_gives(server: Server, tmp_path: Path) -> None:
    (tmp_path / "in.png").write_bytes(noisy())
    answer = server.post("/v1/denoise?sigma=20", noisy())
    command("denoise", str(tmp_path / "in.png"), "-o", str(tmp_path / "out.png"), "--sigma", "20", "--engine", "onnx")
    assert answer.status == 200
    assert answer.body == (tmp_path / "out.png").read_bytes()
    assert answer.headers["content-type"] == "image/png"
    assert answer.headers["x-img2img-sigma"] == "20.0"
    facts = json.loads(answer.headers["x-img2img-facts"])
    assert facts["width"] == 28
    assert facts["bytes"] == len(answer.body)
    assert facts["seconds"] > 0


def test_a_form_is_as_good_as_a_body_and_options(server: Server) -> None:
    def part(name: str, data: bytes, more: str = "") -> bytes:
        return f'--B\r\nContent-Disposition: form-data; name="{name}"{more}\r\n\r\n'.encode() + data + b"\r\n"

    form = part("sigma", b"20") + part("file", noisy(), '; filename="../../etc/passwd"') + b"--B--\r\n"
    answer = server.post("/v1/denoise?format=png", form, **{"Content-Type": "multipart/form-data; boundary=B"})
    assert answer.body == server.post("/v1/denoise?sigma=20", noisy()).body
    assert "passwd" not in str(answer.headers)


def test_a_picture_is_compressed_and_comes_back(server: Server) -> None:
    levels = np.repeat(np.arange(0, 240, 6, dtype=np.uint8)[None, :, None], 30, 0).repeat(3, 2)
    small = server.post("/v1/compress?quality=70", png(levels))
    assert small.headers["content-type"] == "application/x-i2i"
    assert float(small.headers["x-img2img-bpp"]) == pytest.approx(len(small.body) * 8 / levels[..., 0].size, abs=1e-3)
    back = server.post("/v1/decompress", small.body)
    assert np.abs(pixels(back.body).astype(int) - levels).mean() < 8
    assert server.post("/v1/decompress", noisy()).status == 415
    assert server.post("/v1/decompress", small.body[:-5]).status == 422


def test_grey_gets_colours_and_a_sample_more_of_itself(server: Server) -> None:
    grey = np.random.default_rng(1).integers(90, 160, (16, 20), np.uint8)
    assert pixels(server.post("/v1/translate?model=colorize", png(grey)).body).shape == (16, 20, 3)
    hinted = server.post("/v1/translate?model=colorize&hint=3,4,red%3B%2012,9,%230000ff", png(grey))
    (red, _, blue), (red_too, _, blue_too) = pixels(hinted.body)[[4, 9], [3, 12]].astype(int)
    assert red > blue
    assert red_too < blue_too
    assert "outside the picture, 20x16" in server.post("/v1/translate?model=colorize&hint=20,4,red", png(grey)).error
    made = server.post("/v1/texture?method=patches&size=40x24&seed=3", noisy())
    assert pixels(made.body).shape == (24, 40, 3)
    assert {*map(tuple, pixels(made.body).reshape(-1, 3))} <= {*map(tuple, pixels(noisy()).reshape(-1, 3))}


@pytest.mark.parametrize(
    ("path", "message"),
    [
        ("denoise?sigma=-1", "'-1' is neither auto nor a number from 0 to 255"),
        ("denoise?sigma=5&sigma=6", "sigma is given twice"),
        ("denoise?output=/tmp/x", "no option 'output'"),
        ("denoise?model=/etc/passwd", "model is one of denoise-photo"),
        ("denoise?max-pixels=9", "no option 'max-pixels'"),
        ("denoise?sigma=5%20--output%3Dx", "is neither auto"),
        ("compress?quality=5&bpp=1", "--quality and --bpp contradict each other"),
        ("translate", "model has to be given: colorize or"),
        ("translate?model=colorize&hint=1,2,blurple", "'blurple' is no colour"),
        ("translate?model=edges&hint=1,2,red", "--hint and --hints are for models that colour"),
        ("translate?model=colorize&hints=/etc/passwd", "no option 'hints'"),
        ("texture?size=99999x99999", "more than --max-pixels"),
        ("texture?descriptor=vgg19", "descriptor is one of"),
        ("texture?save=/tmp/x", "no option 'save'"),
        ("denoise?wait=2", "wait is 0 or 1"),
        ("denoise?tta=perhaps", "tta is true or false"),
    ],
)
def test_options_are_refused_in_the_commands_words(path: str, message: str, server: Server) -> None:
    answer = server.post(f"/v1/{path}", noisy())
    assert answer.status == 400
    assert message in answer.error


def test_what_is_no_picture_is_said_to_be_none(server: Server) -> None:
    assert server.post("/v1/denoise", b"hello").status == 415
    assert server.post("/v1/denoise", b"").status == 400
    damaged = server.post("/v1/denoise", noisy()[:200])
    assert (damaged.status, "truncated" in damaged.error) == (422, True)
    assert server.get("/v1/denoise").status == 405
    assert server.get("/v1/nothing").status == 404


def test_a_job_is_asked_for_later(server: Server) -> None:
    answer = server.post("/v1/denoise?wait=0&sigma=20&format=webp", noisy())
    assert answer.status == 202
    assert answer.headers["location"] == f"/v1/jobs/{answer.json['id']}"
    about = finished(server, answer.json["id"])
    assert (about["state"], about["progress"], about["format"]) == ("done", 1.0, "webp")
    place = answer.headers["location"]
    assert server.get(f"{place}/preview").status == 404
    first, again = server.get(f"{place}/result"), server.get(f"{place}/result")
    assert first.headers["content-type"] == "image/webp"
    assert first.body == again.body
    assert len(first.body) == about["bytes"]
    assert server.ask("DELETE", place).status == 204
    assert server.get(place).status == 404


def test_a_failed_job_says_why(server: Server) -> None:
    id = server.post("/v1/denoise?wait=0", b"no picture").json["id"]
    about = finished(server, id)
    assert (about["state"], about["status"]) == ("failed", 415)
    assert server.get(f"/v1/jobs/{id}/result").error == about["error"]
    server.ask("DELETE", f"/v1/jobs/{id}")


def test_the_document_names_every_option_once(server: Server) -> None:
    document = server.get("/openapi.json").json
    posts = {path.removeprefix("/v1/"): what["post"] for path, what in document["paths"].items() if "post" in what}
    assert {*posts} == {*TASKS}
    sigma = next(option for option in posts["denoise"]["parameters"] if option["name"] == "sigma")
    assert sigma["schema"] == {
        "oneOf": [{"const": "auto"}, {"type": "number", "minimum": 0, "maximum": 255}],
        "default": "auto",
    }
    for name, post in posts.items():
        options = [option["name"] for option in post["parameters"]]
        assert len({*options}) == len(options)
        done = CliRunner().invoke(ENTRY.load(), [name, "--help"])
        assert [option for option in options if option != "wait" and f"--{option}" not in done.output] == []
        # What could name a file of this machine, or take more of it than its owner allowed:
        forbidden = {"output", "errors", "save", "net", "mask", "map", "fill", "report", "recipe", "max-pixels", "jobs"}
        assert not forbidden & {*options}
        assert not [option for option in post["parameters"] if "FILE" in str(option["schema"])]


def test_models_health_and_metrics(server: Server) -> None:
    assert server.get("/healthz").json["status"] == "ok"
    assert {"denoise-fast", "codec-fast", "colorize"} <= {model["name"] for model in server.get("/v1/models").json}
    server.post("/v1/denoise", b"hello")
    lines = server.get("/metrics").body.decode().splitlines()
    values = dict(line.rsplit(" ", 1) for line in lines if not line.startswith("#"))
    assert int(values['img2img_requests_total{route="/v1/denoise",status="415"}']) >= 1
    assert values["img2img_jobs_waiting"] == "0"
    assert values["img2img_folder_bytes"] == "0"
    assert values["img2img_worker_starts_total"] == "1"


def test_facts_that_are_not_ascii_stand_in_the_json(server: Server) -> None:
    assert server.post(f"/v1/denoise?{quote('größe')}=1", noisy()).error.startswith("there is no option 'größe'")
