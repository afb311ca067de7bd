# ruff: noqa: D103, E501 - a list of cases, one a line where it can be
"""Some 150 small files of every kind, each through `img2img denoise --strength 0`: kept, said, refused, silently lost?

    python -m benchmarks.files OUT.json [--root CHECKOUT]

The files are made by other programs' libraries (Pillow, tifffile, imagecodecs, OpenEXR, pillow-heif) or by hand, and
what comes out is judged by them, not by this suite. A file is `kept` if all that was put into it is there again,
`said` if something is not and the program says so, `refused` if there is an error, `silent` if something is gone
without a word.
"""

from __future__ import annotations

import argparse
import io
import json
import struct
import subprocess
import sys
import tempfile
import zlib
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import imagecodecs
import numpy as np
import tifffile
from PIL import Image, ImageCms

XMP = b'<?xpacket begin="" id="W5M0MpCehiHzreSzNTczkc9d"?><x:xmpmeta xmlns:x="adobe:ns:meta/"/><?xpacket end="w"?>'
LAYERS = b"Adobe Photoshop Document Data Block\0MIB8ryaL" + bytes(40)
IPTC = b"\x1c\x02\x05\x00\x05title"
Check = Callable[[bytes], bool]


class Case(NamedTuple):
    """A file, and what must be in what comes out of it."""

    name: str
    data: bytes
    checks: dict[str, Check]


def scene(height: int = 48, width: int = 64) -> np.ndarray:
    """Slow gradients (H, W, 3)."""
    y, x = np.mgrid[0:height, 0:width]
    return np.stack([x * 3, y * 4 + 20, 240 - x - y], axis=2).clip(0, 255).astype(np.uint8)


PIXELS = scene()
PICTURE = Image.fromarray(PIXELS)
GREY = PICTURE.convert("L")


def pil(image: Image.Image, codec: str, **options: Any) -> bytes:
    stream = io.BytesIO()
    image.save(stream, codec, **options)
    return stream.getvalue()


def tif(pixels: np.ndarray, **options: Any) -> bytes:
    stream = io.BytesIO()
    tifffile.imwrite(stream, pixels, **options)
    return stream.getvalue()


def shown(data: bytes, mode: str | None = None) -> np.ndarray:
    """What another reader makes of an output."""
    if data[:4] in (b"II*\0", b"MM\0*", b"II+\0"):
        with tifffile.TiffFile(io.BytesIO(data)) as tiff:
            return np.asarray(tiff.pages[0].asarray())
    if data.startswith(b"\x89PNG"):
        return np.asarray(imagecodecs.png_decode(data))
    if data.startswith((b"\xff\x0a", b"\0\0\0\x0cJXL")):
        return np.asarray(imagecodecs.jpegxl_decode(data))
    if b"ftyphei" in data[:16]:
        import pillow_heif

        return np.asarray(pillow_heif.open_heif(io.BytesIO(data))[0])
    image = Image.open(io.BytesIO(data))
    return np.asarray(image.convert(mode) if mode else image)


def same(expected: np.ndarray, tolerance: float = 0.0) -> Check:
    """Pixels as expected, on average as near as the tolerance."""

    def check(data: bytes) -> bool:
        pixels = shown(data)
        if pixels.ndim == 2 and expected.ndim == 3:
            pixels = np.asarray(Image.open(io.BytesIO(data)).convert("RGB"))
        if pixels.shape != expected.shape or (not tolerance and pixels.dtype != expected.dtype):
            return False
        return bool(np.abs(pixels.astype(float) - expected).mean() <= tolerance)

    return check


def holds(*words: bytes) -> Check:
    return lambda data: all(word in data for word in words)


def info(key: str, value: Any) -> Check:
    return lambda data: Image.open(io.BytesIO(data)).info.get(key) == value


def frames(count: int, durations: list[int] | None = None) -> Check:
    def check(data: bytes) -> bool:
        if data[:4] in (b"II*\0", b"MM\0*"):
            return len(tifffile.TiffFile(io.BytesIO(data)).pages) == count
        image = Image.open(io.BytesIO(data))
        found = []
        for number in range(getattr(image, "n_frames", 1)):
            image.seek(number)
            image.load()
            found.append(round(image.info.get("duration", 0)))
        return len(found) == count and (durations is None or found == durations)

    return check


