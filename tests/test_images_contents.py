"""The table of what formats hold, every cell of it: what is said to be kept is kept, what is not is said."""

import io
import struct
from dataclasses import replace
from importlib.util import find_spec
from typing import Any

import numpy as np
import pytest
from PIL import Image, ImageCms

from img2img.errors import ImageError
from img2img.front import Compressor, _only
from img2img.images import (
    FORMATS,
    KEEPS,
    About,
    Content,
    Frames,
    Picture,
    Resolution,
    Text,
    contents,
    read_frames,
    write_frames,
)  # fmt: skip
from img2img.images import exif as exif_block
from img2img.images.picture import Scale
from img2img.tasks.compress import Decompressor

WRITTEN = sorted(set(FORMATS.values()) - (set() if find_spec("pillow_heif") else {"heic"}))
SRGB = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
XMP = b'<?xpacket begin="" id="W5M0MpCehiHzreSzNTczkc9d"?><x:xmpmeta xmlns:x="adobe:ns:meta/"/><?xpacket end="w"?>'
IPTC = b"\x1c\x02\x05\x00\x05title\x1c\x02\x50\x00\x06author"
PQ = ((b"cICP", bytes((9, 16, 0, 1))),)
DISPLAY_P3 = struct.pack(">8I", 31270, 32900, 68000, 32000, 26500, 69000, 15000, 6000)
GAMMA = ((b"gAMA", struct.pack(">I", 100000)), (b"cHRM", DISPLAY_P3))
GEO = ((33550, 12, 3, struct.pack("<3d", 0.5, 0.5, 0)), (42113, 2, 3, b"-1\0"))


def grey_ramp(seed: int = 0) -> np.ndarray:
    y, x = np.mgrid[0:24, 0:32]
    return (x * 4 + y * 3 + 10 * seed).astype(np.uint8)[..., None].repeat(3, axis=2)


def exif(size: bool = False) -> bytes:
    block = Image.Exif()
    block.endian = "<"
    block[0x0110] = "Camera 1"
    if size:
        block.get_ifd(0x8769)[0xA002] = 4000
        block.get_ifd(0x8769)[0xA003] = 3000
    return block.tobytes()[6:]


def gain_map() -> bytes:
    stream = io.BytesIO()
    mark = b'<x:xmpmeta xmlns:hdrgm="http://ns.adobe.com/hdr-gain-map/1.0/"/>'
    Image.new("L", (16, 12), 99).save(stream, "JPEG", xmp=mark)
    return stream.getvalue()


FILM = struct.pack(">I", 16) + b"ftypmp42" + bytes(4) + b"a film that nobody watches"
PLAIN = Picture(grey_ramp())
WITH: dict[Content, Picture] = {
    Content.ALPHA: replace(PLAIN, alpha=grey_ramp(3)[..., 0]),
    Content.SIXTEEN: Picture(grey_ramp().astype(np.uint16) * 250 + 3),
    Content.WIDE: Picture(grey_ramp().astype(np.float32) / 17 - 2, scale=Scale(-2, 193 / 17 - 2)),
    Content.FURTHER: replace(PLAIN, further=grey_ramp(5)[..., :2].copy()),
    Content.ICC: replace(PLAIN, icc=SRGB),
    Content.EXIF: replace(PLAIN, exif=exif()),
} | {
    content: replace(PLAIN, about=About(**said))
    for content, said in {
        Content.CICP: {"cicp": PQ},
        Content.GAMMA: {"gamma": GAMMA},
        Content.XMP: {"xmp": XMP},
        Content.IPTC: {"iptc": IPTC},
        Content.COMMENT: {"comments": ("a comment", "Größe 3 × 4")},
        Content.TEXT: {"text": (Text("parameters", "steps: 20"), Text("Title", "猫", "ja", "題"))},
        Content.RESOLUTION: {"resolution": Resolution(300, 200, "inch")},
        Content.TIFF_TAGS: {"tiff_tags": GEO},
        Content.PNG_CHUNKS: {"png_chunks": ((b"prVt", b"private"),)},
        Content.GAIN_MAP: {"gain_map": gain_map()},
        Content.FILM: {"film": FILM},
    }.items()
}  # fmt: skip


NOT_WHOLLY = {
    (Content.ANIMATION, "avif"): "how often the animation is played",  # Pillow writes no number of rounds
    (Content.ALPHA, "gif"): "partial transparency",  # and keeps what is wholly so
}


def made(content: Content) -> Frames:
    """A file's frames that hold this content and nothing else."""
    if content in (Content.ANIMATION, Content.PAGES):
        moving = content is Content.ANIMATION
        pictures = [Picture(grey_ramp(i), about=About(duration=(i + 1) / 10 * moving)) for i in range(3)]
        return Frames(lambda: iter(pictures), 3, moving, 2 if moving else 0)
    return Frames.of(WITH[content])


