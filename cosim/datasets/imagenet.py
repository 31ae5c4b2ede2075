"""Images in the folders of ImageNet: ``train/<class>/*.JPEG`` and ``val/<class>/*.JPEG``.

Preparation is the usual one (Krizhevsky et al., 2012; He et al., arXiv 1512.03385): for training, a
random part of the image, stretched and perhaps mirrored; for the test, the middle.
"""

from pathlib import Path

import numpy as np
import torch
from PIL import Image, UnidentifiedImageError
from torch.utils.data import Dataset

from pysim import InputError

SUFFIXES = (".jpeg", ".jpg", ".png")
MEAN = (0.485, 0.456, 0.406)
DEVIATION = (0.229, 0.224, 0.225)
"""Of the colours of ImageNet, red, green, and blue, from 0 to 1."""

_LEAST_AREA, _GREATEST_STRETCH, _TRIES = 0.08, 4 / 3, 10
_SHORT_SIDE = 256 / 224
"""Of an image of the test, relative to the square that is cut out of it."""


class ImageFolders(Dataset):
    """Images with the number of their folder as label; each is read when it is asked for.

    Parameters
    ----------
    root : Path
        Holds the folders ``train`` and ``val``.
    part : str
        ``"train"`` or ``"val"``.
    size : int
        Pixels of the square that an image becomes.
    seed : int
        Of what is random in the preparation; with `epoch` and the index, nothing else decides it.

    Attributes
    ----------
    classes : list of str
        Names of the folders of ``train``, sorted.
    epoch : int
        Set it at the beginning of each.

    Raises
    ------
    InputError
        If a folder is missing, holds no image, or ``val`` has a class that ``train`` has not.
    """

    def __init__(self, root: Path, part: str, *, size: int = 224, seed: int = 0) -> None:
        if part not in ("train", "val"):
            raise InputError(f"unknown part {part!r} of the images: allowed are train, val")
        if size < 1:
            raise InputError(f"size {size} is out of range: at least 1")
        self.classes = _folders(Path(root) / "train")
        self.size, self.seed, self.epoch = size, seed, 0
        self._training = part == "train"
        number = {name: i for i, name in enumerate(self.classes)}
        self._files: list[tuple[Path, int]] = []
        for name in _folders(Path(root) / part):
            if name not in number:
                raise InputError(f"class {name!r} of {part!r} is not among those of 'train'")
            folder = Path(root) / part / name
            files = sorted(f for f in folder.iterdir() if f.suffix.lower() in SUFFIXES)
            if not files:
                raise InputError(f"folder {str(folder)!r} holds no image")
            self._files += [(file, number[name]) for file in files]

    def __len__(self) -> int:
        return len(self._files)

    def __getitem__(self, index: int) -> tuple[torch.Tensor, int]:
        """Return an image, float32 [3, size, size], and its label.

        Raises
        ------
        InputError
            If the file is damaged.
        """
        path, label = self._files[index]
        try:
            with Image.open(path) as file:
                image = file.convert("RGB")
        except (OSError, UnidentifiedImageError, SyntaxError) as error:
            raise InputError(f"image {str(path)!r} cannot be read: {error}") from error
        if self._training:
            image = self._random_part(image, np.random.default_rng([self.seed, self.epoch, index]))
        else:
            image = self._middle(image)
        pixels = np.asarray(image, dtype=np.float32) / 255
        pixels = (pixels - np.array(MEAN, np.float32)) / np.array(DEVIATION, np.float32)
        return torch.from_numpy(np.ascontiguousarray(pixels.transpose(2, 0, 1))), label

    def order(self, epoch: int) -> np.ndarray:
        """Return the indices in the order of an epoch: a permutation that seed and epoch decide."""
        return np.random.default_rng([self.seed, epoch]).permutation(len(self))

    def _random_part(self, image: Image.Image, rng: np.random.Generator) -> Image.Image:
        width, height = image.size
        box = (0, 0, width, height)
        for _ in range(_TRIES):
            area = width * height * rng.uniform(_LEAST_AREA, 1)
            stretch = np.exp(rng.uniform(-1, 1) * np.log(_GREATEST_STRETCH))
            w, h = round(np.sqrt(area * stretch)), round(np.sqrt(area / stretch))
            if 0 < w <= width and 0 < h <= height:
                left, top = rng.integers(width - w + 1), rng.integers(height - h + 1)
                box = (left, top, left + w, top + h)
                break
        mirrored = rng.integers(2) == 1
        image = image.resize((self.size, self.size), Image.Resampling.BILINEAR, box=box)
        return image.transpose(Image.Transpose.FLIP_LEFT_RIGHT) if mirrored else image

    def _middle(self, image: Image.Image) -> Image.Image:
        scale = round(self.size * _SHORT_SIDE) / min(image.size)
        width, height = (max(self.size, round(side * scale)) for side in image.size)
        image = image.resize((width, height), Image.Resampling.BILINEAR)
        left, top = (width - self.size) // 2, (height - self.size) // 2
        return image.crop((left, top, left + self.size, top + self.size))


def _folders(folder: Path) -> list[str]:
    if not folder.is_dir():
        raise InputError(f"there is no folder {str(folder)!r}: images lie in train/ and val/")
    names = sorted(entry.name for entry in folder.iterdir() if entry.is_dir())
    if not names:
        raise InputError(f"folder {str(folder)!r} holds no folder of a class")
    return names
