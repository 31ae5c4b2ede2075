"""A register map as Markdown, as a C header, and as SystemRDL."""

from hw.registers import Access, Register, RegisterMap


def markdown(registers: RegisterMap) -> str:
    """Return tables for people: the registers, and the fields of each."""
    lines = ["| address | register | holds |", "|---|---|---|"]
    for offset, register in _at(registers):
        lines.append(f"| `{offset:#05x}` | [{register.name}](#{register.name}) | {register.doc} |")
    for offset, register in _at(registers):
        lines += ["", f"### {register.name}", ""]
        refused = ""
        if register.lock:
            refused = f" Writes are refused while a {register.lock} is in work, or has failed."
        lines += [f"At `{offset:#05x}`: {register.doc}.{refused}", ""]
        lines += ["| bits | field | access | after reset | meaning |", "|---|---|---|---|---|"]
        for low, field in register.places():
            bits = str(low) if field.width == 1 else f"{low + field.width - 1}:{low}"
            lines.append(
                f"| {bits} | {field.name} | {field.access.value} | `{field.reset:#x}` | "
                f"{field.doc} |"
            )
    return "\n".join(lines) + "\n"


def c_header(registers: RegisterMap, prefix: str) -> str:
    """Return a C header: the address of each register, position and mask of each field."""
    upper = prefix.upper()
    lines = [f"#ifndef {upper}_H", f"#define {upper}_H", ""]
    for offset, register in _at(registers):
        name = f"{upper}_{register.name.upper()}"
        lines += [f"/* {register.doc} */", f"#define {name} {offset:#05x}u"]
        for low, field in register.places():
            mask = (1 << field.width) - 1 << low
            lines.append(f"#define {name}_{field.name.upper()}_SHIFT {low}")
            lines.append(f"#define {name}_{field.name.upper()}_MASK {mask:#010x}u")
        lines.append("")
    lines.append("#endif")
    return "\n".join(lines) + "\n"


_RDL_ACCESS = {
    Access.CONSTANT: "sw = r; hw = na;",
    Access.STATE: "sw = r; hw = w;",
    Access.SETTING: "sw = rw; hw = r;",
    Access.TRIGGER: "sw = w; hw = r; singlepulse;",
    Access.STICKY: "sw = rw; hw = r; woclr; hwset;",
    Access.DIRECT: "sw = rw; hw = rw;",
}


def system_rdl(registers: RegisterMap, name: str) -> str:
    """Return the map in SystemRDL 2.0."""
    lines = [f"addrmap {name} {{", "  default regwidth = 32;", ""]
    for offset, register in _at(registers):
        lines += ["  reg {", f'    desc = "{register.doc}";']
        for low, field in register.places():
            high = low + field.width - 1
            # A value that the hardware writes has no reset of its own.
            reset = "" if field.access in (Access.STATE, Access.DIRECT) else f" = {field.reset:#x}"
            lines.append(
                f'    field {{ desc = "{field.doc}"; {_RDL_ACCESS[field.access]} }} '
                f"{field.name}[{high}:{low}]{reset};"
            )
        lines += [f"  }} {register.name} @ {offset:#x};", ""]
    lines.append("};")
    return "\n".join(lines) + "\n"


def _at(registers: RegisterMap) -> list[tuple[int, Register]]:
    offsets = registers.offsets()
    return [(offsets[register.name], register) for register in registers.registers]
