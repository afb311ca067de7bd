"""Pictures through real bytes and back: every size and kind, tiles without seams, targets, damage."""

import time
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from skimage import data as photographs
from untrained_codec import write_codec

from img2img.checkpoints import names
from img2img.core.box import Box
from img2img.errors import BitstreamError, Img2ImgError, WeightsError
from img2img.images import Picture
from img2img.tasks.compress import Compressor, Decompressor, Target, View
from img2img.tasks.compress.bitstream import read_stream, section_sizes, write_stream
from img2img.tasks.compress.pipeline import CENTRED, smaller
from img2img.tasks.compress.tiles import analyse

NETWORKS = ("factorized", "hyperprior", "chequerboard")


@pytest.fixture(scope="module", params=NETWORKS)
def weights(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_codec(tmp_path_factory.mktemp("codec"), network=request.param)


@pytest.fixture(scope="module")
def compressor(weights: Path) -> Compressor:
    return Compressor.from_pretrained(weights, device="cpu", precision="fp32")


@pytest.fixture(scope="module")
def decompressor(weights: Path) -> Decompressor:
    return Decompressor(device="cpu", precision="fp32", models=[weights])


@pytest.fixture(scope="module", params=names("compress"))
def shipped(request: pytest.FixtureRequest) -> Compressor:
    return Compressor.from_pretrained(request.param, device="cpu", precision="fp32")


@pytest.fixture(scope="module")
def reader() -> Decompressor:
    return Decompressor(device="cpu", precision="fp32")


def photograph(height: int, width: int, channels: int = 3, bits: int = 8, alpha: bool = False) -> Picture:
    samples = photographs.astronaut()[:height, :width]
    samples = samples if channels == 3 else samples[..., :1]
    if bits == 16:
        samples = samples.astype(np.uint16) * 257
    mask = np.ascontiguousarray(samples[::-1, ::-1, 0]) if alpha else None
    return Picture(np.ascontiguousarray(samples), mask)


def psnr(a: Picture, b: Picture) -> float:
    error = np.square(a.samples.astype(np.float64) - b.samples).mean() / (2**a.bits - 1) ** 2
    return float(-10 * np.log10(error))


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    height=st.integers(1, 300),
    width=st.integers(1, 300),
    channels=st.sampled_from([1, 3]),
    bits=st.sampled_from([8, 16]),
    alpha=st.booleans(),
    quality=st.integers(1, 100),
)
@example(height=1, width=1, channels=3, bits=8, alpha=False, quality=50)  # nothing to code in a second pass
def test_every_size_and_kind_comes_back(
    compressor: Compressor, decompressor: Decompressor, height: int, width: int, channels: int, bits: int, alpha: bool,
    quality: int,
) -> None:  # fmt: skip
    picture = photograph(height, width, channels, bits, alpha)
    result = decompressor.decompress(compressor.compress(picture, Target(quality=quality)).data)
    assert (result.samples.shape, result.samples.dtype) == (picture.samples.shape, picture.samples.dtype)
    assert (result.alpha is None) == (picture.alpha is None)
    if alpha:
        np.testing.assert_array_equal(result.alpha, picture.alpha)


def test_metadata_and_size_are_in_the_facts(compressor: Compressor, decompressor: Decompressor) -> None:
    picture = Picture(photograph(40, 50).samples, exif=b"MM\0*\0\0\0\x08\0\0", icc=b"profile" * 100)
    coded = compressor.compress(picture, Target(quality=60))
    result = decompressor.decompress(coded.data)
    assert (result.exif, result.icc) == (picture.exif, picture.icc)
    assert coded.facts["bytes"] == len(coded.data)
    assert coded.facts["bpp"] == pytest.approx(8 * len(coded.data) / 2000, abs=1e-4)
    assert coded.facts["quality"] == pytest.approx(60, abs=0.01)


def test_quality_buys_decibels_with_bytes(shipped: Compressor, reader: Decompressor) -> None:
    picture = photograph(256, 256)
    files = [shipped.compress(picture, Target(quality=q)).data for q in (1, 34, 67, 100)]
    sizes = [len(file) for file in files]
    decibels = [psnr(picture, reader.decompress(file)) for file in files]
    assert sizes == sorted(sizes)
    assert decibels == sorted(decibels)
    assert decibels[-1] > decibels[0] + 2


