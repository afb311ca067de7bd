"""Write the measured numbers into the pages: tables of docs/results.md and docs/scale.md, and figures wherever wanted.

A table stands between `<!-- table: NAME -->` and `<!-- end of table -->`, a figure between `<!--figure: NAME-->` and
`<!--end-->`. Both are made of benchmarks/results/*.json, so that a page says what was measured: measure again, put the
new JSON there, run this. tests/test_readme.py checks that no page is behind, and that none repeats a score by hand.
"""

import json
import re
import runpy
from collections.abc import Callable, Iterable, Sequence
from dataclasses import fields
from functools import cache, partial
from pathlib import Path
from typing import Any

from img2img.benchmarks import (
    codec_blind,
    codec_equal_bytes,
    codec_hostile,
    codec_rate_distortion,
    codec_rounds,
    codec_speed,
    codec_views,
    costs,
    engines,
    kills,
    late_store,
    long_lists,
    noise_level,
    photographs,
    real_noise,
    speed,
    texture,
    texture_sizes,
    translation,
    unknown_noise,
    workers,
)
from img2img.benchmarks.report import markdown_table, slashed

HERE = Path(__file__).parent
RESULTS = HERE.parent / "benchmarks" / "results"
TABLE = re.compile(r"(<!-- table: (?P<name>.+?) -->\n).*?(<!-- end of table -->)", re.DOTALL)
FIGURE = re.compile(r"(?<!`)(<!--figure: (?P<name>.+?)-->).*?(<!--end-->)")

Row = dict[str, Any]

SETS = {"CBSD68": "cbsd68", "Kodak": "kodak", "Set12 (grey)": "set12"}
PEERS = {
    "noisy": "noisy",
    "scikit-image wavelet": "wavelet (BayesShrink)",
    "scikit-image TV": "TV (Chambolle)",
    "scikit-image NL-means": "NL-means",
}
OURS = ("denoise-fast", "denoise-fast, auto")
# Not ours: FFDNet by its published weights, measured with an earlier `img2img bench denoise`; DRUNet as published.
OTHERS = {
    "FFDNet (its published weights, measured before)": (
        "33.88 / 31.22 / 27.97",
        "34.77 / 32.27 / 29.12",
        "32.76 / 30.45 / 27.37",
    ),
    "DRUNet (published, 32.6 M parameters)": ("34.30 / 31.69 / 28.51", "", "33.25 / 30.94 / 27.90"),
}
BLIND = ("denoise_photo_cbsd68", "8bit", "denoise-photo")
CLEAN = {"Kodak": "kodak", "CBSD68": "cbsd68", "the 24 textures of the training data": "textures"}
UNCHANGED, HARMED = 99, 42  # decibels: what an unchanged picture counts as in a mean, and where harm begins
KILLS = ("local_folder", "local_s3", "ray_folder", "local_memory")
TEXTURES = {
    "by default": "optimize, vgg-slim, shifted",
    "from noise": "noise, vgg-slim, shifted",
    "quilting": "quilting",
    "patches": "patches",
    "mirrored": "the sample mirrored",
    "shuffled": "its pixels shuffled",
}
BARK = {"bark": "optimize, vgg19, gram", "random": "optimize, random, gram", "network": "network, vgg-slim, gram"}
BEFORE_PATCHES = "2026-11-26"
GONE = re.compile(
    r"denoise-best|sigma auto|instant"
)  # weights and methods that are no longer there, and rows of no news


@cache
def record(name: str) -> Row:
    """The JSON file of that name, "inf" turned into infinity again."""

    def numbers(pairs: Sequence[tuple[str, Any]]) -> Row:
        return {key: float(value) if value == "inf" else value for key, value in pairs}

    found: Row = json.loads((RESULTS / f"{name}.json").read_text(encoding="utf-8"), object_pairs_hook=numbers)
    return found


def row(rows: Iterable[Row], **wanted: object) -> Row:
    """The only row that has these values."""
    (found,) = (each for each in rows if all(each[key] == value for key, value in wanted.items()))
    return found


# ---- tables


def white_noise(case: str) -> str:
    """PSNR of each method on each test set at the three levels; ours were measured again, by themselves."""

    def cell(folder: str, method: str) -> str:
        name = f"denoise_fast_{folder}" if method in OURS else f"denoise_{folder}"
        return decibels(name, case, method, missing="")

    lines = [[shown, *(cell(folder, method) for folder in SETS.values())] for shown, method in PEERS.items()]
    lines += [[name, *cells] for name, cells in OTHERS.items() if case == "float"]
    lines += [[f"**{method}**", *(cell(folder, method) for folder in SETS.values())] for method in OURS]
    return markdown_table(["method", *SETS], lines)


