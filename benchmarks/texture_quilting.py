"""Image quilting of 2001, a peer of `img2img texture`: square blocks with least-error cuts, at the size of the sample.

`python -m img2img.benchmarks.texture_quilting SAMPLE SIDE SEED TARGET...` makes textures that wrap around, with one
seed after the other. Blocks of 48 pixels that overlap by 12, of those within a tenth of the best one by chance. The
code is that by which --method patches begins (img2img/tasks/texture/quilting.py), here at full size and without what
makes used places dearer.

References: Efros & Freeman 2001, doi:10.1145/383259.383296.
"""

import sys
from pathlib import Path

import numpy as np

from img2img.images import read_picture, write_picture
from img2img.tasks.texture.by_patches import looked_up
from img2img.tasks.texture.quilting import quilted
from img2img.tasks.texture.sheet import Sheet, origins, parts_of

BLOCK = 48


def main(sample: str, side: str, seed: str, *targets: str) -> None:
    """Make textures of a file."""
    picture = read_picture(Path(sample))
    parts = parts_of([picture.samples.astype(np.float32)], [np.ones(picture.samples.shape[:2], bool)])
    sheet = Sheet(parts)
    for number, target in enumerate(targets):
        chance = np.random.default_rng(int(seed) + number)
        places = quilted(sheet, (int(side), int(side)), BLOCK, chance, wear=0)
        write_picture(looked_up(picture, origins(parts, sheet)[places]), Path(target), "png")


if __name__ == "__main__":
    main(*sys.argv[1:])
