import copy
import warnings

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import nn
from torch.utils.checkpoint import checkpoint

from cosim.bridge import NotOffloadedWarning, Recipe, offload
from pysim import ArrayConfig, GoldenEngine, InputError


def small_model():
    torch.manual_seed(3)
    return nn.Sequential(nn.Conv2d(1, 4, 3, stride=2), nn.ReLU(), nn.Flatten(), nn.Linear(36, 10))


def train(engine, recipe, steps=3):
    model = small_model()
    optimizer = torch.optim.SGD(model.parameters(), 0.1, momentum=0.9)
    images, labels = torch.randn(6, 1, 8, 8), torch.randint(0, 10, (6,))
    with offload(model, engine, recipe) as session:
        for _ in range(steps):
            optimizer.zero_grad()
            F.cross_entropy(model(images), labels).backward()
            optimizer.step()
    return model, session


def test_runs_repeat_bit_for_bit():
    finals = []
    for _ in range(2):
        torch.manual_seed(0)
        engine = GoldenEngine(ArrayConfig(rows=4, cols=4))
        model, session = train(engine, Recipe.named("mellempudi2019"))
        finals.append((model.state_dict(), engine.random_state, session.statistics.to_dict()))
    (first, states, counts), (second, other_states, other_counts) = finals
    assert all(torch.equal(first[name], second[name]) for name in first)
    assert np.array_equal(states, other_states)
    assert counts == other_counts


def test_another_seed_gives_other_bits():
    finals = []
    for seed in (1, 2):
        torch.manual_seed(0)
        model, _ = train(GoldenEngine(ArrayConfig(seed=seed)), Recipe.named("e5m2-sr"))
        finals.append(model[3].weight)
    assert not torch.equal(*finals)


def test_model_stays_as_it_was(engine):
    model = small_model()
    before = copy.deepcopy(model)
    with offload(model, engine):
        model(torch.randn(2, 1, 8, 8))
    assert repr(model) == repr(before)
    assert [type(m) for m in model.modules()] == [type(m) for m in before.modules()]
    for module, other in zip(model.modules(), before.modules(), strict=True):
        assert module.__dict__.keys() == other.__dict__.keys()
        assert not module._forward_hooks
        assert not module._forward_pre_hooks
    x = torch.randn(2, 1, 8, 8)
    assert torch.equal(model(x), before(x))


def test_backward_may_follow_after_the_context(exact):
    gradients = []
    for inside in (True, False):
        model = small_model()
        torch.manual_seed(0)
        x = torch.randn(2, 1, 8, 8)
        with offload(model, GoldenEngine(ArrayConfig()), exact) as session:
            loss = model(x).square().sum()
            if inside:
                loss.backward()
        if not inside:
            loss.backward()
        assert session.statistics.kinds["wgrad"].gemms == 2
        gradients.append([p.grad for p in model.parameters()])
    for one, other in zip(*gradients, strict=True):
        assert torch.equal(one, other)


def test_functional_gradient_and_second_backward(engine, exact):
    x = torch.randn(3, 4, requires_grad=True)
    with offload(nn.Module(), engine, exact):
        loss = (x @ torch.ones(4, 2)).square().sum()
        (first,) = torch.autograd.grad(loss, x, retain_graph=True)
        (second,) = torch.autograd.grad(loss, x)
        assert torch.equal(first, second)
        with pytest.raises(RuntimeError, match="second time"):
            torch.autograd.grad(loss, x)


@pytest.mark.parametrize("form", ["Tensor.backward", "autograd.backward", "autograd.grad"])
def test_what_the_backward_pass_computes_anew_is_offloaded(engine, exact, form):
    def gradients(loss, parameters):
        if form == "autograd.grad":
            return torch.autograd.grad(loss, parameters)
        run = torch.Tensor.backward if form == "Tensor.backward" else torch.autograd.backward
        run(loss)
        return [p.grad for p in parameters]

    model = small_model()
    x = torch.randn(2, 1, 8, 8)
    outcomes = []
    for forward in (model, lambda x: checkpoint(model, x, use_reentrant=False)):
        model.zero_grad()
        with offload(model, engine, exact) as session:
            outcomes.append(gradients(forward(x).square().sum(), list(model.parameters())))
    assert session.not_offloaded == {}
    assert session.statistics.kinds["forward"].gemms == 4
    for one, other in zip(*outcomes, strict=True):
        assert torch.equal(one, other)


@pytest.mark.parametrize("function", [F.linear, lambda x, w: F.conv1d(x, w[..., None])])
def test_double_backward_is_refused(engine, function):
    x, w = torch.randn(3, 4, 1)[..., 0], torch.randn(2, 4)
    x = x.requires_grad_() if function is F.linear else torch.randn(3, 4, 5, requires_grad=True)
    with offload(nn.Module(), engine):
        (gradient,) = torch.autograd.grad(function(x, w).square().sum(), x, create_graph=True)
        with pytest.raises(RuntimeError, match="once_differentiable"):
            gradient.sum().backward()


def test_contexts_do_not_nest(engine):
    model = nn.Linear(2, 2)
    with offload(model, engine):
        with pytest.raises(InputError, match="do not nest"), offload(model, engine):
            pass
        # The outer one still works, and can be followed by another.
        model(torch.randn(1, 2))
    with offload(model, engine) as session:
        model(torch.randn(1, 2))
    assert session.statistics.kinds["forward"].gemms == 1


