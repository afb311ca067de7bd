"""Which input gives which output, before anything is computed."""

import os
from pathlib import Path

import click
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from img2img.cli.plan import STREAM, Naming, Plan, make_plan
from img2img.cli.shard import Shard, parse_shard, shard_from_slurm

FORMATS = {".png": "png", ".jpg": "jpg", ".jpeg": "jpg", ".tif": "tiff", ".tiff": "tiff"}


def naming(format: str | None = None) -> Naming:
    return Naming("_clean", readable=FORMATS.keys(), formats=FORMATS, default=".png", format=format)


def make(*names: str) -> None:
    for name in names:
        Path(name).parent.mkdir(parents=True, exist_ok=True)
        Path(name).touch()


def pairs(plan: Plan) -> dict[str, str]:
    return {job.source: job.target for job in plan.jobs}


@pytest.fixture(autouse=True)
def _in_an_empty_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


@pytest.mark.parametrize(
    ("inputs", "output", "format", "expected"),
    [
        (["a.jpg"], None, None, {"a.jpg": "a_clean.png"}),
        (["a.jpg"], None, "webp", {"a.jpg": "a_clean.webp"}),
        (["sub/b.PNG"], None, None, {"sub/b.PNG": "sub/b_clean.png"}),
        (["a.jpg", "sub/b.PNG"], None, None, {"a.jpg": "a_clean.png", "sub/b.PNG": "sub/b_clean.png"}),
        (["a.jpg"], "new/x.tif", None, {"a.jpg": "new/x.tif"}),
        (["a.jpg"], "x.any", "jpg", {"a.jpg": "x.any"}),
        (["a.jpg"], "out/", None, {"a.jpg": "out/a.jpg"}),
        (["a.jpg"], "out/", "png", {"a.jpg": "out/a.png"}),
        (["a.jpg"], "sub", None, {"a.jpg": "sub/a.jpg"}),
        (["a.jpg", "sub/b.PNG"], "out", None, {"a.jpg": "out/a.jpg", "sub/b.PNG": "out/b.PNG"}),
        (["raw.dng"], "out/", None, {"raw.dng": "out/raw.png"}),
        (["sub"], None, None, {"sub/b.PNG": "sub_clean/b.PNG"}),
        (["sub/"], None, None, {"sub/b.PNG": "sub_clean/b.PNG"}),
        (["sub"], "out", "jpg", {"sub/b.PNG": "out/b.jpg"}),
        (["a.jpg"], STREAM, None, {"a.jpg": STREAM}),
        ([STREAM], None, None, {STREAM: STREAM}),
        ([STREAM], "x.png", None, {STREAM: "x.png"}),
    ],
)
def test_an_input_gives_the_documented_output(
    inputs: list[str], output: str | None, format: str | None, expected: dict[str, str]
) -> None:
    make("a.jpg", "raw.dng", "sub/b.PNG", "sub/note.txt", "sub/deeper/c.png")
    assert pairs(make_plan(inputs, output, naming(format))) == expected


def test_a_file_called_dash_is_reached_through_its_folder() -> None:
    make("-")
    assert pairs(make_plan(["./-"], None, naming())) == {"./-": "./-_clean.png"}


def test_a_folder_is_mirrored_sorted_and_without_hidden_names() -> None:
    make("in/b.png", "in/a.png", "in/x/c.JPEG", "in/x/y/d.tif", "in/.hidden.png", "in/.trash/e.png", "in/f.txt")
    plan = make_plan(["in"], "out", naming(), recursive=True)
    assert [(job.source, job.target) for job in plan.jobs] == [
        ("in/a.png", "out/a.png"),
        ("in/b.png", "out/b.png"),
        ("in/x/c.JPEG", "out/x/c.JPEG"),
        ("in/x/y/d.tif", "out/x/y/d.tif"),
    ]
    assert [job.format for job in plan.jobs] == ["png", "png", "jpg", "tiff"]


def test_dot_gives_a_folder_beside_the_current_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    make("photos/a.png")
    monkeypatch.chdir("photos")
    assert pairs(make_plan(["."], None, naming())) == {"./a.png": str(tmp_path / "photos_clean" / "a.png")}


def test_the_format_comes_from_the_name_and_must_not_contradict_it() -> None:
    make("a.jpg")
    assert make_plan(["a.jpg"], "x.tiff", naming()).jobs[0].format == "tiff"
    assert make_plan(["a.jpg"], STREAM, naming("jpg")).jobs[0].format == "jpg"
    with pytest.raises(click.UsageError, match="contradict"):
        make_plan(["a.jpg"], "x.tiff", naming("png"))
    with pytest.raises(click.UsageError, match="does not tell a format"):
        make_plan(["a.jpg"], "out", naming())


