"""What every supported word-level cell of Yosys means, as operations of the graph.

The rules of width and sign are those of `kernel/calc.cc` of Yosys: an operand is extended by its
own sign, but `$eq` extends by sign only if both are signed; the second operand of a shift has no
sign but in `$shift` and `$shiftx`. Undefined results are zero.
"""

from collections.abc import Callable

from cosim.vector.graph import Graph
from cosim.vector.signal import Signal, concat, constant, extend, part, width_of

Inputs = dict[str, Signal]
Parameters = dict
Meaning = Callable[[Graph, Parameters, Inputs], Signal]


def _operands(parameters: Parameters, inputs: Inputs, width: int) -> tuple[Signal, Signal]:
    return (
        extend(inputs["A"], width, bool(parameters["A_SIGNED"])),
        extend(inputs["B"], width, bool(parameters["B_SIGNED"])),
    )


def _bitwise(kind: str, *, inverted: bool = False) -> Meaning:
    def meaning(graph: Graph, parameters: Parameters, inputs: Inputs) -> Signal:
        a, b = _operands(parameters, inputs, parameters["Y_WIDTH"])
        result = graph.bitwise(kind, a, b)
        return graph.invert(result) if inverted else result

    return meaning


def _arithmetic(operation: Callable[[Graph, Signal, Signal], Signal]) -> Meaning:
    def meaning(graph: Graph, parameters: Parameters, inputs: Inputs) -> Signal:
        return operation(graph, *_operands(parameters, inputs, parameters["Y_WIDTH"]))

    return meaning


def _unary(operation: Callable[[Graph, Signal], Signal]) -> Meaning:
    def meaning(graph: Graph, parameters: Parameters, inputs: Inputs) -> Signal:
        signed = bool(parameters["A_SIGNED"])
        return operation(graph, extend(inputs["A"], parameters["Y_WIDTH"], signed))

    return meaning


def _reduction(operation: Callable[[Graph, Signal], Signal]) -> Meaning:
    def meaning(graph: Graph, parameters: Parameters, inputs: Inputs) -> Signal:
        return extend(operation(graph, inputs["A"]), parameters["Y_WIDTH"], False)

    return meaning


def _logic(operation: Callable[[Graph, Signal, Signal], Signal]) -> Meaning:
    def meaning(graph: Graph, parameters: Parameters, inputs: Inputs) -> Signal:
        truths = graph.any(inputs["A"]), graph.any(inputs["B"])
        return extend(operation(graph, *truths), parameters["Y_WIDTH"], False)

    return meaning


def _comparison(*, swapped: bool, inverted: bool) -> Meaning:
    def meaning(graph: Graph, parameters: Parameters, inputs: Inputs) -> Signal:
        width = max(width_of(inputs["A"]), width_of(inputs["B"]))
        if parameters["A_SIGNED"] or parameters["B_SIGNED"]:
            # With the sign bit inverted, signed numbers order like unsigned ones.
            width += parameters["A_SIGNED"] != parameters["B_SIGNED"]
            a, b = (
                concat(part(x, 0, width - 1), graph.invert(part(x, width - 1, 1)))
                for x in _operands(parameters, inputs, width)
            )
        else:
            a, b = _operands(parameters, inputs, width)
        result = graph.less(b, a) if swapped else graph.less(a, b)
        result = graph.invert(result) if inverted else result
        return extend(result, parameters["Y_WIDTH"], False)

    return meaning


def _equality(*, inverted: bool) -> Meaning:
    def meaning(graph: Graph, parameters: Parameters, inputs: Inputs) -> Signal:
        width = max(width_of(inputs["A"]), width_of(inputs["B"]))
        signed = bool(parameters["A_SIGNED"] and parameters["B_SIGNED"])
        a, b = (extend(inputs[port], width, signed) for port in "AB")
        result = graph.equal(a, b)
        result = graph.invert(result) if inverted else result
        return extend(result, parameters["Y_WIDTH"], False)

    return meaning


def _shift(kind: str) -> Meaning:
    def meaning(graph: Graph, parameters: Parameters, inputs: Inputs) -> Signal:
        a, width = inputs["A"], parameters["Y_WIDTH"]
        wide = extend(a, max(width, width_of(a)), bool(parameters["A_SIGNED"]))
        return part(graph.shift(kind, wide, inputs["B"], constant(0, 1)), 0, width)

    return meaning


def _arithmetic_shift_right(graph: Graph, parameters: Parameters, inputs: Inputs) -> Signal:
    a, width = inputs["A"], parameters["Y_WIDTH"]
    signed = bool(parameters["A_SIGNED"])
    wide = extend(a, max(width, width_of(a)), signed)
    fill = part(wide, width_of(wide) - 1, 1) if signed else constant(0, 1)
    return part(graph.shift("shr", wide, inputs["B"], fill), 0, width)


def _shift_both_ways(*, extends: bool) -> Meaning:
    def meaning(graph: Graph, parameters: Parameters, inputs: Inputs) -> Signal:
        a, b, width = inputs["A"], inputs["B"], parameters["Y_WIDTH"]
        signed = extends and bool(parameters["A_SIGNED"])
        wide = extend(a, max(width, width_of(a)), signed)
        zero = constant(0, 1)
        right = part(graph.shift("shr", wide, b, zero), 0, width)
        if not parameters["B_SIGNED"]:
            return right
        # One bit more, so that the least negative amount has a negative.
        distance = graph.subtract(constant(0, width_of(b) + 1), extend(b, width_of(b) + 1, True))
        left = part(graph.shift("shl", wide, distance, zero), 0, width)
        return graph.mux(part(b, width_of(b) - 1, 1), right, left)

    return meaning


