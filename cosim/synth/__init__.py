"""Area and clock of the Verilog, by open tools: Yosys and nextpnr."""
