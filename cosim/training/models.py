"""Models small enough to be trained on simulated Verilog. They know nothing of the array."""

from torch import nn


def mlp() -> nn.Module:
    """Return a perceptron with two hidden layers, [N, 1, 8, 8] to [N, 10]."""
    return nn.Sequential(
        nn.Flatten(),
        nn.Linear(64, 64),
        nn.ReLU(),
        nn.Linear(64, 32),
        nn.ReLU(),
        nn.Linear(32, 10),
    )


def cnn() -> nn.Module:
    """Return a network of two convolutions and a linear layer, [N, 1, 8, 8] to [N, 10]."""
    return nn.Sequential(
        nn.Conv2d(1, 8, 3, padding=1),
        nn.ReLU(),
        nn.Conv2d(8, 16, 3, stride=2, padding=1),
        nn.ReLU(),
        nn.Flatten(),
        nn.Linear(16 * 4 * 4, 10),
    )
