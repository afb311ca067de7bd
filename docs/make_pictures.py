"""Make the pictures of README and docs, each by a function of its name."""

from io import BytesIO
from pathlib import Path

import numpy as np
from PIL import Image

from img2img.choices import LOOKS, TUNES
from img2img.images import Picture, read_picture, write_picture

HERE = Path(__file__).parent
LIGHT = 4  # seed of the imitated camera
LOOK_BPP = 0.15  # bits per pixel of the files that are decoded in two ways
TUNE_BPP = 0.2  # of those that are coded in two ways
WOOD = slice(150, 390), slice(0, 230)  # beside the cup of coffee
FACE = slice(10, 210), slice(120, 320)  # of the astronaut: skin, hair, a flag and letters
GAP = 8  # white pixels between two
JPEG_QUALITY = 12  # where both codecs show what they lose
EYE = slice(60, 180), slice(100, 220)  # of the cat: fur, whiskers, and a smooth eye
CROP = slice(60, 284), slice(270, 570)  # of the cup of coffee: smooth china, sharp edges, and the grain of wood


def side_by_side(*pictures: np.ndarray) -> np.ndarray:
    """Pictures (H, W, 3) of one height with white gaps between them."""
    gap = np.full((pictures[0].shape[0], GAP, 3), 255, dtype=pictures[0].dtype)
    return np.concatenate([part for picture in pictures for part in (gap, picture)][1:], axis=1)


def in_little_light() -> Picture:
    """The cat of scikit-image, taken by an imitated camera."""
    import torch
    from skimage import data

    from img2img.data.camera import MARGIN, CameraRange, photograph
    from img2img.metrics import to_8bit

    scene = torch.from_numpy(data.chelsea()).permute(2, 0, 1)[None].float() / 255
    scene = torch.nn.functional.pad(scene, (MARGIN,) * 4, mode="reflect")
    dim = CameraRange(shot=(1.2e-2, 1.2e-2), resize=0, shrink=0)
    _, shot = photograph(scene, dim, torch.Generator().manual_seed(LIGHT))
    return Picture(to_8bit(shot[0].permute(1, 2, 0).numpy()))


def strength() -> Path:
    """Part of that photograph at --strength 0, 0.5, 1, 1.5 and 2, enlarged twice."""
    from img2img.tasks.denoise import Denoiser

    noisy = in_little_light()
    denoiser = Denoiser.from_pretrained(device="cpu", precision="fp32")
    made = [noisy.with_array(denoiser(noisy.to_array(), strength=s)).samples for s in (0, 0.5, 1, 1.5, 2)]
    shown = [picture[EYE].repeat(2, axis=0).repeat(2, axis=1) for picture in made]
    target = HERE / "strength.png"
    write_picture(Picture(side_by_side(*shown)), target, "png")
    return target


def before_after() -> Path:
    """That photograph, and what `img2img denoise` makes of it."""
    from img2img.tasks.denoise import Denoiser

    noisy = in_little_light()
    # The CPU in fp32, so that the picture does not depend on whose machine made it.
    denoiser = Denoiser.from_pretrained(device="cpu", precision="fp32")
    denoised = noisy.with_array(denoiser(noisy.to_array()))
    target = HERE / "before_after.png"
    write_picture(Picture(side_by_side(noisy.samples, denoised.samples)), target, "png")
    return target


def compress() -> Path:
    """Part of a photograph of scikit-image's, the same from a JPEG, and from an .i2i file of at most as many bytes."""
    from skimage import data

    from img2img.metrics import psnr
    from img2img.tasks.compress import Compressor, Decompressor, Target

    photograph = data.coffee()
    jpeg = BytesIO()
    Image.fromarray(photograph).save(jpeg, "JPEG", quality=JPEG_QUALITY, optimize=True, progressive=True)
    compressor = Compressor.from_pretrained("codec-fast", device="cpu", precision="fp32")
    coded = compressor.compress(Picture(photograph), Target(max_bytes=len(jpeg.getvalue())))
    decoded = Decompressor(device="cpu", precision="fp32").decompress(coded.data).samples
    unpacked = np.asarray(Image.open(jpeg))
    for name, size, result in (("JPEG", len(jpeg.getvalue()), unpacked), ("i2i", len(coded.data), decoded)):
        print(f"{name}: {size} bytes, {psnr(photograph, result, data_range=255):.2f} dB")
    target = HERE / "compress.png"
    shown = side_by_side(*(pixels[CROP] for pixels in (photograph, unpacked, decoded)))
    write_picture(Picture(shown), target, "png")
    return target


