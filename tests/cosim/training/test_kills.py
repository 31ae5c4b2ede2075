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
EVERY = 60
"""Steps between checkpoints."""


def test_kills(tmp_path):
    draw = random.Random(0)
    options = ["--model", "mlp", "--steps", str(10 * EVERY), "--recipe", "mellempudi2019-enhanced"]
    command = [str(Path(sys.executable).with_name("fp8cosim")), "train"]
    whole, killed = tmp_path / "whole", tmp_path / "killed"
    metrics = killed / "metrics.jsonl"

    def run(*arguments):
        return subprocess.Popen([*command, *arguments], stdout=subprocess.DEVNULL, cwd=tmp_path)

    assert run(*options, "-o", str(whole)).wait() == 0
    for _ in range(KILLS):
        begun = (killed / "checkpoint.pt").exists()
        before = metrics.stat().st_mtime_ns if metrics.exists() else 0
        process = run(*(["--resume", str(killed)] if begun else [*options, "-o", str(killed)]))
        # The file is written anew once the run has gone back to its checkpoint.
        while not metrics.exists() or metrics.stat().st_mtime_ns == before:
            assert process.poll() is None
            time.sleep(0.001)
        # One time in three it has come to the next checkpoint.
        steps = len(metrics.read_text().splitlines()) + draw.randrange(EVERY * 3 // 2)
        while len(metrics.read_text().splitlines()) < steps:
            assert process.poll() is None
            time.sleep(0.001)
        process.send_signal(signal.SIGKILL)
        assert process.wait() == -signal.SIGKILL
    assert run("--resume", str(killed)).wait() == 0
    results = [json.loads((folder / "result.json").read_text()) for folder in (whole, killed)]
    for key in ("weights_sha256", "random_state", "accuracy", "cycles", "statistics", "skipped"):
        assert results[0][key] == results[1][key], key
    lines = [(folder / "metrics.jsonl").read_text() for folder in (whole, killed)]
    assert lines[0] == lines[1]
