import pytest
import torch

from cosim.bridge import LossScale
from cosim.training.loss_scaler import LossScaler
from pysim import InputError


def run(scaler, gradients):
    """Take steps in which the unscaled gradient is given; return the scales of the steps."""
    weight = torch.nn.Parameter(torch.zeros(3))
    optimiser = torch.optim.SGD([weight], lr=1.0)
    scales = []
    for gradient in gradients:
        scales.append(scaler.get_scale())
        optimiser.zero_grad()
        scaler.scale((weight * gradient).sum()).backward()
        scaler.step(optimiser)
        scaler.update()
    return scales, weight.detach()


INF = float("inf")


def test_static():
    scaler = LossScaler(LossScale.of(10_000), 5)
    scales, weight = run(scaler, [1.0, INF, 2.0, float("nan")])
    assert scales == [10_000] * 4
    torch.testing.assert_close(weight, torch.full((3,), -3.0))
    assert (scaler.skipped, scaler.step_number, scaler.backoffs) == (2, 4, 0)


def test_powers_of_two_change_no_bit():
    _, scaled = run(LossScaler(LossScale.of(2.0**15), 1), [0.1, 0.7])
    _, plain = run(LossScaler(LossScale.of(1), 1), [0.1, 0.7])
    assert torch.equal(scaled, plain)


def test_dynamic():
    scaler = LossScaler(LossScale("dynamic", 8.0, interval=2), 100)
    scales, _ = run(scaler, [1, 1, 1, INF, 1, 1, 1, INF, INF])
    assert scales == [8, 8, 16, 16, 8, 8, 16, 16, 8]
    assert (scaler.growths, scaler.backoffs, scaler.skipped, scaler.floored) == (2, 3, 3, 0)


def test_enhanced_never_falls_below_its_floor():
    spec = LossScale("enhanced", 8.0, interval=100, floors=((2, 6.0), (5, 32.0)))
    scaler = LossScaler(spec, 100)
    scales, _ = run(scaler, [1, INF, INF, INF, 1, INF, 1])
    # 4 is below the floor of step 2.
    assert scales == [8, 8, 6, 6, 6, 32, 32]
    assert (scaler.backoffs, scaler.skipped, scaler.floored) == (1, 4, 3)
    assert scaler.get_floor() == 32


def test_unscaled_once():
    weight = torch.nn.Parameter(torch.zeros(1))
    optimiser = torch.optim.SGD([weight], lr=1.0)
    scaler = LossScaler(LossScale.of(4.0), 1)
    scaler.scale(weight.sum() * 8).backward()
    scaler.unscale_(optimiser)
    assert weight.grad.item() == 8
    assert scaler.step(optimiser)
    assert weight.item() == -8


@pytest.mark.parametrize("split", range(6))
def test_resumes(split):
    spec = LossScale("enhanced", 8.0, interval=2, floors=((3, 6.0),))
    gradients = [1, 1, INF, 1, INF, 1, 1]
    whole = LossScaler(spec, 7)
    scales, _ = run(whole, gradients)
    first, second = LossScaler(spec, 7), LossScaler(spec, 7)
    before, _ = run(first, gradients[:split])
    second.load_state_dict(first.state_dict())
    after, _ = run(second, gradients[split:])
    assert before + after == scales
    assert second.state_dict() == whole.state_dict()


def test_two_optimisers():
    weights = [torch.nn.Parameter(torch.zeros(1)) for _ in range(2)]
    optimisers = [torch.optim.SGD([weight], lr=1.0) for weight in weights]
    scaler = LossScaler(LossScale("dynamic", 16.0), 1)
    scaler.scale(weights[0].sum() + INF * weights[1].sum()).backward()
    assert [scaler.step(optimiser) for optimiser in optimisers] == [True, False]
    scaler.update()
    assert weights[0].item() == -1
    assert scaler.get_scale() == 8


def test_unscaled_twice():
    weight = torch.nn.Parameter(torch.zeros(1))
    optimiser = torch.optim.SGD([weight], lr=1.0)
    scaler = LossScaler(LossScale.of(4.0), 1)
    scaler.unscale_(optimiser)
    with pytest.raises(RuntimeError, match="unscale_ was called"):
        scaler.unscale_(optimiser)


def test_never_too_small():
    scaler = LossScaler(LossScale("dynamic", 16.0), 1)
    run(scaler, [INF] * 100)
    assert scaler.get_scale() == 2.0**-60


def test_bad_states():
    scaler = LossScaler(LossScale.of(4.0), 1)
    with pytest.raises(InputError, match="not the state of a loss scaler: it has junk"):
        scaler.load_state_dict({"junk": 1})
    with pytest.raises(InputError, match="scale -5 is out of range"):
        scaler.load_state_dict({**scaler.state_dict(), "_scale": -5})
