"""The studies of the lecture on convolutional networks: what `img2img study` makes. Imports nothing that is slow."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class About:
    """What is known of a study before it is imported.

    Args:
        name: of its module in this package, of its command and of its folder.
        title: of its page.
        about: what it shows, in one line.
        picture: whether it takes a PICTURE.
        data: the data set it trains on, or None; see `img2img.studies.data`.
    """

    name: str
    title: str
    about: str
    picture: bool = False
    data: str | None = None


STUDIES = (
    About("convolution", "Convolution", "a kernel slides, rectification, pooling; padding and shifts", picture=True),
    About("upsampling", "Upsampling", "transposed convolution and other ways up, their chequerboards", picture=True),
    About(
        "architectures",
        "Architectures",
        "Neocognitron to ResNet, to one scale; trained with and without skips",
        data="CIFAR-10",
    ),
    About("lenet", "LeNet", "handwritten digits: kernels, activation maps, what is confused", data="MNIST"),
    About("features", "Feature spaces", "what each layer of a network sees, keeps and finds alike", picture=True),
    About(
        "landscape", "Loss landscapes", "how smooth the loss is around networks with and without skips", data="CIFAR-10"
    ),
    About("bottleneck", "Bottlenecks", "auto-encoders of many sizes beside PCA and the shipped codec", picture=True),
    About("retina", "The retina's bottleneck", "why its cells see a centre against its surround", data="CIFAR-10"),
    About("denoising", "Denoising", "why convolution is a good idea for it; the deep image prior", picture=True),
    About("unet", "U-Net", "the data's way through two of them, and what each skip is worth", picture=True),
)
BY_NAME = {study.name: study for study in STUDIES}
