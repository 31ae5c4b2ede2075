"""Registers in hardware, behind AXI4-Lite."""

from amaranth.hdl import Cat, Const, Module, Mux, Signal
from amaranth.lib.wiring import In, Out

from hw.axi import OKAY, SLVERR, axi_lite
from hw.hierarchy import Block
from hw.registers import Access, Field, RegisterMap


class RegisterFile(Block):
    """The registers of a map.

    One write and one read are in work at a time. A write to a register that is locked, a write
    that could have no effect, and an address without a register are answered by SLVERR, and change
    nothing. Bytes that `wstrb` leaves out keep their value, and neither trigger nor clear. Of a
    word at an address that is no multiple of four, the bytes below that address are not written,
    and read as 0.

    Parameters
    ----------
    registers : RegisterMap

    Members
    -------
    bus : In(axi_lite)
    lock_<lock> : In(1)
        Refuse writes to registers with this lock.
    refused : Out(1)
        A write is refused for that in this clock.
    clear : In(1)
        Clear every sticky field, even one that is to be set in this clock.
    <register>_<field>
        By access: a STATE is In; a SETTING is Out; a TRIGGER is Out, and holds the bits written in
        the clock of the write; of a STICKY field it is Out, and ``..._set`` In; of a DIRECT one it
        is In, read as it is, ``..._written`` Out, and ``..._write`` Out(1) in the clock of a
        write.
    """

    def __init__(self, registers: RegisterMap):
        self.registers = registers
        members = {
            "bus": In(axi_lite(registers.address_width)),
            **{f"lock_{name}": In(1) for name in registers.locks},
            "refused": Out(1),
            "clear": In(1),
        }
        for name, field in registers.signals():
            match field.access:
                case Access.STATE:
                    members[name] = In(field.width)
                case Access.SETTING:
                    members[name] = Out(field.width, init=field.reset)
                case Access.TRIGGER:
                    members[name] = Out(field.width)
                case Access.STICKY:
                    members[name] = Out(field.width)
                    members[f"{name}_set"] = In(field.width)
                case Access.DIRECT:
                    members[name] = In(field.width)
                    members[f"{name}_written"] = Out(field.width)
                    members[f"{name}_write"] = Out(1)
        super().__init__(members)

    @property
    def module_name(self):
        return f"fp8_{self.registers.name}_registers"

    def elaborate(self, platform):
        m = Module()
        bus = self.bus
        words = self.registers.registers

        # Address and data of a write may come in either order.
        address = Signal(self.registers.address_width)
        data = Signal(32)
        strobes = Signal(4)
        has_address = Signal()
        has_data = Signal()
        write = Signal()
        m.d.comb += [
            bus.awready.eq(~has_address),
            bus.wready.eq(~has_data),
            write.eq(has_address & has_data & (~bus.bvalid | bus.bready)),
        ]
        with m.If(bus.awvalid & bus.awready):
            m.d.sync += [has_address.eq(1), address.eq(bus.awaddr)]
        with m.If(bus.wvalid & bus.wready):
            m.d.sync += [has_data.eq(1), data.eq(bus.wdata), strobes.eq(bus.wstrb)]
        accepted = Signal()
        with m.If(write):
            m.d.sync += [
                has_address.eq(0),
                has_data.eq(0),
                bus.bvalid.eq(1),
                bus.bresp.eq(Mux(accepted, OKAY, SLVERR)),
            ]
        with m.Elif(bus.bready):
            m.d.sync += bus.bvalid.eq(0)

        mask = Signal(32)
        m.d.comb += mask.eq(Cat(*(strobe.replicate(8) for strobe in strobes & _from(address))))
        written = [Signal(name=f"write_{register.name}") for register in words]
        with m.Switch(address[2:]):
            for i, register in enumerate(words):
                if register.writable:
                    with m.Case(i):
                        locked = Const(0, 1)
                        if register.lock:
                            locked = getattr(self, f"lock_{register.lock}")
                        m.d.comb += [
                            accepted.eq(~locked),
                            self.refused.eq(write & locked),
                            written[i].eq(write & ~locked),
                        ]
        for register, write_it in zip(words, written, strict=True):
            for low, field in register.places():
                name = f"{register.name}_{field.name}"
                bits = slice(low, low + field.width)
                self._write_field(m, name, field, write_it, data[bits], mask[bits])

        word = Signal(32)
        there = Signal()
        readable = Cat(*(byte.replicate(8) for byte in _from(bus.araddr)))
        with m.Switch(bus.araddr[2:]):
            for i, register in enumerate(words):
                with m.Case(i):
                    fields = (self._read_field(register.name, field) for field in register.fields)
                    m.d.comb += [word.eq(Cat(*fields)), there.eq(1)]
        m.d.comb += bus.arready.eq(~bus.rvalid)
        with m.If(bus.arvalid & bus.arready):
            m.d.sync += bus.rvalid.eq(1)
            m.d.sync += [bus.rdata.eq(word & readable), bus.rresp.eq(Mux(there, OKAY, SLVERR))]
        with m.Elif(bus.rready):
            m.d.sync += bus.rvalid.eq(0)
        return m

    def _read_field(self, register: str, field: Field):
        if field.access is Access.CONSTANT:
            return Const(field.reset, field.width)
        if field.access is Access.TRIGGER:
            return Const(0, field.width)
        return getattr(self, f"{register}_{field.name}")

    def _write_field(self, m, name, field, write, data, mask):
        if field.access is Access.SETTING:
            signal = getattr(self, name)
            with m.If(write):
                m.d.sync += signal.eq(signal & ~mask | data & mask)
        elif field.access is Access.TRIGGER:
            m.d.comb += getattr(self, name).eq(Mux(write, data & mask, 0))
        elif field.access is Access.STICKY:
            signal = getattr(self, name)
            kept = signal & ~Mux(write, data & mask, 0)
            caused = kept | getattr(self, f"{name}_set")
            m.d.sync += signal.eq(Mux(self.clear, 0, caused))
        elif field.access is Access.DIRECT:
            m.d.comb += [
                getattr(self, f"{name}_written").eq(getattr(self, name) & ~mask | data & mask),
                getattr(self, f"{name}_write").eq(write),
            ]


def _from(address):
    """Return a bit for each byte of a word: whether it does not lie below the address."""
    return (Const(0b1111, 4) << address[:2])[:4]
