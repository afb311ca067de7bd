"""The vivid look of files: between faithful and vivid, in tiles and regions, by both engines."""

from pathlib import Path

import numpy as np
import pytest
from skimage import data as photographs
from untrained_codec import write_codec, write_detail, write_restoration

from img2img.checkpoints import load_checkpoint
from img2img.core.box import Box
from img2img.engines.graphs import make_graphs
from img2img.engines.torch_engine import TorchEngine
from img2img.errors import WeightsError
from img2img.images import Picture
from img2img.metrics import psnr
from img2img.register import networks_of
from img2img.tasks.compress import Compressor, Decompressor, Target, View
from img2img.tasks.compress import look as looks
from img2img.tasks.compress.look import LEAST, large_parts

VIVID = View(look=1.0)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("detail")
    write_codec(folder)
    make_graphs(write_detail(folder), networks_of(load_checkpoint(folder / "made-up.safetensors")))
    return folder


def decompressor(folder: Path, engine: str = "torch") -> Decompressor:
    models = [folder / "untrained.safetensors", folder / "made-up.safetensors"]
    return Decompressor("cpu", models=models, engine=engine)


@pytest.fixture(scope="module")
def decoder(folder: Path) -> Decompressor:
    return decompressor(folder)


def file(folder: Path, tile: int = 1024, quality: float = 5, grey: bool = False) -> bytes:
    """A photograph of 400x350 pixels as an .i2i file."""
    compressor = Compressor.from_pretrained(folder / "untrained.safetensors", "cpu")
    samples = photographs.astronaut()[:350, :400]
    picture = Picture(samples[..., :1] if grey else samples)
    return Compressor(compressor.model, tile).compress(picture, Target(quality=quality)).data


def off(a: Picture, b: Picture) -> int:
    """The largest difference in grey levels."""
    return int(np.abs(a.samples.astype(int) - b.samples).max())


def test_a_look_of_nothing_changes_nothing_and_others_blend(folder: Path, decoder: Decompressor) -> None:
    data = file(folder)
    faithful, vivid = decoder.decompress(data), decoder.decompress(data, view=VIVID)
    assert off(faithful, decoder.decompress(data, view=View(look=0.0))) == 0
    assert off(faithful, vivid) > 5
    half = decoder.decompress(data, view=View(look=0.5))
    between = (faithful.samples.astype(float) + vivid.samples) / 2
    unclipped = (vivid.samples > 0) & (vivid.samples < 255)
    assert np.abs(half.samples - between)[unclipped].max() <= 1.5


@pytest.fixture(scope="module")
def restoring(folder: Path) -> Decompressor:
    """What is decoded by it is restored, strangely."""
    restoration = write_restoration(folder, folder / "untrained.safetensors")
    make_graphs(restoration, networks_of(load_checkpoint(restoration)))
    models = [folder / name for name in ("untrained.safetensors", "made-up.safetensors", "restoring.safetensors")]
    return Decompressor("cpu", models=models, engine="torch")


def test_the_faithful_look_is_restored_at_every_rate_and_the_plain_one_is_not(
    folder: Path, decoder: Decompressor, restoring: Decompressor
) -> None:
    for quality in (5, 100):
        data = file(folder, quality=quality)
        plain = restoring.decompress(data, view=View(look=None))
        assert off(plain, decoder.decompress(data)) == 0  # nothing shipped restores what an unknown codec decoded
        assert off(plain, restoring.decompress(data)) > 5
        assert (
            off(restoring.decompress(data, view=View(preview=True)), decoder.decompress(data, view=View(preview=True)))
            == 0
        )