def _mux(graph: Graph, parameters: Parameters, inputs: Inputs) -> Signal:
    return graph.mux(inputs["S"], inputs["A"], inputs["B"])


def _priority_mux(graph: Graph, parameters: Parameters, inputs: Inputs) -> Signal:
    width = parameters["WIDTH"]
    result = inputs["A"]
    for i in reversed(range(parameters["S_WIDTH"])):
        choice = part(inputs["B"], i * width, width)
        result = graph.mux(part(inputs["S"], i, 1), result, choice)
    return result


def _binary_mux(graph: Graph, parameters: Parameters, inputs: Inputs) -> Signal:
    width, words = parameters["WIDTH"], inputs["A"]
    for i in range(parameters["S_WIDTH"]):
        select = part(inputs["S"], i, 1)
        pairs = range(0, width_of(words), 2 * width)
        words = concat(
            *(
                graph.mux(select, part(words, low, width), part(words, low + width, width))
                for low in pairs
            )
        )
    return words


def _demux(graph: Graph, parameters: Parameters, inputs: Inputs) -> Signal:
    words = inputs["A"]
    for i in range(parameters["S_WIDTH"]):
        select, zeros = part(inputs["S"], i, 1), constant(0, width_of(words))
        words = concat(graph.mux(select, words, zeros), graph.mux(select, zeros, words))
    return words


def _bitwise_mux(graph: Graph, parameters: Parameters, inputs: Inputs) -> Signal:
    a, b, select = inputs["A"], inputs["B"], inputs["S"]
    kept = graph.bitwise("and", a, graph.invert(select))
    return graph.bitwise("or", kept, graph.bitwise("and", b, select))


def _negate(graph: Graph, a: Signal) -> Signal:
    return graph.subtract(constant(0, width_of(a)), a)


def _either(graph: Graph, a: Signal, b: Signal) -> Signal:
    return graph.bitwise("or", a, b)


def _both(graph: Graph, a: Signal, b: Signal) -> Signal:
    return graph.bitwise("and", a, b)


def _odd(inverted: bool) -> Callable[[Graph, Signal], Signal]:
    return lambda graph, a: graph.invert(graph.parity(a)) if inverted else graph.parity(a)


MEANINGS: dict[str, Meaning] = {
    "$not": _unary(Graph.invert),
    "$pos": _unary(lambda graph, a: a),
    "$buf": lambda graph, parameters, inputs: inputs["A"],
    "$neg": _unary(_negate),
    "$and": _bitwise("and"),
    "$or": _bitwise("or"),
    "$xor": _bitwise("xor"),
    "$xnor": _bitwise("xor", inverted=True),
    "$add": _arithmetic(Graph.add),
    "$sub": _arithmetic(Graph.subtract),
    "$mul": _arithmetic(Graph.multiply),
    "$reduce_and": _reduction(Graph.all),
    "$reduce_or": _reduction(Graph.any),
    "$reduce_bool": _reduction(Graph.any),
    "$reduce_xor": _reduction(_odd(False)),
    "$reduce_xnor": _reduction(_odd(True)),
    "$logic_not": _reduction(lambda graph, a: graph.invert(graph.any(a))),
    "$logic_and": _logic(_both),
    "$logic_or": _logic(_either),
    "$lt": _comparison(swapped=False, inverted=False),
    "$ge": _comparison(swapped=False, inverted=True),
    "$gt": _comparison(swapped=True, inverted=False),
    "$le": _comparison(swapped=True, inverted=True),
    "$eq": _equality(inverted=False),
    "$eqx": _equality(inverted=False),
    "$ne": _equality(inverted=True),
    "$nex": _equality(inverted=True),
    "$shl": _shift("shl"),
    "$sshl": _shift("shl"),
    "$shr": _shift("shr"),
    "$sshr": _arithmetic_shift_right,
    "$shift": _shift_both_ways(extends=True),
    "$shiftx": _shift_both_ways(extends=False),
    "$mux": _mux,
    "$pmux": _priority_mux,
    "$bmux": _binary_mux,
    "$demux": _demux,
    "$bwmux": _bitwise_mux,
}
"""Combinational cells by type; each has one output, `Y`."""


def register_next(
    graph: Graph, kind: str, parameters: Parameters, inputs: Inputs, state: Signal
) -> Signal:
    """Return what a register takes at the clock, for each type in `REGISTERS`."""
    data = inputs["D"]

    def active(port: str) -> Signal:
        high = parameters.get(f"{port}_POLARITY", 1)
        return inputs[port] if high else graph.invert(inputs[port])

    def reset(port: str, otherwise: Signal) -> Signal:
        value = constant(parameters[f"{port}_VALUE"], width_of(data))
        return graph.mux(active(port), otherwise, value)

    if kind == "$sdffce":
        return graph.mux(active("EN"), state, reset("SRST", data))
    if "EN" in inputs:
        data = graph.mux(active("EN"), state, data)
    if "SRST" in inputs:
        data = reset("SRST", data)
    if "ARST" in inputs:
        data = reset("ARST", data)
    return data


def register_output(graph: Graph, parameters: Parameters, inputs: Inputs, state: Signal) -> Signal:
    """Return what a register shows: an asynchronous reset shows before the clock."""
    if "ARST" not in inputs:
        return state
    high = parameters["ARST_POLARITY"]
    active = inputs["ARST"] if high else graph.invert(inputs["ARST"])
    return graph.mux(active, state, constant(parameters["ARST_VALUE"], width_of(state)))


REGISTERS = ("$dff", "$dffe", "$sdff", "$sdffe", "$sdffce", "$adff", "$adffe")
"""Types of registers."""
