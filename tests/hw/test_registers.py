"""Descriptions of registers: places, names, and what is refused."""

import pytest

from hw.engine_registers import IDENTITY, engine_registers
from hw.registers import Access, Field, Register, RegisterMap
from pysim import ArrayConfig

BIT = Field("bit", 1, Access.SETTING, "a bit")


def test_places():
    register = Register("one", "", (BIT, Field("rest", 7, Access.STATE, "")))
    assert [(low, field.name) for low, field in register.places()] == [(0, "bit"), (1, "rest")]
    two = RegisterMap("two", (register, Register("other", "", (BIT,))))
    assert two.offsets() == {"one": 0, "other": 4}
    assert [name for name, _ in two.signals()] == ["one_bit", "one_rest", "other_bit"]


def test_writable():
    written = {a for a in Access if Register("one", "", (Field("f", 1, a, ""),)).writable}
    assert written == {Access.SETTING, Access.TRIGGER, Access.STICKY, Access.DIRECT}


@pytest.mark.parametrize("width", [0, 33])
def test_width_of_a_field(width):
    with pytest.raises(ValueError, match=f"'f' of {width} bits"):
        Field("f", width, Access.STATE, "")


def test_value_after_reset():
    with pytest.raises(ValueError, match="no room for 0x2"):
        Field("f", 1, Access.SETTING, "", 2)


def test_register_that_is_too_wide():
    with pytest.raises(ValueError, match="'one' of 33 bits"):
        Register("one", "", (BIT, Field("f", 32, Access.STATE, "")))


def test_names_are_unique():
    with pytest.raises(ValueError, match="two fields 'one_bit'"):
        RegisterMap("two", (Register("one", "", (BIT,)), Register("one", "", (BIT,))))


def test_engine_tells_how_it_was_generated():
    config = ArrayConfig(3, 5, lfsr_width=48, random_bits=13, seed=0xABCDEF012345, latency=3)
    registers = {register.name: register for register in engine_registers(config).registers}
    values = {field.name: field.reset for field in registers["geometry"].fields}
    assert values == {"rows": 3, "cols": 5, "lfsr_width": 48, "random_bits": 13}
    assert registers["pipeline"].fields[0].reset == 3
    assert registers["identity"].fields[0].reset == IDENTITY
    assert registers["seed_low"].fields[0].reset == 0xEF012345
    assert registers["seed_high"].fields[0].reset == 0xABCD