def test_made_up_detail_is_of_the_lightness_and_takes_the_place_of_what_is_restored(
    folder: Path, decoder: Decompressor, restoring: Decompressor
) -> None:
    def looked(by: Decompressor, data: bytes, look: float | None) -> np.ndarray:
        return by.decompress(data, view=View(look=look)).samples.astype(float)

    data = file(folder)
    plain, faithful, vivid, half = (looked(restoring, data, look) for look in (None, 0.0, 1.0, 0.5))
    unrestored = looked(decoder, data, 1.0)
    inside = np.stack([plain, faithful, vivid, unrestored]).clip(0, 255)
    inside = ((inside > 0) & (inside < 255)).all((0, 3))
    lightness = np.array(looks.LUMA, float)
    assert np.abs((vivid - unrestored)[inside] @ lightness).max() <= 1
    for changed, from_ in ((vivid, faithful), (unrestored, plain)):
        added = (changed - from_)[inside]
        assert np.abs(added).max() > 5
        assert np.ptp(added, axis=1).max() <= 2  # the same in all three colours
    assert np.abs(half - (faithful + vivid) / 2)[inside].max() <= 1.5
    data = file(folder, quality=80)  # where no detail is made up
    assert (looked(restoring, data, 1.0) == looked(restoring, data, 0.0)).all()


