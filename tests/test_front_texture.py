"""`img2img.texture` and `img2img.process("texture", ...)`: all that the command does, in Python's words."""

from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from command_line import run
from PIL import Image
from skimage import data as photographs
from untrained_texture import write_descriptor, write_recipe

import img2img
from img2img.images import Picture, read_picture, write_picture

GRAVEL = np.ascontiguousarray(photographs.gravel()[:60, :64])
WHERE = np.arange(60 * 64, dtype=np.uint16).reshape(60, 64)  # a map whose values say which pixel it is of
HOLE = np.zeros((60, 64), np.uint8)
HOLE[20:33, 10:30] = 255


def png(samples: np.ndarray) -> bytes:
    stream = BytesIO()
    write_picture(Picture(samples[..., None]), stream, "png")
    return stream.getvalue()


def patches(**options: Any) -> Any:
    return img2img.texture(GRAVEL, (50, 70), method="patches", scale=1, **options)


def test_maps_come_with_the_texture_value_for_value() -> None:
    made, maps = patches(maps={"where": WHERE})
    assert (made.shape, maps.keys(), maps["where"].dtype) == ((50, 70), {"where"}, np.uint16)
    np.testing.assert_array_equal(made, GRAVEL.reshape(-1)[maps["where"]])
    np.testing.assert_array_equal(made, patches())
    turned, maps = patches(maps={"where": WHERE}, rotate=True, mirror=True)
    np.testing.assert_array_equal(turned, GRAVEL.reshape(-1)[maps["where"]])
    assert (turned != made).any()


def test_a_mask_keeps_pixels_out() -> None:
    made, maps = patches(maps={"where": WHERE}, mask=255 - HOLE)
    assert not HOLE.reshape(-1)[maps["where"]].any()
    assert made.shape == (50, 70)


def test_several_textures_are_those_of_the_seeds_from_the_first_on() -> None:
    several = patches(seed=7, count=3)
    assert len(several) == 3
    for number, texture in enumerate(several):
        np.testing.assert_array_equal(texture, patches(seed=7 + number))
    assert (several[0] != several[1]).any()


def test_the_picture_itself_is_made_seamless_filled_and_extended() -> None:
    seamless = img2img.texture(GRAVEL, seamless=True, tile_axis="x")
    np.testing.assert_array_equal(seamless[:, 20:40], GRAVEL[:, 20:40])
    assert (seamless != GRAVEL).any()
    filled = img2img.texture(GRAVEL, fill=HOLE)
    np.testing.assert_array_equal(filled[HOLE == 0], GRAVEL[HOLE == 0])
    assert (filled[HOLE > 0] != GRAVEL[HOLE > 0]).mean() > 0.5
    extended = img2img.texture(GRAVEL, extend=(3, 0, 5, 7))
    assert extended.shape == (67, 72)
    np.testing.assert_array_equal(extended[:60, 3:67], GRAVEL)
    assert img2img.texture(GRAVEL, extend=4).shape == (68, 72)


def test_files_lie_beside_the_sample_as_the_command_names_them(tmp_path: Path) -> None:
    sample = tmp_path / "a.png"
    sample.write_bytes(png(GRAVEL))
    made, maps = img2img.texture(sample, (20, 30), maps={"where": WHERE}, count=1)
    assert (made, maps) == (tmp_path / "a_texture.png", {"where": tmp_path / "a_texture_where.png"})
    where = read_picture(maps["where"]).samples[..., 0]
    np.testing.assert_array_equal(read_picture(made).samples[..., 0], GRAVEL.reshape(-1)[where])
    made.unlink()
    with pytest.raises(img2img.InputError, match=r"a_texture_where\.png exists already"):
        img2img.texture(sample, (20, 30), maps={"where": WHERE})
    assert not made.exists()
    numbered = img2img.texture(sample, (20, 30), method="patches", count=2)
    assert numbered == [tmp_path / "a_texture_1.png", tmp_path / "a_texture_2.png"]
    assert img2img.texture(sample, seamless=True) == tmp_path / "a_seamless.png"
    assert img2img.texture(sample, extend=2) == tmp_path / "a_extended.png"


