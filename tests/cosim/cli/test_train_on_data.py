"""`fp8cosim train --data`: folders as ImageNet and WMT16 have them, small."""

import json
import sys

import numpy as np
import pytest
from PIL import Image

from cosim.cli import main
from cosim.datasets.translation import sentences
from cosim.training.sources import Source, find_task

CLASSES = ("n01440764", "n01443537", "n01484850")


@pytest.fixture
def images(tmp_path):
    rng = np.random.default_rng(0)
    for part, count in (("train", 6), ("val", 2)):
        for i, name in enumerate(CLASSES):
            folder = tmp_path / "images" / part / name
            folder.mkdir(parents=True)
            for j in range(count):
                pixels = rng.integers(80 * i, 80 * i + 90, (30 + j, 40, 3), dtype=np.uint8)
                Image.fromarray(pixels).save(folder / f"{part}_{i}_{j}.JPEG")
    return tmp_path / "images"


@pytest.fixture
def text(tmp_path):
    folder = tmp_path / "text"
    folder.mkdir()
    for prefix, count, seed in (("train", 120, 1), ("newstest2014", 3, 2)):
        pairs = sentences(count, seed)
        for side, language in enumerate(("en", "de")):
            lines = "".join(f"{pair[side]}\n" for pair in pairs)
            (folder / f"{prefix}.{language}").write_text(lines)
    return folder


@pytest.fixture
def train(tmp_path, monkeypatch, capsys):
    """Run the command in this process; return its exit status, output, and errors."""
    monkeypatch.chdir(tmp_path)

    def run(*arguments):
        find_task.cache_clear()  # as in a new process
        monkeypatch.setattr(sys, "argv", ["fp8cosim", "train", *map(str, arguments)])
        with pytest.raises(SystemExit) as exited:
            main()
        return (exited.value.code or 0, *capsys.readouterr())

    return run


RESNET = ("--model", "resnet18", "--image-size", 16, "--width", 2, "--depth", 1, "--batch", 6)
TRANSFORMER = ("--model", "transformer", "--vocabulary", 100, "--width", 16, "--depth", 1)
GNMT = ("--model", "gnmt", "--vocabulary", 100, "--width", 8, "--depth", 2)
SHORT = ("--steps", 2, "--batch", 8, "--json")


def test_images(train, images, tmp_path):
    status, out, err = train(*RESNET, "--data", images, "--steps", 4, "-o", "run", "--json")
    assert status == 0, err
    result = json.loads(out)["runs"][0]
    assert result["metric"] == "test accuracy"
    assert result["accuracy"] * 6 == pytest.approx(round(result["accuracy"] * 6))
    settings = json.loads((tmp_path / "run" / "run.json").read_text())
    assert settings["source"]["folder"] == str(images)
    assert (settings["width"], settings["depth"], settings["source"]["image_size"]) == (2, 1, 16)

    moved = images.rename(tmp_path / "moved")
    status, out, err = train("--resume", "run", "--steps", 5)
    assert status == 2
    assert "there is no folder" in err
    status, out, err = train("--resume", "run", "--steps", 5, "--data", moved, "--json")
    assert status == 0, err
    assert json.loads(out)["runs"][0]["steps"] == 5

    (moved / "train" / CLASSES[0] / "train_0_0.JPEG").unlink()
    before = (tmp_path / "run" / "checkpoint.pt").read_bytes()
    status, out, err = train("--resume", "run", "--steps", 6, "--data", moved)
    assert status == 2
    assert "is not that which the run began with" in err
    assert (tmp_path / "run" / "checkpoint.pt").read_bytes() == before


@pytest.mark.parametrize("model", [TRANSFORMER, GNMT], ids=["transformer", "gnmt"])
def test_text(train, text, tmp_path, model):
    status, out, err = train(*model, *SHORT, "--data", text, "-o", "run")
    assert status == 0, err
    result = json.loads(out)["runs"][0]
    assert result["metric"] == "BLEU"
    assert result["not_offloaded"] == {}
    line = json.loads((tmp_path / "run" / "metrics.jsonl").read_text().splitlines()[-1])
    assert line["bleu"] == result["accuracy"]
    _, out, _ = train(*model, *SHORT, "--data", text, "-o", "again")
    assert json.loads(out)["runs"][0]["weights_sha256"] == result["weights_sha256"]