def test_tiles_leave_no_seams(shipped: Compressor, reader: Decompressor) -> None:
    """In tiles of 256 pixels a picture is as good as in a single one, along their borders too."""
    picture = photograph(400, 500)
    tiled = Compressor(shipped.model, tile=256)
    one, many = (reader.decompress(c.compress(picture, Target(quality=50)).data) for c in (shipped, tiled))
    assert psnr(picture, many) == pytest.approx(psnr(picture, one), abs=0.05)
    single, error = (np.square(picture.samples.astype(float) - result.samples).mean((1, 2)) for result in (one, many))
    assert error[254:258].mean() < 1.1 * single[254:258].mean()


def test_a_factorised_prior_does_not_see_tiles_at_all(tmp_path: Path) -> None:
    whole = Compressor.from_pretrained(write_codec(tmp_path), device="cpu", precision="fp32")
    reader = Decompressor(device="cpu", precision="fp32", models=[tmp_path / "untrained.safetensors"])
    tiled = Compressor(whole.model, tile=256)
    one, many = (reader.decompress(c.compress(photograph(300, 350), Target(quality=50)).data) for c in (whole, tiled))
    assert np.abs(one.samples.astype(int) - many.samples).max() <= 1


def test_decoding_does_not_depend_on_threads_or_convolutions_or_precision(
    shipped: Compressor, reader: Decompressor
) -> None:
    """Encoded under one thread, with oneDNN, in fp32; decoded under two, without, and with a synthesis in bf16."""
    picture, threads = photograph(170, 120), torch.get_num_threads()
    try:
        torch.set_num_threads(1)
        data = shipped.compress(picture, Target(quality=70)).data
        expected = reader.decompress(data)
        torch.set_num_threads(2)
        with torch.backends.mkldnn.flags(enabled=False):  # type: ignore[attr-defined]
            other = reader.decompress(data)
        assert np.abs(other.samples.astype(int) - expected.samples).max() <= 1
        rough = Decompressor(device="cpu", precision="bf16").decompress(data)
        assert psnr(picture, rough) == pytest.approx(psnr(picture, expected), abs=0.1)
    finally:
        torch.set_num_threads(threads)


@pytest.mark.parametrize("by", ["torch", "onnx"])
def test_every_engine_decodes_the_same_symbols_and_pixels_within_a_level(shipped: Compressor, by: str) -> None:
    """A file says what its symbols are (CRC-32), so decoding it without an error is having the same ones."""
    picture = photograph(170, 300)
    writer = Compressor.from_pretrained(shipped.model.name, device="cpu", precision="fp32", engine=by)
    data = writer.compress(picture, Target(quality=70)).data
    one, other = (Decompressor(device="cpu", engine=engine).decompress(data) for engine in ("torch", "onnx"))
    difference = np.abs(one.samples.astype(int) - other.samples)
    assert difference.max() <= 1
    assert (difference > 0).mean() < 1e-3
    assert psnr(picture, one) > 30


def test_same_picture_same_bytes(weights: Path, compressor: Compressor) -> None:
    again = Compressor.from_pretrained(weights, device="cpu", precision="fp32")
    picture = photograph(100, 90)
    assert compressor.compress(picture).data == again.compress(picture).data


@pytest.mark.parametrize("limit", [3000, 9000])
def test_max_bytes_is_kept_and_used(shipped: Compressor, limit: int) -> None:
    picture = photograph(256, 256)
    coded = shipped.compress(picture, Target(max_bytes=limit))
    assert 0.97 * limit < len(coded.data) <= limit


def test_bpp_counts_the_whole_file(shipped: Compressor) -> None:
    picture = photograph(256, 256, alpha=True)
    coded = shipped.compress(picture, Target(bpp=6.0))
    assert 5.8 < 8 * len(coded.data) / 65536 <= 6.0