def written(frames: Frames, format: str, **options: Any) -> tuple[bytes, list[str]]:
    stream = io.BytesIO()
    lost = write_frames(frames, stream, format, **options)
    return stream.getvalue(), lost


def comparable(content: Content, frames: Frames) -> Any:
    """What a file holds of a content, so that two files can be compared."""
    picture, about = frames[0], frames[0].about
    if content in (Content.ANIMATION, Content.PAGES):
        return len(frames), frames.animated, [round(each.about.duration, 3) for each in frames]
    dots = about.resolution or exif_block.resolution(picture.exif)
    values = {
        Content.ALPHA: picture.alpha,
        Content.SIXTEEN: picture.samples,
        Content.WIDE: picture.samples,
        Content.FURTHER: picture.further,
        Content.ICC: picture.icc,
        Content.EXIF: picture.exif and b"Camera 1" in picture.exif,
        Content.CICP: about.cicp,
        Content.GAMMA: about.gamma,
        Content.XMP: about.xmp,
        Content.IPTC: about.iptc,
        Content.COMMENT: "\n".join(about.comments),  # GIF has one
        Content.TEXT: about.text,
        Content.RESOLUTION: dots and [round(number) for number in dots.per("inch")[:2]],
        Content.TIFF_TAGS: about.tiff_tags,
        Content.PNG_CHUNKS: about.png_chunks,
        Content.GAIN_MAP: about.gain_map,
        Content.FILM: about.film,
    }
    value = values[content]
    return value.tolist() if isinstance(value, np.ndarray) else value


def test_the_samples_of_this_test_hold_what_they_say() -> None:
    assert set(WITH) | {Content.ANIMATION, Content.PAGES} == set(Content)
    for content, picture in WITH.items():
        assert contents(picture) == {content}


@pytest.mark.parametrize("format", WRITTEN)
@pytest.mark.parametrize("content", Content)
def test_a_content_is_kept_or_said(content: Content, format: str) -> None:
    frames = made(content)
    data, lost = written(frames, format)
    again = read_frames(io.BytesIO(data))
    there = comparable(content, again)
    if content in KEEPS[format]:
        assert lost == ([NOT_WHOLLY[content, format]] if (content, format) in NOT_WHOLLY else [])
        before = comparable(content, frames)
        if content is Content.ALPHA and format in ("avif", "gif", "heic", "jxl"):
            assert np.abs(np.subtract(there, before)).max() <= (3 if format != "gif" else 127)
        elif content is Content.SIXTEEN and format == "jxl":
            assert np.abs(np.subtract(there, before)).max() <= 700
        else:
            assert there == before
        if not lost:
            written(frames, format, strict=True)
    elif content is Content.ANIMATION and format == "tiff":  # its frames become pages
        assert lost == ["timing of the frames"]
        assert len(again) == 3
    else:
        words = {Content.ANIMATION: "frames 2 to 3", Content.PAGES: "pages 2 to 3"}
        assert lost == [words.get(content, content.value)]
        assert there != comparable(content, frames)
        with pytest.raises(ImageError, match=r"would lose .*; without strict that is only said"):
            written(frames, format, strict=True)
    if content is not Content.ALPHA or format not in ("jpg", "gif"):  # JPEG is laid on white
        assert (again[0].to_tensor() - frames[0].to_tensor()).abs().mean() < 0.02


@pytest.mark.parametrize("content", Content)
def test_a_compressed_file_keeps_or_says_a_content_or_is_refused(content: Content) -> None:
    frames = made(content)
    operation = Compressor.from_pretrained(engine="onnx").operation()
    if content in (Content.ANIMATION, Content.PAGES):
        with pytest.raises(ImageError, match="has 3 frames or pages"):
            operation.read(io.BytesIO(written(frames, "tiff")[0]))
        return
    coded, _ = operation.apply(_only(frames), "i2i")
    said = " ".join(coded.lost)
    if content in KEEPS["i2i"]:
        assert said == ""
        again = Frames.of(Decompressor("cpu", engine="onnx").decompress(coded.data))
        if content is not Content.SIXTEEN:
            assert comparable(content, again) == comparable(content, frames)
        assert again[0].samples.dtype == frames[0].samples.dtype
    else:
        assert {Content.WIDE: "float32 samples (rounded to 16 bits)"}.get(content, content.value) in said


@pytest.mark.parametrize("format", WRITTEN)
def test_metadata_none_leaves_what_is_needed_to_show_the_picture(format: str) -> None:
    picture = replace(
        PLAIN,
        exif=exif(),
        icc=SRGB,
        about=About(xmp=XMP, iptc=IPTC, comments=("x",), text=(Text("a", "b"),), film=FILM),
    )
    data, lost = written(Frames.of(picture), format, metadata="none")
    again = read_frames(io.BytesIO(data))[0]
    assert lost == [] if Content.ICC in KEEPS[format] else ["ICC profile"]
    assert contents(again) == {Content.ICC} & KEEPS[format]
    for secret in (b"Camera 1", b"title", b"nobody watches", b"xmpmeta"):
        assert secret not in data