def test_what_is_restored_has_no_seams_in_tiles_nor_regions(
    folder: Path, restoring: Decompressor, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = restoring.decompress(file(folder))
    monkeypatch.setattr(looks, "LEAST", 8)
    data = file(folder, 208)
    assert off(restoring.decompress(data), whole) <= 1
    part = restoring.decompress(data, view=View(region=(17, 200, 120, 37)))
    assert off(part, Picture(np.ascontiguousarray(whole.samples[200:237, 17:137]))) <= 1


def test_an_encoder_reckons_with_what_readers_see(folder: Path, restoring: Decompressor) -> None:
    compressor = Compressor.from_pretrained(folder / "untrained.safetensors", "cpu", "fp32")
    compressor.looks = restoring._looks
    photo = Picture(np.ascontiguousarray(photographs.astronaut()[:96, :128]))
    coded = compressor.compress(photo, Target(psnr=24))
    seen = psnr(photo.samples, restoring.decompress(coded.data).samples, data_range=255)
    assert seen == pytest.approx(coded.facts["psnr"], abs=0.01)
    assert seen >= 24


def test_tiles_leave_no_seam(folder: Path, decoder: Decompressor, monkeypatch: pytest.MonkeyPatch) -> None:
    whole = decoder.decompress(file(folder), view=VIVID)
    assert off(decoder.decompress(file(folder, 208), view=VIVID), whole) <= 1
    monkeypatch.setattr(looks, "LEAST", 8)  # else the tiles are put together again
    assert off(decoder.decompress(file(folder, 208), view=VIVID), whole) <= 1


def test_tiles_are_put_together_so_that_little_is_computed_twice() -> None:
    boxes = [[Box(top, top + 4, left, left + 16) for left in range(0, 160, 16)] for top in range(0, 150, 4)]
    bands = [np.full((1, 4, 160), top) for top in range(0, 150, 4)]
    parts, joined = large_parts(boxes, bands)
    latents = list(joined)
    assert [row[0].top for row in parts] == [0, 64, 128]
    assert [band.shape[1] for band in latents] == [row[0].height for row in parts] == [64, 64, 24]
    assert np.concatenate(latents, 1).tolist() == np.concatenate(bands, 1).tolist()
    assert [(box.left, box.right) for box in parts[0]] == [(0, 64), (64, 160)]
    assert min(box.width for row in parts for box in row) >= LEAST // 2


@pytest.mark.parametrize("region", [(0, 0, 1, 1), (255, 255, 2, 2), (17, 300, 120, 37), (310, 0, 40, 300)])
def test_a_region_is_cut_out_of_the_vivid_picture(
    folder: Path, decoder: Decompressor, region: tuple[int, int, int, int]
) -> None:
    data = file(folder, 208)
    x, y, width, height = region
    part = decoder.decompress(data, view=View(region=region, look=1.0))
    whole = decoder.decompress(data, view=VIVID).samples[y : y + height, x : x + width]
    assert off(part, Picture(np.ascontiguousarray(whole))) <= 1


def test_both_engines_add_the_same(folder: Path, decoder: Decompressor, restoring: Decompressor) -> None:
    data = file(folder, 256)
    pytest.importorskip("onnxruntime")
    from img2img.engines.onnx_engine import OnnxEngine

    by_onnx = decompressor(folder)
    by_onnx._looks = looks.Looks(OnnxEngine(), [folder / "made-up.safetensors"])  # the codec has no graph
    assert off(decoder.decompress(data, view=VIVID), by_onnx.decompress(data, view=VIVID)) <= 1
    by_onnx._looks = looks.Looks(OnnxEngine(), [folder / "restoring.safetensors"])
    assert off(restoring.decompress(data), by_onnx.decompress(data)) <= 1


def test_grey_stays_grey(folder: Path, decoder: Decompressor) -> None:
    data = file(folder, grey=True)
    vivid = decoder.decompress(data, view=VIVID)
    assert vivid.samples.shape == (350, 400, 1)
    assert off(vivid, decoder.decompress(data)) > 5


def test_files_of_high_rates_and_without_loss_stay_as_they_are(folder: Path, decoder: Decompressor) -> None:
    data = file(folder, quality=80)
    assert off(decoder.decompress(data, view=VIVID), decoder.decompress(data)) == 0
    compressor = Compressor.from_pretrained(folder / "untrained.safetensors", "cpu")
    thin = Picture(np.random.default_rng(0).integers(0, 256, (4, 30, 3), np.uint8))
    data = compressor.compress(thin).data
    assert off(Decompressor("cpu").decompress(data, view=VIVID), thin) == 0


def test_looks_that_are_none_are_refused() -> None:
    with pytest.raises(ValueError, match="between 0, faithful, and 1, vivid, or None, plain"):
        View(look=1.5)
    with pytest.raises(ValueError, match="a preview has no detail"):
        View(look=1.0, preview=True)


def test_without_weights_there_is_one_look(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(looks, "names", lambda task: [])
    decoder = Decompressor("cpu", models=[folder / "untrained.safetensors"], engine="torch")
    with pytest.raises(WeightsError, match="no weights that make detail up are shipped"):
        decoder.decompress(file(folder), view=VIVID)


@pytest.mark.parametrize("codec", ["codec-fast", "codec-best"])
def test_the_shipped_look_is_crisper_and_of_the_same_brightness(codec: str) -> None:
    photo = Picture(np.ascontiguousarray(photographs.chelsea()[40:200, 80:272]))
    data = Compressor.from_pretrained(codec, "cpu").compress(photo, Target(quality=5)).data
    decoder = Decompressor("cpu")
    true, faithful, vivid = (
        picture.samples.astype(float)
        for picture in (photo, decoder.decompress(data), decoder.decompress(data, view=VIVID))
    )

    def steepness(pixels: np.ndarray) -> float:
        return float(np.abs(np.diff(pixels, axis=0)).mean() + np.abs(np.diff(pixels, axis=1)).mean())

    assert steepness(faithful) < steepness(vivid) < 1.3 * steepness(true)
    assert steepness(vivid) > 1.1 * steepness(faithful)
    assert abs(vivid.mean() - faithful.mean()) < 1
    assert psnr(true, vivid, data_range=255) > psnr(true, faithful, data_range=255) - 1


def test_weights_that_make_detail_up_are_no_codec_and_the_other_way_round(folder: Path) -> None:
    with pytest.raises(WeightsError, match="not a codec"):
        Compressor.from_pretrained(folder / "made-up.safetensors")
    with pytest.raises(WeightsError, match="'factorized' are not those of a look"):
        looks.Looks(TorchEngine("cpu"), [folder / "untrained.safetensors"])
