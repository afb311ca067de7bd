"""What compression costs: bits per pixel of whole files, and how two codecs' curves compare."""

from collections.abc import Sequence
from typing import Any


def bits_per_pixel(size: int, width: int, height: int) -> float:
    """Bits per pixel of a file of `size` bytes, its header and metadata too, that holds width x height pixels."""
    return 8 * size / (width * height)


def bd_rate(reference: Sequence[tuple[float, float]], test: Sequence[tuple[float, float]]) -> float | None:
    """Per cent more bytes for the same quality, over the range of quality that both curves have (Bjontegaard 2001).

    Args:
        reference: bits per pixel and quality, both rising.
        test: the same of the other codec.

    Returns:
        None if a curve has fewer than two points, or the two no quality in common.
    """
    from bjontegaard import bd_rate as bjontegaard_rate

    if min(len(reference), len(test)) < 2 or reference[-1][1] <= test[0][1] or test[-1][1] <= reference[0][1]:
        return None
    # min_overlap only decides whether to warn.
    options: dict[str, Any] = {"method": "akima", "require_matching_points": False, "min_overlap": 0}
    return float(bjontegaard_rate(*zip(*reference, strict=True), *zip(*test, strict=True), **options))
