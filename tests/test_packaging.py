"""What is installed is what lies in the folders, and asking for help does not wait for torch."""

import ast
import configparser
import os
import re
import subprocess
import sys
from importlib import import_module
from importlib.metadata import entry_points
from importlib.resources import files
from pathlib import Path

import click
import pytest
from click.testing import CliRunner

import img2img

ROOT = Path(__file__).parents[1]
MAPPED = {"benchmarks": "img2img.benchmarks", "cli": "img2img.cli", "weights": "img2img.weights"}


@pytest.fixture(scope="module")
def setup() -> configparser.ConfigParser:
    parser = configparser.ConfigParser()
    parser.read(ROOT / "setup.cfg")
    return parser


def folder_of(package: str, setup: configparser.ConfigParser) -> Path:
    mapped = dict(line.split(" = ") for line in setup["options"]["package_dir"].split("\n") if line)
    return ROOT / mapped.get(package, package.replace(".", "/"))


def test_every_folder_with_code_is_a_package(setup: configparser.ConfigParser) -> None:
    found = {".".join(path.parent.relative_to(ROOT).parts) for path in (ROOT / "img2img").rglob("__init__.py")}
    found |= {name for folder, name in MAPPED.items() if (ROOT / folder / "__init__.py").is_file()}
    assert set(setup["options"]["packages"].split()) == found
    with_code = {path.parent for path in (ROOT / "img2img").rglob("*.py")}
    assert [path for path in with_code if not (path / "__init__.py").is_file()] == []


def test_every_data_file_is_package_data(setup: configparser.ConfigParser) -> None:
    packaged: set[Path] = set()
    for package, patterns in setup["options.package_data"].items():
        folder = folder_of(package, setup)
        packaged |= {path for pattern in patterns.split() for path in folder.glob(pattern)}
    data = {
        path
        for folder in ("img2img", "cli", "weights")
        for path in (ROOT / folder).rglob("*")
        if path.is_file() and path.suffix not in {".py", ".pyc"}
    }
    assert sorted(data - packaged) == []


def test_tests_are_named_after_what_they_test() -> None:
    """test_images_png.py tests img2img/images/png.py, or several modules of images/; and so on for every room."""
    package = ROOT / "img2img"
    rooms = {path.stem for folder in (package, package / "tasks") for path in folder.iterdir()}
    rooms |= {
        "cli",
        "weights",
        "benchmarks",
        "packaging",
        "readme",
        "imports",
    }  # the last three are about the repository
    strangers = [
        path.name
        for path in (ROOT / "tests").glob("test_*.py")
        if not any(f"{path.stem}_".startswith(f"test_{room}_") for room in rooms)
    ]
    assert strangers == []


def test_data_is_found_the_way_the_code_looks_for_it() -> None:
    assert files("img2img.weights").joinpath("index.toml").is_file()
    assert any(path.name.endswith(".toml") for path in files("img2img.tasks.denoise").joinpath("recipes").iterdir())


def test_torch_and_torchvision_are_pinned_as_a_pair_to_plain_versions() -> None:
    lines = (ROOT / "constraints.txt").read_text().splitlines()
    pins = dict(line.split("==") for line in lines if line and not line.startswith("#"))
    assert {"torch", "torchvision", "numpy", "pillow", "kornia"} <= pins.keys()
    assert all(version.replace(".", "").isalnum() and "+" not in version for version in pins.values())


def requirements(text: str) -> set[str]:
    """Names of the packages that a list of setup.cfg asks for."""
    return {re.split(r"[<>=;\[]", line)[0].lower() for line in text.split("\n") if line and line[0] != "#"}


def test_every_requirement_has_a_tested_version(setup: configparser.ConfigParser) -> None:
    lines = (ROOT / "constraints.txt").read_text().lower().replace("_", "-").splitlines()
    pinned = {line.split("==")[0] for line in lines if line and not line.startswith("#")}
    extras = dict(setup["options.extras_require"])
    del extras["compressai"]  # numpy below 2: an environment of its own
    needed = set().union(*map(requirements, (setup["options"]["install_requires"], *extras.values())))
    assert sorted(needed - pinned) == []


