"""The chip in Amaranth, one concept a file."""
