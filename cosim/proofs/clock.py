"""The clock: what every other statement takes for granted."""

from cosim.proofs.netlist import Netlist, children
from cosim.proofs.problem import Facts
from cosim.proofs.statement import Statement, View
from rtl_gen import Design


def statements(design: Design) -> list[Statement]:
    """Return a statement about each module of a design."""
    return [
        Statement(
            f"clock/{module}",
            module,
            "every register, and every module in it, takes the rising edge of clk",
            (View(module, tuple(children(design, module))),),
            lambda netlist: {"": _clocked(netlist)},
        )
        for module in sorted(design.modules)
    ]


def _clocked(netlist: Netlist) -> Facts:
    return Facts({f"{name} takes the clock": False for name in netlist.unclocked})
