"""What is installed is what lies in the folders, and asking for help does not wait for torch."""

import ast
import configparser
import re
import subprocess
import sys
from importlib.metadata import entry_points
from importlib.resources import files
from pathlib import Path

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
    return {re.split(r"[<>=;]", line)[0].lower() for line in text.split("\n") if line and line[0] != "#"}


def test_every_requirement_has_a_tested_version(setup: configparser.ConfigParser) -> None:
    lines = (ROOT / "constraints.txt").read_text().lower().replace("_", "-").splitlines()
    pinned = {line.split("==")[0] for line in lines if line and not line.startswith("#")}
    extras = dict(setup["options.extras_require"])
    del extras["compressai"]  # numpy below 2: an environment of its own
    needed = set().union(*map(requirements, (setup["options"]["install_requires"], *extras.values())))
    assert sorted(needed - pinned) == []


EXTRA_OF = {  # what is imported, and the extra that brings it; all else is in the light installation
    "torch": "torch",
    "kornia": "train",
    "lightning": "train",
    "skimage": "train",
    "torchvision": "train",
    "onnx": "onnx",
    "bjontegaard": "bench",
    "matplotlib": "bench",
    "pytorch_msssim": "bench",
    "scipy": "bench",
    "bm3d": "bm3d",
    "compressai": "compressai",
}
DISTRIBUTIONS = {"PIL": "pillow", "skimage": "scikit-image", "pytorch_msssim": "pytorch-msssim"}


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
    assert set().union(*(requirements(extras[name]) for name in ("torch", "train", "onnx", "bench"))) == everything
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


def test_the_library_does_not_know_the_command_line() -> None:
    for path in set((ROOT / "img2img").rglob("*.py")) - {ROOT / "img2img" / "__main__.py"}:
        text = path.read_text(encoding="utf-8")
        assert "import click" not in text, path
        assert "img2img.cli" not in text, path


def test_the_command_says_its_version() -> None:
    (command,) = entry_points(group="console_scripts", name="img2img")
    result = CliRunner().invoke(command.load(), ["--version"])
    assert (result.exit_code, result.stdout) == (0, f"img2img, version {img2img.__version__}\n")