def test_psnr_is_reached_and_hardly_exceeded(shipped: Compressor, reader: Decompressor) -> None:
    picture = photograph(192, 192)
    coded = shipped.compress(picture, Target(psnr=30.0))
    reached = psnr(picture, reader.decompress(coded.data))
    assert coded.facts["psnr"] == pytest.approx(reached, abs=1e-3)
    assert 30.0 <= reached < 30.1


def test_what_cannot_be_reached_is_said(shipped: Compressor) -> None:
    picture = photograph(128, 128)
    with pytest.raises(Img2ImgError, match=r"20 bytes are too few: the lowest quality takes \d+"):
        shipped.compress(picture, Target(max_bytes=20))
    with pytest.raises(Img2ImgError, match="90 dB cannot be reached: the highest quality gives"):
        shipped.compress(picture, Target(psnr=90))


@pytest.mark.parametrize("wrong", [{}, {"quality": 5, "bpp": 1}, {"quality": 0}, {"quality": 101}, {"bpp": -1}])
def test_targets_that_are_none(wrong: dict[str, float]) -> None:
    with pytest.raises(ValueError, match=r"exactly one|between 1 and 100"):
        Target(**wrong)  # type: ignore[arg-type]


def test_a_missing_or_other_model_is_named(weights: Path, compressor: Compressor, tmp_path: Path) -> None:
    data = compressor.compress(photograph(20, 20)).data
    with pytest.raises(BitstreamError, match="needs the codec 'untrained'"):
        Decompressor(device="cpu").decompress(data)
    other = Compressor.from_pretrained(write_codec(tmp_path, network="hyperprior"), device="cpu")
    mixed = write_stream(_with(read_stream(data), model_hash=bytes(8)))
    with pytest.raises(BitstreamError, match="'untrained' in another version than is here: 0000000000000000, not"):
        Decompressor(device="cpu", models=[weights]).decompress(mixed)
    assert other.model.name == "untrained"


def _with(stream: object, **changes: object) -> object:
    from dataclasses import replace

    return replace(stream, **changes)  # type: ignore[type-var]


def test_wrong_symbols_are_noticed(weights: Path, compressor: Compressor, decompressor: Decompressor) -> None:
    """A stream in order whose tile was coded for another picture: only the symbols' own checksum can tell."""
    stream, other = (read_stream(compressor.compress(photograph(64, w)).data) for w in (64, 48))
    swapped = _with(stream, tiles=(stream.tiles[0]._replace(layers=other.tiles[0].layers),))
    with pytest.raises(BitstreamError):
        decompressor.decompress(write_stream(swapped))  # type: ignore[arg-type]


def test_every_truncation_and_every_flipped_byte_is_an_error(
    compressor: Compressor, decompressor: Decompressor
) -> None:
    data = compressor.compress(photograph(24, 20, alpha=True), Target(quality=20)).data
    damaged = [data[:length] for length in range(len(data))]
    damaged += [data[:i] + bytes([data[i] ^ 0x55]) + data[i + 1 :] for i in range(len(data))]
    begin = time.perf_counter()
    for file in damaged:
        with pytest.raises(BitstreamError):
            decompressor.decompress(file)
    assert (time.perf_counter() - begin) / len(damaged) < 0.1


def test_a_picture_larger_than_asked_for_is_refused(compressor: Compressor, decompressor: Decompressor) -> None:
    data = compressor.compress(photograph(40, 40)).data
    with pytest.raises(BitstreamError, match=r"40x40|1600"):
        decompressor.decompress(data, max_pixels=1000)


def test_weights_of_something_else_are_refused() -> None:
    with pytest.raises(WeightsError, match="not a codec"):
        Compressor.from_pretrained("denoise-fast", device="cpu")


# --- Parts of files ---