def noise_levels() -> str:
    """Errors of the estimated noise level, and what they cost; the mean of the seconds over levels."""
    lines = []
    rows = record("noise_level_cbsd68")["summary"]
    for case, shown in (("float", "float"), ("8bit", "8 bits")):
        for method in dict.fromkeys(each["method"] for each in rows):
            own = [each for each in rows if (each["case"], each["method"]) == (case, method)]
            seconds = sum(each["seconds_per_megapixel"] for each in own) / len(own)
            errors, costs = ([each[key] for each in own] for key in ("error_percent", "cost_db"))
            lines.append([method, shown, slashed(errors, 1), slashed(costs), f"{seconds:.2f}"])
    return markdown_table(["method", "case", "mean error, %", "cost, dB", "s/megapixel"], lines)


def codecs(*names: str) -> str:
    """Rate and distortion of every codec in records, the first of each name."""
    points = {field.name for field in fields(codec_rate_distortion.Point)}
    curves: dict[str, codec_rate_distortion.Curve] = {}
    for curve in (curve for name in names for curve in record(name)["curves"]):
        own = {field.name: curve[field.name] for field in fields(codec_rate_distortion.Curve) if field.name in curve}
        own["points"] = [
            codec_rate_distortion.Point(**{key: point.get(key) for key in points}) for point in curve["points"]
        ]
        curves.setdefault(curve["codec"], codec_rate_distortion.Curve(**own))
    return codec_rate_distortion.table(list(curves.values()))


def seams() -> str:
    """Time of a picture at once and in tiles, and how far tiles, ours and independent ones, are from it at once."""
    lines = []
    for name in ("translate_speed", "translate_speed_edges"):
        rows = record(name)["tiles"]
        for model in dict.fromkeys(each["model"] for each in rows):
            fp32, bf16 = (partial(row, rows, model=model, precision=precision) for precision in ("fp32", "bf16"))
            once, tiles = ([way(how=how) for way in (fp32, bf16)] for how in ("at once", "in tiles"))
            alone = fp32(how="tiles by themselves")
            largest = " / ".join(f"{each['largest_difference']:.3f}" for each in tiles)
            lines.append(
                [
                    f"{Path(model).stem}, {once[0]['kmac_per_pixel']:.1f} kMAC/pixel",
                    slashed(each["seconds_per_megapixel"] for each in once),
                    slashed(each["seconds_per_megapixel"] for each in tiles),
                    largest,
                    f"{alone['largest_difference']:.0f}, {alone['mean_difference']:.1f}",
                ]
            )
    at_once, in_tiles = "s/megapixel at once, fp32 / bf16", "in tiles"
    differences = ["largest difference, fp32 / bf16", "tiles by themselves: largest, mean"]
    return markdown_table(["model", at_once, in_tiles, *differences], lines)


def texture_rows(name: str) -> list[Row]:
    """The methods' rows. Until `patches` came `optimize` began with noise, which is `--start noise` now."""
    rows = [each for each in record(name)["summary"] if not GONE.search(each["method"])]
    if record(name)["environment"]["date"] < BEFORE_PATCHES:
        rows = [each | {"method": each["method"].replace("optimize", "noise")} for each in rows]
    return rows


def commands(*names: str) -> str:
    """Seconds and memory of whole commands."""
    rows = [each for name in names for each in record(name)["commands"]]
    return speed.command_table([each for each in rows if not GONE.search(each["what"])])


def told_nothing() -> str:
    """The blind denoiser and the estimator's, on white noise in 8 bits."""
    blind, told = (decibels(*where) for where in (BLIND, ("denoise_fast_cbsd68", "8bit", "denoise-fast, auto")))
    return markdown_table(["method", "PSNR at 15 / 25 / 50"], [["denoise-photo", blind], ["denoise-fast, auto", told]])


def clean_pictures() -> str:
    """What comes back of pictures without noise, set by set."""
    rows = []
    for name, folder in CLEAN.items():
        scores = record(f"photographs_clean_{folder}")["scores"]
        own = [each for each in scores if each["method"] == "denoise-photo"]
        worst = min(own, key=lambda each: each["psnr8"])
        found = [min(each["psnr8"], UNCHANGED) for each in own]
        below = sum(each < HARMED for each in found)
        rows.append([name, f"{sum(found) / len(found):.1f}", f"{worst['psnr8']:.1f} ({worst['image']})", str(below)])
    return markdown_table(["pictures", "mean, dB", "worst, dB", f"below {HARMED} dB"], rows)


