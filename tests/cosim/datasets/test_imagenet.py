import numpy as np
import pytest
import torch
from PIL import Image

from cosim.datasets.imagenet import DEVIATION, MEAN, ImageFolders, ImageNet
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
        image, label = images.read(index, 0)
        assert label == index // 3
        assert image.shape == (3, 32, 32)
        assert image.dtype == torch.float32
        colours = image.mean((1, 2)) * torch.tensor(DEVIATION) + torch.tensor(MEAN)
        assert (abs(255 * colours - (100 * label + 30)) < 8).all()


def test_random_parts_follow_seed_epoch_and_index(root):
    images, again = ImageFolders(root, "train", size=16), ImageFolders(root, "train", size=16)
    first, _ = images.read(1, 0, 0)
    assert torch.equal(first, again.read(1, 0, 0)[0])
    assert not torch.equal(first, again.read(1, 0, 1)[0])
    assert not torch.equal(first, again.read(1, 1, 0)[0])


def test_batches_follow_seed_and_step(root):
    images, again = ImageNet(root, 16), ImageNet(root, 16)
    for step in (0, 1, 2, 7):
        for one, other in zip(images.batch(step, 2, 0), again.batch(step, 2, 0), strict=True):
            assert torch.equal(one, other)
    epochs = [[images.batch(3 * epoch + i, 2, 0) for i in range(3)] for epoch in range(2)]
    assert [sum(labels.sum().item() for _, labels in epoch) for epoch in epochs] == [3, 3]
    assert not torch.equal(epochs[0][0][0], epochs[1][0][0])
    assert not torch.equal(images.batch(0, 6, 0)[0], images.batch(0, 6, 1)[0])


def test_processes_share_a_batch(root):
    images = ImageNet(root, 16)
    whole, labels = images.batch(1, 4, 0)
    parts = [images.batch(1, 4, 0, rank, 2) for rank in range(2)]
    assert torch.equal(torch.stack([part for part, _ in parts], 1).flatten(0, 1), whole)
    assert torch.equal(torch.stack([part for _, part in parts], 1).flatten(), labels)


def test_all_images_are_judged_by(root):
    batches = list(ImageNet(root, 16).test_batches(4))
    assert [len(images) for images, _ in batches] == [4, 2]
    assert torch.cat([labels for _, labels in batches]).tolist() == [0, 0, 0, 1, 1, 1]


def test_fingerprint_tells_images_apart(root):
    before = ImageNet(root, 16).fingerprint
    assert ImageNet(root, 32).fingerprint == before
    (root / "train" / CLASSES[0] / f"{CLASSES[0]}_0.JPEG").unlink()
    assert ImageNet(root, 16).fingerprint != before


def test_test_images_are_their_middle(root):
    pixels = np.zeros((64, 128, 3), np.uint8)
    pixels[:, 32:96] = 255
    Image.fromarray(pixels).save(root / "val" / CLASSES[0] / "a.png")
    image, _ = ImageFolders(root, "val", size=56).read(0)
    assert (image > 0).all()


def test_grey_images_have_three_colours(root):
    Image.fromarray(np.zeros((9, 9), np.uint8)).save(root / "train" / CLASSES[0] / "a.png")
    assert ImageFolders(root, "train", size=8).read(0, 0)[0].shape == (3, 8, 8)


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
            ImageFolders(root, "train").read(1, 0)
