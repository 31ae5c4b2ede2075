"""The top of the engine: AXI4-Stream in and out, faults, the end of a call, counters, interrupt.

The array is left open: its outputs may be anything, but for what `cosim.proofs.schedule` and
`cosim.proofs.overlap` prove of it, which is supposed here. So are the streaming converter, and
registers and sequencer where nothing depends on what they do.
"""

from cosim.proofs import overlap, registers, sequencer, smt, stream_converter
from cosim.proofs.induction import Clock, Count, Run
from cosim.proofs.layout import Command
from cosim.proofs.netlist import Netlist, Trace
from cosim.proofs.problem import Problem, Shown
from cosim.proofs.statement import Statement, View
from cosim.proofs.wires import same_wires
from hw.engine_registers import COUNTER_BITS, engine_registers
from hw.registers import Register
from pysim import ArrayConfig
from rtl_gen import Design

LARGEST = 16_777_215
TARGETS, ROUNDINGS = 5, 3
STREAMS = {"a": 1, "b": 1, "c": 4}
"""Streams in of a call, and bytes of a lane; that of C is not there without C."""

NUMBER_BYTES = 4
TILE_BITS = 4


def statements(design: Design) -> list[Statement]:
    """Return the statements about the top of an engine."""
    top, config = design.manifest["top"], design.config
    spec = _Top(config, design.manifest["command_fields"])
    others = (registers.MODULE, sequencer.module(config))
    alone = View(top, (overlap.MODULE, stream_converter.MODULE, *others))

    def in_one_clock(problem):
        return lambda netlist: {"": problem(netlist)}

    def in_runs(run):
        return lambda netlist: {"": run(netlist).induction()}

    stated = (
        (
            "wiring",
            alone,
            in_one_clock(spec.wiring),
            "streams reach the array, settings and tiles their users, and a failure or CLEAR "
            "resets the array and takes back the tiles that are left",
        ),
        (
            "starts",
            alone,
            in_one_clock(spec.starts),
            "START begins a call if its settings are sound, and else does nothing but raise SIZE "
            "or MODE",
        ),
        (
            "settings",
            View(top, (overlap.MODULE, stream_converter.MODULE)),
            in_runs(spec.settings),
            "a tile is only left while the engine is busy; sizes are allowed then, and stay as "
            "they are, and modes, of a call and of a packet of X, until the last result is taken",
        ),
        (
            "offered",
            alone,
            in_one_clock(spec.offered),
            "a result that is offered stays, bit for bit, until it is taken, except in reset",
        ),
        (
            "rows",
            alone,
            in_one_clock(spec.rows),
            "a row that the array gives is offered from the next clock on, with its bytes kept and "
            "its end of packet, and once: none is lost or doubled under any back-pressure",
        ),
        (
            "packets",
            alone,
            in_one_clock(spec.packets),
            "a packet that ends early or late, or lacks a lane that counts, raises its error and "
            "fails the call, and so does STOP; nothing else does, and only CLEAR ends that",
        ),
        (
            "failed",
            alone,
            in_one_clock(spec.failed),
            "after a failure or CLEAR nothing is offered that was not before; while failed, "
            "whatever comes in is taken, and no flag is raised",
        ),
        (
            "ends",
            View(top, (overlap.MODULE, stream_converter.MODULE, registers.MODULE)),
            in_runs(spec.ends),
            "a call is busy from its start until the last result of its last tile has been taken, "
            "which sets DONE, or until it fails or is cleared; each packet of D belongs to a tile",
        ),
        (
            "counters",
            alone,
            in_one_clock(spec.counters),
            "each counter counts its clocks from START on, while the engine is busy, and keeps its "
            "value then",
        ),
        (
            "interrupt",
            alone,
            in_one_clock(spec.interrupt),
            "the interrupt is high while a cause is set that is enabled, and only then",
        ),
        (
            "lanes",
            alone,
            in_one_clock(spec.lanes),
            "the lane that LANE names is read, and loaded with both words at once; so is that of "
            "X_LANE",
        ),
        (
            "converter",
            alone,
            in_one_clock(spec.converter),
            "the converter has the streams X and Y, its mode, and CLEAR; what it tells reaches its "
            "bits, its flags unless it has failed; X_CYCLES counts its clocks, its first included",
        ),
    )
    return [
        Statement(f"engine/{name}", top, says, (view,), problems)
        for name, view, problems, says in stated
    ]


