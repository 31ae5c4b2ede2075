"""The cocotb regression: the Verilog at its ports, in a simulator, against the golden engine."""