def test_metadata_of_the_old_pixels_fits_the_new() -> None:
    block = Image.Exif()
    block.load(exif(size=True))
    small = io.BytesIO()
    Image.new("RGB", (160, 120), "red").save(small, "JPEG", quality=90)
    thumbnail = small.getvalue() + bytes(4000)
    first = exif(size=True)
    # A second directory behind the block: a JPEG of so many bytes at that place.
    table = struct.pack("<H", 2) + struct.pack("<HHII", 0x0201, 4, 1, len(first) + 30)
    table += struct.pack("<HHII", 0x0202, 4, 1, len(thumbnail)) + bytes(4)
    (start,) = struct.unpack_from("<I", first, 4)
    link = start + 2 + 12 * struct.unpack_from("<H", first, start)[0]
    assert len(table) == 30
    whole = first[:link] + struct.pack("<I", len(first)) + first[link + 4 :] + table + thumbnail
    for format in ("png", "jpg", "webp"):
        data, lost = written(Frames.of(replace(PLAIN, exif=whole)), format)
        assert lost == []
        again = read_frames(io.BytesIO(data))[0].exif
        assert again is not None
        parsed = Image.Exif()
        parsed.load(again)
        assert (parsed.get_ifd(0x8769)[0xA002], parsed.get_ifd(0x8769)[0xA003]) == (32, 24)
        place, length = (
            struct.unpack_from("<I", again, len(first) + 10)[0],
            struct.unpack_from("<I", again, len(first) + 22)[0],
        )
        image = Image.open(io.BytesIO(again[place : place + length]))
        assert image.size == (32, 24)
        assert np.abs(np.asarray(image.convert("RGB")).astype(int) - grey_ramp()).mean() < 4


@pytest.mark.parametrize("endian", ["<", ">"])
def test_pages_have_metadata_of_their_own(endian: str) -> None:
    pictures = []
    for name in ("first", "second"):
        block = Image.Exif()
        block.endian = endian
        block[0x0110] = name
        block.get_ifd(0x8769)[0x829A] = 0.25
        pictures.append(replace(PLAIN, exif=block.tobytes()[6:], about=About(xmp=name.encode())))
    data, lost = written(Frames(lambda: iter(pictures), 2, False), "tiff")
    assert lost == []
    for page, name in zip(read_frames(io.BytesIO(data)), ("first", "second"), strict=True):
        parsed = Image.Exif()
        parsed.load(page.exif)
        assert parsed[0x0110] == name
        assert parsed.get_ifd(0x8769)[0x829A] == 0.25
        assert page.about.xmp == name.encode()


def test_a_jpeg_keeps_the_quality_and_subsampling_it_had() -> None:
    noise = np.random.default_rng(0).integers(0, 256, (64, 64, 3), np.uint8)
    for quality, subsampling in ((60, 2), (90, 0), (75, 1)):
        stream = io.BytesIO()
        Image.fromarray(noise).save(stream, "JPEG", quality=quality, subsampling=subsampling)
        frames = read_frames(io.BytesIO(stream.getvalue()))
        data, _ = written(frames, "jpg")
        assert abs(len(data) / len(stream.getvalue()) - 1) < 0.1
        again = Image.open(io.BytesIO(data))
        assert again.quantization == Image.open(stream).quantization
        assert again.layer == Image.open(stream).layer
        assert len(written(frames, "jpg", quality=95)[0]) > len(data)


def test_long_xmp_of_a_jpeg_goes_on_in_further_segments() -> None:
    body = b"<rdf:Description>" + b"0123456789" * 20_000 + b"</rdf:Description>"
    space = b'xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#"'
    packet = b'<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:RDF ' + space + b">" + body + b"</rdf:RDF></x:xmpmeta>"
    data, lost = written(Frames.of(replace(PLAIN, about=About(xmp=packet))), "jpg")
    again = read_frames(io.BytesIO(data))[0].about.xmp
    assert lost == []
    assert again is not None
    assert body in again
    assert b"HasExtendedXMP" not in again


def test_resolutions_change_their_unit() -> None:
    assert Resolution(300, 150, "inch").per("metre")[:2] == pytest.approx((11811.02, 5905.51), rel=1e-5)
    x, y, unit = Resolution(300, 150, "inch").per("cm")
    assert (round(x, 3), round(y, 3), unit) == (118.11, 59.055, "cm")
    assert Resolution(4, 3, "").per("inch") == Resolution(4, 3, "")
