"""Whether two simulators agree: on every test, every count, and every clock of every port."""

from cosim.regression.runner import Outcome


def disagreements(first: Outcome, second: Outcome) -> list[str]:
    """Say in sentences where two runs of the same tests differ.

    Parameters
    ----------
    first, second : Outcome
        Of one design and seed, under two simulators.
    """
    found = []
    if list(first.tests) != list(second.tests):
        found.append("they ran different tests")
    found += [
        f"{name} {'passed' if passed else 'failed'} under one and not the other"
        for name, passed in first.tests.items()
        if second.tests.get(name, passed) != passed
    ]
    for name, trace in first.traces.items():
        other = second.traces.get(name, trace)
        pairs = enumerate(zip(trace, other, strict=False), start=1)
        parted = next((clock for clock, (x, y) in pairs if x != y), None)
        if parted is not None:
            found.append(f"ports did something else in {name}, from clock {parted} on")
        elif len(trace) != len(other):
            found.append(f"{name} took {len(trace)} clocks and {len(other)}")
    found += [
        f"{question}: {answer} was counted {count} and {second.coverage[question][answer]} times"
        for question, bins in first.coverage.items()
        for answer, count in bins.items()
        if second.coverage.get(question, {}).get(answer, count) != count
    ]
    return found
