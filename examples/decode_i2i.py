"""A decoder of .i2i files by docs/i2i.md alone: NumPy, safetensors and Pillow, nothing of this package.

    python examples/decode_i2i.py photo.i2i photo.png weights/compress/codec-{fast,restoration}.safetensors

The third argument is the file of weights that the .i2i file names (`img2img weights path NAME`), the last that of the
restoration, without which the look is plain; files that are stored losslessly need neither. Slow and plain on purpose:
it reads version 2, whole files, and trusts the checksums.
"""

import hashlib
import json
import struct
import sys
import zlib
from io import BytesIO
from pathlib import Path

import numpy as np
from PIL import Image
from safetensors import safe_open

# ---- the container


class Reader:
    """Reads forward through the bytes of a file."""

    def __init__(self, data: bytes) -> None:
        self.data, self.at = data, 0

    def take(self, count: int) -> bytes:
        self.at += count
        assert self.at <= len(self.data), "truncated"
        return self.data[self.at - count : self.at]

    def varint(self) -> int:
        value = shift = 0
        while True:
            (byte,) = self.take(1)
            value |= (byte & 127) << shift
            shift += 7
            if byte < 128:
                return value

    def check(self, start: int) -> None:
        crc = zlib.crc32(self.data[start : self.at])
        assert struct.unpack("<I", self.take(4))[0] == crc, "damaged"


