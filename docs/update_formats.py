"""Renew docs/formats.md from the table of what formats hold; tests/test_readme.py checks that it is up to date."""

from pathlib import Path

from img2img.images import KEEPS, READABLE, Content

PAGE = Path(__file__).with_name("formats.md")

HEAD = """# Image files: what is kept, and what a note says

This page is made from the program's own table by `python docs/update_formats.py`; `tests/test_images_contents.py` tries
every cell of it.

What is in a file comes out as it went in where the output's format can hold it. Of everything else a note says so, and
`lost` in the objects of `--json`; with `--strict` it is an error instead. `--metadata none` leaves out on purpose all
that is not needed to show the picture.

## What an output holds

"""

TAIL = """
- **Samples.** PNG and TIFF lose nothing. jpg, webp, avif, gif and heic have 8 bits (heic 10 of 16), and lose
  a little, as jxl does below `--quality 100`. A JPEG out of a JPEG has its quality and subsampling, a
  lossless WebP or JPEG XL file remains lossless.
- **Colours.** All work is done in the picture's own encoding: a wide-gamut, PQ or HLG picture comes out with
  the same profile or code points, and networks see its values as they are. CMYK and Lab become RGB (by their
  profile where there is one, with LittleCMS), which the note says.
- **Float, signed and 32-bit samples** are mapped to 0 ... 1 for a network: floats within 0 and 1 as they are,
  all others linearly from the least to the greatest value of the first page. The change that a network makes
  is added to the samples, so that what it does not change comes out to the last bit; NaN and infinity remain.
  `compress` and `texture`, which know 16 bits, round to these and say so.
- **Frames and pages** are all processed, one in memory at a time, with one estimate of the noise. `--frame N`
  takes one. What a stack's notes (ImageJ, OME) say holds for all pages and goes with them. An animation
  becomes the pages of a TIFF.
- **Further channels** of a TIFF (infrared, fluorescence) pass unchanged; `denoise --channels all` denoises
  them, too.
- **What tells of the old pixels** is made to fit: orientation is applied, EXIF's size and thumbnail are
  renewed. PNG's tIME, bKGD, hIST, sBIT and oFFs and a JPEG's smaller previews are left out, since they would
  be false.
- **JPEG XL.** The bindings that were tried write no profile and do not tell how long frames last: imagecodecs 2026.1
  neither reads profiles, pillow-jxl-plugin 1.3.8 and pylibjxl 0.5 do (the former without animations, the latter in
  8 bits). So a profile is said to be missing, and frames get a tenth of a second each, which the note says, too.
- **In other programs.** One JPEG with EXIF, GPS, XMP, IPTC, comment, profile and resolution, written as jpg, png, tiff,
  webp, avif and jxl by `denoise --strength 0`: exiftool 12.57 finds in each what the table says, and misses what the
  note said; djxl 0.7 decodes the JPEG XL.
- **Raw files** are developed by LibRaw with the camera's white balance, to 16-bit sRGB, not denoised by it.

## Damaged files

What viewers show is decoded, and the note says what is missing: a JPEG without its end, with something before
or behind it; a PNG, JPEG or TIFF of which at least half is there; a GIF, APNG or other animation up to its
last whole frame. With `--strict`, and where less is there, it is an error of one line.
"""


def page() -> str:
    """The page's text."""
    formats = [format for format in KEEPS if format != "i2i"] + ["i2i"]
    rows = ["| | " + " | ".join(formats) + " |", "| --- |" + " --- |" * len(formats)]
    for content in Content:
        cells = (_cell(content, format) for format in formats)
        rows.append(f"| {content.value} | " + " | ".join(cells) + " |")
    only = sorted(set(READABLE.values()) - KEEPS.keys())
    read = ["", "## What is read", ""]
    for format in sorted(set(READABLE.values())):
        suffixes = " ".join(suffix for suffix, named in READABLE.items() if named == format)
        needs = {"heic": "`pip install 'img2img-suite[heic]'`", "exr": "`[exr]`", "raw": "`[raw]`"}.get(format, "")
        note = ", ".join(filter(None, ["read only" if format in only else "", needs]))
        read.append(f"- {format}: {suffixes}" + (f" ({note})" if note else ""))
    return HEAD + "\n".join([*rows, *read]) + "\n" + TAIL


def _cell(content: Content, format: str) -> str:
    if format == "i2i" and content in (Content.ANIMATION, Content.PAGES):
        return "an error"  # it holds one picture, and `--frame` chooses it
    return "kept" if content in KEEPS[format] else "said"


if __name__ == "__main__":
    PAGE.write_text(page(), encoding="utf-8")
