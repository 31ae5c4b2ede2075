"""Importing this module registers every command."""

from cosim.cli import (  # noqa: F401
    ablate,
    bench,
    compare,
    demo,
    exhaust,
    generate,
    lockstep,
    mutate,
    paper,
    prove,
    regress,
    replay,
    synth,
    train,
)