def worked_over() -> str:
    """Held-out pictures after a camera and other programs: a table for each measure."""
    scores = record("photographs_held_out")["scores"]
    made = [(title, photographs.table(scores, measure)) for measure, (title, _) in photographs.MEASURES.items()]
    return "\n\n".join(f"{title}:\n\n{found}" for title, found in made)


TABLES: dict[str, Callable[[], str]] = {
    "white noise": partial(white_noise, "float"),
    "white noise in 8 bits": partial(white_noise, "8bit"),
    "real cameras": lambda: real_noise.table(record("real_noise")["summary"]),
    "white noise, told nothing": told_nothing,
    "clean pictures": clean_pictures,
    "pictures worked over": worked_over,
    "pictures without truth": lambda: unknown_noise.table(record("unknown_noise")["scores"]),
    "engines": lambda: engines.table(record("engines")["commands"]),
    "noise levels": noise_levels,
    "denoising networks": lambda: speed.method_table(
        [each for each in record("speed")["methods"] if not GONE.search(each["method"])]
    ),
    "denoising commands": partial(commands, "speed"),
    "codecs": partial(codecs, "codec_kodak"),
    "codecs by effort": partial(codecs, "codec_effort"),
    "codecs by tune": partial(codecs, "codec_tune_beside", "codec_tune"),
    "codec networks": lambda: codec_speed.network_table(record("codec_speed_compressai")["networks"]),
    "codecs at equal bytes": lambda: codec_equal_bytes.table(record("codec_seen_skimage")["summary"]),
    "codecs at equal bytes, Kodak": lambda: codec_equal_bytes.table(record("codec_seen_kodak")["summary"]),
    "codecs against AVIF": lambda: codec_equal_bytes.rates_table(
        codec_equal_bytes.against_avif(record("codec_seen_skimage")["summary"])
    ),
    "codecs against AVIF, Kodak": lambda: codec_equal_bytes.rates_table(
        codec_equal_bytes.against_avif(record("codec_seen_kodak")["summary"])
    ),
    "codecs asked blindly by tune": lambda: codec_blind.table(record("codec_blind_tune")["rows"]),
    "codecs asked blindly": lambda: codec_blind.table(record("codec_blind")["rows"]),
    "codecs again and again": lambda: codec_rounds.table(record("codec_rounds")["rows"]),
    "parts of files": lambda: codec_views.table(record("codec_views")["rows"]),
    "files made to be slow": lambda: codec_hostile.table(record("codec_hostile")["rows"]),
    "codec commands": partial(commands, "codec_speed"),
    "colorize": lambda: translation.table(record("translate_colorize")["summary"]),
    "colorize, held out": lambda: translation.table(record("translate_colorize_held_out")["summary"]),
    "edges": lambda: translation.table(record("translate_edges")["summary"]),
    "facades": lambda: translation.table(record("translate_facades")["summary"]),
    "ablations": lambda: translation.table(record("translate_ablation")["summary"]),
    "seams": seams,
    "translation commands": partial(commands, "translate_speed", "translate_speed_edges"),
    "textures": lambda: texture.table(record("texture_tileable")["summary"], tileable=True),
    "textures beside Gatys": lambda: texture.table(texture_rows("texture_gatys")),
    "texture sizes": lambda: texture_sizes.table(record("texture_sizes")["rows"]),
    "textures by PyTorch": lambda: texture.table(record("texture_by_torch")["summary"], tileable=True),
    "textures never seen": lambda: texture.table(record("texture_unseen")["summary"], tileable=True),
    "kills": lambda: kills.table([record(f"kills_{name}") for name in KILLS]),
    "costs": lambda: costs.table(record("costs")["rows"]),
    "prices": lambda: costs.price_table(record("costs")["rows"]),
    "workers": lambda: workers.table(record("workers")["rows"]),
    "batches of one shape": lambda: workers.batch_table(record("workers")["batches"]),
    "long lists": lambda: long_lists.table(record("long_lists")["rows"]),
    "a late store": lambda: late_store.table(record("late_store")["rows"]),
}


# ---- figures


def decibels(name: str, case: str, method: str, key: str = "psnr", missing: str | None = None) -> str:
    """PSNR at 15 / 25 / 50, as papers print it."""
    rows = [each for each in record(name)["summary"] if (each["case"], each["method"]) == (case, method)]
    if not rows and missing is not None:
        return missing
    return slashed(each[key] for each in sorted(rows, key=lambda each: each["sigma"]))


