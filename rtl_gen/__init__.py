"""Configuration in, Verilog and its manifest out."""
