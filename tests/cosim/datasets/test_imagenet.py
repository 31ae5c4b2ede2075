import numpy as np
import pytest
import torch
from PIL import Image
from torch.utils.data import DataLoader

from cosim.datasets.imagenet import DEVIATION, MEAN, ImageFolders
from pysim import InputError

CLASSES = ("n01440764", "n01443537")


@pytest.fixture
def root(tmp_path):
    rng = np.random.default_rng(0)
    for part in ("train", "val"):
        for i, name in enumerate(CLASSES):
            folder = tmp_path / part / name
            folder.mkdir(parents=True)
            for j in range(3):
                pixels = rng.integers(100 * i, 100 * i + 60, (40 + 7 * j, 50, 3), dtype=np.uint8)
                Image.fromarray(pixels).save(folder / f"{name}_{j}.JPEG")
    (tmp_path / "train" / CLASSES[0] / "README.txt").write_text("not an image")
    return tmp_path


@pytest.mark.parametrize("part", ["train", "val"])
def test_images_and_labels(root, part):
    images = ImageFolders(root, part, size=32)
    assert images.classes == list(CLASSES)
    assert len(images) == 6
    for index in range(6):
        image, label = images[index]
        assert label == index // 3
        assert image.shape == (3, 32, 32)
        assert image.dtype == torch.float32
        colours = image.mean((1, 2)) * torch.tensor(DEVIATION) + torch.tensor(MEAN)
        assert (abs(255 * colours - (100 * label + 30)) < 8).all()


def test_random_parts_follow_seed_epoch_and_index(root):
    images, again = ImageFolders(root, "train", size=16), ImageFolders(root, "train", size=16)
    assert torch.equal(images[1][0], again[1][0])
    again.epoch = 1
    assert not torch.equal(images[1][0], again[1][0])
    assert not torch.equal(ImageFolders(root, "train", size=16, seed=1)[1][0], images[1][0])
    assert sorted(images.order(0)) == list(range(6))
    assert images.order(0).tolist() == again.order(0).tolist()
    assert any(images.order(0).tolist() != images.order(e).tolist() for e in range(1, 4))


def test_test_images_are_their_middle(root):
    pixels = np.zeros((64, 128, 3), np.uint8)
    pixels[:, 32:96] = 255
    Image.fromarray(pixels).save(root / "val" / CLASSES[0] / "a.png")
    image, _ = ImageFolders(root, "val", size=56)[0]
    assert (image > 0).all()


def test_grey_images_have_three_colours(root):
    Image.fromarray(np.zeros((9, 9), np.uint8)).save(root / "train" / CLASSES[0] / "a.png")
    assert ImageFolders(root, "train", size=8)[0][0].shape == (3, 8, 8)


def test_in_worker_processes(root):
    images = ImageFolders(root, "train", size=16)
    loader = DataLoader(images, batch_size=3, num_workers=2, sampler=images.order(0).tolist())
    first, labels = next(iter(loader))
    index = int(images.order(0)[0])
    assert torch.equal(first[0], images[index][0])
    assert labels[0] == images[index][1]


def test_bad_folders(root, tmp_path):
    with pytest.raises(InputError, match="unknown part 'test'"):
        ImageFolders(root, "test")
    with pytest.raises(InputError, match="size 0 is out of range"):
        ImageFolders(root, "val", size=0)
    with pytest.raises(InputError, match=r"there is no folder '.*nowhere/train'"):
        ImageFolders(root / "nowhere", "train")
    (root / "val" / "n9").mkdir()
    with pytest.raises(InputError, match="class 'n9' of 'val' is not among"):
        ImageFolders(root, "val")
    (root / "train" / "n9").mkdir()
    with pytest.raises(InputError, match=r"folder '.*n9' holds no image"):
        ImageFolders(root, "train")


def test_damaged_image(root):
    path = root / "train" / CLASSES[0] / f"{CLASSES[0]}_1.JPEG"
    whole = path.read_bytes()
    for damaged in (b"", b"not an image", whole[: len(whole) // 2]):
        path.write_bytes(damaged)
        with pytest.raises(InputError, match=f"image '.*{path.name}' cannot be read"):
            ImageFolders(root, "train")[1]