@pytest.mark.parametrize(
    ("inputs", "output", "reason"),
    [
        (["in/a.png", "other/a.png"], "out", "would both be written to out/a.png"),
        (["in/a.png", "in/a.png"], None, "would both be written to"),
        (["in/a.png", "in/../in/a.png"], None, "would both be written to"),
        (["in", "other"], "out", "would both be written to out/a.png"),
        (["in/a.png", "in/a_clean.png"], None, "is an input and would be overwritten"),
        (["in/a.png"], "in/a.png", "is an input and would be overwritten"),
        (["in"], "in", "both input and output"),
        (["in"], "link", "both input and output"),
        (["in"], "other/a.png", "need a folder"),
        (["in/a.png"], "other/a.png/", "need a folder"),
        (["in", "nowhere.png"], None, "nowhere.png: no such file"),
        ([STREAM, "in"], None, "cannot be mixed"),
        (["in"], STREAM, "one file only"),
        ([STREAM], "out/", "has no name"),
        (["in/a.png"], "other/../in/a.png", "is an input"),
    ],
)
def test_what_cannot_go_well_is_refused(inputs: list[str], output: str | None, reason: str) -> None:
    make("in/a.png", "in/a_clean.png", "other/a.png")
    Path("link").symlink_to("in")
    with pytest.raises(click.UsageError, match=reason):
        make_plan(inputs, output, naming(), existing="overwrite")


def test_two_formats_of_one_picture_collide_only_if_a_format_is_asked_for() -> None:
    make("in/a.png", "in/a.jpg")
    assert len(make_plan(["in"], "out", naming()).jobs) == 2
    with pytest.raises(click.UsageError, match=r"in/a\.jpg and in/a\.png would both be written to out/a\.tiff"):
        make_plan(["in"], "out", naming("tiff"))


def test_a_second_run_does_not_eat_the_first_ones_output() -> None:
    make("in/a.png", "in/x/b.png")
    for output in ("in/out", "in/x/out", None):
        first = make_plan(["in"], output, naming(), recursive=True)
        make(*(job.target for job in first.jobs))
        assert make_plan(["in"], output, naming(), recursive=True, existing="overwrite").jobs[:] == first.jobs[:]
        for job in first.jobs:
            Path(job.target).unlink()
    # Results that lie beside their inputs, and the folder of results beside its own.
    make("in/a_clean.png", "in/x_clean/b.png", "in/lonely_clean.png")
    plan = make_plan(["in"], "out", naming(), recursive=True)
    assert [job.source for job in plan.jobs] == ["in/a.png", "in/lonely_clean.png", "in/x/b.png"]
    assert plan.notes == ["in: 2 earlier results (*_clean) left out"]


def test_links_to_folders_are_followed_once() -> None:
    make("in/a/1.png", "far/2.png")
    Path("in/far").symlink_to("../far")
    Path("in/a/loop").symlink_to("../../in")
    Path("in/again").symlink_to("a")
    plan = make_plan(["in"], "out", naming(), recursive=True)
    assert pairs(plan) == {"in/a/1.png": "out/a/1.png", "in/far/2.png": "out/far/2.png"}


def test_an_empty_folder_is_a_problem_and_the_rest_goes_on() -> None:
    make("in/a.png", "text/b.txt", "deep/er/c.png")
    plan = make_plan(["text", "deep", "in"], "out", naming())
    assert pairs(plan) == {"in/a.png": "out/a.png"}
    assert [name for name, _ in plan.problems] == ["text", "deep"]
    assert "-r" in plan.problems[1][1]


def test_outputs_that_exist_are_refused_skipped_or_replaced() -> None:
    make("in/a.png", "in/b.png", "in/c.png", "out/a.png", "out/c.png")
    with pytest.raises(click.UsageError, match=r"out/a.png and 1 more exist already"):
        make_plan(["in"], "out", naming())
    plan = make_plan(["in"], "out", naming(), existing="skip")
    assert pairs(plan) == {"in/b.png": "out/b.png"}
    assert plan.notes == ["2 outputs exist already and are skipped"]
    assert len(make_plan(["in"], "out", naming(), existing="overwrite").jobs) == 3


def test_only_regular_files_are_replaced() -> None:
    make("a.png", "out/a.png/x")
    for output in ("/dev/null", "out"):
        with pytest.raises(click.UsageError, match="no regular file"):
            make_plan(["a.png"], output, naming("png"), existing="overwrite")


names = st.lists(st.text("abA_.é ", min_size=1, max_size=6), min_size=1, max_size=3).map(
    lambda parts: "/".join(part.strip(". ") or "x" for part in parts)
)


