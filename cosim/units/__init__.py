"""Each unit of the chip by itself: its Verilog, compiled, against a specification by value."""