def test_function_process_and_command_make_the_same(tmp_path: Path) -> None:
    sample, mask, target = tmp_path / "a.png", tmp_path / "mask.png", tmp_path / "b.png"
    sample.write_bytes(png(GRAVEL))
    mask.write_bytes(png(HOLE))
    descriptor = str(write_descriptor(tmp_path))
    computing = {"descriptor": descriptor, "device": "cpu"}
    cases: list[tuple[dict[str, Any], str]] = [
        ({"method": "patches", "size": (50, 70)}, "--method patches --size 70x50"),
        ({"fill": mask.read_bytes()}, f"--fill {mask}"),
        (
            {"size": (20, 24), "steps": 4, "seed": 3, "tileable": True, **computing},
            f"--size 24x20 --steps 4 --seed 3 --tileable --descriptor {descriptor} --device cpu",
        ),
    ]
    for options, words in cases:
        result = run("texture", str(sample), "-o", str(target), "--overwrite", *words.split())
        assert result.exit_code == 0, result.stderr
        data, facts = img2img.process("texture", sample.read_bytes(), **options)
        assert data == target.read_bytes()
        assert facts["seed"] == options.get("seed", 0)
        own = {name: value for name, value in options.items() if name != "descriptor"}
        image = img2img.texture(Image.open(sample), model=options.get("descriptor"), **own)
        np.testing.assert_array_equal(np.asarray(image), read_picture(target).samples[..., 0])


def test_process_gives_maps_and_takes_further_samples(tmp_path: Path) -> None:
    data, facts = img2img.process("texture", png(GRAVEL), size=(30, 40), maps={"where": png(WHERE)})
    where = read_picture(BytesIO(facts["beside"]["where"])).samples[..., 0]
    np.testing.assert_array_equal(read_picture(BytesIO(data)).samples[..., 0], GRAVEL.reshape(-1)[where])
    descriptor = str(write_descriptor(tmp_path))
    dark, light = (np.clip(GRAVEL // 8 + level, 0, 255).astype(np.uint8) for level in (10, 200))
    means = []
    for share in (0.0, 1.0):
        options = {"size": (16, 16), "mix": share, "steps": 8, "descriptor": descriptor, "device": "cpu"}
        data = img2img.process("texture", png(dark), samples=[png(light)], **options)[0]
        means.append(read_picture(BytesIO(data)).samples.mean())
    assert means[0] < 80 < 150 < means[1]


def test_a_large_sample_is_seen_smaller_and_that_is_said() -> None:
    large = np.ascontiguousarray(np.kron(photographs.gravel()[:12, :16], np.ones((20, 20), np.uint8)))
    facts = img2img.process("texture", png(large), size=(60, 60), method="patches")[1]
    assert 0 < facts["scale"] < 0.5
    assert "320x240" in facts["note"]


def test_a_network_is_kept_and_used_again(tmp_path: Path) -> None:
    file = tmp_path / "net.safetensors"
    options: dict[str, Any] = {"method": "network", "train_steps": 2, "recipe": write_recipe(tmp_path), "device": "cpu"}
    options["model"] = str(write_descriptor(tmp_path))
    made = img2img.texture(GRAVEL, (40, 44), save=file, **options)
    again = img2img.texture(size=(40, 44), net=file, device="cpu", kind="numpy")
    np.testing.assert_array_equal(made, again)
    with pytest.raises(img2img.InputError, match="exists already"):
        img2img.texture(GRAVEL, (40, 44), save=file, **options)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"weave": 1}, "no option 'weave'"),
        ({"method": "weave"}, "weave"),
        ({"size": (20000, 20000)}, "more than max_pixels"),
        ({"seamless": True, "extend": 3}, "seamless and extend"),
        ({"maps": {"n": WHERE}, "method": "optimize"}, "maps is done by patches, not by method optimize"),
        ({"maps": {"n": WHERE[1:]}}, "the map n has 64x59 pixels"),
        ({"fill": HOLE[1:]}, "the mask has 64x59 pixels"),
        ({"fill": HOLE, "size": (9, 9)}, "size has no part"),
        ({"method": "patches", "steps": 3}, "steps is for method optimize"),
        ({"tileable": True, "tile_axis": "x"}, "contradict"),
        ({"mix": 0.5}, "two samples or more"),
        ({"extend": (1, 2)}, "left, top, right, bottom"),
        ({"seed": 2**31 - 1, "count": 2, "method": "patches"}, "no seed beyond"),
        ({"scale": -1.0, "method": "patches"}, "scale is a number above 0"),
        ({"count": 2, "output": "a.png", "method": "patches"}, "output is one file"),
        ({"descriptor_weights": "a"}, "descriptor_weights is for descriptor vgg19"),
        ({"method": "network", "save": "net.png"}, "ends with .safetensors"),
    ],
)
def test_options_that_do_not_go_together_are_said_in_pythons_words(options: dict[str, Any], words: str) -> None:
    with pytest.raises(img2img.Img2ImgError, match=words) as caught:
        img2img.texture(GRAVEL, **options)
    assert "--" not in str(caught.value)


def test_a_sample_is_needed_but_for_a_network() -> None:
    with pytest.raises(img2img.InputError, match="sample"):
        img2img.texture(size=(8, 8))