EXTRA_OF = {
    "cv2": "bench",  # what is imported, and the extra that brings it; all else is in the light installation
    "torch": "torch",
    "kornia": "train",
    "lightning": "train",
    "skimage": "train",
    "torchvision": "train",
    "onnx": "onnx",
    "bjontegaard": "bench",
    "matplotlib": "bench",
    "pytorch_msssim": "bench",
    "ssimulacra2": "bench",
    "scipy": "bench",
    "h11": "serve",
    "python_multipart": "serve",
    "starlette": "serve",
    "uvicorn": "serve",
    "fsspec": "remote",
    "ray": "ray",
    "moto": "dev",
    "bm3d": "bm3d",
    "pillow_heif": "heic",
    "rawpy": "raw",
    "OpenEXR": "exr",
    "compressai": "compressai",
}
DISTRIBUTIONS = {
    "cv2": "opencv-python-headless",
    "PIL": "pillow",
    "skimage": "scikit-image",
    "pytorch_msssim": "pytorch-msssim",
    "pillow_heif": "pillow-heif",
    "OpenEXR": "openexr",
    "python_multipart": "python-multipart",
}


def test_every_import_is_named_by_setup_cfg(setup: configparser.ConfigParser) -> None:
    imported = set()
    for folder in ("img2img", "cli", "benchmarks", "examples"):
        for path in (ROOT / folder).rglob("*.py"):
            for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
                names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
                if isinstance(node, ast.ImportFrom) and not node.level:
                    names = [node.module or ""]
                imported |= {name.partition(".")[0] for name in names}
    imported -= sys.stdlib_module_names | {"img2img", "_typeshed"}  # which is for type checkers alone
    core = requirements(setup["options"]["install_requires"])
    extras = setup["options.extras_require"]
    unnamed = {
        name
        for name in imported
        if DISTRIBUTIONS.get(name, name) not in (requirements(extras[EXTRA_OF[name]]) if name in EXTRA_OF else core)
    }
    assert unnamed == set()


def test_everything_but_the_two_that_stand_apart_is_in_all(setup: configparser.ConfigParser) -> None:
    extras = setup["options.extras_require"]
    everything = requirements(extras["all"])
    assert (
        set().union(*(requirements(extras[name]) for name in ("torch", "train", "onnx", "remote", "serve", "bench")))
        == everything
    )
    assert everything < requirements(extras["dev"])
    assert not {"bm3d", "compressai"} & requirements(extras["dev"])


def test_the_light_installation_has_no_framework(setup: configparser.ConfigParser) -> None:
    core = requirements(setup["options"]["install_requires"])
    assert {"numpy", "pillow", "onnxruntime", "click"} <= core
    assert not core & {"torch", "kornia", "lightning", "compressai", "scipy", "scikit-image"}


