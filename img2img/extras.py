"""Packages that the light installation lacks: asked for before they are imported; a line says how to get them."""

from importlib.util import find_spec

from .errors import Img2ImgError

EXTRAS = {
    "torch": "torch",
    "pytorch_msssim": "torch",
    "lightning": "train",
    "kornia": "train",
    "onnx": "onnx",
    "onnxruntime": "onnx",
}
NAMES = {"torch": "PyTorch"}
"""What packages are called in sentences, if not as they are imported."""


def need(what: str, *packages: str, more: str = "", options: tuple[str, ...] = ()) -> None:
    """Raise Img2ImgError if one of these packages is missing.

    Args:
        what: needs them, in words.
        packages: names of EXTRAS.
        more: to be added to the error; with {0} and so on for `options`, as `Img2ImgError` takes them.
        options: their names.
    """
    missing = [package for package in packages if not _there(package)]
    if missing:
        names = " and ".join(NAMES.get(package, package) for package in missing)
        extra = EXTRAS[missing[-1]]
        text = f"{what} needs {names}: pip install 'img2img-suite[{extra}]'"
        raise Img2ImgError(text + more, *options)


def _there(package: str) -> bool:
    try:
        return find_spec(package) is not None
    except ValueError:  # a module that is half imported
        return True