def test_epochs_are_as_many_with_another_batch(text):
    from cosim.bridge import Recipe
    from cosim.training import TrainingSettings
    from pysim import ArrayConfig

    source = Source.of(text, vocabulary="100")
    common = {"recipe": Recipe.named("fp32"), "config": ArrayConfig(), "source": source}
    steps = TrainingSettings.of("transformer", batch=12, width=16, **common).steps
    assert steps == pytest.approx(20 * 120 / 12, rel=0.1)


BAD = {
    "no folder": (RESNET, "nowhere", None, "there is no folder"),
    "text for images": (RESNET, "text", None, "there is no folder"),
    "images for text": (TRANSFORMER, "images", None, "holds no test"),
    "languages": ((*TRANSFORMER, "--languages", "en-fr"), "text", None, "holds no train.fr"),
    "one language": ((*TRANSFORMER, "--languages", "en"), "text", None, "'en' are not two"),
    "no vocabulary": (
        (*TRANSFORMER[:2], "--vocabulary", "none.model"),
        "text",
        None,
        "none.model' cannot be read",
    ),
    "vocabulary": ((*TRANSFORMER[:2],), "text", None, "no vocabulary of 32000 subwords"),
    "longest": ((*TRANSFORMER, "--longest", 0), "text", None, "longest 0"),
    "image size": ((*RESNET[:2], "--image-size", 8), "images", None, "image size 8"),
    "width": ((*TRANSFORMER[:4], "--width", 12), "text", None, "width 12"),
    "batch": ((*RESNET, "--batch", 50), "images", None, "batch 50 is too large: there are 18"),
    "damaged image": (
        RESNET,
        "images",
        ("train/n01440764/train_0_1.JPEG", b"\xff\xd8nothing"),
        "train_0_1.JPEG' cannot be read",
    ),
    "damaged test image": (
        RESNET,
        "images",
        ("val/n01440764/val_0_1.JPEG", b""),
        "val_0_1.JPEG' cannot be read",
    ),
    "class of the test alone": (
        RESNET,
        "images",
        ("val/n9/a.JPEG", b""),
        "class 'n9' of 'val' is not among",
    ),
    "class without images": (RESNET, "images", ("train/n9/a.txt", b""), "n9' holds no image"),
    "line missing": (TRANSFORMER, "text", ("train.de", b"ja\n" * 119), "line 120 is missing"),
    "not text": (TRANSFORMER, "text", ("newstest2014.de", b"\xff\n" * 3), "cannot be read"),
}


@pytest.mark.parametrize("case", BAD)
def test_bad_data(train, images, text, tmp_path, case):
    options, folder, damage, complaint = BAD[case]
    if damage is not None:
        path = tmp_path / folder / damage[0]
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(damage[1])
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "kept").write_text("kept")
    status, out, err = train("--steps", 4, *options, "--data", tmp_path / folder, "-o", "run")
    assert (status, out) == (2, "")
    assert complaint in err
    assert "Traceback" not in err
    assert (tmp_path / "run" / "kept").read_text() == "kept"
    assert not (tmp_path / "run" / "result.json").exists()


@pytest.mark.parametrize(
    ("options", "complaint"),
    [
        (("--model", "resnet18", "--image-size", 32), "--image-size says how --data"),
        (("--model", "mlp", "--width", 8), "model 'mlp' has one size"),
        (("--model", "gnmt", "--depth", 1), "depth 1 is out of range"),
        (("--model", "resnet18", "--depth", 0), "depth 0 is out of range"),
        (("--model", "transformer", "--width", -4), "width -4 is out of range"),
    ],
)
def test_bad_sizes(train, options, complaint):
    status, out, err = train(*options, "--steps", 1)
    assert (status, out) == (2, "")
    assert complaint in err


def test_other_sizes_on_generated_data(train, tmp_path):
    options = ("--model", "transformer", "--width", 16, "--depth", 1)
    status, _, err = train(*options, "--steps", 1, "--batch", 4, "-o", "run")
    assert status == 0, err
    import torch

    weights = torch.load(tmp_path / "run" / "checkpoint.pt")["learner"]["model"]
    assert weights["classifier.weight"].shape[1] == 16
    assert not any(name.startswith("encoder.1.") for name in weights)
