"""What tests of every folder share."""

import subprocess
import sys
from pathlib import Path

import pytest


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
