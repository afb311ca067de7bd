"""Choices that the command line and the library share, each once. Imports nothing."""

DEVICES = ("auto", "cpu", "cuda", "mps")
ENGINES = ("auto", "torch", "onnx")
PRECISIONS = ("auto", "fp32", "bf16")
METADATA = ("keep", "none")
MAX_PIXELS = 200_000_000
"""Larger pictures are refused before they are decoded."""

FORMATS = ("png", "jpg", "webp", "avif", "tiff", "gif", "jxl", "heic")
"""That pictures are written in."""
DEFAULT_QUALITY = {"jpg": 95, "webp": 95, "avif": 90, "jxl": 95, "heic": 90}
"""Of a format: nearly nothing is lost, so that a picture may pass through the suite several times."""
CODEC_QUALITY = 50
"""Of `.i2i` files."""
TUNES = ("psnr", "ms-ssim")
"""By what a compressed picture is to be as good as it can; the first is the default."""
LOOKS = {"plain": None, "faithful": 0.0, "vivid": 1.0}
"""How much plausible detail is added to what was decoded; numbers between the last two blend. plain: nothing at all."""