def looks() -> Path:
    """The face of the astronaut, from one small file faithfully and vividly, and from an AVIF file as large."""
    from skimage import data

    from img2img.tasks.compress import Compressor, Decompressor, Target, View

    photograph = data.astronaut()
    most = int(LOOK_BPP * photograph.shape[0] * photograph.shape[1] / 8)
    coded = Compressor.from_pretrained("codec-best", device="cpu", precision="fp32").compress(
        Picture(photograph), Target(max_bytes=most)
    )
    decompressor = Decompressor(device="cpu", precision="fp32")
    ours = [
        decompressor.decompress(coded.data, view=View(look=look)).samples
        for look in (LOOKS["faithful"], LOOKS["vivid"])
    ]
    avif = next(fit for quality in range(100, 0, -1) if (fit := in_avif(photograph, quality))[0] <= most)
    print(f"i2i: {len(coded.data)} bytes, AVIF: {avif[0]} bytes")
    target = HERE / "looks.png"
    write_picture(Picture(side_by_side(*(pixels[FACE] for pixels in (photograph, avif[1], *ours)))), target, "png")
    return target


def tunes() -> Path:
    """A cup of coffee on wood, from an AVIF file and from two files as large, by PSNR and by MS-SSIM."""
    from skimage import data

    from img2img.tasks.compress import Compressor, Decompressor, Target

    photograph = data.coffee()
    most = int(TUNE_BPP * photograph.shape[0] * photograph.shape[1] / 8)
    compressor = Compressor.from_pretrained("codec-best", device="cpu", precision="fp32")
    decompressor = Decompressor(device="cpu", precision="fp32")
    coded = [compressor.compress(Picture(photograph), Target(max_bytes=most), tune=tune).data for tune in TUNES]
    avif = next(fit for quality in range(100, 0, -1) if (fit := in_avif(photograph, quality))[0] <= most)
    print(f"i2i: {' and '.join(str(len(data)) for data in coded)} bytes, AVIF: {avif[0]} bytes")
    ours = [decompressor.decompress(data).samples for data in coded]
    target = HERE / "tunes.png"
    write_picture(Picture(side_by_side(*(pixels[WOOD] for pixels in (photograph, avif[1], *ours)))), target, "png")
    return target


def in_avif(photograph: np.ndarray, quality: int) -> tuple[int, np.ndarray]:
    """Bytes, and what is decoded of them."""
    file = BytesIO()
    Image.fromarray(photograph).save(file, "AVIF", quality=quality)
    return len(file.getvalue()), np.asarray(Image.open(file).convert("RGB"))


def translate() -> Path:
    """A grey photograph coloured, a facade from labels, and a cat from a drawing: what went in on the left."""
    import torch
    from skimage import data

    from img2img.data.pairs import make_pair, xdog_lines
    from img2img.metrics import to_8bit
    from img2img.tasks.translate import Translator

    def tensor(samples: np.ndarray) -> torch.Tensor:
        return torch.tensor(samples).permute(2, 0, 1).float() / 255

    def pixels(image: torch.Tensor) -> np.ndarray:
        return to_8bit(image.expand(3, -1, -1)).transpose(1, 2, 0)

    night = tensor(data.rocket())
    grey = make_pair("gray", night[None], torch.Generator())[0][0]
    labels = read_picture(HERE.parent / "examples" / "labels.png").to_tensor()
    ink = xdog_lines(tensor(data.chelsea())[None, :, 20:276, 80:336])[0]
    shown = []
    for name, image, crop in (
        ("colorize", grey, (slice(120, 376), slice(200, 456))),
        ("facades", labels, (slice(256), slice(256))),
        ("edges", ink, (slice(256), slice(256))),
    ):
        result = torch.from_numpy(Translator.from_pretrained(name, device="cpu", precision="fp32")(image.numpy()))
        shown += [pixels(image)[crop], pixels(result)[crop]]
    target = HERE / "translate.png"
    write_picture(Picture(side_by_side(*shown)), target, "png")
    return target


def texture() -> Path:
    """Samples that come with scikit-image, and what `img2img texture` makes of them: twice the size, tileable."""
    import torch
    from skimage import data

    from img2img.metrics import to_8bit
    from img2img.tasks.texture import Texture

    maker = Texture.from_pretrained("vgg-slim", device="cpu")
    shown = []
    for samples in (data.gravel()[:256, :256], data.brick()[:256, :256], data.grass()[:256, :256]):
        image = torch.tensor(samples)[None].float() / 255
        made = maker(image, (256, 512), tileable=True)
        shown += [to_8bit(x.expand(3, -1, -1)).transpose(1, 2, 0) for x in (image, made)]
    target = HERE / "texture.png"
    write_picture(Picture(side_by_side(*shown)), target, "png")
    return target


if __name__ == "__main__":
    for make in (before_after, strength, compress, looks, tunes, translate, texture):
        print(make())
