"""What the vector simulator does not do, said in one sentence."""

from pysim import InputError


class UnsupportedError(InputError):
    """The netlist holds something that this simulator does not support; it is named.

    Parameters
    ----------
    what : str
        The construct, with its module or instance.
    """

    def __init__(self, what: str) -> None:
        super().__init__(f"the vector simulator does not support {what}: use --simulator verilator")
