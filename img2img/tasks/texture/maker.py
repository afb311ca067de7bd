"""Pictures in, a picture of their texture out, by any method: what the command line and the front door call.

Imports no torch before it is needed.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property, lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from ...errors import TooLargeError
from ...extras import need
from ...images import MAX_PIXELS, Picture
from .by_patches import opaque
from .job import DESCRIPTOR, TextureJob
from .patchwork import Made, Patchwork
from .scale import fitting_scale, scaled

if TYPE_CHECKING:
    from ...metrics.texture import Image
    from .methods.network import TextureNetwork
    from .methods.optimize import Watch
    from .pipeline import Texture


@dataclass(frozen=True)
class Means:
    """By what textures are made and measured.

    Args:
        descriptor: name or file.
        weights: of the descriptor vgg19.
        net: file of a network that makes the textures, instead of the job's method.
        recipe: of the training of a network.
        device: auto, cpu, cuda or mps.
        precision: auto, fp32 or bf16.
        engine: auto, torch or onnx; what onnx cannot do is done by torch where the choice is auto.
    """

    descriptor: str = DESCRIPTOR
    weights: str | None = None
    net: str | None = None
    recipe: Path | None = None
    device: str = "auto"
    precision: str = "auto"
    engine: str = "auto"


@dataclass
class TextureMaker:
    """Makes textures of one kind, of one sample after another.

    Args:
        job: what is wanted.
        means: by what.
        mask: white where a sample may be used; or the holes that are to be filled.
        maps: further maps of the sample, by name, that are put together of the same pixels.
        max_pixels: larger samples, after scaling, and larger extended ones are refused.
        save: file that gets every network which training has made better than those before.
    """

    job: TextureJob
    means: Means = field(default_factory=Means)
    mask: Picture | None = None
    maps: Mapping[str, Picture] = field(default_factory=dict)
    max_pixels: int = MAX_PIXELS
    save: str | None = None
    _trained: tuple[tuple[str, ...], TextureNetwork] | None = None

    @cached_property
    def texture(self) -> Texture:
        """The synthesiser."""
        means, job = self.means, self.job
        trains = job.method == "network" and not means.net
        needs_torch = "the method network" if trains else "the loss swd" if job.chosen_loss == "swd" else ""
        of = means.descriptor, means.weights, means.engine, means.device, means.precision
        return _texture(*of, needs_torch)

    @cached_property
    def network(self) -> TextureNetwork | None:
        """The network of a file, if there is one."""
        from .methods.network import TextureNetwork

        return TextureNetwork.load(self.means.net, self.means.device, self.means.precision) if self.means.net else None

    def load(self, measuring: bool = False) -> None:
        """Read now what will be needed: what is wrong with it is no fault of a sample.

        Args:
            measuring: whether textures will be compared with samples.

        Raises:
            WeightsError: a file is missing, damaged or something else.
            Img2ImgError: PyTorch is missing, and needed.
        """
        if self.means.net:
            need("a texture's network", "torch")
            _ = self.network
        trains = self.job.method == "network" and not self.means.net
        if trains:
            need("the method network", "torch", "lightning")
        if measuring or trains or self.job.method == "optimize":
            _ = self.texture

    def __call__(
        self, pictures: Sequence[Picture], sources: Sequence[str], seed: int, watch: Watch | None = None
    ) -> tuple[Made, dict[str, Any]]:
        """One texture, and what is to be said of it.

        Args:
            pictures: the samples; none where a network's file makes the texture.
            sources: their names. Those of the call before, again: a network is trained only once for them.
            seed: of this texture; the job's is that of a training.
            watch: is told how far it is.

        Returns:
            a picture with the samples' bits and colour profile, and its maps; what is made of an existing picture
            (seamless, filled, extended) has its EXIF and notes, too.

        Raises:
            ImageError: the sample does not fit what is asked for, or there is not enough memory.
            TooLargeError: a scaled sample or an extended one has more pixels than are allowed.
        """
        facts: dict[str, Any] = {}
        if pictures and self.job.scale != 1:
            sample, facts = self._scaled(pictures[0])
            pictures = [sample, *pictures[1:]]
        if self.job.method == "patches":
            made = Patchwork(self.job, self.mask, self.maps, self.max_pixels)(pictures[0], seed)
        else:
            usable = [opaque(picture, self.mask, seed) for picture in pictures]
            made = Made(self._seen(usable, tuple(sources), seed, watch))
        if self.job.mode != "texture":
            made = replace(made, picture=_edited(made.picture, pictures[0]))
        return made, {"width": made.picture.width, "height": made.picture.height, "seed": seed} | facts

    def _scaled(self, sample: Picture) -> tuple[Picture, dict[str, Any]]:
        """A sample as large as asked for, or as fits the texture; the latter is said."""
        scale = fitting_scale(sample, self.job.size) if self.job.scale is None else self.job.scale
        if sample.width * scale * sample.height * scale > self.max_pixels:
            raise TooLargeError(
                f"{{0}} {scale:g}: the sample would have more than {self.max_pixels} pixels; raise {{1}}",
                "scale",
                "max_pixels",
            )
        found = scaled(sample, scale)
        if self.job.scale is not None or scale == 1:
            return found, {}
        was, now = (f"{picture.width}x{picture.height}" for picture in (sample, found))
        note = f"a sample of {was} is made {now}, so that its structures fit the texture (scale {scale:.3g})"
        return found, {"scale": round(scale, 4), "note": note}

    def _seen(self, pictures: Sequence[Picture], sources: tuple[str, ...], seed: int, watch: Watch | None) -> Picture:
        """A texture by a descriptor, or by a network."""
        job = replace(self.job, seed=seed)
        samples = [picture.to_array() for picture in pictures]
        if job.method == "optimize" and not self.means.net:
            image = self.texture.optimised(samples, job, watch)
        else:
            network = self.network or self._network_of(pictures, samples, sources, watch)
            image = network(job.size, tileable=bool(job.tileable), seed=seed, colour=job.colour).numpy()
        return self._model(pictures).as_sample().with_array(image)

    def measured(self, made: Picture, pictures: Sequence[Picture], likeness: bool = True) -> dict[str, Any]:
        """What a texture is worth, as it is written: clipped and rounded.

        Args:
            made: the texture.
            pictures: its samples.
            likeness: compare it with them; without, or without samples, only its seam is looked at.
        """
        from ...metrics.texture import seam_scores

        if not (likeness and pictures):
            return {"seam": seam_scores(made.to_array())}
        found: dict[str, Any] = self.texture.measure(
            made.to_array(), [picture.to_array() for picture in pictures], self.job.mix
        )
        return found

    def colours_of(self, pictures: Sequence[Picture]) -> Image:
        """Pixels that other textures' variety is compared with: the first sample's, or those a network has kept."""
        if pictures:
            return pictures[0].to_array()
        assert self.network is not None  # or there would be samples
        return self.network.palette

    def settings(self, samples: int) -> dict[str, Any]:
        """What a report says of how the textures are made."""
        if not self.means.net:
            return self.job.settings(samples, self.means.descriptor)
        made = {"method": "network", "net": self.means.net}
        return made | {"tileable": self.job.tileable, "colour": self.job.colour}

    def _network_of(
        self, pictures: Sequence[Picture], samples: Sequence[np.ndarray], sources: tuple[str, ...], watch: Watch | None
    ) -> TextureNetwork:
        if self._trained is None or self._trained[0] != sources:
            job, best = self.job, self._model(pictures)
            name = Path(self.save or sources[0]).stem
            about = self.settings(len(pictures)) | {"name": name, "bits": best.bits}
            about |= {"samples": [Path(name).name for name in sources]}
            network = self.texture.train(
                samples,
                mix=job.mix,
                colour=job.colour,
                loss=job.chosen_loss,
                steps=job.train_steps,
                seed=job.seed,
                about=about,
                icc=best.icc,
                watch=watch,
                improved=self._keep if self.save else None,
                recipe=self.means.recipe,
            )
            self._trained = sources, network
        return self._trained[1]

    def _keep(self, network: TextureNetwork) -> None:
        assert self.save is not None
        network.save(self.save)

    def _model(self, pictures: Sequence[Picture]) -> Picture:
        """A picture whose bits and profile a texture takes: of the samples, or of those its network was made for."""
        if pictures:
            return max(pictures, key=lambda picture: picture.bits)
        assert self.network is not None  # or there would be samples
        dtype = np.uint16 if self.network.facts.get("bits") == 16 else np.uint8
        return Picture(np.zeros((1, 1, len(self.network.palette)), dtype), icc=self.network.icc)


def _edited(made: Picture, was: Picture) -> Picture:
    """A picture made of an existing one, with what that file says of itself; what did not come through is said."""
    gone = [
        ("alpha (what was transparent is filled)", None if made.alpha is not None else was.alpha),
        ("further channels", was.further),
        ("gain map (Ultra HDR)", was.about.gain_map),  # it is of the old pixels, as is the film
        ("film (motion photo)", was.about.film),
    ]
    about = replace(was.about, gain_map=None, film=None)
    return replace(made, exif=was.exif, about=about).and_lost(name for name, there in gone if there is not None)


@lru_cache(maxsize=2)
def _texture(
    descriptor: str, weights: str | None, engine: str, device: str, precision: str, needs_torch: str
) -> Texture:
    """A synthesiser; the latest stay loaded, for a process that makes textures one by one."""
    from .eyes import pick_eye
    from .pipeline import Texture

    return Texture(pick_eye(descriptor, weights, engine, device, precision, needs_torch))
