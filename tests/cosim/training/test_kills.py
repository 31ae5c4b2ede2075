"""A run that is killed at any moment, again and again, ends as one that was not disturbed."""

import json
import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

KILLS = int(os.environ.get("FP8COSIM_KILLS", "3"))


def test_kills(tmp_path):
    draw = random.Random(0)
    options = ["--model", "mlp", "--steps", "1500", "--recipe", "mellempudi2019-enhanced"]
    command = [str(Path(sys.executable).with_name("fp8cosim")), "train"]
    whole, killed = tmp_path / "whole", tmp_path / "killed"

    def run(*arguments):
        return subprocess.Popen([*command, *arguments], stdout=subprocess.DEVNULL, cwd=tmp_path)

    assert run(*options, "-o", str(whole)).wait() == 0
    kills = 0
    while kills < KILLS and not (killed / "result.json").exists():
        begun = (killed / "checkpoint.pt").exists()
        arguments = ["--resume", str(killed)] if begun else [*options, "-o", str(killed)]
        process = run(*arguments)
        while not (killed / "checkpoint.pt").exists():
            time.sleep(0.01)
        if begun:
            # PyTorch is there after two seconds or so; then a checkpoint follows every moment.
            time.sleep(draw.uniform(1.8, 3.0))
        if process.poll() is None:
            process.send_signal(signal.SIGKILL)
            kills += 1
        process.wait()
    if not (killed / "result.json").exists():
        assert run("--resume", str(killed)).wait() == 0
    assert kills > 0
    results = [json.loads((folder / "result.json").read_text()) for folder in (whole, killed)]
    for key in ("weights_sha256", "random_state", "accuracy", "cycles", "statistics", "skipped"):
        assert results[0][key] == results[1][key], key
    lines = [(folder / "metrics.jsonl").read_text() for folder in (whole, killed)]
    assert lines[0] == lines[1]
