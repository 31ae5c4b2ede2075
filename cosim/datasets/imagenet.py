"""Images in the folders of ImageNet: ``train/<class>/*.JPEG`` and ``val/<class>/*.JPEG``.

Preparation is the usual one (Krizhevsky et al., 2012; He et al., arXiv 1512.03385): for training, a
random part of the image, stretched and perhaps mirrored; for the test, the middle.
"""

import hashlib
import os
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import lru_cache
from pathlib import Path

import numpy as np
import torch
from PIL import Image, UnidentifiedImageError

from pysim import InputError
from pysim.fast.processors import available_processors

SUFFIXES = (".jpeg", ".jpg", ".png")
MEAN = (0.485, 0.456, 0.406)
DEVIATION = (0.229, 0.224, 0.225)
"""Of the colours of ImageNet, red, green, and blue, from 0 to 1."""

_LEAST_AREA, _GREATEST_STRETCH, _TRIES = 0.08, 4 / 3, 10
_SHORT_SIDE = 256 / 224
"""Of an image of the test, relative to the square that is cut out of it."""


class ImageFolders:
    """Images with the number of their folder as label; each is read when it is asked for.

    Names of files are all that is kept in memory.

    Parameters
    ----------
    root : Path
        Holds the folders ``train`` and ``val``.
    part : str
        ``"train"`` or ``"val"``.
    size : int
        Pixels of the square that an image becomes.

    Attributes
    ----------
    classes : list of str
        Names of the folders of ``train``, sorted.

    Raises
    ------
    InputError
        If a folder is missing, holds no image, or ``val`` has a class that ``train`` has not.
    """

    def __init__(self, root: Path, part: str, *, size: int = 224) -> None:
        if part not in ("train", "val"):
            raise InputError(f"unknown part {part!r} of the images: allowed are train, val")
        if size < 1:
            raise InputError(f"size {size} is out of range: at least 1")
        self.classes = _folders(Path(root) / "train")
        self.size = size
        self._folder = Path(root) / part
        self._training = part == "train"
        number = {name: i for i, name in enumerate(self.classes)}
        self._files: list[str] = []
        labels: list[int] = []
        for name in _folders(self._folder):
            if name not in number:
                raise InputError(f"class {name!r} of {part!r} is not among those of 'train'")
            folder = self._folder / name
            files = sorted(f for f in os.listdir(folder) if f.lower().endswith(SUFFIXES))
            if not files:
                raise InputError(f"folder {str(folder)!r} holds no image")
            self._files += files
            labels += [number[name]] * len(files)
        self._labels = np.array(labels, np.int64)

    def __len__(self) -> int:
        return len(self._files)

    @property
    def fingerprint(self) -> str:
        """SHA-256 of the names of all files and their labels."""
        digest = hashlib.sha256("\0".join(self._files).encode())
        digest.update(self._labels.tobytes())
        return digest.hexdigest()

    def read(self, index: int, *seed: int) -> tuple[torch.Tensor, int]:
        """Return an image, float32 [3, size, size], and its label.

        What is random in the preparation follows from the seed and the index alone.

        Raises
        ------
        InputError
            If the file is damaged.
        """
        label = int(self._labels[index])
        path = self._folder / self.classes[label] / self._files[index]
        try:
            with Image.open(path) as file:
                image = file.convert("RGB")
        except (OSError, UnidentifiedImageError, SyntaxError, ValueError) as error:
            raise InputError(f"image {str(path)!r} cannot be read: {error}") from error
        if self._training:
            image = self._random_part(image, np.random.default_rng([*seed, index]))
        else:
            image = self._middle(image)
        pixels = np.asarray(image, dtype=np.float32) / 255
        pixels = (pixels - np.array(MEAN, np.float32)) / np.array(DEVIATION, np.float32)
        return torch.from_numpy(np.ascontiguousarray(pixels.transpose(2, 0, 1))), label

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


class ImageNet:
    """Images to learn from and images to be judged by, decoded as they are needed.

    Parameters
    ----------
    root : Path
        As of `ImageFolders`.
    size : int
        Pixels of the square that an image becomes.

    Raises
    ------
    InputError
        As of `ImageFolders`.
    """

    def __init__(self, root: Path, size: int = 224) -> None:
        self.train, self.test = (ImageFolders(root, part, size=size) for part in ("train", "val"))
        # Pillow decodes and resizes without Python's lock.
        self._decoders = ThreadPoolExecutor(available_processors(), "decode")
        self._order = lru_cache(2)(self._permutation)

    @property
    def classes(self) -> int:
        """How many there are."""
        return len(self.train.classes)

    @property
    def examples(self) -> int:
        """How many there are to learn from."""
        return len(self.train)

    @property
    def fingerprint(self) -> str:
        """Tells these images from others."""
        return self.train.fingerprint

    def batch(
        self, step: int, size: int, seed: int, rank: int = 0, world: int = 1
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Return images and labels of a step; see `cosim.datasets.dataset.Dataset.batch`."""
        epoch, place = divmod(step, self.examples // size)
        chosen = self._order(seed, epoch)[place * size : (place + 1) * size][rank::world]
        return self._read(self.train, chosen, seed, epoch)

    def test_batches(self, size: int) -> Iterator[tuple[torch.Tensor, torch.Tensor]]:
        """Yield all images to be judged by, and their labels."""
        for first in range(0, len(self.test), size):
            yield self._read(self.test, range(first, min(first + size, len(self.test))))

    def _read(
        self, images: ImageFolders, chosen: Iterable[int], *seed: int
    ) -> tuple[torch.Tensor, torch.Tensor]:
        read = self._decoders.map(lambda index: images.read(int(index), *seed), chosen)
        pixels, labels = zip(*read, strict=True)
        return torch.stack(pixels), torch.tensor(labels)

    def _permutation(self, seed: int, epoch: int) -> np.ndarray:
        return np.random.default_rng([seed, epoch]).permutation(self.examples)


def _folders(folder: Path) -> list[str]:
    if not folder.is_dir():
        raise InputError(f"there is no folder {str(folder)!r}: images lie in train/ and val/")
    names = sorted(entry.name for entry in folder.iterdir() if entry.is_dir())
    if not names:
        raise InputError(f"folder {str(folder)!r} holds no folder of a class")
    return names
