"""Configuration in, Verilog and its manifest out."""

from rtl_gen.generate import Design, design, edited_files, edited_modules, generate, load, save

__all__ = ["Design", "design", "edited_files", "edited_modules", "generate", "load", "save"]
