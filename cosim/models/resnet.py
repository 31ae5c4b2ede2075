"""Residual networks of He, Zhang, Ren, and Sun, 'Deep Residual Learning' (arXiv 1512.03385).

In a bottleneck the 3 x 3 convolution has the stride, not the first 1 x 1: "version 1.5", as
torchvision and NVIDIA's reference have it.
"""

from collections.abc import Sequence

import torch
from torch import nn

from cosim.models.checks import require_positive
from pysim import InputError

Tensor = torch.Tensor

STEMS = ("imagenet", "small")
"""7 x 7 convolution with stride 2 and max pooling; or 3 x 3 with stride 1, for small images."""


class BasicBlock(nn.Module):
    """Two 3 x 3 convolutions beside a shortcut, [N, inputs, H, W] to [N, width, H/s, W/s]."""

    expansion = 1

    def __init__(self, inputs: int, width: int, stride: int) -> None:
        super().__init__()
        self.conv1 = _conv(inputs, width, 3, stride)
        self.bn1 = nn.BatchNorm2d(width)
        self.conv2 = _conv(width, width, 3)
        self.bn2 = nn.BatchNorm2d(width)
        self.shortcut = _shortcut(inputs, width, stride)

    def forward(self, x: Tensor) -> Tensor:
        """Add what the convolutions make of `x` to what the shortcut does."""
        y = self.bn1(self.conv1(x)).relu()
        y = self.bn2(self.conv2(y))
        return (y + self.shortcut(x)).relu()


class Bottleneck(nn.Module):
    """1 x 1, 3 x 3, and 1 x 1 convolutions beside a shortcut; the last has 4 x `width` channels."""

    expansion = 4

    def __init__(self, inputs: int, width: int, stride: int) -> None:
        super().__init__()
        outputs = width * self.expansion
        self.conv1 = _conv(inputs, width, 1)
        self.bn1 = nn.BatchNorm2d(width)
        self.conv2 = _conv(width, width, 3, stride)
        self.bn2 = nn.BatchNorm2d(width)
        self.conv3 = _conv(width, outputs, 1)
        self.bn3 = nn.BatchNorm2d(outputs)
        self.shortcut = _shortcut(inputs, outputs, stride)

    def forward(self, x: Tensor) -> Tensor:
        """Add what the convolutions make of `x` to what the shortcut does."""
        y = self.bn1(self.conv1(x)).relu()
        y = self.bn2(self.conv2(y)).relu()
        y = self.bn3(self.conv3(y))
        return (y + self.shortcut(x)).relu()


class ResNet(nn.Module):
    """A stem, stages of residual blocks, an average over the image, and a linear classifier.

    Parameters
    ----------
    block : type
        `BasicBlock` or `Bottleneck`.
    blocks : sequence of int
        Blocks of each stage; each stage but the first halves the image and doubles the width.
    width : int
        Channels of the first stage, before a bottleneck's expansion; 64 is the paper's.
    classes, channels : int
        Of the result and of the image.
    stem : str
        ``"imagenet"`` or ``"small"``, see `STEMS`.
    zero_init_residual : bool
        Whether the last normalisation of each block starts at a scale of zero, and so the block as
        its shortcut: deep networks then train from the first step on (Goyal et al., arXiv
        1706.02677, section 5.1).

    Raises
    ------
    InputError
        If a size is not positive or the stem is unknown.
    """

    def __init__(
        self,
        block: type[BasicBlock] | type[Bottleneck],
        blocks: Sequence[int],
        *,
        width: int = 64,
        classes: int = 1000,
        channels: int = 3,
        stem: str = "imagenet",
        zero_init_residual: bool = False,
    ) -> None:
        super().__init__()
        require_positive(width=width, classes=classes, channels=channels, stages=len(blocks))
        for count in blocks:
            require_positive(blocks=count)
        self.stem = _stem(stem, channels, width)
        stages = []
        inputs = width
        for i, count in enumerate(blocks):
            stage = []
            for j in range(count):
                stride = 2 if i > 0 and j == 0 else 1
                stage.append(block(inputs, width << i, stride))
                inputs = (width << i) * block.expansion
            stages.append(nn.Sequential(*stage))
        self.stages = nn.Sequential(*stages)
        self.classifier = nn.Linear(inputs, classes)
        for module in self.modules():
            if isinstance(module, nn.Conv2d):
                nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")
            elif zero_init_residual and isinstance(module, (BasicBlock, Bottleneck)):
                last = module.bn3 if isinstance(module, Bottleneck) else module.bn2
                nn.init.zeros_(last.weight)

    def forward(self, images: Tensor) -> Tensor:
        """Classify images [N, channels, H, W]; return logits [N, classes]."""
        features = self.stages(self.stem(images))
        return self.classifier(features.mean((2, 3)))


def resnet18(blocks: Sequence[int] = (2, 2, 2, 2), **settings) -> ResNet:
    """Return ResNet-18; `settings` are those of `ResNet`."""
    return ResNet(BasicBlock, blocks, **settings)


def resnet34(blocks: Sequence[int] = (3, 4, 6, 3), **settings) -> ResNet:
    """Return ResNet-34; `settings` are those of `ResNet`."""
    return ResNet(BasicBlock, blocks, **settings)


def resnet50(blocks: Sequence[int] = (3, 4, 6, 3), **settings) -> ResNet:
    """Return ResNet-50; `settings` are those of `ResNet`."""
    return ResNet(Bottleneck, blocks, **settings)


def _conv(inputs: int, outputs: int, size: int, stride: int = 1) -> nn.Conv2d:
    # No bias: the batch normalisation that follows has one.
    return nn.Conv2d(inputs, outputs, size, stride, padding=size // 2, bias=False)


def _shortcut(inputs: int, outputs: int, stride: int) -> nn.Module:
    if inputs == outputs and stride == 1:
        return nn.Identity()
    return nn.Sequential(_conv(inputs, outputs, 1, stride), nn.BatchNorm2d(outputs))


def _stem(name: str, channels: int, width: int) -> nn.Sequential:
    if name == "small":
        return nn.Sequential(_conv(channels, width, 3), nn.BatchNorm2d(width), nn.ReLU())
    if name == "imagenet":
        conv = _conv(channels, width, 7, 2)
        return nn.Sequential(conv, nn.BatchNorm2d(width), nn.ReLU(), nn.MaxPool2d(3, 2, 1))
    raise InputError(f"unknown stem {name!r}: allowed are {', '.join(STEMS)}")
