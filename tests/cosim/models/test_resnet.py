"""Residual networks: the published sizes, and shapes at any width and depth."""

import pytest
import torch

from cosim.models.resnet import resnet18, resnet34, resnet50
from pysim import InputError

# As the documentation of torchvision has them for its models of these names.
PUBLISHED = [(resnet18, 11_689_512), (resnet34, 21_797_672), (resnet50, 25_557_032)]


@pytest.mark.parametrize(("build", "count"), PUBLISHED)
def test_parameters_at_full_size(build, count):
    with torch.device("meta"):
        model = build()
        assert sum(p.numel() for p in model.parameters()) == count
        assert model(torch.empty(2, 3, 224, 224)).shape == (2, 1000)


def convolutions(model, size, stem_channels=3):
    """Each convolution's kernel, stride, and size of result, in the order they run."""
    seen = []
    for module in model.modules():
        if isinstance(module, torch.nn.Conv2d):
            module.register_forward_hook(
                lambda m, _, out: seen.append((m.kernel_size[0], m.stride[0], out.shape[-1]))
            )
    model(torch.randn(1, stem_channels, size, size))
    return seen


def test_stride_is_that_of_the_3_by_3_convolution():
    model = resnet50((1, 1), width=2, classes=4).eval()
    assert convolutions(model, 32) == [
        (7, 2, 16),
        # After pooling to 8 x 8: a block, its shortcut last.
        *[(1, 1, 8), (3, 1, 8), (1, 1, 8), (1, 1, 8)],
        *[(1, 1, 8), (3, 2, 4), (1, 1, 4), (1, 2, 4)],
    ]


def test_small_stem_keeps_the_size():
    model = resnet18((1, 1), width=2, classes=4, channels=1, stem="small").eval()
    seen = convolutions(model, 8, stem_channels=1)
    assert seen[0] == (3, 1, 8)
    assert [size for _, _, size in seen] == [8, 8, 8, 4, 4, 4]


@pytest.mark.parametrize("build", [resnet18, resnet34, resnet50])
def test_a_block_without_convolutions_is_its_shortcut(build):
    """With the last scale of each block at zero, what is left are the shortcuts alone."""
    torch.manual_seed(0)
    model = build((2, 1), width=2, classes=3, stem="small", zero_init_residual=True).eval()
    images = torch.randn(2, 3, 8, 8)
    x = model.stem(images)
    for stage in model.stages:
        for block in stage:
            x = block.shortcut(x).relu()
    assert torch.equal(model(images), model.classifier(x.mean((2, 3))))
    assert not torch.equal(model(images[:1]), model(images[1:]))


@pytest.mark.parametrize(
    ("settings", "sentence"),
    [
        ({"width": 0}, "width 0 is out of range"),
        ({"classes": 2.5}, "classes 2.5 is out of range"),
        ({"channels": True}, "channels True is out of range"),
        ({"blocks": ()}, "stages 0 is out of range"),
        ({"blocks": (1, 0)}, "blocks 0 is out of range"),
        ({"stem": "tiny"}, "unknown stem 'tiny': allowed are imagenet, small"),
    ],
)
def test_bad_settings(settings, sentence):
    with pytest.raises(InputError, match=sentence):
        resnet18(**settings)
