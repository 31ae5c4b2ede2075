"""Registers around a module, so that the time from its inputs and to its outputs is measured.

A module inside a chip is not wired to pads, and has more ports than a package has pins. Here its
inputs are a shift register that one pad feeds, and its outputs go to registers, which fold them to
one bit for another pad. The paths of the harness itself are a register to its neighbour, with one
LUT at most. (nextpnr can also leave out the pads, by `--out-of-context`. Then it does not route
the clock on the global net, and paths from and to ports are not timed at all.)
"""

from collections.abc import Mapping

HARNESS = "harness"
INSTANCE = "dut"
CLOCK = "clk"


def harness(module: str, inputs: Mapping[str, int], outputs: Mapping[str, int]) -> str:
    """Return the Verilog of a harness.

    Parameters
    ----------
    module : str
    inputs, outputs : mapping of str to int
        Widths of ports; `CLOCK` among the inputs is the clock.
    """
    connections = []
    widths = {}
    for register, ports in (("stimulus", inputs), ("response", outputs)):
        place = 0
        for name, width in ports.items():
            if name == CLOCK:
                connections.append(f".{name}({CLOCK})")
                continue
            wire = "stimulus" if register == "stimulus" else "leaving"
            connections.append(f".{name}({wire}[{place + width - 1}:{place}])")
            place += width
        widths[register] = place
    entering, leaving = widths["stimulus"], widths["response"]
    joined = ",\n    ".join(connections)
    return f"""module {HARNESS}(input {CLOCK}, input scan_in, output scan_out);
  reg [{entering - 1}:0] stimulus;
  reg [{leaving - 1}:0] response, folded;
  wire [{leaving - 1}:0] leaving;
  always @(posedge {CLOCK}) begin
    stimulus <= {{stimulus, scan_in}};
    response <= leaving;
    folded <= (folded << 1) ^ response;
  end
  assign scan_out = folded[{leaving - 1}];
  {module} {INSTANCE} (
    {joined}
  );
endmodule
"""