def test_context_ends_with_an_exception(engine):
    model = nn.Linear(2, 2)
    with pytest.raises(ZeroDivisionError), offload(model, engine):
        raise ZeroDivisionError
    with offload(model, engine) as session:
        pass
    model(torch.randn(1, 2))
    assert session.statistics.cycles == 0


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (lambda e: (lambda x: x, e), "model must be a Module, not <function"),
        (lambda e: (nn.Linear(2, 2), "golden"), "engine must be a Engine, not 'golden'"),
        (lambda e: (nn.Linear(2, 2), e, "hybrid"), "recipe must be a Recipe, not 'hybrid'"),
    ],
)
def test_bad_arguments(engine, arguments, sentence):
    with pytest.raises(InputError, match=sentence), offload(*arguments(engine)):
        pass


def eye():
    return torch.eye(2)


def script():
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)

        @torch.jit.script
        def product(x):
            return x @ x

    return product(eye())


LISTED = [
    (lambda: torch.mm(eye(), eye(), out=torch.empty(2, 2)), "torch.mm (arguments of another form)"),
    (lambda: eye().addmm_(eye(), eye()), "torch.Tensor.addmm_"),
    (lambda: eye().double() @ eye().double(), "torch.Tensor.matmul (float64)"),
    (lambda: F.linear(eye().half(), eye().half()), "torch.nn.functional.linear (float16)"),
    (lambda: torch.einsum("ij,jk", eye().int(), eye().int()), "torch.functional.einsum (int32)"),
    (lambda: torch.matmul(eye().to_sparse(), eye()), "torch.matmul (sparse_coo)"),
    (lambda: torch.mm(eye().to("meta"), eye().to("meta")), "torch.mm (on meta)"),
    (lambda: torch.cdist(eye(), eye()), "torch.functional.cdist"),
    (lambda: torch.linalg.inv(eye()), "torch.linalg.inv"),
    (lambda: torch.matrix_power(eye(), 3), "torch.matrix_power"),
    (
        lambda: F.conv_transpose2d(torch.ones(1, 1, 2, 2), torch.ones(1, 1, 2, 2)),
        "torch.nn.functional.conv_transpose2d",
    ),
    (script, "aten.mm"),
]


@pytest.mark.parametrize(("call", "name"), LISTED)
def test_what_stays_in_torch_is_listed_and_warned_of_once(engine, call, name):
    with offload(nn.Module(), engine) as session:
        with pytest.warns(NotOffloadedWarning) as caught:
            result = call()
        with warnings.catch_warnings():
            warnings.simplefilter("error", NotOffloadedWarning)
            call()
    assert session.not_offloaded == {name: 2}
    assert [str(w.message) for w in caught] == [
        f"not offloaded: {name} runs in PyTorch, not on the array"
    ]
    assert f"not offloaded: {name}, called 2 times" in session.report()
    if not result.is_meta:
        assert torch.equal(result, call())


def test_layers_that_stay_in_torch_are_named_with_their_kernels_in_backward(engine):
    model = nn.ModuleDict({"encoder": nn.ModuleDict({"rnn": nn.LSTM(2, 3)})})
    x = torch.randn(4, 1, 2)
    with offload(model, engine) as session, pytest.warns(NotOffloadedWarning):
        model["encoder"]["rnn"](x)[0].sum().backward()
    name, *kernels = session.not_offloaded
    assert name == "torch.lstm (encoder.rnn)"
    assert kernels
    assert all(kernel.startswith("aten.") for kernel in kernels)


def test_watch_can_be_left_out(engine):
    with offload(nn.Module(), engine, watch=False) as session:
        script()
        with pytest.warns(NotOffloadedWarning):
            torch.linalg.inv(eye())
    assert list(session.not_offloaded) == ["torch.linalg.inv"]


def test_errors_are_those_of_torch(engine):
    with pytest.raises(RuntimeError) as wanted:
        torch.ones(2, 3) @ torch.ones(2, 3)
    with offload(nn.Module(), engine) as session, pytest.raises(RuntimeError) as got:
        torch.ones(2, 3) @ torch.ones(2, 3)
    assert str(got.value) == str(wanted.value)
    assert got.value.__context__ is None
    assert session.not_offloaded == {}


def test_report_of_a_clean_session(engine):
    model = nn.Linear(2, 2)
    with offload(model, engine) as session:
        model(torch.randn(1, 2)).sum().backward()
    assert session.report().splitlines() == [
        "2 GEMMs on the golden engine: 1 forward, 0 dgrad, 1 wgrad",
        "nothing that multiplies matrices ran elsewhere",
    ]


def test_import_of_the_project_is_without_torch():
    import subprocess
    import sys

    code = "import sys, cosim; raise SystemExit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_products_in_classes_of_tensors_are_watched_in_elementwise_functions(engine):
    class Sly(torch.Tensor):
        """Multiplies matrices where it should add."""

        @classmethod
        def __torch_function__(cls, func, types, args=(), kwargs=None):
            if getattr(func, "__name__", "") == "add":
                with torch._C.DisableTorchFunction():
                    return torch.mm(*(arg.as_subclass(torch.Tensor) for arg in args))
            return super().__torch_function__(func, types, args, kwargs)

    sly = torch.eye(2).as_subclass(Sly)
    with (
        pytest.warns(NotOffloadedWarning, match="aten.mm"),
        offload(nn.Linear(2, 2), engine) as session,
    ):
        torch.add(sly, sly)
    assert session.not_offloaded == {"aten.mm": 1}
