"""Measures of colours, of classes and of features, by hand."""

import numpy as np
import pytest
import torch

from img2img.metrics.colour import ab_histogram, colourfulness, intersection
from img2img.metrics.features import feature_distance
from img2img.metrics.segmentation import Confusion


def test_colourfulness_of_grey_is_zero_and_of_two_colours_is_the_closed_form() -> None:
    assert colourfulness(torch.full((3, 4, 4), 0.3)) == 0
    picture = torch.zeros(3, 2, 2)
    picture[0, 0] = 1  # half of the pixels red, half black: rg is 255 or 0, yb 127.5 or 0
    spread, mean = np.hypot(127.5, 63.75), np.hypot(127.5, 63.75)
    assert colourfulness(picture) == pytest.approx(spread + 0.3 * mean, rel=1e-6)


def test_histograms_share_all_with_themselves_and_nothing_with_other_colours() -> None:
    red, blue = torch.tensor([80.0, 67.0]), torch.tensor([79.0, -108.0])  # a and b of sRGB's red and blue
    red, blue = (ab.view(2, 1, 1).expand(2, 8, 8) for ab in (red, blue))
    p, q = ab_histogram([red]), ab_histogram([blue])
    assert intersection(p, p) == pytest.approx(1)
    assert intersection(p, q) == 0
    assert intersection(ab_histogram([red, blue]), q) == pytest.approx(0.5)


def test_fcn_scores_by_hand() -> None:
    score = Confusion(2)
    score.add(torch.tensor([[0, 0, 1, 1]]), torch.tensor([[0, 0, 0, 1]]))
    figures = score.figures()
    assert figures["pixel"] == pytest.approx(3 / 4)
    assert figures["class"] == pytest.approx((2 / 3 + 1) / 2)
    assert figures["iou"] == pytest.approx((2 / 3 + 1 / 2) / 2)


def test_feature_distance_is_relative_to_the_true_features() -> None:
    true = [torch.ones(1, 2, 3, 3), torch.full((1, 4, 2, 2), 2.0)]
    assert feature_distance(true, true) == 0
    assert feature_distance([0 * layer for layer in true], true) == pytest.approx(1)
    assert feature_distance([1.5 * true[0], true[1]], true) == pytest.approx(0.125)