def decode(data: bytes, weights: str = "", restoration: str = "") -> Image.Image:
    """The picture in a file, as Pillow has it; plain without weights of a restoration."""
    file = Reader(data)
    assert file.take(5) == b"\x89i2i\x02", "not an .i2i file of version 2"
    name = file.take(file.take(1)[0]).decode("ascii")
    digest = file.take(8) if name else b""
    width, height = file.varint(), file.varint()
    (flags,) = file.take(1)
    if name:
        (rate,) = struct.unpack("<H", file.take(2))
        tile_width, tile_height = file.varint(), file.varint()  # in latents, each 16x16 pixels
    file.check(0)
    sections = {}
    while (kind := file.take(1)) != b"T":
        start = file.at - 1
        sections[kind] = file.take(file.varint())
        file.check(start)
        if kind == b"L":
            break
    if name:
        start = file.at - 1
        rows = range(0, -(-height // 16), tile_height)
        columns = range(0, -(-width // 16), tile_width)
        layers, count = file.varint(), len(rows) * len(columns)
        lengths = [file.varint() for _ in range(layers * count)]
        checks = struct.unpack(f"<{count}I", file.take(4 * count))
        file.check(start)
        start = file.at
        pieces = [file.take(length) for length in lengths]
        file.check(start)
        model = Model(weights)
        assert digest == hashlib.sha256(Path(weights).read_bytes()).digest()[:8], f"these are not the weights of {name}"
        y_hat = np.zeros((len(model["tables.log2_unit"]), -(-height // 16), -(-width // 16)), np.float32)
        for number, (top, left) in enumerate((top, left) for top in rows for left in columns):
            place = y_hat[:, top : top + tile_height, left : left + tile_width]
            payload = b"".join(pieces[number::count])[::-1]
            place[:] = model.latents(Stack(payload), place.shape[1:], rate, checks[number])
        pixels = model.synthesis(y_hat)
        if restoration:
            pixels = Model(restoration).restored(pixels.clip(0, 1), rate)
        pixels = pixels[:, :height, :width]
        pixels = pixels if flags & 1 else pixels.mean(0, keepdims=True)
        white = 65535 if flags & 2 else 255
        samples = np.rint(pixels.clip(0, 1) * white).astype(np.uint16 if flags & 2 else np.uint8).transpose(1, 2, 0)
    else:
        samples = np.asarray(Image.open(BytesIO(sections[b"L"])))
        samples = samples.reshape(height, width, -1)[..., : 3 if flags & 1 else 1]
    if b"A" in sections:
        alpha = np.asarray(Image.open(BytesIO(zlib.decompress(sections[b"A"])))).reshape(height, width, 1)
        samples = np.concatenate([samples, alpha.astype(samples.dtype)], 2)
    if samples.dtype == np.uint16 and samples.shape[2] > 1:
        samples = np.rint(samples / 257).astype(np.uint8)  # Pillow has no other picture of 16 bits than grey
    return Image.fromarray(np.ascontiguousarray(samples.squeeze(2) if samples.shape[2] == 1 else samples))


# ---- entropy coding


class Stack:
    """rANS: 32-bit words, the last on top, and a state."""

    def __init__(self, payload: bytes) -> None:
        self.words: list[int] = np.frombuffer(payload + bytes(-len(payload) % 4), "<u4").tolist()
        self.state = 0
        self.refill()

    def refill(self) -> None:
        while self.state < 2**32 and self.words:
            self.state = self.state << 32 | self.words.pop()

    def entry(self, starts: np.ndarray) -> int:
        """Of intervals that begin at `starts` and end at 2^24."""
        q = self.state & 0xFFFFFF
        entry = int(np.searchsorted(starts, q, "right")) - 1
        begin, end = int(starts[entry]), int(starts[entry + 1]) if entry + 1 < len(starts) else 2**24
        self.state = (self.state >> 24) * (end - begin) + q - begin
        self.refill()
        return entry

    def bits(self, count: int) -> int:
        q = self.state & 0xFFFFFF
        number = q >> 24 - count
        self.state = (self.state >> 24 << 24 - count) + (q & (1 << 24 - count) - 1)
        self.refill()
        return number


CLASSES = (
    np.cumsum([0, *((2**14 * 3**k) >> 2 * k for k in range(33))]) * 256
)  # where the intervals of an escape's k begin


# ---- the networks


def convolve(x: np.ndarray, weight: np.ndarray, bias: np.ndarray) -> np.ndarray:
    """(C, H, W) to (M, H, W), zeros around it; `weight` is (M, C, k, k)."""
    side, (height, width) = weight.shape[2], x.shape[1:]
    padded = np.pad(x, ((0, 0), (side // 2, side // 2), (side // 2, side // 2)))
    total = np.zeros((len(weight), height, width), x.dtype) + bias[:, None, None]
    for i in range(side):
        for j in range(side):
            total += np.tensordot(weight[:, :, i, j], padded[:, i : i + height, j : j + width], 1)
    return total


def spread(x: np.ndarray, weight: np.ndarray, factor: int) -> np.ndarray:
    """Transposed convolution: (C, H, W) to (M, factor * H, factor * W); `weight` is (C, M, k, k)."""
    side, (height, width) = weight.shape[2], (factor * x.shape[1], factor * x.shape[2])
    canvas = np.zeros((weight.shape[1], height + side, width + side), x.dtype)
    for i in range(side):
        for j in range(side):
            canvas[:, i : i + height : factor, j : j + width : factor] += np.tensordot(weight[:, :, i, j].T, x, 1)
    cut = (side - factor + 1) // 2
    return canvas[:, cut : cut + height, cut : cut + width]


def shuffle(x: np.ndarray, by: int = 2) -> np.ndarray:
    """(by * by * C, H, W) to (C, by * H, by * W)."""
    channels, height, width = x.shape[0] // by**2, *x.shape[1:]
    x = x.reshape(channels, by, by, height, width).transpose(0, 3, 1, 4, 2)
    return x.reshape(channels, by * height, by * width)


def unshuffle(x: np.ndarray, by: int) -> np.ndarray:
    """(C, by * H, by * W) to (by * by * C, H, W)."""
    channels, height, width = x.shape[0], x.shape[1] // by, x.shape[2] // by
    x = x.reshape(channels, height, by, width, by).transpose(0, 2, 4, 1, 3)
    return x.reshape(channels * by**2, height, width)


class Model:
    """A file of weights. Whole numbers in float64 count 2^-10 of a latent; every sum of them is exact."""

    def __init__(self, path: str) -> None:
        with safe_open(path, "np") as file:
            self.tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
            self.config = json.loads(file.metadata()["img2img"])["config"]
        if "tables.lengths" not in self.tensors:
            return  # a restoration's
        self.slices = self.config.get("slices", [16, 16, 32, 64, 128])
        lengths = self["tables.lengths"].astype(np.int64)
        self.rows = np.split(self["tables.frequencies"].astype(np.int64), np.cumsum(lengths)[:-1])

    def __getitem__(self, name: str) -> np.ndarray:
        return self.tensors[name]

    def layer(self, name: str, x: np.ndarray) -> np.ndarray:
        return convolve(x, self[f"{name}.weight"].astype(np.float32), self[f"{name}.bias"].astype(np.float32))

    def exact(self, name: str, x: np.ndarray) -> np.ndarray:
        """A convolution of whole numbers, weights rounded to 2^-16."""
        weight, bias = (self[f"{name}.{part}"].astype(np.float64) for part in ("weight", "bias"))
        total = convolve(x, np.rint(weight * 2**16), np.rint(bias * 2**26))
        return np.floor(total / 2**16 + 0.5).clip(-(2.0**23), 2.0**23)

    def level(self, name: str, rate: int) -> np.ndarray:
        """Between the levels of an integer table, rounded."""
        table = self[name].astype(np.int64)
        place = rate * (len(table) - 1)
        below = min(place // 65535, len(table) - 2)
        share = place - below * 65535
        return ((table[below] * (65535 - share) + table[below + 1] * share + 32767) // 65535)[:, None, None] * 1.0

    def pull(self, stack: Stack, rows: np.ndarray) -> np.ndarray:
        """Symbols (N,) coded with these rows (N,): by row, then the values behind escapes."""
        order = np.argsort(rows, kind="stable")
        symbols, escaped = np.zeros(len(rows), np.int64), []
        for place in order.tolist():
            frequencies = self.rows[rows[place]]
            starts = np.cumsum(frequencies) * 256 - frequencies * 256
            entry = stack.entry(starts) if len(frequencies) > 1 else 0
            symbols[place] = entry + self["tables.firsts"][rows[place]]
            if entry == len(frequencies) - 1:
                escaped.append(place)
        classes = [stack.entry(CLASSES) for _ in escaped]
        low = [stack.bits(min(k, 16)) if k else 0 for k in classes]
        high = [stack.bits(k - 16) if k > 16 else 0 for k in classes]
        for place, k, a, b in zip(escaped, classes, low, high, strict=True):
            value = (1 << k) + a + (b << 16) - 1
            first = int(self["tables.firsts"][rows[place]])
            symbols[place] = first - (value + 1) // 2 if value % 2 else symbols[place] + value // 2
        return symbols

    def latents(self, stack: Stack, size: tuple[int, ...], rate: int, check: int) -> np.ndarray:
        """y_hat (M, h, w) of one tile."""
        height, width = size
        medians = self["tables.medians"].astype(np.float64)[:, None, None]
        small = len(medians), -(-height // 4), -(-width // 4)
        place = (rate * 15 + 32767) // 65535  # on a grid of 16 rates
        z = self.pull(stack, np.repeat(np.arange(small[0]) * 16 + place, small[1] * small[2]))
        crc = zlib.crc32(z.astype("<i4").tobytes())
        z_hat = medians + z.reshape(small) * self.level("tables.hyper_step", rate)
        features = shuffle(self.exact("codec.h_s.0", z_hat)).clip(0)
        features = shuffle(self.exact("codec.h_s.3", features)).clip(0)[:, :height, :width]
        seen = [features, np.full((1, height, width), float((rate * 1024 + 32767) // 65535))]
        black = np.add.outer(np.arange(height), np.arange(width)) % 2 == 0
        passes = [black, ~black] if self.config.get("context") else [np.ones((height, width), bool)]
        gaussians = len(self.rows) - 83
        ends = np.cumsum(self.slices)
        all_mu, all_symbols = [], []
        for i, (begin, end) in enumerate(zip([0, *ends], ends, strict=False)):
            step = self.level("tables.step", rate)[begin:end]
            log2_step = self.level("tables.log2_step", rate)[begin:end]
            unit = self["tables.log2_unit"][begin:end, None, None].astype(np.float64)
            hidden = self.exact(f"codec.expect.{i}.0", np.concatenate(seen))
            mu, symbols, y_hat = np.zeros((3, end - begin, height, width))
            for number, where in enumerate(passes):
                if number:
                    hidden = (hidden + self.exact(f"codec.context.{i}", y_hat)).clip(-(2.0**23), 2.0**23)
                inner = self.exact(f"codec.expect.{i}.2", hidden.clip(0)).clip(0)
                expected, log2_sigma = np.split(self.exact(f"codec.expect.{i}.4", inner), 2)
                expected = np.floor(expected * 2**unit + 0.5)
                eighths = np.floor((log2_sigma + unit * 1024 - log2_step) / 128 + 0.5)[:, where]
                rows = (eighths.clip(-26, 56) + 26).astype(np.int64).ravel() + gaussians
                new = self.pull(stack, rows)
                crc = zlib.crc32(new.astype("<i4").tobytes(), crc)
                mu[:, where] = expected[:, where]
                symbols[:, where] = new.reshape(end - begin, -1)
                y_hat = np.floor((mu + symbols * step) / 2**unit + 0.5).clip(-(2.0**23), 2.0**23)
            seen.append(y_hat)
            all_mu.append(mu)
            all_symbols.append(symbols)
        assert (stack.state, stack.words, crc) == (0, [], check), "the symbols are not those that were coded"
        return self.refine(np.concatenate(all_mu), np.concatenate(all_symbols), features, rate)

    def refine(self, mu: np.ndarray, symbols: np.ndarray, features: np.ndarray, rate: int) -> np.ndarray:
        """From here on numbers may differ in their last digits: nothing is decoded by them."""
        place = rate / 65535 * (len(self["codec.log_step"]) - 1)
        below = min(int(place), len(self["codec.log_step"]) - 2)
        log_step, log_ratio = (
            (1 - place + below) * table[below] + (place - below) * table[below + 1]
            for table in (
                self[f"codec.{name}"].astype(np.float32)[..., None, None] for name in ("log_step", "log_ratio")
            )
        )
        y_hat = (mu / 1024 + symbols * np.exp(log_step + log_ratio)).astype(np.float32)
        unit = self["codec.unit"][0].astype(np.float32)
        hidden = self.layer("codec.residual.0", np.concatenate([y_hat / unit, features.astype(np.float32) / 1024]))
        return y_hat + 0.5 * np.exp(log_step) * np.tanh(self.layer("codec.residual.2", hidden.clip(0)))

    def synthesis(self, x: np.ndarray) -> np.ndarray:
        """x_hat (3, 16 * h, 16 * w) of latents (M, h, w)."""
        for i, factor in enumerate((2, 2, 4)):
            linear = spread(x, self[f"codec.g_s.shortcuts.{i}.weight"].astype(np.float32), factor)
            x = spread(x, self[f"codec.g_s.up.{i}.conv.weight"].astype(np.float32), factor)
            x += self[f"codec.g_s.up.{i}.conv.bias"].astype(np.float32)[:, None, None]
            if i < 2:
                raw = (self[f"codec.g_s.after.{i}.0.{part}.raw"].astype(np.float32) for part in ("beta", "gamma"))
                beta, gamma = (
                    np.maximum(part, (least + 2.0**-36) ** 0.5) ** 2 - 2.0**-36
                    for part, least in zip(raw, (1e-6, 0), strict=True)
                )
                x = x * np.sqrt(beta[:, None, None] + np.tensordot(gamma, x * x, 1))
            x = x + linear
        return x / 4 + 0.5

    def restored(self, x_hat: np.ndarray, rate: int) -> np.ndarray:
        """x_hat (3, 16 * h, 16 * w) in 0 ... 1, nearer to what was coded."""

        def net(name: str, x: np.ndarray) -> np.ndarray:
            return self.layer(f"restoration.net.{name}", x)

        def stage(name: str, x: np.ndarray) -> np.ndarray:
            for block in (0, 1):
                x = net(f"{name}.{block}.0", x)
                x = np.maximum(x, np.float32(0.2) * x)
            return x

        plane = np.full((1, *x_hat.shape[1:]), rate / 65535 - 0.5, np.float32)
        seen = np.concatenate([(x_hat - np.float32(0.5)) * 4, plane])
        fine = stage("encoder.stages.0", net("encoder.down.0.conv", unshuffle(seen, 4)))
        # A kernel of 2x2 with stride 2 is one of 1x1 over squares of 2x2.
        down = self["restoration.net.encoder.down.1.conv.weight"].astype(np.float32)
        bias = self["restoration.net.encoder.down.1.conv.bias"].astype(np.float32)
        coarse = stage("encoder.stages.1", convolve(unshuffle(fine, 2), down.reshape(len(down), -1, 1, 1), bias))
        joined = stage("decoder.stages.0", shuffle(net("decoder.up.0.conv", coarse)) + fine)
        return x_hat + shuffle(net("decoder.up.1.conv", joined), 4) / 4


if __name__ == "__main__":
    source, target, *weights = sys.argv[1:]
    decode(Path(source).read_bytes(), *weights).save(target)
