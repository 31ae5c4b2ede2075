"""Words of lanes that may exceed their width are as good as scalars, which never do."""

import numpy as np

from cosim.vector import compile_netlist, load_models, read_verilog

PROGRAMS = 40
STATEMENTS = 12
SHOWN = 4
WIDTH = 32 * SHOWN


SUMS = "wire [7:0] s = a + b[7:0], d = a - b[7:0], e = b[7:0] - c[7:0];"
DIRECTED = [
    # What is chosen is stored whole.
    "wire [7:0] t = c[0] ? s : d;",
    "wire [7:0] t = s & d;",
    "wire [7:0] u = c[0] ? s : d, t = c[1] ? u : e;",
    # A stage that shifts out zeros only.
    "wire [7:0] t = ~|s[7:4] ? s << 4 : s;",
    "wire [7:0] t = c[1] ? s >> 2 : s;",
    # A count of zeros and its shift.
    "wire [7:0] u = ~|s[7:4] ? s << 4 : s, v = ~|u[7:6] ? u << 2 : u, t = ~v[7] ? v << 1 : v;",
    "wire [15:0] t = {d, s};",
    "wire [11:0] t = {4'd0, s} + {4'd0, d};",
]


def program(rng):
    """Return random statements on words of all widths, each the base of later ones."""
    widths, lines = {"a": 7, "b": 12, "c": 20}, []
    for i in range(STATEMENTS):
        # Words that are read seldom, so that nothing may mind what is above them.
        x, y, z = (str(name) for name in rng.choice(list(widths)[-5:], size=3))
        if widths[y] > widths[x]:
            y = f"{y}[{widths[x] - 1}:0]"
        low = int(rng.integers(widths[x]))
        high = int(rng.integers(low, widths[x]))
        value = int(rng.integers(1 << widths[x]))
        wide = min(30, 2 * widths[x])
        width, text = [
            (widths[x], f"{x} + {y}"),
            (widths[x], f"{x} - {y}"),
            (widths[x] + 1, f"{x} + {y}"),
            (widths[x], f"{y} - {x} * 3"),
            (wide, f"{x} * {y}"),
            (widths[x], f"{x} << {low}"),
            (widths[x], f"{x} << {z}[1:0]"),
            (widths[x], f"{x} >> {z}[1:0]"),
            (widths[x], f"{z}[0] ? {x} : {y}"),
            (widths[x], f"{z}[1] ? {x} : {x} << 1"),
            (widths[x], f"{z}[1] ? {x} : {x} >> 2"),
            (high - low + 1, f"{x}[{high}:{low}]"),
            (wide, f"{{{x}, {y}}}"),
            (widths[x], f"{x} & {value}"),
            (widths[x], f"{x} & {y}"),
            (widths[x], f"{x} ^ {y}"),
            (widths[x], f"~{x}"),
            (2, f"{{{x} < {y}, {x} == {z}}}"),
            (3, f"{{&{x}, |{x}[{high}:{low}], ^{x}}}"),
        ][rng.integers(19)]
        # Slices of two bits and more are taken of any.
        width = max(2, width)
        lines.append(f"wire [{width - 1}:0] t{i} = {text};")
        widths[f"t{i}"] = width
    last = [f"t{i}" for i in range(STATEMENTS - SHOWN, STATEMENTS)]
    cuts = [f"{name}[{int(rng.integers(1, widths[name]))}:0]" for name in last]
    lines += [f"wire [31:0] y{i} = {cut};" for i, cut in enumerate(cuts)]
    return lines, ", ".join(f"y{i}" for i in reversed(range(SHOWN)))


def verilog(programs, count):
    ports = "input clk, input [6:0] a, input [11:0] b, input [19:0] c"
    text = ""
    for number, (lines, result) in enumerate(programs):
        text += f"module unit{number}({ports}, output reg [{WIDTH - 1}:0] y);\n"
        text += "\n".join(lines) + f"\nalways @(posedge clk) y <= {{{result}}};\nendmodule\n"
    # The operands are the same for all programs, and differ from instance to instance.
    text += f"module array(input clk, input [{39 * count - 1}:0] x"
    text += "".join(f", output [{WIDTH * count - 1}:0] y{i}" for i in range(len(programs))) + ");\n"
    for number in range(len(programs)):
        for i in range(count):
            text += (
                f"unit{number} u{number}_{i}(.clk(clk), .a(x[{39 * i} +: 7]), "
                f".b(x[{39 * i + 7} +: 12]), .c(x[{39 * i + 19} +: 20]), "
                f".y(y{number}[{WIDTH * i} +: {WIDTH}]));\n"
            )
    return text + "endmodule\n"


def test_lanes_equal_scalars():
    rng = np.random.default_rng(7)
    programs = [([SUMS, line], "t") for line in DIRECTED]
    programs += [program(rng) for _ in range(PROGRAMS)]
    sources = [
        compile_netlist(read_verilog({"array": verilog(programs, count)}, "array"))
        for count in (4, 3)
    ]
    lanes, scalars = load_models(sources)
    assert len(lanes.source.lanes) == len(programs)
    assert not scalars.source.lanes
    rows = {model: np.zeros((300, model.inputs.words), np.uint64) for model in (lanes, scalars)}
    for i in range(300):
        value = int.from_bytes(rng.bytes(20), "little")
        for model, count in ((lanes, 4), (scalars, 3)):
            model.inputs.write(rows[model][i], "x", value & ((1 << 39 * count) - 1))
    traces = {model: model.run(rows[model]) for model in rows}
    for i in range(1, 300):
        for number in range(len(programs)):
            found, expected = (
                model.trace.read(trace[i], f"y{number}") & ((1 << 3 * WIDTH) - 1)
                for model, trace in traces.items()
            )
            assert found == expected, number
