"""The data sheet of a generated engine, and a template to instantiate it."""

from itertools import pairwise

from hw.registers import RegisterMap
from pysim import ArrayConfig
from pysim.cycles import CONVERSION_CLOCKS, gemm_cycles, tile_clocks
from rtl_gen.register_texts import markdown

_STREAMS = {
    "s_axis_a": "columns of A: a code for each row of the array, row 0 in the lowest byte",
    "s_axis_b": "rows of B: a code for each column of the array",
    "s_axis_c": "rows of C: FP32 for each column",
    "m_axis_d": "rows of the result: 32 bits for each column, the code in the low ones",
    "s_axis_x": "numbers to convert: FP32 in each lane",
    "m_axis_y": "their codes: 32 bits in each lane, the code in the low ones",
}
_OTHERS = {
    "clk": "clock; everything happens at its rising edge",
    "rst": "[reset](#reset), synchronous, active high",
    "irq": "interrupt, a level",
}


def datasheet(config: ArrayConfig, ports: list[dict], registers: RegisterMap) -> str:
    """Return the data sheet as Markdown: geometry, ports, packets, throughput, registers."""
    rows, cols, latency = config.rows, config.cols, config.latency
    hidden = hiding_length(config)
    *_, last = tile_clocks(config, rows, cols, hidden, load_c=False)
    rest = gemm_cycles(config, rows, cols, hidden, load_c=False) - latency * hidden - rows
    lines = [
        f"# FP8 GEMM engine, {rows} x {cols}",
        "",
        f"An array of {rows} x {cols} processing elements, {rows * cols} multiply-accumulates a "
        f"clock, each {latency} clocks long. {cols} lanes of random bits, {config.lfsr_width} bits "
        f"wide, {config.random_bits} bits a draw.",
        "",
        "![Blocks of the engine, and what passes between them](blocks.svg)",
        "",
        "## Ports",
        "",
        "| port | direction | bits | carries |",
        "|---|---|---|---|",
    ]
    for port in ports:
        carries = _OTHERS.get(port["name"], "")
        prefix = next((name for name in _STREAMS if port["name"].startswith(name)), None)
        if prefix and port["name"].endswith("tdata"):
            carries = _STREAMS[prefix]
        elif prefix and port["name"].endswith("tkeep"):
            carries = "which bytes count"
        elif prefix and port["name"].endswith("tlast"):
            carries = f"last of a {'tensor' if prefix[-1] in 'xy' else 'tile'}"
        lines.append(f"| `{port['name']}` | {port['direction']} | {port['width']} | {carries} |")
    lines += [
        "",
        "## Packets",
        "",
        f"A result of M x N is cut into tiles of {rows} x {latency * cols}, row of tiles by row of "
        "tiles, each from left to right; tiles at the lower and right edges are what is left. The "
        f"columns of a tile are cut into up to {latency} slots of {cols}. For each tile there is a "
        "packet on each stream: on A a transfer for each k, on B one for each k and slot, slot "
        "after slot; on D, and on C if it is loaded, one for each slot and row, row after row. "
        "Lanes that a slot does not use may carry anything; `tkeep` of the others must be set. "
        "Numbers are in little-endian order.",
        "",
        f"A tensor of any length is a packet on X, {cols} numbers a transfer. The last one may end "
        "with any lane, as its `tkeep` tells. Its codes are a packet on Y, likewise.",
        "",
        "## Clocks",
        "",
        "![When the streams of a GEMM move](timing.svg)",
        "",
        f"A tile computes for {latency} K clocks. Meanwhile C is loaded for the next one, and the "
        f"results of the one before leave. Without stalls, and with K of at least {hidden}, which "
        "hides that, a GEMM takes",
        "",
        f"    {latency} K ceil(M / {rows}) ceil(N / {latency * cols}) + c + d + {rest}",
        "",
        "clocks from START until its last result is taken. c is the number of rows of C that the "
        f"first tile loads, {rows} for each of its slots, and 0 without C; d that of the results "
        "of the last tile. The first result of the last tile comes "
        f"{last.results.start - last.compute.stop + 1} clocks after the last operands. A tensor "
        f"of n numbers takes ceil(n / {cols}) + {CONVERSION_CLOCKS} in the converter, which works "
        "beside the array.",
        "",
        "## Reset",
        "",
        "`rst` is synchronous and active high; one clock is enough. After it the engine is idle, "
        "no stream offers or takes anything, settings are 0, counters, flags, and errors are "
        "clear, and the lanes start from the seed. A reset may come at any time; it forgets what "
        "is in work, and the only place where it breaks the rules of AXI is an offer that it "
        "takes back. Registers in the data path have no reset: nothing that they hold counts "
        "before it was written.",
        "",
        "## Registers",
        "",
        "Words of 32 bits, little-endian. A write that is refused, and an address without a "
        "register, are answered by SLVERR, and change nothing.",
        "",
        markdown(registers),
    ]
    return "\n".join(lines)


def hiding_length(config: ArrayConfig) -> int:
    """Return the least K with which no tile waits for the one before, though C is loaded."""
    k = 1
    while not _hides(config, k):
        k += 1
    return k


def _hides(config: ArrayConfig, k: int) -> bool:
    shape = (5 * config.rows, config.latency * config.cols, k)
    tiles = list(tile_clocks(config, *shape, load_c=True))
    return all(a.compute.stop == b.compute.start for a, b in pairwise(tiles))


def template(top: str, ports: list[dict]) -> str:
    """Return SystemVerilog that declares a signal for each port, and an instance."""
    lines = []
    for port in ports:
        width = "" if port["width"] == 1 else f"[{port['width'] - 1}:0] "
        lines.append(f"logic {width}{port['name']};")
    connections = ",\n".join(f"    .{port['name']}({port['name']})" for port in ports)
    lines += ["", f"{top} {top}_i (", connections, ");"]
    return "\n".join(lines) + "\n"