def exif(orientation: int | None = None) -> bytes:
    block = Image.Exif()
    block[0x0110] = "Camera 1"
    if orientation:
        block[0x0112] = orientation
    return block.tobytes()[6:]


def has_exif(data: bytes) -> bool:
    return b"Camera 1" in data


def chunk(kind: bytes, body: bytes) -> bytes:
    return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))


def with_chunks(*chunks: tuple[bytes, bytes]) -> bytes:
    data = pil(PICTURE, "PNG")
    return data[:33] + b"".join(chunk(*one) for one in chunks) + data[33:]


def has_chunk(kind: bytes, body: bytes) -> Check:
    return lambda data: chunk(kind, body) in data


def segment(marker: int, content: bytes) -> bytes:
    return bytes((255, marker)) + struct.pack(">H", len(content) + 2) + content


SRGB = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
FILM = [Image.fromarray(np.roll(PIXELS, 9 * i, axis=1)) for i in range(3)]
TURNS = {
    2: Image.Transpose.FLIP_LEFT_RIGHT, 3: Image.Transpose.ROTATE_180, 4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE, 6: Image.Transpose.ROTATE_270, 7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}  # fmt: skip


def upright(orientation: int) -> np.ndarray:
    return np.asarray(PICTURE.transpose(TURNS[orientation]) if orientation in TURNS else PICTURE)


