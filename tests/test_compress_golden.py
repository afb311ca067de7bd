"""Files that were written before decode as they did, by every engine; see golden_i2i.py."""

from pathlib import Path

import numpy as np
import pytest
from golden_i2i import FOLDER, PLAIN, first_version

from img2img.images import read_picture
from img2img.tasks.compress import Decompressor
from img2img.tasks.compress.bitstream import read_header, read_stream

FILES = sorted(FOLDER.glob("*.i2i"))


@pytest.fixture(scope="module", params=["torch", "onnx"])
def reader(request: pytest.FixtureRequest) -> Decompressor:
    return Decompressor("cpu", "fp32", engine=request.param)


def test_there_are_files_of_every_kind() -> None:
    headers = [read_header(file.read_bytes()) for file in FILES]
    assert sum(header.version == 2 for header in headers) >= 95
    assert len(FILES) >= 100
    assert {(header.version, header.lossless) for header in headers} == {(1, False), (2, False), (2, True)}
    assert {header.model for header in headers} == {"codec-fast", "codec-best", ""}
    assert {(header.channels, header.bits) for header in headers} >= {(1, 8), (3, 8), (3, 16), (1, 16)}
    assert sum(file.stat().st_size for file in FOLDER.iterdir()) < 1_000_000


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.stem)
def test_files_of_before_decode_as_they_did(file: Path, reader: Decompressor) -> None:
    """The symbols exactly, which the file itself checks; samples but for rounding."""
    found, expected = reader.decompress(file.read_bytes(), view=PLAIN), read_picture(file.with_suffix(".png"))
    assert found.samples.dtype == expected.samples.dtype
    difference = np.abs(found.samples.astype(int) - expected.samples)
    assert difference.max() <= (1 if found.bits == 8 else 20)
    assert (found.exif, found.icc) == (expected.exif, expected.icc)
    np.testing.assert_array_equal(np.asarray(found.alpha), np.asarray(expected.alpha))


def test_version_1_is_another_form_of_the_same_symbols() -> None:
    for file in FOLDER.glob("*-version1.i2i"):
        whole = read_stream(Path(str(file).replace("-version1", "")).read_bytes())
        if whole.alpha is None:
            assert first_version(whole) == file.read_bytes()
        assert [tile.payload for tile in read_stream(file.read_bytes()).tiles] == [t.payload for t in whole.tiles]
