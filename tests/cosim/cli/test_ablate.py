import json


def test_table_plots_and_shared_runs(fp8cosim, tmp_path):
    arguments = ("ablate", "masters", "--seeds", 1, "--steps", 2, "-o", "runs", "--json")
    done = fp8cosim(*arguments)
    assert done.returncode == 0, done.stderr
    rows = json.loads(done.stdout)["variants"]
    assert [row["variant"] for row in rows] == ["FP16", "FP16 stochastic", "FP32"]
    assert {row["fp32"] for row in rows} == {rows[0]["fp32"]}
    assert len({row["weights_sha256"][0] for row in rows}) == 3
    table = (tmp_path / "runs/ablations.md").read_text().splitlines()
    assert table[2].startswith("| masters | FP16 | resnet10 |")
    assert (tmp_path / "runs/masters.png").read_bytes().startswith(b"\x89PNG")
    # Nothing is trained again, here or by a command that wants the same run.
    result = tmp_path / "runs/resnet10-mellempudi2019/seed-0/result.json"
    before = result.stat().st_mtime_ns
    assert fp8cosim(*arguments).returncode == 0
    assert result.stat().st_mtime_ns == before


def test_bad_input(fp8cosim_here, tmp_path):
    done = fp8cosim_here("ablate", "dropout")
    assert done.returncode == 2
    assert "unknown ablation 'dropout': allowed are rounding, loss-scale" in done.stderr
    assert list(tmp_path.iterdir()) == []
