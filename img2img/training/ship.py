"""Put trained weights into the package: `python -m img2img.training.ship runs/denoise-fast/best.safetensors`.

Copies the file into weights/ under the name it says of itself and renews its sha256 in weights/index.toml; the rest of
the entry (description, data, score) is written by hand, for it is judged by hand.
"""

import hashlib
import re
import shutil
import sys
from pathlib import Path

from ..checkpoints import read_header, weights_file
from ..errors import Img2ImgError


def ship(file: Path) -> Path:
    """Copy a weight file into the package and renew its sha256 in the index.

    Returns:
        where it lies now.

    Raises:
        WeightsError: no weight file of ours, or the index has no entry of its name.
    """
    name = read_header(file)["name"]
    target = weights_file(name)
    target.parent.mkdir(exist_ok=True)
    shutil.copyfile(file, target)
    digest = hashlib.sha256(target.read_bytes()).hexdigest()
    index = target.parents[1] / "index.toml"
    text = index.read_text(encoding="utf-8")
    renewed = re.sub(rf'(?ms)(^\[{re.escape(name)}\]$.*?^sha256 = ")[^"]*', rf"\g<1>{digest}", text, count=1)
    index.write_text(renewed, encoding="utf-8")
    return target


if __name__ == "__main__":
    try:
        print(ship(Path(sys.argv[1])))
    except (Img2ImgError, IndexError) as error:
        sys.exit(f"img2img.training.ship: {error}")
