"""The command line: one entry point, `fp8cosim`; each command in a file of its own.

Exit status: 0 done and good, 1 done and a check failed, 2 bad input, 3 a needed tool is missing.
"""

from cosim.cli.app import main

__all__ = ["main"]
