"""What tests of every folder share."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

if "PYTEST_XDIST_WORKER" in os.environ:
    # There are as many processes as processors: threads of PyTorch would only get in their way.
    os.environ.setdefault("OMP_NUM_THREADS", "1")


@pytest.fixture
def fp8cosim(tmp_path):
    """Run the command line as a user does; return what the process leaves."""
    command = Path(sys.executable).with_name("fp8cosim")

    def run(*arguments, env=None, timeout=300):
        return subprocess.run(
            [str(command), *map(str, arguments)],
            cwd=tmp_path,
            env=env,
            capture_output=True,
            text=True,
            timeout=timeout,
        )

    return run


@pytest.fixture
def fp8cosim_here(tmp_path, monkeypatch, capsys):
    """Run the command line in this process, where all is imported: for what ends at once."""
    from cosim.cli.app import main

    def run(*arguments):
        monkeypatch.chdir(tmp_path)
        monkeypatch.setattr(sys, "argv", ["fp8cosim", *map(str, arguments)])
        with pytest.raises(SystemExit) as ended:
            main()
        return subprocess.CompletedProcess(sys.argv, ended.value.code or 0, *capsys.readouterr())

    return run
