"""Formal proofs on the Verilog: Yosys reads it, Bitwuzla decides."""

from cosim.proofs.export import write_problems
from cosim.proofs.runner import (
    TIMEOUT,
    Verdict,
    faulty_modules,
    prove,
    select,
    statements,
    statements_for,
)
from cosim.proofs.solver import Outcome
from cosim.proofs.statement import Statement

__all__ = [
    "TIMEOUT",
    "Outcome",
    "Statement",
    "Verdict",
    "faulty_modules",
    "prove",
    "select",
    "statements",
    "statements_for",
    "write_problems",
]