@pytest.mark.parametrize(
    "region", [(0, 0, 1, 1), (255, 255, 2, 2), (17, 300, 120, 37), (310, 0, 40, 300), (0, 0, 350, 340)]
)
def test_a_region_is_cut_out_of_the_picture(
    compressor: Compressor, decompressor: Decompressor, region: tuple[int, int, int, int]
) -> None:
    """As the whole would be cut, whichever tiles it touches, alpha too; and other tiles are not decoded."""
    picture = photograph(340, 350, alpha=True)
    data = Compressor(compressor.model, tile=256).compress(picture, Target(quality=50)).data
    whole, part = decompressor.decompress(data), decompressor.decode(data, view=View(region=region))
    x, y, width, height = region
    expected = whole.samples[y : y + height, x : x + width].astype(int)
    assert np.abs(part.picture.samples.astype(int) - expected).max() <= 1
    assert part.picture.alpha is not None
    assert whole.alpha is not None
    np.testing.assert_array_equal(part.picture.alpha, whole.alpha[y : y + height, x : x + width])
    assert part.facts["tiles"] == {1: 1, 2: 4, 120: 1, 40: 2, 350: 4}[width]


def test_a_region_beyond_the_picture_is_refused(compressor: Compressor, decompressor: Decompressor) -> None:
    data = compressor.compress(photograph(40, 50)).data
    with pytest.raises(BitstreamError, match="11x40 pixels at 40,0 reaches beyond the picture of 50x40"):
        decompressor.decompress(data, view=View(region=(40, 0, 11, 40)))
    for wrong in ((-1, 0, 5, 5), (0, 0, 0, 5)):
        with pytest.raises(ValueError, match="a region is X,Y,WIDTH,HEIGHT"):
            View(region=wrong)
    with pytest.raises(ValueError, match="a preview is of the whole picture"):
        View(region=(0, 0, 5, 5), preview=True)


