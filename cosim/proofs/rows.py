"""Rows on their way through a row of converters, to where they are offered.

A row is followed part by part beside the Verilog: whether there is one, the columns that it has,
and whether it is the last. All rows move on together, where there is room for the first.
"""

from collections.abc import Callable
from dataclasses import dataclass

from cosim.proofs import smt
from cosim.proofs.induction import Clock, Count

CONVERSION = 7
"""Registers of a row from where it is accepted to where it is offered."""

Term = Callable[[Clock], str]


@dataclass(frozen=True)
class Rows:
    """Where a module has its rows, as terms for a clock.

    Attributes
    ----------
    cols : int
    room : callable
        Whether rows move on.
    accepted, last : callable
        Whether a row enters, and whether it is the last.
    has_column : callable
        Called with a clock and a column: whether the row that enters has it.
    offered, offered_last : callable
        Whether a row is offered, and whether it is told to be the last.
    keeps : callable
        Called with a clock and a column: whether the row that is offered is told to have it.
    ended : callable
        Whether rows that are not offered yet are thrown away, and none enters.
    """

    cols: int
    room: Term
    accepted: Term
    last: Term
    has_column: Callable[[Clock, int], str]
    offered: Term
    offered_last: Term
    keeps: Callable[[Clock, int], str]
    ended: Term = lambda clock: "false"

    def counts(self) -> dict[str, Count]:
        """Return the rows, by the part in which they are."""
        return {
            f"row {part}": Count(self.cols + 2, lambda clock, part=part: self._after(clock, part))
            for part in range(CONVERSION)
        }

    def goals(self, clock: Clock) -> dict[str, str]:
        """Return what must hold of the row that is offered."""
        final = CONVERSION - 1
        there = self.there(clock, final)
        return {
            "a row is offered when it has passed the converters, and no other is": smt.equal(
                self.offered(clock), there
            ),
            "whether it is the last": smt.implies(
                there, smt.equal(self.offered_last(clock), self._is_last(clock, final))
            ),
            **{
                f"whether it has column {j}": smt.implies(
                    there, smt.equal(self.keeps(clock, j), self._has(clock, final, j))
                )
                for j in range(self.cols)
            },
        }

    def invariant(self, clock: Clock) -> dict[str, str]:
        """Return how registers and rows belong together."""
        terms = self.goals(clock)
        for part in range(CONVERSION - 1):
            there = self.there(clock, part)
            terms |= {
                f"part {part}": smt.equal(smt.bit(clock.wire("occupied"), part), there),
                f"last in part {part}": smt.implies(
                    there,
                    smt.equal(smt.bit(clock.wire("lasts"), part), self._is_last(clock, part)),
                ),
                **{
                    f"column {j} in part {part}": smt.implies(
                        there,
                        smt.equal(
                            smt.bit(clock.wire(f"column_{j}.inside"), part),
                            self._has(clock, part, j),
                        ),
                    )
                    for j in range(self.cols)
                },
            }
        return terms

    def there(self, clock: Clock, part: int) -> str:
        """Whether a part has a row."""
        return smt.bit(clock.count(f"row {part}"), 0)

    def _is_last(self, clock: Clock, part: int) -> str:
        return smt.bit(clock.count(f"row {part}"), 1)

    def _has(self, clock: Clock, part: int, column: int) -> str:
        return smt.bit(clock.count(f"row {part}"), 2 + column)

    def _after(self, clock: Clock, part: int) -> str:
        row = clock.count(f"row {part}")
        entering = smt.concat(
            *(smt.as_bit(self.has_column(clock, j)) for j in reversed(range(self.cols))),
            smt.as_bit(self.last(clock)),
            smt.as_bit(self.accepted(clock)),
        )
        before = clock.count(f"row {part - 1}") if part else entering
        moved = smt.choose(self.room(clock), before, row)
        # What is offered stays so until it is taken, all the same.
        stays = smt.negation(self.room(clock)) if part == CONVERSION - 1 else "false"
        none = smt.conjunction([self.ended(clock), smt.negation(stays)])
        return smt.choose(none, smt.const(0, self.cols + 2), moved)
