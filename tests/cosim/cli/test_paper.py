import json


def test_table_and_resumption(fp8cosim, tmp_path):
    arguments = ("paper", "transformer", "--seeds", 2, "--steps", 2, "-o", "runs", "--json")
    done = fp8cosim(*arguments)
    # After two steps nothing is learnt, so that nothing can fall short either.
    assert done.returncode == 0, done.stderr
    row = json.loads(done.stdout)["models"][0]
    assert (row["model"], row["recipe"]) == ("transformer", "mellempudi2019-enhanced")
    assert (row["metric"], row["seeds"], row["steps"]) == ("BLEU", 2, 2)
    assert len(set(row["weights_sha256"])) == 2
    table = (tmp_path / "runs" / "table.md").read_text()
    assert table.splitlines()[2].startswith("| transformer | mellempudi2019-enhanced | BLEU | 2 |")
    before = (tmp_path / "runs/transformer-mellempudi2019-enhanced/seed-0/result.json").stat()
    assert fp8cosim(*arguments).returncode == 0
    after = (tmp_path / "runs/transformer-mellempudi2019-enhanced/seed-0/result.json").stat()
    assert before.st_mtime_ns == after.st_mtime_ns
    other = fp8cosim("paper", "transformer", "--seeds", 1, "--steps", 3, "-o", "runs")
    assert other.returncode == 2
    assert "holds a run with other settings" in other.stderr


def test_bad_input(fp8cosim_here, tmp_path):
    done = fp8cosim_here("paper", "resnet101")
    assert done.returncode == 2
    assert "unknown model 'resnet101': allowed are resnet18" in done.stderr
    done = fp8cosim_here("paper", "gnmt", "--recipe", "fp4")
    assert done.returncode == 2
    assert "unknown recipe 'fp4'" in done.stderr
    assert list(tmp_path.iterdir()) == []
