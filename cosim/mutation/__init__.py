"""Faults planted in the Verilog, which proofs and regression must notice."""