def pngs() -> Iterator[Case]:
    """PNG and APNG."""
    for mode in ("1", "L", "LA", "P", "RGB", "RGBA"):
        image = GREY.convert(mode) if mode in ("1", "L", "LA") else PICTURE.convert(mode)
        plain = {"1": "L", "P": "RGB"}.get(mode, mode)
        yield Case(f"mode_{mode}.png", pil(image, "PNG"), {"pixels": same(np.asarray(image.convert(plain)))})
    for bits in (1, 2, 4):
        image = PICTURE.quantize(2**bits)
        yield Case(
            f"palette_{bits}.png", pil(image, "PNG", bits=bits), {"pixels": same(np.asarray(image.convert("RGB")))}
        )
    for channels in (1, 2, 3, 4):
        deep = np.random.default_rng(channels).integers(0, 65536, (20, 30, channels)).astype(np.uint16)
        deep = deep[..., 0].copy() if channels == 1 else deep
        yield Case(f"deep_{channels}.png", bytes(imagecodecs.png_encode(deep)), {"pixels": same(deep)})
    for turn in range(1, 9):
        yield Case(
            f"turned_{turn}.png",
            pil(PICTURE, "PNG", exif=exif(turn)),
            {"upright": same(upright(turn)), "exif": has_exif},
        )
    kinds = {
        "gamma": (b"gAMA", struct.pack(">I", 100000)),
        "primaries": (b"cHRM", struct.pack(">8I", 31270, 32900, 68000, 32000, 26500, 69000, 15000, 6000)),
        "pq": (b"cICP", bytes((9, 16, 0, 1))),
        "dots": (b"pHYs", struct.pack(">IIB", 11811, 11811, 1)),
        "text": (b"tEXt", b"parameters\0steps: 20"),
        "comment": (b"tEXt", b"Comment\0hello"),
        "private": (b"prVt", b"private"),
    }
    for name, (kind, body) in kinds.items():
        yield Case(f"{name}.png", with_chunks((kind, body)), {name: has_chunk(kind, body), "pixels": same(PIXELS)})
    itxt = b"Title\0\0\0de\0Titel\0" + "Größe 猫".encode()
    yield Case("international.png", with_chunks((b"iTXt", itxt)), {"text": holds("Größe 猫".encode())})
    yield Case("xmp.png", with_chunks((b"iTXt", b"XML:com.adobe.xmp\0\0\0\0\0" + XMP)), {"xmp": holds(XMP)})
    yield Case("unsafe.png", with_chunks((b"caBX", b"credentials")), {"credentials": holds(b"caBX")})
    yield Case("profile.png", pil(PICTURE, "PNG", icc_profile=SRGB), {"icc": info("icc_profile", SRGB)})
    film = {"save_all": True, "append_images": FILM[1:], "duration": [100, 200, 300]}
    yield Case("animated.png", pil(FILM[0], "PNG", **film), {"frames": frames(3, [100, 200, 300])})
    small = Image.new("RGBA", (64, 48), "red")
    blended = [small, Image.new("RGBA", (64, 48), (0, 0, 255, 90))]
    moving = pil(blended[0], "PNG", save_all=True, append_images=blended[1:], duration=50, blend=1)
    yield Case("blended.png", moving, {"frames": frames(2)})
    data = pil(PICTURE, "PNG")
    noise = pil(Image.fromarray(np.random.default_rng(0).integers(0, 256, (48, 64, 3), np.uint8)), "PNG")
    yield Case("no_end.png", data[:-12], {"pixels": same(PIXELS)})
    yield Case("cut.png", noise[: len(noise) * 9 // 10], {"rows": lambda _: False})
    yield Case("behind.png", data + b"something else", {"pixels": same(PIXELS)})


def jpegs() -> Iterator[Case]:
    """JPEG, and what lies behind one."""
    for name, options in dict[str, dict[str, Any]]({
        "444": {"subsampling": 0}, "422": {"subsampling": 1}, "420": {"subsampling": 2}, "progressive": {"progressive": True},
    }).items():  # fmt: skip
        data = pil(PICTURE, "JPEG", quality=80, **options)
        layer = Image.open(io.BytesIO(data)).layer  # type: ignore[attr-defined]

        def as_coded(out: bytes, layer: Any = layer, size: int = len(data)) -> bool:
            return bool(Image.open(io.BytesIO(out)).layer == layer and len(out) < 1.5 * size)  # type: ignore[attr-defined]

        yield Case(f"coded_{name}.jpg", data, {"pixels": same(PIXELS, 6), "coding": as_coded})
    yield Case("grey.jpg", pil(GREY, "JPEG"), {"pixels": same(np.asarray(GREY), 3)})
    yield Case(
        "inks.jpg",
        pil(PICTURE.convert("CMYK"), "JPEG"),
        {"inks": lambda out: Image.open(io.BytesIO(out)).mode == "CMYK"},
    )
    for turn in range(1, 9):
        data = pil(PICTURE, "JPEG", quality=95, exif=b"Exif\0\0" + exif(turn))
        yield Case(f"turned_{turn}.jpg", data, {"upright": same(upright(turn), 4), "exif": has_exif})
    data = pil(PICTURE, "JPEG", quality=90)
    yield Case("xmp.jpg", pil(PICTURE, "JPEG", xmp=XMP), {"xmp": holds(XMP)})
    resource = b"Photoshop 3.0\0" + b"8BIM\x04\x04\0\0" + struct.pack(">I", len(IPTC)) + IPTC
    yield Case("iptc.jpg", data[:2] + segment(0xED, resource) + data[2:], {"iptc": holds(IPTC)})
    yield Case(
        "comment.jpg", pil(PICTURE, "JPEG", comment=b"hello there"), {"comment": info("comment", b"hello there")}
    )
    yield Case("dots.jpg", pil(PICTURE, "JPEG", dpi=(300, 300)), {"dpi": info("dpi", (300, 300))})
    yield Case("profile.jpg", pil(PICTURE, "JPEG", icc_profile=SRGB), {"icc": info("icc_profile", SRGB)})
    large = SRGB + np.random.default_rng(0).bytes(150_000)
    yield Case("large_profile.jpg", pil(PICTURE, "JPEG", icc_profile=large), {"icc": info("icc_profile", large)})
    yield Case("credentials.jpg", data[:2] + segment(0xEB, b"JP\0\1jumb") + data[2:], {"credentials": holds(b"jumb")})
    deep = bytes(imagecodecs.jpeg8_encode(PIXELS.astype(np.uint16) * 16, bitspersample=12, level=98))
    yield Case("twelve_bits.jpg", deep, {"bits": lambda out: shown(out).dtype == np.uint16})
    frame = data.index(b"\xff\xc0")
    late = (
        data[: frame + 5] + b"\0\0" + data[frame + 7 : -2] + b"\xff\xdc\0\4" + data[frame + 5 : frame + 7] + b"\xff\xd9"
    )
    yield Case("late_height.jpg", late, {"pixels": same(PIXELS, 6)})
    yield Case("no_end.jpg", data[:-2], {"pixels": same(PIXELS, 6)})
    yield Case("before.jpg", b"HTTP/1.1 200 OK\r\n\r\n" * 5 + data, {"pixels": same(PIXELS, 6)})
    yield Case("behind.jpg", data + b"some words that nobody expects here", {"words": holds(b"nobody expects")})
    noise = pil(Image.fromarray(np.random.default_rng(0).integers(0, 256, (96, 64, 3), np.uint8)), "JPEG")
    yield Case("cut.jpg", noise[: len(noise) * 8 // 10], {"rows": lambda _: False})
    mpo = pil(FILM[0], "MPO", save_all=True, append_images=FILM[1:2])
    yield Case("stereo.jpg", mpo, {"views": frames(2)})
    gain = pil(GREY.resize((32, 24)), "JPEG", xmp=b'<x xmlns:hdrgm="http://ns.adobe.com/hdr-gain-map/1.0/"/>')
    half = pil(FILM[0], "MPO", save_all=True, append_images=[GREY.resize((32, 24))])
    hdr = half[: half.index(b"\xff\xd8", 4)] + gain
    yield Case("ultra_hdr.jpg", hdr, {"gain map": holds(gain[100:])})
    film = struct.pack(">I", 16) + b"ftypmp42" + bytes(4) + b"a film of two seconds"
    yield Case("motion.jpg", data + film, {"film": holds(film)})


def webps_and_avifs() -> Iterator[Case]:
    """WebP and AVIF."""
    film = {"save_all": True, "append_images": FILM[1:], "duration": [100, 200, 300]}
    for suffix, codec in (("webp", "WEBP"), ("avif", "AVIF")):
        yield Case(f"plain.{suffix}", pil(PICTURE, codec, quality=90), {"pixels": same(PIXELS, 4)})
        clear = PICTURE.copy()
        clear.putalpha(GREY)
        transparent = {
            "alpha": lambda out: bool(np.abs(shown(out, "RGBA")[..., 3].astype(int) - np.asarray(GREY)).mean() < 2)
        }
        yield Case(f"clear.{suffix}", pil(clear, codec, quality=90), transparent)
        yield Case(f"exif.{suffix}", pil(PICTURE, codec, exif=exif()), {"exif": has_exif})
        yield Case(f"xmp.{suffix}", pil(PICTURE, codec, xmp=XMP), {"xmp": holds(XMP)})
        yield Case(f"profile.{suffix}", pil(PICTURE, codec, icc_profile=SRGB), {"icc": info("icc_profile", SRGB)})
        yield Case(f"animated.{suffix}", pil(FILM[0], codec, **film), {"frames": frames(3, [100, 200, 300])})
        yield Case(f"turned.{suffix}", pil(PICTURE, codec, quality=95, exif=exif(6)), {"upright": same(upright(6), 4)})
    noise = np.random.default_rng(0).integers(0, 256, (48, 64, 3), np.uint8)
    yield Case("lossless.webp", pil(Image.fromarray(noise), "WEBP", lossless=True), {"pixels": same(noise)})
    yield Case("grey.avif", pil(GREY, "AVIF"), {"pixels": lambda out: Image.open(io.BytesIO(out)).mode == "L"})
    pq = bytearray(pil(PICTURE, "AVIF"))
    at = pq.index(b"colrnclx") + 8
    pq[at : at + 4] = struct.pack(">HH", 9, 16)
    yield Case("pq.avif", bytes(pq), {"code points": holds(b"colrnclx" + struct.pack(">HH", 9, 16))})
    ten = bytes(imagecodecs.avif_encode(PIXELS.astype(np.uint16) * 4, bitspersample=10, level=90))
    yield Case("ten_bits.avif", ten, {"bits": lambda _: False})


def tiffs() -> Iterator[Case]:
    """TIFF."""
    for kind in ("u1", "u2", "u4", "u8", "i1", "i2", "i4", "f2", "f4", "f8"):
        samples = (PIXELS.astype(float) / 3 - (40 if kind[0] != "u" else 0)).astype(kind)
        yield Case(f"type_{kind}.tif", tif(samples, photometric="rgb"), {"samples": same(samples)})
    for name, options in dict[str, dict[str, Any]]({
        "lzw": {"compression": "lzw"}, "zstd": {"compression": "zstd"}, "deflate": {"compression": "deflate", "predictor": True},
        "packbits": {"compression": "packbits"}, "tiles": {"tile": (16, 16)}, "big_endian": {"byteorder": ">"},
        "big": {"bigtiff": True},
    }).items():  # fmt: skip
        yield Case(f"{name}.tif", tif(PIXELS, photometric="rgb", **options), {"pixels": same(PIXELS)})
    planes = np.moveaxis(PIXELS, 2, 0).copy()
    yield Case("planes.tif", tif(planes, photometric="rgb", planarconfig="separate"), {"pixels": same(PIXELS)})
    grey = np.asarray(GREY)
    yield Case("inverted.tif", tif(grey, photometric="miniswhite"), {"pixels": same(255 - grey)})
    bits = grey > 128
    yield Case("one_bit.tif", tif(bits, photometric="minisblack"), {"pixels": same(bits * np.uint8(255))})
    for depth in (4, 12):
        values = np.random.default_rng(depth).integers(0, 2**depth, (10, 16)).astype("u1" if depth < 8 else "u2")
        packed = np.packbits(
            (values[..., None] >> np.arange(depth)[::-1] & 1).astype(np.uint8).reshape(10, -1), axis=1
        ).tobytes()
        fields = [
            (256, 16),
            (257, 10),
            (258, depth),
            (259, 1),
            (262, 1),
            (273, 8),
            (277, 1),
            (278, 10),
            (279, len(packed)),
        ]
        table = b"".join(struct.pack("<HHII", tag, 3, 1, value) for tag, value in fields)
        head = b"II*\0" + struct.pack("<I", 8 + len(packed)) + packed
        top = 255 if depth < 8 else 65535
        expected = np.rint(values * (top / (2**depth - 1))).astype("u1" if depth < 8 else "u2")
        data = head + struct.pack("<H", len(fields)) + table + bytes(4)
        yield Case(f"bits_{depth}.tif", data, {"pixels": same(expected)})
    for compression in ("group3", "group4", "tiff_ccitt", "jpeg", "tiff_adobe_deflate"):
        image = PICTURE if compression in ("jpeg", "tiff_adobe_deflate") else PICTURE.convert("1")
        expected = np.asarray(image if image.mode == "RGB" else image.convert("L"))
        yield Case(f"{compression}.tif", pil(image, "TIFF", compression=compression), {"pixels": same(expected, 3)})
    yield Case("ycbcr.tif", pil(PICTURE.convert("YCbCr"), "TIFF"), {"pixels": same(PIXELS, 4)})
    inks = np.asarray(PICTURE.convert("CMYK"))
    for kind in ("u1", "u2"):
        yield Case(
            f"inks_{kind}.tif",
            tif(inks.astype(kind) * (257 if kind == "u2" else 1), photometric="separated"),
            {"inks": lambda _: False},
        )
    for space in ("cielab", "icclab"):
        yield Case(f"{space}.tif", tif(PIXELS, photometric=space), {"lab": lambda _: False})
    for kind, top in (("u1", 255), ("u2", 65535)):
        alpha = np.full((48, 64, 1), top // 2)
        pre = np.concatenate([PIXELS.astype(kind) * (top // 255) // 2, alpha], axis=2).astype(kind)
        data = tif(pre, photometric="rgb", extrasamples=["assocalpha"], planarconfig="contig")
        yield Case(f"premultiplied_{kind}.tif", data, {"samples": same(pre)})
    for extra in (["unassalpha"], ["unspecified"], ["unassalpha", "unspecified"], ["unspecified"] * 4):
        channels = np.concatenate([PIXELS, np.repeat(PIXELS[..., :1], len(extra), axis=2)], axis=2)
        data = tif(channels, photometric="rgb", extrasamples=extra, planarconfig="contig")
        yield Case(f"extra_{'_'.join(e[:5] for e in extra)}.tif", data, {"channels": same(channels)})
    five = np.repeat(PIXELS[..., :1], 5, axis=2) + np.arange(5, dtype=np.uint8)
    yield Case("five.tif", tif(five, photometric="minisblack", planarconfig="contig"), {"channels": same(five)})
    pages = np.stack([PIXELS, 255 - PIXELS, PIXELS[::-1]])
    stack = pages[..., 0].astype(np.uint16) * 200

    def whole(expected: np.ndarray) -> Check:
        return lambda out: bool(np.array_equal(tifffile.TiffFile(io.BytesIO(out)).asarray(key=slice(None)), expected))

    def imagej(out: bytes) -> bool:
        return (tifffile.TiffFile(io.BytesIO(out)).imagej_metadata or {}).get("unit") == "um"

    yield Case("pages.tif", tif(pages, photometric="rgb"), {"pages": whole(pages)})
    yield Case("imagej.tif", tif(stack, imagej=True, metadata={"unit": "um"}), {"pages": whole(stack), "notes": imagej})
    ome = tif(stack, ome=True, metadata={"axes": "ZYX", "PhysicalSizeX": 0.2})
    yield Case("ome.tif", ome, {"pages": whole(stack), "notes": holds(b"PhysicalSizeX")})
    yield Case("exif.tif", pil(PICTURE, "TIFF", exif=exif()), {"exif": has_exif})
    tags: list[tuple[str, tuple[int, int, int, Any, bool], Check]] = [
        ("xmp", (700, 1, len(XMP), XMP, True), holds(XMP)),
        ("iptc", (33723, 7, len(IPTC), IPTC, True), holds(IPTC)),
        ("geo", (33550, 12, 3, (0.25, 0.25, 0.0), True), holds(struct.pack("<ddd", 0.25, 0.25, 0))),
        ("layers", (37724, 7, len(LAYERS), LAYERS, True), holds(LAYERS)),
        ("description", (270, 2, 0, "a bird", True), holds(b"a bird")),
        ("artist", (315, 2, 0, "somebody", True), holds(b"somebody")),
    ]
    for name, tag, check in tags:
        yield Case(f"{name}.tif", tif(PIXELS, photometric="rgb", metadata=None, extratags=[tag]), {name: check})
    yield Case("profile.tif", tif(PIXELS, photometric="rgb", iccprofile=SRGB), {"icc": holds(SRGB)})
    dots = tif(PIXELS, photometric="rgb", resolution=(300, 300), resolutionunit="INCH")
    yield Case("dots.tif", dots, {"dpi": lambda out: Image.open(io.BytesIO(out)).info.get("dpi") == (300, 300)})
    turned = tif(PIXELS, photometric="rgb", extratags=[(274, 3, 1, 6, True)])
    yield Case("turned.tif", turned, {"upright": same(upright(6))})
    strips = tif(PIXELS, photometric="rgb", rowsperstrip=4, compression="lzw")
    yield Case("cut.tif", strips[: len(strips) * 9 // 10], {"rows": lambda _: False})


def others() -> Iterator[Case]:
    """Formats that are read; BMP, Netpbm, QOI, JPEG 2000 and EXR come out as another."""
    yield Case(
        "still.gif",
        pil(PICTURE, "GIF"),
        {"pixels": same(np.asarray(Image.open(io.BytesIO(pil(PICTURE, "GIF"))).convert("RGB")), 4)},
    )
    film = pil(FILM[0], "GIF", save_all=True, append_images=FILM[1:], duration=[100, 200, 300], loop=0)
    yield Case("film.gif", film, {"frames": frames(3, [100, 200, 300])})
    yield Case("comment.gif", pil(PICTURE, "GIF", comment=b"hello"), {"comment": info("comment", b"hello")})
    for mode in ("1", "L", "P", "RGB"):
        image = PICTURE.convert(mode)
        expected = np.asarray(image.convert("L" if mode in ("1", "L") else "RGB"))
        yield Case(f"bitmap_{mode}.bmp", pil(image, "BMP"), {"pixels": same(expected)})
    for mode in ("1", "L", "RGB"):
        image = PICTURE.convert(mode)
        expected = np.asarray(image.convert("L") if mode == "1" else image)
        yield Case(f"netpbm_{mode}.pnm", pil(image, "PPM"), {"pixels": same(expected)})
    deep = PIXELS.astype(np.uint16) * 257
    yield Case("deep.ppm", b"P6 64 48 65535\n" + deep.astype(">u2").tobytes(), {"pixels": same(deep)})
    pam = b"P7\nWIDTH 64\nHEIGHT 48\nDEPTH 3\nMAXVAL 65535\nTUPLTYPE RGB\nENDHDR\n" + deep.astype(">u2").tobytes()
    yield Case("deep.pam", pam, {"pixels": same(deep)})
    yield Case("plain.qoi", bytes(imagecodecs.qoi_encode(PIXELS)), {"pixels": same(PIXELS)})
    for name, samples in (("plain", PIXELS), ("deep", deep)):
        yield Case(
            f"{name}.jp2",
            bytes(imagecodecs.jpeg2k_encode(samples, level=0, codecformat="jp2")),
            {"pixels": same(samples)},
        )
        yield Case(
            f"{name}.jxl", bytes(imagecodecs.jpegxl_encode(samples, lossless=True)), {"pixels": same(samples, 300)}
        )
    yield from from_extras()


def from_extras() -> Iterator[Case]:
    """HEIC and EXR, where their libraries are."""
    try:
        import OpenEXR
        import pillow_heif
    except ImportError:
        return
    stream = io.BytesIO()
    pillow_heif.from_pillow(PICTURE).save(stream, quality=95, exif=b"Exif\0\0" + exif(), xmp=XMP)
    yield Case("phone.heic", stream.getvalue(), {"pixels": same(PIXELS, 5), "exif": has_exif, "xmp": holds(XMP)})
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "x.exr"
        values = PIXELS.astype("f4") / 16
        header = {"compression": OpenEXR.ZIP_COMPRESSION, "type": OpenEXR.scanlineimage}
        OpenEXR.File(header, {"RGB": values}).write(str(path))
        yield Case("light.exr", path.read_bytes(), {"samples": same(values)})


def every() -> list[Case]:
    """All files."""
    return [*pngs(), *jpegs(), *webps_and_avifs(), *tiffs(), *others()]


def outcomes(cases: list[Case], root: Path, folder: Path) -> dict[str, dict[str, Any]]:
    """Run the program of a checkout on all files at once, and judge what comes out."""
    given, out = folder / "in", folder / "out"
    given.mkdir(parents=True)
    assert len(set(case.name for case in cases)) == len(cases), "names must differ"
    sources = []
    for case in cases:
        stem, _, suffix = case.name.rpartition(".")
        path = given / f"{stem}__{suffix}.{suffix}"  # x.bmp and x.png would both become x.png
        path.write_bytes(case.data)
        sources.append(str(path.resolve()))
    errors = folder / "errors.jsonl"
    command = [sys.executable, "-c", "from cli.main import main; main()", "denoise", *sources]
    command += ["-o", f"{out.resolve()}/", "--strength", "0", "--sigma", "0"]
    command += ["--json", "--errors", str(errors.resolve())]
    result = subprocess.run(command, cwd=root, capture_output=True, text=True, check=False)
    if not errors.exists():
        raise SystemExit(result.stderr)
    refused = {entry["input"]: entry["error"] for entry in map(json.loads, errors.read_text().splitlines())}
    done = {entry["input"]: entry for entry in map(json.loads, result.stdout.splitlines())}
    return {case.name: judged(case, source, refused, done) for case, source in zip(cases, sources, strict=True)}


def judged(case: Case, source: str, refused: dict[str, str], done: dict[str, Any]) -> dict[str, Any]:
    """The outcome of one file."""
    if source in refused:
        return {"outcome": "refused", "error": refused[source]}
    entry = done[source]
    data = Path(entry["output"]).read_bytes()
    gone = [name for name, check in case.checks.items() if not held(check, data)]
    said = entry.get("lost") or []
    outcome = "kept" if not gone else "said" if said else "silent"
    return {"outcome": outcome} | ({"gone": gone} if gone else {}) | ({"lost": said} if said else {})


def held(check: Check, data: bytes) -> bool:
    """Whether a check passes; an output that the other reader cannot read does not."""
    try:
        return bool(check(data))
    except Exception:
        return False


def main() -> None:
    """Write the outcomes and their counts."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("out", type=Path)
    parser.add_argument("--root", type=Path, default=Path(__file__).parents[1])
    arguments = parser.parse_args()
    cases = every()
    with tempfile.TemporaryDirectory() as folder:
        files = outcomes(cases, arguments.root.resolve(), Path(folder))
    commit = subprocess.run(
        ["git", "-C", str(arguments.root), "describe", "--always", "--dirty"],
        capture_output=True,
        text=True,
        check=False,
    ).stdout.strip()
    counts = Counter(entry["outcome"] for entry in files.values())
    result = {"command": "python -m benchmarks.files", "commit": commit, "files": len(cases), "counts": dict(counts)}
    arguments.out.write_text(json.dumps(result | {"outcomes": files}, indent=1) + "\n", encoding="utf-8")
    print(json.dumps(result))


if __name__ == "__main__":
    main()
