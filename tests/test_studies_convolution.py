"""The study of convolution says what SciPy says."""

import numpy as np
import pytest
from scipy.signal import correlate2d

from img2img.studies.convolution import KERNELS, MATRIX, draw, run
from img2img.studies.study import Findings, Settings


@pytest.fixture(scope="module")
def findings() -> Findings:
    return run(Settings(quick=True))


@pytest.mark.parametrize(("padding", "boundary"), [("zeros", "fill"), ("circular", "wrap")])
def test_the_matrix_comes_out_as_scipys(findings: Findings, padding: str, boundary: str) -> None:
    expected = correlate2d(np.array(MATRIX), np.array(KERNELS["sharpen"]), "same", boundary)
    np.testing.assert_array_equal(findings.arrays[f"matrix {padding}"], expected)


def test_shifts_are_kept_on_a_torus_and_broken_by_zeros_and_pooling(findings: Findings) -> None:
    numbers = {name: finding.numbers for name, finding in findings.sentences.items()}
    assert numbers["circular"]["largest_difference"] < 1e-5
    assert numbers["zeros"]["largest_difference"] > 0.05
    assert 0 < numbers["zeros"]["share_of_places"] < 0.2
    assert numbers["strided"]["shift_2"] < 1e-5 < 0.01 < numbers["strided"]["shift_1"]


def test_pooling_keeps_the_highest_or_the_mean(findings: Findings) -> None:
    window = findings.arrays["inner"][:2, :2]
    assert findings.arrays["inner max"][0, 0] == window.max()
    assert findings.arrays["inner average"][0, 0] == pytest.approx(window.mean())


def test_everything_on_the_page_is_drawn(findings: Findings) -> None:
    from img2img.studies.convolution import PAGE

    assert set(draw(findings)) == {name for part in PAGE for name in part.pictures}
    assert {name for part in PAGE for name in part.sentences} == set(findings.sentences)