@pytest.mark.parametrize("args", [["--help"], ["--version"], ["denoise", "--help"], ["weights", "--help"]])
def test_help_does_not_import_what_is_slow(args: list[str]) -> None:
    code = (
        "import sys, img2img; from importlib.metadata import entry_points\n"
        "(command,) = entry_points(group='console_scripts', name='img2img')\n"
        f"try: command.load()({args!r}, prog_name='img2img')\n"
        "except SystemExit as end: assert not end.code\n"
        "slow = {'torch', 'torchvision', 'numpy', 'PIL', 'kornia', 'compressai', 'skimage', 'lightning', 'tqdm'}\n"
        "print(sorted(slow & sys.modules.keys()), file=sys.stderr)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stderr == "[]\n"
    assert "img2img" in done.stdout


def cpu_seconds(arguments: list[str]) -> float:
    """Of a process of Python; the least of several, which other work on the machine disturbs least."""
    return min(_cpu_seconds(arguments) for _ in range(7))


def _cpu_seconds(arguments: list[str]) -> float:
    process = subprocess.Popen([sys.executable, *arguments], stdout=subprocess.DEVNULL)
    _, status, used = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    assert not process.returncode
    return used.ru_utime + used.ru_stime


@pytest.mark.skipif(not hasattr(os, "wait4"), reason="needs the seconds of one process")
def test_the_command_starts_at_once() -> None:
    """Beside Python's own start, which takes 20 ms: 0.1 s would be a ratio of 5."""
    bare = cpu_seconds(["-c", "pass"])
    assert cpu_seconds(["-c", "import img2img"]) < 1.5 * bare + 0.005
    for option in ("--version", "--help"):
        assert cpu_seconds(["-m", "img2img", option]) < 5 * bare


def test_help_imports_no_command() -> None:
    code = (
        "import sys, img2img\nassert not {'img2img.front', 'dataclasses'} & sys.modules.keys()\n"
        "from importlib.metadata import entry_points\n"
        "(command,) = entry_points(group='console_scripts', name='img2img')\n"
        "try: command.load()(['--help'], prog_name='img2img')\n"
        "except SystemExit as end: assert not end.code\n"
        "ours = [name for name in sys.modules if name.startswith('img2img.')]\n"
        "print(sorted(ours), file=sys.stderr)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    known = {
        f"img2img.{name}" for name in ("cli", "cli.main", "cli.debug", "cli.report", "errors", "extras", "register")
    }
    assert set(ast.literal_eval(done.stderr)) <= known


def test_the_list_of_commands_says_what_their_help_says() -> None:
    (entry,) = entry_points(group="console_scripts", name="img2img")
    group = entry.load()
    context = click.Context(group)
    listed = import_module("img2img.cli.main").HELP
    assert list(listed) == group.list_commands(context)
    for name, text in listed.items():
        assert " ".join(group.get_command(context, name).help.split("\n\n")[0].split()) == text


def test_python_runs_the_package(tmp_path: Path) -> None:
    for arguments in (["--version"], ["denoise", "--help"]):
        done = subprocess.run(
            [sys.executable, "-m", "img2img", *arguments], capture_output=True, text=True, check=True, cwd=tmp_path
        )
        assert done.stdout.startswith(("img2img, version", "Usage: python -m img2img denoise"))
    # In a plain checkout, where nothing is installed.
    code = "import runpy, sys; sys.path[0] = sys.argv.pop(1); runpy.run_module('img2img', run_name='__main__')"
    here = {"PYTHONPATH": str(Path(click.__file__).parents[1])}
    done = subprocess.run(
        [sys.executable, "-S", "-c", code, str(ROOT), "--version"],
        capture_output=True,
        text=True,
        env=os.environ | here,
        cwd=tmp_path,
        check=False,
    )
    assert done.stdout == f"img2img, version {img2img.__version__}\n", done.stderr


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        ("img2img de", ["plain,denoise", "plain,decompress"]),
        ("img2img denoise --model denoise-f", ["file,denoise-f", "plain,denoise-fast"]),
        ("img2img translate --model ", ["file,", "plain,colorize", "plain,facades", "plain,edges"]),
        ("img2img denoise pho", ["file,pho"]),
        ("img2img denoise -o res", ["file,res"]),
        ("img2img denoise --format jp", ["plain,jpg"]),
    ],
)
def test_a_shell_completes_commands_files_and_weights(words: str, expected: list[str]) -> None:
    environment = {
        "_IMG2IMG_COMPLETE": "bash_complete",
        "COMP_WORDS": words,
        "COMP_CWORD": str(len(words.split(" ")) - 1),
    }
    code = (
        "from importlib.metadata import entry_points\n"
        "(command,) = entry_points(group='console_scripts', name='img2img')\n"
        "command.load()(prog_name='img2img')"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, env=os.environ | environment, check=False
    )
    assert done.stdout.split("\n")[:-1] == expected, done.stderr


def test_the_library_does_not_know_the_command_line() -> None:
    for path in set((ROOT / "img2img").rglob("*.py")) - {ROOT / "img2img" / "__main__.py"}:
        text = path.read_text(encoding="utf-8")
        assert "import click" not in text, path
        assert "img2img.cli" not in text, path


def test_the_command_says_its_version() -> None:
    (command,) = entry_points(group="console_scripts", name="img2img")
    result = CliRunner().invoke(command.load(), ["--version"])
    assert (result.exit_code, result.stdout) == (0, f"img2img, version {img2img.__version__}\n")
