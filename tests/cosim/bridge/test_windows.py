import random
from math import prod

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from cosim.bridge.windows import (
    Axis,
    Windows,
    gather,
    gather_on_device,
    scatter,
    scatter_on_device,
)


def axes(count):
    draw = random.Random(0)
    while count:
        axis = Axis(
            size=draw.randint(1, 12),
            kernel=draw.randint(1, 5),
            stride=draw.randint(1, 6),
            dilation=draw.randint(1, 6),
            before=draw.randint(0, 4),
            after=draw.randint(0, 4),
        )
        if axis.outputs > 0:
            count -= 1
            yield axis


def meetings(windows):
    for o in range(windows.count):
        for t in range(windows.taps):
            yield o, t, windows.start + o * windows.step + t * windows.tap_step


def test_phases_are_the_forward_windows_seen_from_the_inputs():
    for axis in axes(500):
        forward = {
            (position, tap, output)
            for output, tap, position in meetings(axis.forward)
            if 0 <= position < axis.size
        }
        backward = []
        for phase in axis.phases():
            positions = phase.positions
            taps = range(axis.kernel)[phase.taps]
            assert (len(positions), len(taps)) == (phase.windows.count, phase.windows.taps)
            backward += [
                (positions[j], taps[u], output)
                for j, u, output in meetings(phase.windows)
                if 0 <= output < axis.outputs
            ]
        assert len(backward) == len(set(backward))
        assert set(backward) == forward


@pytest.mark.parametrize("groups", [1, 2])
def test_gather_is_unfold(groups):
    codes = torch.randint(0, 256, (2, 4, 6, 5), dtype=torch.uint8)
    columns = gather(codes, [Windows(-1, 3, 2, 3, 1), Windows(-2, 4, 1, 3, 2)], groups)
    unfolded = F.unfold(codes.float(), (3, 3), dilation=(1, 2), padding=(1, 2), stride=(2, 1))
    unfolded = unfolded.unflatten(2, (-1, 5))[..., :4].flatten(2)
    wanted = unfolded.transpose(0, 1).reshape(groups, -1, 2 * prod((3, 4)))
    assert torch.equal(columns.float(), wanted)


@pytest.mark.parametrize("dimensions", [1, 2, 3])
def test_tensors_on_a_device_are_laid_out_alike(dimensions):
    rng = np.random.default_rng(dimensions)
    for _ in range(20):
        sizes = rng.integers(1, 9, dimensions).tolist()
        codes = torch.from_numpy(rng.integers(1, 256, (2, 3, *sizes), dtype=np.uint8))
        windows = [
            Windows(*(int(rng.integers(*r)) for r in ((-3, 4), (1, 6), (1, 3), (1, 4), (-2, 3))))
            for _ in sizes
        ]
        assert torch.equal(gather_on_device(codes, windows), gather(codes, windows, 1)[0])
        positions = [range(int(rng.integers(size)), size, 2) for size in sizes]
        columns = torch.randn(3, 2 * prod(len(p) for p in positions))
        images = torch.zeros(2, 2, 3, *sizes)
        scatter(columns[None], images[0], positions)
        scatter_on_device(columns, images[1], positions)
        assert torch.equal(*images)