@pytest.mark.parametrize(("height", "width"), [(170, 201), (17, 9)])
def test_a_preview_is_a_quarter_of_the_size(shipped: Compressor, reader: Decompressor, height: int, width: int) -> None:
    picture = photograph(height, width, alpha=True)
    data = shipped.compress(picture, Target(quality=40)).data
    preview = reader.decompress(data, view=View(preview=True))
    whole = smaller(reader.decompress(data).samples)
    assert preview.samples.shape == whole.shape == (-(-height // 4), -(-width // 4), 3)
    assert psnr(Picture(whole), preview) > (38 if width > 100 else 20)
    assert preview.alpha is not None
    np.testing.assert_array_equal(preview.alpha, smaller(picture.alpha[..., None])[..., 0])  # type: ignore[index]


def test_the_longer_a_truncated_file_the_better_its_picture(shipped: Compressor, reader: Decompressor) -> None:
    picture = photograph(256, 256)
    data = shipped.compress(picture, Target(quality=60)).data
    layers = len(shipped.model.coding.slices)
    lengths = [len(layer) for layer in read_stream(data).tiles[0].layers]
    ends = len(data) - 4 - sum(lengths) + np.cumsum([0, *lengths])
    qualities = []
    for end in ends.tolist():
        with pytest.raises(BitstreamError, match=r"the last [0-9]+ bytes are missing"):
            reader.decompress(data[:end])
        decoded = reader.decode(data[:end], view=View(partial=True))
        assert decoded.facts["missing_bytes"] == len(data) - end
        assert decoded.facts["incomplete_tiles"] == (end != ends[-1])
        qualities.append(psnr(picture, decoded.picture))
    assert len(qualities) == layers + 1
    assert qualities == sorted(qualities)
    assert qualities[1] > 20
    assert qualities[-1] == psnr(picture, reader.decompress(data))
    with pytest.raises(BitstreamError, match="it ends within"):
        reader.decompress(data[: len(data) - section_sizes(data)["tiles"]], view=View(partial=True))


def test_tiles_that_are_missing_are_grey(compressor: Compressor, decompressor: Decompressor) -> None:
    data = Compressor(compressor.model, tile=256).compress(photograph(256, 512)).data
    first = len(read_stream(data).tiles[0].layers[0])
    table = len(data) - 4 - sum(len(tile.payload) for tile in read_stream(data).tiles)
    picture = decompressor.decompress(data[: table + first], view=View(partial=True))
    assert np.ptp(picture.samples[:, 300:].mean((0, 1))) < 10
    assert picture.samples[:, :200].std() > 30
    assert picture.samples[:, 300:].std() < 10


# --- Without loss ---


def drawing(height: int, width: int, kind: str = "u1") -> Picture:
    """What a screenshot is like."""
    samples = np.full((height, width, 3), 240, kind)
    samples[height // 4 : height // 2, width // 8 : width // 2] = (20, 90, 200)
    samples[::16, ::8] = 0
    return Picture(samples)


@pytest.mark.parametrize("bits", [8, 16])
def test_a_drawing_is_kept_losslessly_where_that_is_smaller(
    compressor: Compressor, decompressor: Decompressor, bits: int
) -> None:
    picture = drawing(200, 300, f"u{bits // 8}")
    for target in (Target(quality=50), Target(psnr=30), Target(bpp=0.5), Target(max_bytes=20_000)):
        coded = compressor.compress(picture, target)
        assert coded.facts["lossless"] is True
        np.testing.assert_array_equal(decompressor.decompress(coded.data).samples, picture.samples)
        assert len(coded.data) < 2500
    part = decompressor.decompress(coded.data, view=View(region=(10, 20, 30, 40)))
    np.testing.assert_array_equal(part.samples, picture.samples[20:60, 10:40])
    assert decompressor.decompress(coded.data, view=View(preview=True)).samples.shape == (50, 75, 3)
    assert compressor.compress(photograph(200, 300), Target(quality=50)).facts["lossless"] is False


@pytest.mark.parametrize(("height", "width"), [(1, 1), (7, 300), (100_000, 2)])
def test_thin_pictures_are_lossless(
    compressor: Compressor, decompressor: Decompressor, height: int, width: int
) -> None:
    samples = np.random.default_rng(0).integers(0, 256, (height, width, 1)).astype(np.uint8)
    coded = compressor.compress(Picture(samples), Target(quality=1))
    np.testing.assert_array_equal(decompressor.decompress(coded.data).samples, samples)
    with pytest.raises(Img2ImgError, match=r"50 bytes are too few: a picture so thin takes \d+"):
        compressor.compress(Picture(samples), Target(max_bytes=50))


def test_strips_are_in_few_tiles(compressor: Compressor, decompressor: Decompressor) -> None:
    for height, width in ((8, 70_000), (20_000, 24)):
        samples = np.random.default_rng(0).integers(0, 9, (height, width, 3)).astype(np.uint8)
        decoded = decompressor.decode(compressor.compress(Picture(samples), Target(quality=1)).data)
        assert decoded.picture.samples.shape == samples.shape
        assert decoded.facts["tiles"] <= 2


def test_a_photograph_does_not_fade_when_it_is_coded_again_and_again(shipped: Compressor, reader: Decompressor) -> None:
    original = photograph(200, 168)
    picture, decibels = original, []
    for _ in range(6):
        picture = reader.decompress(shipped.compress(picture, Target(quality=75)).data)
        decibels.append(psnr(picture, original))
    # With steps up to 2 % too large and without _Coding._fading, ten rounds at quality 80 cost codec-fast 7 dB.
    assert decibels[0] - decibels[-1] < 0.5


def test_a_photograph_is_told_from_one_that_was_decoded(shipped: Compressor, reader: Decompressor) -> None:
    original, rate = photograph(200, 168), 50_000
    decoded = reader.decompress(shipped.compress(original, Target(quality=1 + 99 * rate / 65535)).data)
    coding = shipped.model.coding
    for picture, again in ((original, False), (decoded, True)):
        y = analyse(shipped.model, picture, Box(0, 13, 0, 11))
        assert (coding.choose(y, rate).off_centre(y, coding.steps(rate)[0]) < CENTRED) == again
    flat = Picture(np.full((64, 64, 3), 128, np.uint8))
    assert reader.decompress(shipped.compress(flat).data).samples.std() < 2


def test_every_quality_costs_more_than_the_one_below_and_is_better(shipped: Compressor, reader: Decompressor) -> None:
    picture = Picture(np.ascontiguousarray(photographs.astronaut()[:112, 200:328]))
    files = [shipped.compress(picture, Target(quality=quality)).data for quality in range(1, 101)]
    assert all(len(small) <= len(large) for small, large in pairwise(files))
    decibels = [psnr(reader.decompress(data), picture) for data in files]
    assert all(low < high for low, high in pairwise(decibels))