class _Top:
    """What the ports of the top and of its children do."""

    def __init__(self, config: ArrayConfig, fields: dict) -> None:
        self.config, self.fields = config, fields
        self.map = engine_registers(config)
        self.streams = [stream for stream in STREAMS if stream != "c" or config.load_c]

    # Terms

    def _lanes_of(self, stream: str) -> int:
        return self.config.rows if stream == "a" else self.config.cols

    def _wrong(self, clock: Clock, stream: str) -> str:
        """Whether a stream carries something now that its packet must not have there."""
        port, lane_bytes = f"s_axis_{stream}", STREAMS[stream]
        used, keep = clock.vector(f"array.{stream}_used"), clock.vector(f"{port}_tkeep")
        lacks = smt.disjunction(
            smt.conjunction(
                [
                    smt.bit(used, lane),
                    smt.negation(
                        smt.equal(
                            smt.bits(keep, lane * lane_bytes, lane_bytes),
                            smt.const(-1, lane_bytes),
                        )
                    ),
                ]
            )
            for lane in range(self._lanes_of(stream))
        )
        ends = smt.equal(clock.wire(f"{port}_tlast"), clock.wire(f"array.{stream}_last"))
        return smt.conjunction(
            [
                clock.wire(f"{port}_tvalid"),
                clock.wire(f"array.{stream}_ready"),
                smt.negation(_failed(clock)),
                smt.disjunction([smt.negation(ends), lacks]),
            ]
        )

    def _fails(self, clock: Clock) -> str:
        """Whether a call fails in this clock."""
        stopped = smt.conjunction([clock.wire("registers.stop_stop"), _busy(clock)])
        return smt.disjunction([stopped, *(self._wrong(clock, stream) for stream in self.streams)])

    def _sound(self, clock: Clock) -> tuple[str, str]:
        """Whether sizes, and mode, of a call are allowed."""
        sizes = smt.conjunction(
            smt.conjunction([f"(bvuge {size} {smt.const(1, 32)})", f"(bvule {size} {limit})"])
            for limit in [smt.const(LARGEST, 32)]
            for size in (clock.wire(f"registers.size_{side}_size") for side in sequencer.SIZES)
        )
        target, rounding, scale = (
            clock.wire(f"registers.mode_{name}") for name in ("target", "rounding", "scale")
        )
        mode = smt.conjunction(
            [
                f"(bvult {target} {smt.const(TARGETS, 3)})",
                f"(bvult {rounding} {smt.const(ROUNDINGS, 2)})",
                smt.implies(smt.equal(target, smt.const(0, 3)), smt.equal(scale, smt.const(0, 8))),
                *(
                    smt.negation(smt.equal(clock.vector(f"registers.mode_{side}_format"), code))
                    for code, fmt in (("#b0", "e5m2"), ("#b1", "e4m3"))
                    if fmt not in self.config.operand_formats
                    for side in "ab"
                ),
                "true" if self.config.load_c else smt.negation(clock.wire("registers.mode_load_c")),
            ]
        )
        return sizes, mode

    def _starts(self, clock: Clock) -> str:
        return smt.conjunction([clock.wire("registers.start_start"), *self._sound(clock)])

    def _mode(self, clock: Clock, name: str) -> str:
        """The mode of conversions that a register holds."""
        fields = ("scale", "saturate", "rounding", "target")
        return smt.concat(*(clock.vector(f"registers.{name}_{field}") for field in fields))

    def _counter(self, clock: Clock, name: str) -> str:
        return smt.concat(
            *(clock.wire(f"registers.{name}_{half}_count") for half in ("high", "low"))
        )

    # Problems

    def wiring(self, netlist: Netlist) -> Problem:
        """Return the problem of what is only passed on."""
        now = _begin(netlist)
        pairs = {
            name: (now.vector(f"registers.bus_{name}"), now.vector(f"s_axil_{name}"))
            for name in _bus()
        }
        for stream in self.streams:
            port = f"s_axis_{stream}"
            ready = smt.disjunction([_failed(now), now.wire(f"array.{stream}_ready")])
            pairs |= {
                f"data of {stream}": (
                    now.wire(f"array.{stream}_payload"),
                    now.wire(f"{port}_tdata"),
                ),
                f"valid of {stream}": (
                    now.wire(f"array.{stream}_valid"),
                    now.wire(f"{port}_tvalid"),
                ),
                f"ready of {stream}": (now.wire(f"{port}_tready"), ready),
            }
        for wire in ("payload", "valid", "ready"):
            pairs[f"{wire} of tiles"] = (
                now.wire(f"array.commands_{wire}"),
                now.wire(f"sequencer.commands_{wire}"),
            )
        call = Command(now.wire("sequencer.call"), self.fields)
        for name in self.fields:
            if name not in ("rows", "cols", "length"):
                pairs[f"{name} of the call"] = (
                    call.field(name),
                    now.vector(f"registers.mode_{name}"),
                )
        for side in sequencer.SIZES:
            pairs[f"size {side}"] = (
                now.wire(f"sequencer.{side}"),
                smt.bits(now.wire(f"registers.size_{side}_size"), 0, 24),
            )
        reset = now.wire("rst")
        ended = smt.disjunction([_clear(now), self._fails(now)])
        pairs |= {
            "reset of registers": (now.wire("registers.rst"), reset),
            "reset of the sequencer": (now.wire("sequencer.rst"), reset),
            "reset of the array": (
                now.wire("array.rst"),
                smt.disjunction([reset, _failed(now), _clear(now)]),
            ),
            "tiles that are taken back": (now.wire("sequencer.clear"), ended),
            "bits that are cleared": (now.wire("registers.clear"), _clear(now)),
            "mode of the array": (now.wire("array.mode"), self._mode(now, "mode")),
            "lock": (
                now.wire("registers.lock_call"),
                smt.disjunction([_busy(now), _failed(now)]),
            ),
            "error LOCKED": (
                now.wire("registers.errors_locked_set"),
                now.wire("registers.refused"),
            ),
        }
        return same_wires(now.trace, pairs)

    def starts(self, netlist: Netlist) -> Problem:
        """Return the problem of START."""
        now = _begin(netlist)
        start = now.wire("registers.start_start")
        sizes, mode = self._sound(now)
        pairs = {
            "start of the tiles": (now.wire("sequencer.start"), self._starts(now)),
            **{
                f"error {name}": (
                    now.wire(f"registers.errors_{name}_set"),
                    smt.conjunction([start, smt.negation(sound)]),
                )
                for name, sound in (("size", sizes), ("mode", mode))
            },
        }
        return same_wires(now.trace, pairs)

    def offered(self, netlist: Netlist) -> Problem:
        """Return the problem of the rule of AXI4-Stream for who sends."""
        now = _begin(netlist)
        waits = [smt.assume(_waits(now)), smt.assume(smt.negation(now.wire("rst")))]
        pairs = {
            name: (now.later.wire(f"m_axis_d_{name}"), now.wire(f"m_axis_d_{name}"))
            for name in ("tvalid", "tdata", "tkeep", "tlast")
        }
        return same_wires(now.trace, pairs, waits)

    def rows(self, netlist: Netlist) -> Problem:
        """Return the problem of what is offered."""
        now = _begin(netlist)
        given, waits, cols = now.wire("array.d_valid"), _waits(now), self.config.cols
        ends = smt.disjunction([_failed(now), self._fails(now), _clear(now)])
        taken = smt.conjunction([given, smt.negation(waits), smt.negation(ends)])
        row = now.wire("array.d_payload")
        keep = smt.concat(
            *(
                smt.concat(*[smt.bits(row, 32 * cols + lane, 1)] * NUMBER_BYTES)
                for lane in reversed(range(cols))
            )
        )
        quiet = smt.negation(now.wire("rst"))
        later = now.later
        goals = {
            "a row is taken from the array where there is room": smt.equal(
                now.wire("array.d_ready"), smt.negation(waits)
            ),
            "what was taken is offered, and nothing else": smt.equal(
                later.wire("m_axis_d_tvalid"),
                smt.conjunction([quiet, smt.disjunction([taken, waits])]),
            ),
            **{
                f"{name} of what was taken": smt.implies(
                    smt.conjunction([taken, quiet]),
                    smt.equal(later.vector(f"m_axis_d_{name}"), expected),
                )
                for name, expected in (
                    ("tdata", smt.bits(row, 0, 32 * cols)),
                    ("tkeep", keep),
                    ("tlast", smt.bits(row, 33 * cols, 1)),
                )
            },
        }
        return _problem(now, goals)

    def packets(self, netlist: Netlist) -> Problem:
        """Return the problem of what makes a call fail."""
        now = _begin(netlist)
        failed = smt.disjunction([_failed(now), self._fails(now)])
        ends = smt.disjunction([now.wire("rst"), _clear(now)])
        goals = {
            **{
                f"error of {stream}": smt.equal(
                    now.wire(f"registers.errors_{stream}_packet_set"),
                    self._wrong(now, stream),
                )
                for stream in self.streams
            },
            "when a call has failed": smt.equal(
                _failed(now.later), smt.conjunction([failed, smt.negation(ends)])
            ),
        }
        return _problem(now, goals)

    def failed(self, netlist: Netlist) -> Problem:
        """Return the problem of what happens after a failure, or CLEAR."""
        now = _begin(netlist)
        ended = smt.disjunction([_failed(now), self._fails(now), _clear(now)])
        quiet = smt.conjunction(
            smt.negation(now.wire(f"registers.flags_{name}_set")) for name in FLAGS
        )
        goals = {
            "nothing is offered that was not before": smt.implies(
                smt.conjunction([ended, now.later.wire("m_axis_d_tvalid")]), _waits(now)
            ),
            **{
                f"{stream} is taken": smt.implies(_failed(now), now.wire(f"s_axis_{stream}_tready"))
                for stream in self.streams
            },
            "no flag is raised": smt.implies(_failed(now), quiet),
            **{
                f"flag {name}": smt.implies(
                    smt.negation(_failed(now)),
                    smt.equal(
                        now.vector(f"registers.flags_{name}_set"),
                        smt.bits(now.wire("array.flags"), i, 1),
                    ),
                )
                for i, name in enumerate(FLAGS)
            },
        }
        return _problem(now, goals)

    def counters(self, netlist: Netlist) -> Problem:
        """Return the problem of the counters."""
        now = _begin(netlist)
        operands, busy = now.wire("array.operands"), _busy(now)

        def wide(term: str, width: int) -> str:
            return smt.extend(term, width, COUNTER_BITS)

        def once(*terms: str) -> str:
            return wide(smt.as_bit(smt.conjunction([busy, *terms])), 1)

        side_bits = netlist.widths["array.step_rows"]
        rows, cols = (
            smt.extend(now.wire(f"array.step_{s}"), side_bits, 2 * side_bits)
            for s in ("rows", "cols")
        )
        # Multiply-accumulates are counted a clock later.
        none = smt.disjunction([now.wire("rst"), _clear(now), smt.negation(busy)])
        products = smt.choose(
            smt.conjunction([operands, smt.negation(none)]),
            f"(bvmul {rows} {cols})",
            smt.const(0, 2 * side_bits),
        )
        steps = {
            "cycles": once(),
            "computing": once(operands),
            "starved": once(now.wire("array.starved")),
            "blocked": once(_waits(now)),
            "macs": wide(now.wire("products"), 2 * side_bits),
        }
        begins = smt.disjunction([now.wire("rst"), self._starts(now), _clear(now)])
        pairs = {
            name: (
                self._counter(now.later, name),
                smt.choose(
                    begins,
                    smt.const(0, COUNTER_BITS),
                    f"(bvadd {self._counter(now, name)} {step})",
                ),
            )
            for name, step in steps.items()
        }
        return same_wires(now.trace, {**pairs, "products": (now.later.wire("products"), products)})

    def interrupt(self, netlist: Netlist) -> Problem:
        """Return the problem of the interrupt."""
        now = _begin(netlist)
        errors = smt.disjunction(
            now.wire(f"registers.errors_{field.name}") for field in self._register("errors").fields
        )
        causes = {name: now.wire(f"registers.status_{name}") for name in ("done", "x_done")}
        causes["error"] = errors
        expected = smt.disjunction(
            smt.conjunction([cause, now.wire(f"registers.interrupts_{name}")])
            for name, cause in causes.items()
        )
        return same_wires(now.trace, {"the interrupt": (now.wire("irq"), expected)})

    def lanes(self, netlist: Netlist) -> Problem:
        """Return the problem of reading and loading the lanes of random bits."""
        now = _begin(netlist)
        pairs = self._lanes(now, "lane", "array") | self._lanes(now, "x_lane", "converter")
        return same_wires(now.trace, pairs)

    def _lanes(self, now: Clock, name: str, owner: str) -> dict[str, tuple[str, str]]:
        index, width = now.wire(f"registers.{name}_index"), self.config.lfsr_width
        index_bits, lane_bits = (
            now.trace.netlist.widths[wire]
            for wire in (f"registers.{name}_index", f"{owner}.lfsr_lane")
        )
        there = f"(bvult {index} {smt.const(self.config.cols, index_bits)})"
        if 1 << index_bits == self.config.cols:
            there = "true"
        written = {
            half: now.wire(f"registers.{name}_{half}_state_written") for half in ("low", "high")
        }
        waiting = f"{name}_low"
        low = smt.choose(
            now.wire(f"registers.{name}_low_state_write"), written["low"], now.wire(waiting)
        )
        low = smt.choose(now.wire("rst"), smt.const(0, 32), low)
        state = smt.choose(there, now.wire(f"{owner}.lfsr_state"), smt.const(0, width))
        state = smt.extend(state, width, 64)
        return {
            f"the lane of the {owner}": (
                now.vector(f"{owner}.lfsr_lane"),
                smt.bits(index, 0, lane_bits),
            ),
            f"the low word that waits for the {owner}": (now.later.wire(waiting), low),
            f"when the {owner} loads": (
                now.wire(f"{owner}.lfsr_load"),
                smt.conjunction([now.wire(f"registers.{name}_high_state_write"), there]),
            ),
            f"what the {owner} loads": (
                now.wire(f"{owner}.lfsr_load_state"),
                smt.bits(smt.concat(written["high"], now.wire(waiting)), 0, width),
            ),
            f"the low word of the {owner}": (
                now.wire(f"registers.{name}_low_state"),
                smt.bits(state, 0, 32),
            ),
            f"the high word of the {owner}": (
                now.wire(f"registers.{name}_high_state"),
                smt.bits(state, 32, 32),
            ),
        }

    def converter(self, netlist: Netlist) -> Problem:
        """Return the problem of what the streaming converter is connected to."""
        now = _begin(netlist)
        busy, failed, starts = (
            now.wire(f"converter.{name}") for name in ("busy", "failed", "starts")
        )
        pairs = {
            f"{wire} of {port}": (now.vector(f"converter.{port}_{wire}"), now.vector(outside))
            for port, outside_port in (("x", "s_axis_x"), ("y", "m_axis_y"))
            for wire in ("tdata", "tkeep", "tlast", "tvalid", "tready")
            for outside in [f"{outside_port}_{wire}"]
        }
        pairs |= {
            f"{name} of the registers": (now.wire(f"registers.{name}"), now.wire(f"converter.{of}"))
            for name, of in (
                ("status_x_busy", "busy"),
                ("status_x_failed", "failed"),
                ("status_x_done_set", "ends"),
                ("errors_x_packet_set", "wrong_packet"),
                ("errors_x_mode_set", "wrong_mode"),
            )
        }
        for i, name in enumerate(FLAGS):
            if name != "invalid":
                raised = smt.conjunction(
                    [smt.bit(now.wire("converter.flags"), i), smt.negation(failed)]
                )
                pairs[f"flag {name}"] = (now.wire(f"registers.x_flags_{name}_set"), raised)
        steps = smt.extend(smt.as_bit(smt.disjunction([busy, starts])), 1, COUNTER_BITS)
        begin = smt.choose(starts, smt.const(0, COUNTER_BITS), self._counter(now, "x_cycles"))
        ended = smt.disjunction([now.wire("rst"), _clear(now)])
        pairs |= {
            "mode": (now.wire("converter.mode"), self._mode(now, "x_mode")),
            "clear": (now.wire("converter.clear"), _clear(now)),
            "reset": (now.wire("converter.rst"), now.wire("rst")),
            "lock": (now.wire("registers.lock_packet"), smt.disjunction([busy, failed, starts])),
            "clocks": (
                self._counter(now.later, "x_cycles"),
                smt.choose(ended, smt.const(0, COUNTER_BITS), f"(bvadd {begin} {steps})"),
            ),
        }
        return same_wires(now.trace, pairs)

    # Runs

    def settings(self, netlist: Netlist) -> Run:
        """Return what is stated of settings while tiles are left."""

        def allowed(clock: Clock) -> dict[str, str]:
            left = clock.wire("sequencer.active")
            return {
                "busy": smt.implies(left, _busy(clock)),
                "sizes are allowed": smt.implies(
                    left,
                    smt.conjunction(
                        smt.negation(smt.equal(clock.wire(f"sequencer.{side}"), smt.const(0, 24)))
                        for side in sequencer.SIZES
                    ),
                ),
            }

        def goals(clock: Clock) -> dict[str, str]:
            left = clock.later.wire("sequencer.active")
            names = [f"sequencer.{name}" for name in (*sequencer.SIZES, "call")]
            return {
                **allowed(clock),
                **{f"{name} stays": smt.implies(left, stays(clock, name)) for name in names},
                "the mode of a call stays": smt.implies(
                    _busy(clock.later), stays(clock, "array.mode")
                ),
                "the mode of a packet stays": smt.implies(
                    smt.disjunction(clock.wire(f"converter.{name}") for name in ("starts", "busy")),
                    stays(clock, "converter.mode"),
                ),
            }

        def stays(clock: Clock, name: str) -> str:
            return smt.equal(clock.later.wire(name), clock.wire(name))

        def shown(clock: Clock) -> dict[str, Shown]:
            names = ("busy", "failed", "sequencer.active", "sequencer.start", "sequencer.clear")
            return {name: Shown(clock.vector(name)) for name in names}

        return Run(
            netlist,
            goals=goals,
            invariant=allowed,
            clocks=6,
            shown=shown,
        )

    def ends(self, netlist: Netlist) -> Run:
        """Return what is stated of the end of a call."""
        last_bit = 33 * self.config.cols

        def handed_out(clock: Clock) -> str:
            return smt.conjunction(
                clock.wire(f"sequencer.commands_{wire}") for wire in ("valid", "ready")
            )

        def given(clock: Clock) -> str:
            """Whether the array gives a row."""
            return smt.conjunction([clock.wire("array.d_valid"), clock.wire("array.d_ready")])

        def packet_given(clock: Clock) -> str:
            return smt.conjunction([given(clock), smt.bit(clock.wire("array.d_payload"), last_bit)])

        def ended(clock: Clock) -> str:
            return smt.disjunction([_clear(clock), self._fails(clock)])

        def one_if(condition: str) -> str:
            return smt.choose(condition, smt.const(1, TILE_BITS), smt.const(0, TILE_BITS))

        def inside_after(clock: Clock) -> str:
            more = f"(bvadd {clock.count('inside')} {one_if(handed_out(clock))})"
            after = f"(bvsub {more} {one_if(packet_given(clock))})"
            none = smt.disjunction([ended(clock), _failed(clock)])
            return smt.choose(none, smt.const(0, TILE_BITS), after)

        def stale_after(clock: Clock) -> str:
            """Whether what is offered belongs to no call, or to one that has failed."""
            after = smt.choose(given(clock), "#b0", clock.count("stale"))
            return smt.choose(ended(clock), "#b1", after)

        def leaves(clock: Clock) -> str:
            """Whether the end of a packet of the call is offered."""
            return smt.conjunction(
                [
                    clock.wire("m_axis_d_tvalid"),
                    clock.wire("m_axis_d_tlast"),
                    smt.equal(clock.count("stale"), "#b0"),
                ]
            )

        def none_inside(clock: Clock) -> str:
            return smt.equal(clock.count("inside"), smt.const(0, TILE_BITS))

        def last_taken(clock: Clock) -> str:
            return smt.conjunction(
                [
                    leaves(clock),
                    clock.wire("m_axis_d_tready"),
                    none_inside(clock),
                    smt.negation(clock.wire("sequencer.active")),
                ]
            )

        def assumptions(clock: Clock) -> dict[str, str]:
            inside = clock.count("inside")
            works = smt.negation(_failed(clock))
            takes = smt.disjunction(
                [packet_given(clock), *(clock.wire(f"array.{s}_ready") for s in self.streams)]
            )
            locked = smt.disjunction([_busy(clock), _failed(clock)])
            full = smt.equal(inside, smt.const(overlap.MOST_TILES, TILE_BITS))
            return {
                "the array takes operands for a tile, and gives it a packet": smt.implies(
                    smt.conjunction([works, takes]), smt.negation(none_inside(clock))
                ),
                "it takes no tile while it has as many as it holds": smt.implies(
                    smt.conjunction([works, full]), smt.negation(handed_out(clock))
                ),
                "START is locked": smt.implies(
                    clock.wire("registers.start_start"), smt.negation(locked)
                ),
            }

        def goals(clock: Clock) -> dict[str, str]:
            done = smt.conjunction([last_taken(clock), smt.negation(self._fails(clock))])
            goes_on = smt.conjunction([_busy(clock), smt.negation(last_taken(clock))])
            return {
                "busy from START to the last result": smt.equal(
                    _busy(clock.later),
                    smt.conjunction(
                        [
                            smt.disjunction([self._starts(clock), goes_on]),
                            smt.negation(ended(clock)),
                        ]
                    ),
                ),
                "DONE": smt.equal(clock.wire("registers.status_done_set"), done),
                "the last result is one of a call": smt.implies(last_taken(clock), _busy(clock)),
                "packets can be wrong only in a call": smt.implies(
                    self._fails(clock), _busy(clock)
                ),
                **holds(clock),
            }

        def holds(clock: Clock) -> dict[str, str]:
            left = smt.disjunction(
                [
                    clock.wire("sequencer.active"),
                    smt.negation(none_inside(clock)),
                    leaves(clock),
                ]
            )
            return {
                "a call has something to come as long as it is busy, and only then": smt.equal(
                    _busy(clock), left
                ),
                "a failed call is not busy": smt.negation(
                    smt.conjunction([_busy(clock), _failed(clock)])
                ),
            }

        def invariant(clock: Clock) -> dict[str, str]:
            most = smt.const(overlap.MOST_TILES, TILE_BITS)
            total = f"(bvadd {clock.count('inside')} {one_if(leaves(clock))})"
            counted = clock.wire("tiles_inside")
            return {
                **holds(clock),
                "tiles are counted": smt.equal(counted, total),
                "not too many": f"(bvule {clock.count('inside')} {most})",
                "what is current is told": smt.implies(
                    clock.wire("m_axis_d_tvalid"),
                    smt.equal(clock.wire("current"), smt.equal(clock.count("stale"), "#b0")),
                ),
            }

        def shown(clock: Clock) -> dict[str, Shown]:
            wires = (
                "busy",
                "failed",
                "registers.start_start",
                "registers.clear_clear",
                "sequencer.commands_valid",
                "sequencer.commands_ready",
                "array.d_valid",
                "m_axis_d_tvalid",
                "m_axis_d_tready",
                "m_axis_d_tlast",
                "registers.status_done_set",
            )
            return {name: Shown(clock.vector(name)) for name in wires}

        return Run(
            netlist,
            goals=goals,
            invariant=invariant,
            assumptions=assumptions,
            counts={
                "inside": Count(TILE_BITS, inside_after),
                "stale": Count(1, stale_after),
            },
            clocks=8,
            shown=shown,
        )

    def _register(self, name: str) -> Register:
        return next(register for register in self.map.registers if register.name == name)


