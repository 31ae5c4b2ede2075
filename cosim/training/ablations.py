"""The ablations of the paper, in small: one thing of a recipe changed at a time."""

from dataclasses import dataclass

from pysim import InputError


@dataclass(frozen=True)
class Ablation:
    """Recipes that differ in one thing, and a model that shows what it matters for.

    Attributes
    ----------
    name, title : str
    model : str
        Name of a task.
    recipes : dict of str to str
        What each variant is called, and the name of its recipe.
    curves : tuple of str
        What is drawn over the steps, as of `cosim.training.ablation_plots.plot_ablation`.
    """

    name: str
    title: str
    model: str
    recipes: dict[str, str]
    curves: tuple[str, ...]


PAPER = "mellempudi2019"

ABLATIONS = {
    ablation.name: ablation
    for ablation in (
        Ablation(
            name="rounding",
            title="Stochastic rounding against nearest-even",
            model="resnet10",
            recipes={
                "stochastic": PAPER,
                "activations nearest": f"{PAPER}-rne-activations",
                "all nearest": f"{PAPER}-nearest",
            },
            curves=("squared weights", "score"),
        ),
        Ablation(
            name="loss-scale",
            title="Static loss scales",
            model="resnet10",
            recipes={
                "10,000": PAPER,
                "1,000": f"{PAPER}-loss-scale-1000",
                "10": f"{PAPER}-loss-scale-10",
                "1": f"{PAPER}-loss-scale-1",
            },
            curves=("underflow of errors", "underflow of gradients"),
        ),
        Ablation(
            name="scaling",
            title="Dynamic against enhanced loss scale",
            model="gnmt",
            recipes={
                "enhanced": f"{PAPER}-enhanced",
                "dynamic": f"{PAPER}-dynamic",
                "dynamic from 8": f"{PAPER}-dynamic-from-8",
            },
            curves=("loss scale", "underflow of errors"),
        ),
        Ablation(
            name="masters",
            title="Master weights",
            model="resnet10",
            recipes={
                "FP16": PAPER,
                "FP16 stochastic": f"{PAPER}-stochastic-masters",
                "FP32": f"{PAPER}-fp32-masters",
            },
            curves=("squared weights", "score"),
        ),
        Ablation(
            name="random-bits",
            title="Random bits of a draw",
            model="resnet10",
            recipes={
                **{str(bits): f"{PAPER}-{bits}-bits" for bits in (2, 3, 4, 8)},
                "16": PAPER,
            },
            curves=("squared weights", "score"),
        ),
    )
}


def get_ablation(name: str) -> Ablation:
    """Return an ablation by name; InputError lists them."""
    if name not in ABLATIONS:
        raise InputError(f"unknown ablation {name!r}: allowed are {', '.join(ABLATIONS)}")
    return ABLATIONS[name]
