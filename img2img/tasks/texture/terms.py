"""The matrices that a loss of Gram matrices compares: of each layer, and of some with themselves some way apart.

Imports no torch: engines without it compute the same.
"""

from __future__ import annotations

from typing import NamedTuple

SHIFTS = {2: (2, 4), 3: (1, 2)}  # of relu3_1 and relu4_1: 8 and 16 pixels. Random filters have no such layers
SHIFT_WEIGHT = 0.5  # of each shifted matrix, where a Gram matrix weighs 1


class Term(NamedTuple):
    """One of these matrices: of products of each two channels of a layer at places that lie so far apart.

    Attributes:
        layer: its number, from 0.
        down: rows of the layer.
        right: columns.
    """

    layer: int
    down: int = 0
    right: int = 0


def shifted_terms(layers: int) -> list[Term]:
    """Those of places some way apart, to the right and below, of a descriptor with so many layers."""
    ways = [(layer, way) for layer, distances in SHIFTS.items() if layer < layers for way in distances]
    return [Term(layer, *place) for layer, way in ways for place in ((way, 0), (0, way))]


def terms_of(layers: int) -> list[Term]:
    """All of them: each layer's Gram matrix, then the shifted ones."""
    return [*(Term(layer) for layer in range(layers)), *shifted_terms(layers)]