FLAGS = ("invalid", "overflow", "underflow", "inexact")


def _bus() -> list[str]:
    return [
        *(f"aw{name}" for name in ("addr", "valid", "ready")),
        *(f"w{name}" for name in ("data", "strb", "valid", "ready")),
        *(f"b{name}" for name in ("resp", "valid", "ready")),
        *(f"ar{name}" for name in ("addr", "valid", "ready")),
        *(f"r{name}" for name in ("data", "resp", "valid", "ready")),
    ]


def _begin(netlist: Netlist) -> Clock:
    return Clock(Trace(netlist, "unit", 1), 0)


def _busy(clock: Clock) -> str:
    return clock.wire("registers.status_busy")


def _failed(clock: Clock) -> str:
    return clock.wire("registers.status_failed")


def _clear(clock: Clock) -> str:
    return clock.wire("registers.clear_clear")


def _waits(clock: Clock) -> str:
    """Whether a result is offered and not taken."""
    return smt.conjunction(
        [clock.wire("m_axis_d_tvalid"), smt.negation(clock.wire("m_axis_d_tready"))]
    )


def _problem(now: Clock, goals: dict[str, str]) -> Problem:
    wires = (
        "rst",
        "busy",
        "failed",
        "registers.clear_clear",
        "registers.stop_stop",
        "array.d_valid",
        *(f"s_axis_{s}_{w}" for s in "ab" for w in ("tvalid", "tready", "tlast")),
        *(f"array.{s}_{w}" for s in "ab" for w in ("ready", "last")),
        *(f"m_axis_d_{w}" for w in ("tvalid", "tready", "tlast")),
    )
    shown = {name: Shown(now.vector(name)) for name in wires}
    shown |= {
        f"{name} after": Shown(now.later.vector(name)) for name in ("failed", "m_axis_d_tvalid")
    }
    return Problem("\n".join([now.trace.netlist.text, now.trace.text]), goals, shown)