def levels(key: str, case: str, digits: int) -> str:
    """Of the estimate by denoise-photo at 5 / 10 / 15 / 25 / 50 / 75 grey levels."""
    rows = record("noise_level_cbsd68")["summary"]
    own = [each for each in rows if (each["case"], each["method"]) == (case, noise_level.OURS)]
    return slashed((each[key] for each in own), digits)


def _figures() -> Row:
    made: Row = {}
    for folder in SETS.values():
        for case, shown in (("float", ""), ("8bit", " 8 bits")):
            for method in OURS:
                made[f"{method} {folder}{shown}"] = decibels(f"denoise_fast_{folder}", case, method)
    made["denoise-fast tta"] = decibels("denoise_tta", "float", "denoise-fast, tta")
    made["denoise-fast without tta"] = decibels("denoise_tta", "float", "denoise-fast")
    for case, shown in (("float", ""), ("8bit", " 8 bits")):
        made[f"noise level error{shown}"] = levels("error_percent", case, 1)
        made[f"noise level cost{shown}"] = levels("cost_db", case, 2)
    made["denoise-photo cbsd68 8 bits"] = decibels(*BLIND)
    for each in record("real_noise")["summary"]:
        made[f"{each['method']} cc15"] = f"{each['psnr8']:.2f}"
        made[f"{each['method']} cc15 ssim"] = f"{each['ssim']:.4f}"
        made[f"{each['method']} cc15 least gain"] = f"{each['worst_gain']['decibels']:+.2f}"
    for curve in record("codec_kodak")["curves"]:
        codec = curve["codec"]
        made[f"{codec} bd-rate"] = f"{curve['bd_rate']:.1f}"
        made[f"{codec} smaller"] = f"{-curve['bd_rate']:.0f}"
        made[f"{codec} bd-rate ms-ssim"] = f"{curve['bd_rate_ms_ssim']:.1f}"
        made[f"{codec} smaller ms-ssim"] = f"{-curve['bd_rate_ms_ssim']:.0f}"
        if codec.startswith("codec-"):
            made[f"{codec} psnr"] = slashed(at["psnr"] for at in curve["at_bpp"].values())
    for network in record("codec_speed")["networks"]:
        for way in ("encode", "decode"):
            made[f"{network['network']} {way} seconds"] = f"{network[f'{way}_seconds']:.2f}"
    for model in ("colorize", "edges", "facades"):
        for each in record(f"translate_{model}")["summary"]:
            name = {"the input itself": "input", "the mean colour": "mean", "the true pictures": "truth", model: ""}
            # What the network makes of hints, or at another size, goes by its own name.
            who = f"{model} {name.get(each['method'], each['method'])}".strip()
            for key, digits in (("psnr", 2), ("ssim", 3), ("vgg", 3), ("colourfulness", 1), ("ab_intersection", 3)):
                if key in each:
                    made[f"{who} {key}"] = f"{each[key]:.{digits}f}"
            if "fcn" in each:
                made[f"{who} fcn"] = slashed(each["fcn"].values())
    for shown, method in TEXTURES.items():
        mean = row(record("texture_tileable")["summary"], method=method)
        made[f"textures {shown}"] = f"{mean['judge']:.3f}"
        made[f"textures {shown} copied"] = f"{100 * mean['copy_rate']:.0f}"
        for each in record("texture_unseen")["scores"]:
            if each["method"] == method:
                made[f"textures {shown} {each['sample']}"] = f"{each['judge']:.3f}"
    for name, method in BARK.items():
        made[f"bark {name}"] = f"{row(record(f'texture_{name}')['summary'], method=method)['judge']:.3f}"
    for each in record("many_files")["rows"]:
        for key, form in (("seconds", ".0f"), ("cpu_seconds", ".0f"), ("peak_mb", ".0f")):
            made[f"{each['files']} files {key}"] = format(each[key], form)
    for name, key in (("files", "files"), ("files_before", "files before")):
        for outcome, count in record(name)["counts"].items():
            made[f"{key} {outcome}"] = str(count)
    return made


FIGURES: dict[str, str] = _figures()


def renewed(text: str) -> str:
    """The text with every table and figure made anew.

    Raises:
        KeyError: a page asks for one that there is not.
    """
    text = TABLE.sub(lambda found: f"{found[1]}\n{TABLES[found['name']]()}\n\n{found[3]}", text)
    return FIGURE.sub(lambda found: found[1] + FIGURES[found["name"]] + found[3], text)


if __name__ == "__main__":
    runpy.run_path(str(HERE / "update_readme.py"), run_name="__main__")
