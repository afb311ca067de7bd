"""One picture through one codec, the seconds of each part written down: a script for a process of its own.

    python -m img2img.benchmarks.codec_once encode|decode CODEC SETTING SOURCE TARGET SECONDS.json DEVICE PRECISION

CODEC is what `codec_peers.peers` calls one, else a model's name or file. Nothing is imported before the clock runs, as
imports are most of what a user with one picture waits for.
"""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any


class Clock:
    """Seconds by the name of a part; a part within a part is not counted twice."""

    def __init__(self) -> None:
        self.seconds: dict[str, float] = {}
        self._inner = [0.0]
        self._watched: list[tuple[Any, str, Any]] = []

    @contextmanager
    def part(self, name: str) -> Iterator[None]:
        """Time what happens inside."""
        start = time.perf_counter()
        self._inner.append(0.0)
        try:
            yield
        finally:
            whole = time.perf_counter() - start
            self.seconds[name] = self.seconds.get(name, 0.0) + whole - self._inner.pop()
            self._inner[-1] += whole

    def watch(self, owner: Any, names: tuple[str, ...], part: str) -> None:
        """Count every call of these methods of the class ``owner`` as a part, until `release`."""
        for name in names:
            self._watched.append((owner, name, getattr(owner, name)))
            setattr(owner, name, self._timed(getattr(owner, name), part))

    def release(self) -> None:
        """Watch nothing any more."""
        for owner, name, method in self._watched:
            setattr(owner, name, method)

    def _timed(self, function: Callable[..., Any], part: str) -> Callable[..., Any]:
        def timed(*args: Any, **options: Any) -> Any:
            with self.part(part):
                return function(*args, **options)

        return timed


def main(
    direction: str, codec: str, setting: str, source: str, target: str, seconds: str, device: str, precision: str
) -> None:
    """Run one direction, and write the seconds of its parts as JSON."""
    clock = Clock()
    with clock.part("import"):
        from img2img.benchmarks.codec_peers import peers

        peer = next((peer for peer in peers(slow=True) if peer.name == codec), None)
    try:
        if peer is not None:
            _peer(clock, peer, direction, float(setting), Path(source), Path(target))
        elif direction == "encode":
            _encode(clock, codec, float(setting), Path(source), Path(target), device, precision)
        else:
            _decode(clock, codec, Path(source), Path(target), device, precision)
    finally:
        clock.release()
    Path(seconds).write_text(json.dumps(clock.seconds), encoding="utf-8")


def _peer(clock: Clock, peer: Any, direction: str, setting: float, source: Path, target: Path) -> None:
    with clock.part("import"):
        from img2img.images import Picture, read_picture, write_picture
    if direction == "encode":
        with clock.part("file"):
            pixels = read_picture(source).samples
        with clock.part("codec"):
            data = peer.encode(pixels, setting)
        with clock.part("file"):
            target.write_bytes(data)
    else:
        with clock.part("file"):
            data = source.read_bytes()
        with clock.part("codec"):
            pixels = peer.decode(data)
        with clock.part("file"):
            write_picture(Picture(pixels), target, "png")


def _encode(clock: Clock, model: str, quality: float, source: Path, target: Path, device: str, precision: str) -> None:
    with clock.part("import"):
        from img2img.images import read_picture
        from img2img.tasks.compress import Compressor, Target
    with clock.part("weights"):
        compressor = Compressor.from_pretrained(model, device=device, precision=precision)
    with clock.part("file"):
        picture = read_picture(source)
    _watch(clock)
    with clock.part("codec"):
        data = compressor.compress(picture, Target(quality=quality)).data
    with clock.part("file"):
        target.write_bytes(data)


def _decode(clock: Clock, model: str, source: Path, target: Path, device: str, precision: str) -> None:
    with clock.part("import"):
        from img2img.images import write_picture
        from img2img.tasks.compress import Decompressor
    with clock.part("weights"):
        decompressor = Decompressor(device=device, precision=precision, models=[model])
    with clock.part("file"):
        data = source.read_bytes()
    _watch(clock)
    with clock.part("codec"):
        picture = decompressor.decompress(data)
    with clock.part("file"):
        write_picture(picture, target, "png")


def _watch(clock: Clock) -> None:
    """Count apart, of what follows: transforms, entropy parameters (with quantisation), entropy coding."""
    from img2img.tasks.compress import coder, latents, pipeline, tiles

    clock.watch(pipeline, ("analyse",), "transform")
    clock.watch(tiles.Synthesis, ("_synthesise",), "transform")
    for coding in (latents.FactorizedCoding, latents.HyperpriorCoding):
        clock.watch(coding, ("choose", "decode"), "entropy parameters")
    clock.watch(coder.Encoder, ("push", "finish"), "entropy coding")
    clock.watch(coder.Decoder, ("pull", "finish"), "entropy coding")


if __name__ == "__main__":
    main(*sys.argv[1:])