@settings(max_examples=50, deadline=None)
@given(
    files=st.sets(st.tuples(names, st.sampled_from([".png", ".JPG", ".tif", ".txt"])), max_size=8), n=st.integers(1, 4)
)
def test_any_tree_is_mirrored_and_its_shards_are_all_of_it(
    tmp_path_factory: pytest.TempPathFactory, files: set[tuple[str, str]], n: int
) -> None:
    top = tmp_path_factory.mktemp("tree")
    for name, extension in files:
        path = top / "in" / (name + extension)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
    (top / "in").mkdir(exist_ok=True)
    source, target = str(top / "in"), str(top / "out")
    plan = make_plan([source], target, naming(), recursive=True)
    expected = {name + extension for name, extension in files if extension != ".txt"}
    assert {os.path.relpath(job.source, source) for job in plan.jobs} == expected
    assert all(os.path.relpath(job.source, source) == os.path.relpath(job.target, target) for job in plan.jobs)
    parts = [make_plan([source], target, naming(), recursive=True, shard=Shard(i, n)).jobs for i in range(n)]
    assert sorted(str(job) for part in parts for job in part) == sorted(str(job) for job in plan.jobs)


@pytest.mark.parametrize("text", ["0/3", "4/3", "1", "a/b", "1/0", "-1/3", "1/3/5", ""])
def test_a_shard_is_i_of_n(text: str) -> None:
    assert parse_shard("3/3") == Shard(2, 3)
    with pytest.raises(click.UsageError):
        parse_shard(text)


@pytest.mark.parametrize(("name", "first"), [("JOB_COMPLETION_INDEX", 0), ("PARALLEL_SEQ", 1)])
def test_a_shard_may_be_what_a_scheduler_numbers(name: str, first: int) -> None:
    shards = [parse_shard("auto/3", {name: str(number)}) for number in range(first, first + 3)]
    assert shards == [Shard(0, 3), Shard(1, 3), Shard(2, 3)]
    for number in (first - 1, first + 3, "x", ""):
        with pytest.raises(click.UsageError, match=f"{name} is {number}, not {first} to {first + 2}"):
            parse_shard("auto/3", {name: str(number)})


def test_what_numbers_a_shard_must_be_one_thing() -> None:
    slurm = {"SLURM_ARRAY_TASK_ID": "1", "SLURM_ARRAY_TASK_COUNT": "3"}
    assert parse_shard("auto/3", slurm) == Shard(1, 3)
    with pytest.raises(click.UsageError, match="this Slurm array has 3 tasks"):
        parse_shard("auto/4", slurm)
    with pytest.raises(click.UsageError, match="SLURM_ARRAY_TASK_ID and PARALLEL_SEQ are set"):
        parse_shard("auto/3", slurm | {"PARALLEL_SEQ": "1"})
    with pytest.raises(click.UsageError, match="none of SLURM_ARRAY_TASK_ID, JOB_COMPLETION_INDEX, PARALLEL_SEQ is"):
        parse_shard("auto/3", {})
    for text in ("auto", "auto/0", "auto/x", "auto/"):
        with pytest.raises(click.UsageError, match="is not I/N"):
            parse_shard(text, slurm)


@pytest.mark.parametrize("ids", [range(4), range(1, 5), range(100, 107), range(0, 14, 2), range(5, 30, 3)])
def test_slurm_tasks_share_the_work(ids: range) -> None:
    shards = [
        shard_from_slurm(
            {
                "SLURM_ARRAY_TASK_ID": str(task),
                "SLURM_ARRAY_TASK_COUNT": str(len(ids)),
                "SLURM_ARRAY_TASK_MIN": str(ids[0]),
                "SLURM_ARRAY_TASK_MAX": str(ids[-1]),
                "SLURM_ARRAY_TASK_STEP": str(ids.step),
            }
        )
        for task in ids
    ]
    assert sorted(shard.index for shard in shards) == list(range(len(ids)))
    assert {shard.count for shard in shards} == {len(ids)}


def test_slurm_is_not_needed_and_must_make_sense() -> None:
    assert shard_from_slurm({}) == Shard(0, 1)
    assert shard_from_slurm({"SLURM_ARRAY_TASK_ID": "5", "SLURM_ARRAY_TASK_COUNT": "4"}).index == 1
    gaps = {"ID": "5", "COUNT": "3", "MIN": "1", "MAX": "7", "STEP": "1"}
    with pytest.raises(click.UsageError, match="no plain range"):
        shard_from_slurm({f"SLURM_ARRAY_TASK_{key}": value for key, value in gaps.items()})
    with pytest.raises(click.UsageError, match="no number"):
        shard_from_slurm({"SLURM_ARRAY_TASK_ID": "x", "SLURM_ARRAY_TASK_COUNT": "3"})


def test_an_array_task_that_names_one_file_does_it() -> None:
    make("a.png", "in/b.png")
    shard = shard_from_slurm({"SLURM_ARRAY_TASK_ID": "3", "SLURM_ARRAY_TASK_COUNT": "4"})
    assert pairs(make_plan(["a.png"], None, naming(), shard=shard)) == {"a.png": "a_clean.png"}
    assert make_plan(["in"], None, naming(), shard=shard).jobs[:] == []
    assert make_plan(["a.png"], None, naming(), shard=Shard(3, 4)).jobs[:] == []
