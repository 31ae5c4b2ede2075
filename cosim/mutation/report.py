"""What a campaign says, in a table and in a picture."""

from collections import Counter
from collections.abc import Sequence
from io import BytesIO

from matplotlib.figure import Figure

from cosim.mutation.campaign import EQUIVALENT, FATES, KILLED, SURVIVED, Verdict

KINDS = ("regression", "proof", "exhaust")
"""Kinds of checks that notice mutants, as verdicts name them."""

COLOURS = {KILLED: "#0b6e99", EQUIVALENT: "#b8b8b8", SURVIVED: "#d9730d"}


def summarise(verdicts: Sequence[Verdict]) -> dict:
    """Return counts and scores of mutants, ready for JSON.

    Returns
    -------
    dict
        ``mutants`` and the number of each fate; ``killed_by`` has the killed ones by the kind of
        check that noticed them first; ``score`` is the share of killed mutants among those that are
        not proved equivalent, ``score_of_all`` among all; None without any.
    """
    counts = Counter(verdict.fate for verdict in verdicts)
    kinds = Counter(verdict.by.partition(":")[0] for verdict in verdicts if verdict.fate == KILLED)
    total = len(verdicts)
    faults = total - counts[EQUIVALENT]
    return {
        "mutants": total,
        **{fate: counts[fate] for fate in FATES},
        "killed_by": {kind: kinds[kind] for kind in KINDS},
        "score": counts[KILLED] / faults if faults else None,
        "score_of_all": counts[KILLED] / total if total else None,
    }


def by_module(verdicts: Sequence[Verdict]) -> dict[str, dict]:
    """Return the summary of each module."""
    modules = sorted({verdict.module for verdict in verdicts})
    return {
        module: summarise([verdict for verdict in verdicts if verdict.module == module])
        for module in modules
    }


def killers(verdicts: Sequence[Verdict]) -> dict[str, int]:
    """Return how many mutants each test and each statement noticed first, the most at first."""
    counts = Counter(verdict.by for verdict in verdicts if verdict.fate == KILLED)
    return dict(counts.most_common())


def table(verdicts: Sequence[Verdict]) -> str:
    """Return the summary of modules as Markdown, survivors and why they survive below.

    The columns *by* count killed mutants by what noticed them first.
    """
    kinds = " | ".join(f"by {kind}" for kind in KINDS)
    lines = [
        f"| module | mutants | equivalent | {kinds} | survived | score |",
        "|---" + "|---:" * (len(KINDS) + 4) + "|",
    ]
    rows = {**by_module(verdicts), "**all**": summarise(verdicts)}
    for module, row in rows.items():
        counts = (row["mutants"], row[EQUIVALENT], *row["killed_by"].values(), row[SURVIVED])
        score = "" if row["score"] is None else f"{100 * row['score']:.1f} %"
        lines.append(f"| {module} | {' | '.join(map(str, counts))} | {score} |")
    survivors = [verdict for verdict in verdicts if verdict.fate == SURVIVED]
    if survivors:
        lines += ["", "Survivors:", ""]
        lines += [f"- {v.mutant}: {v.why or 'not explained'}" for v in survivors]
    return "\n".join(lines)


def plot(verdicts: Sequence[Verdict]) -> bytes:
    """Draw the fates of each module's mutants, and what noticed them first.

    Returns
    -------
    bytes
        PNG.
    """
    modules, noticed = by_module(verdicts), killers(verdicts)
    rows = max(len(modules), len(noticed))
    figure = Figure(figsize=(12, 1.2 + 0.3 * rows), layout="constrained")
    left, right = figure.subplots(1, 2)
    names = list(reversed(modules))
    start = [0] * len(names)
    for fate in FATES:
        widths = [modules[name][fate] for name in names]
        left.barh(names, widths, left=start, color=COLOURS[fate], label=fate)
        start = [a + b for a, b in zip(start, widths, strict=True)]
    total = summarise(verdicts)
    score = "" if total["score"] is None else f", {100 * total['score']:.1f} % killed"
    left.set(xlabel="mutants", title=f"{total['mutants']} mutants{score}")
    left.legend(loc="best")
    checks = list(reversed(noticed))
    right.barh(checks, [noticed[check] for check in checks], color=COLOURS[KILLED])
    right.set(xlabel="mutants", title="noticed first by")
    for axes in (left, right):
        axes.grid(axis="x", alpha=0.3)
    png = BytesIO()
    figure.savefig(png, format="png", dpi=80)
    return png.getvalue()
