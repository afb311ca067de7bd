"""Pictures that nobody photographed: text, shapes, windows, pixel art, slopes, charts. They are to come back."""

from collections.abc import Callable
from random import Random
from string import ascii_letters, digits, punctuation

import numpy as np
from PIL import Image, ImageDraw, ImageFont

Colour = tuple[int, int, int]
LETTERS = ascii_letters * 3 + digits + punctuation


def drawing(side: int, seeded: Random) -> np.ndarray:
    """One picture of a random kind: (side, side, 3) uint8."""
    picture = seeded.choice(list(KINDS.values()))(side, seeded)
    return np.array(picture.convert("RGB"))


def _colour(seeded: Random) -> Colour:
    if seeded.random() < 0.4:
        grey = seeded.choice((0, 16, 32, 128, 200, 240, 255, seeded.randrange(256)))
        return grey, grey, grey
    return seeded.randrange(256), seeded.randrange(256), seeded.randrange(256)


def _words(seeded: Random, count: int) -> str:
    return " ".join("".join(seeded.choices(LETTERS, k=seeded.randint(1, 10))) for _ in range(count))


def _font(seeded: Random) -> ImageFont.FreeTypeFont | ImageFont.ImageFont:
    return ImageFont.load_default(seeded.choice((9, 10, 11, 12, 13, 14, 16, 18, 24, 36)))


def text(side: int, seeded: Random) -> Image.Image:
    """Lines of letters on an even ground."""
    page = Image.new("RGB", (side, side), _colour(seeded))
    draw, font, ink = ImageDraw.Draw(page), _font(seeded), _colour(seeded)
    step = seeded.randint(12, 30)
    for line in range(-1, side // step + 1):
        draw.text((seeded.randint(-20, 10), line * step), _words(seeded, 12), fill=ink, font=font)
    return page


def shapes(side: int, seeded: Random) -> Image.Image:
    """Discs, boxes, polygons and lines; smooth edges or jagged ones."""
    larger = seeded.choice((1, 3))
    size = side * larger
    canvas = Image.new("RGB", (size, size), _colour(seeded))
    draw = ImageDraw.Draw(canvas)

    def place() -> tuple[int, int]:
        return seeded.randint(-size // 4, size * 5 // 4), seeded.randint(-size // 4, size * 5 // 4)

    for _ in range(seeded.randint(2, 20)):
        (x, y), r = place(), seeded.randint(2, size // 2)
        outline = _colour(seeded) if seeded.random() < 0.5 else None
        width = seeded.randint(1, 4 * larger)
        kind = seeded.randrange(4)
        if kind == 0:
            draw.ellipse((x - r, y - r, x + r, y + r), fill=_colour(seeded), outline=outline, width=width)
        elif kind == 1:
            draw.rectangle((x, y, x + r, y + seeded.randint(1, r)), fill=_colour(seeded), outline=outline, width=width)
        elif kind == 2:
            draw.polygon([place() for _ in range(seeded.randint(3, 6))], fill=_colour(seeded))
        else:
            draw.line([place() for _ in range(seeded.randint(2, 5))], fill=_colour(seeded), width=width)
    return canvas if larger == 1 else canvas.resize((side, side), Image.Resampling.LANCZOS)


def window(side: int, seeded: Random) -> Image.Image:
    """What a screen shows: boxes with borders, bars that fade, small letters."""
    screen = Image.new("RGB", (side, side), _colour(seeded))
    draw = ImageDraw.Draw(screen)
    for _ in range(seeded.randint(1, 5)):
        left, top = seeded.randint(-side // 2, side), seeded.randint(-side // 2, side)
        width, height = seeded.randint(20, side * 2), seeded.randint(20, side * 2)
        draw.rectangle((left, top, left + width, top + height), fill=_colour(seeded), outline=_colour(seeded))
        begin, end = np.array(_colour(seeded)), np.array(_colour(seeded))
        for x in range(width):
            mixed = begin + (end - begin) * x // width
            draw.line((left + x, top + 1, left + x, top + 14), fill=tuple(int(v) for v in mixed))
        for line in range(1, height // 16):
            draw.text((left + 4, top + 16 * line), _words(seeded, 4), fill=_colour(seeded), font=_font(seeded))
    return screen


def pixels(side: int, seeded: Random) -> Image.Image:
    """Pixel art: few colours, every pixel enlarged without smoothing; often its own mirror image."""
    scale = seeded.choice((1, 2, 2, 3, 4, 5, 6, 8, 10))
    count = -(-side // scale)
    random = np.random.default_rng(seeded.getrandbits(32))
    palette = np.array([_colour(seeded) for _ in range(seeded.randint(2, 16))], np.uint8)
    # Runs of one colour, as drawn by hand, or none.
    coarse = random.integers(0, len(palette), (count, count))
    for axis in (0, 1):
        kept = random.random((count, count)) < seeded.choice((0.0, 0.5, 0.8))
        coarse = np.where(kept, np.roll(coarse, 1, axis), coarse)
    if scale == 1:  # single pixels of many colours would be noise
        coarse = np.kron(coarse[::4, ::4], np.ones((4, 4), int))[:count, :count]
    if seeded.random() < 0.5:
        coarse = np.concatenate(
            (coarse[:, : count // 2], coarse[:, (count - 1) // 2 :: -1][:, : count - count // 2]), 1
        )
    art = Image.fromarray(palette[coarse])
    return art.resize((art.width * scale, art.height * scale), Image.Resampling.NEAREST).crop((0, 0, side, side))


def slopes(side: int, seeded: Random) -> Image.Image:
    """An even slope of colours, rounded to 8 bits."""
    corners = np.array([_colour(seeded) for _ in range(4)], np.float64).reshape(2, 2, 3)
    down, across = np.linspace(0, 1, side)[:, None, None], np.linspace(0, 1, side)[None, :, None]
    top = corners[0, 0] + (corners[0, 1] - corners[0, 0]) * across
    bottom = corners[1, 0] + (corners[1, 1] - corners[1, 0]) * across
    return Image.fromarray(np.rint(top + (bottom - top) * down).astype(np.uint8))


def chart(side: int, seeded: Random) -> Image.Image:
    """Thin lines and grids on an even ground."""
    paper = Image.new("RGB", (side, side), _colour(seeded))
    draw, grid = ImageDraw.Draw(paper), _colour(seeded)
    step = seeded.randint(3, 24)
    for x in range(0, side, step):
        draw.line((x, 0, x, side), fill=grid)
        draw.line((0, x, side, x), fill=grid)
    for _ in range(seeded.randint(1, 4)):
        heights = [seeded.randrange(side) for _ in range(side // 6 + 2)]
        draw.line([(6 * i, h) for i, h in enumerate(heights)], fill=_colour(seeded), width=seeded.randint(1, 3))
    return paper


KINDS: dict[str, Callable[[int, Random], Image.Image]] = {
    "text": text,
    "shapes": shapes,
    "window": window,
    "pixels": pixels,
    "slopes": slopes,
    "chart": chart,
}
