"""Registers described once: for the hardware, the documentation, and the software."""

from dataclasses import dataclass
from enum import Enum

WORD = 32
"""Bits of a register."""


class Access(Enum):
    """What software can do with a field, in words."""

    CONSTANT = "constant"
    STATE = "read only"
    SETTING = "read and write"
    TRIGGER = "write 1 to trigger; reads 0"
    STICKY = "write 1 to clear"
    DIRECT = "read and write, in the hardware itself"

    @property
    def writable(self) -> bool:
        """Whether a write has an effect."""
        return self not in (Access.CONSTANT, Access.STATE)


@dataclass(frozen=True)
class Field:
    """Some bits of a register.

    Attributes
    ----------
    name : str
    width : int
        Bits.
    access : Access
    doc : str
        What it means.
    reset : int
        Value after reset; that of a constant for good.
    """

    name: str
    width: int
    access: Access
    doc: str
    reset: int = 0

    def __post_init__(self) -> None:
        if not 1 <= self.width <= WORD:
            raise ValueError(f"field {self.name!r} of {self.width} bits: allowed are 1 to {WORD}")
        if not 0 <= self.reset < 1 << self.width:
            raise ValueError(f"field {self.name!r} has no room for {self.reset:#x}")


@dataclass(frozen=True)
class Register:
    """A word of the register map.

    Attributes
    ----------
    name : str
    doc : str
    fields : tuple of Field
        From the lowest bit on, without gaps.
    lock : str
        What writes are refused for: a *call* in work, a *packet* in work; empty if for nothing.
    """

    name: str
    doc: str
    fields: tuple[Field, ...]
    lock: str = ""

    def __post_init__(self) -> None:
        if (width := sum(field.width for field in self.fields)) > WORD:
            raise ValueError(f"register {self.name!r} of {width} bits: at most {WORD}")

    @property
    def writable(self) -> bool:
        """Whether a write to it has an effect."""
        return any(field.access.writable for field in self.fields)

    def places(self) -> list[tuple[int, Field]]:
        """Return the fields with the lowest bit of each."""
        places, low = [], 0
        for field in self.fields:
            places.append((low, field))
            low += field.width
        return places


@dataclass(frozen=True)
class RegisterMap:
    """Registers one after another, four bytes each.

    Attributes
    ----------
    name : str
    registers : tuple of Register
    """

    name: str
    registers: tuple[Register, ...]

    def __post_init__(self) -> None:
        names = [signal for signal, _ in self.signals()]
        for name in names:
            if names.count(name) > 1:
                raise ValueError(f"register map {self.name!r} has two fields {name!r}")

    @property
    def address_width(self) -> int:
        """Bits of a byte address."""
        return max(3, (4 * len(self.registers) - 1).bit_length())

    @property
    def locks(self) -> list[str]:
        """What writes are refused for."""
        return sorted({register.lock for register in self.registers if register.lock})

    def offsets(self) -> dict[str, int]:
        """Return the byte address of each register."""
        return {register.name: 4 * i for i, register in enumerate(self.registers)}

    def signals(self) -> list[tuple[str, Field]]:
        """Return every field with a name that is unique within the map."""
        return [
            (f"{register.name}_{field.name}", field)
            for register in self.registers
            for field in register.fields
        ]
