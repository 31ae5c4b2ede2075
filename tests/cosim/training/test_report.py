"""The report, in a real browser: everything is there, in order, and nothing from elsewhere."""

import json
import re
import shutil
from dataclasses import asdict, replace

import pytest

from cosim.bridge import LossScale, Recipe, RoleSpec
from cosim.training import train
from cosim.training.report import utilisation, write_report
from cosim.training.run import METRICS

CHROMIUM = shutil.which("chromium")
WIDTHS = {"phone": 375, "desktop": 1280}
AUDIT = {
    **{"calls": 5000, "macs": 9_000_000, "checked": 50, "macs_checked": 81_000},
    **{"bits": 1_234_560, "passed_over": 2, "seconds": 1.5},
}

ABOUT = """() => ({
    overflow: document.documentElement.scrollWidth - document.documentElement.clientWidth,
    pictures: [...document.images].map(image => [image.complete, image.naturalWidth, image.alt]),
    tables: [...document.querySelectorAll('table')].map(
        table => [...table.rows].map(row => [...row.cells].map(cell => cell.innerText.trim()))),
    titles: [...document.querySelectorAll('h2')].map(title => title.innerText),
})"""


@pytest.fixture(scope="module")
def folders(tmp_path_factory):
    """Return runs of several kinds: their folders by name."""
    from cosim.training import TrainingSettings
    from pysim import ArrayConfig

    root = tmp_path_factory.mktemp("runs")
    # It overflows and skips steps, so that there is something to see of each.
    scale = LossScale("enhanced", 2.0**40, interval=2, floors=((6, 2.0**30),))
    infinite = RoleSpec("e5m2", "stochastic", saturate=False)
    harsh = replace(
        Recipe.named("mellempudi2019"), loss_scale=scale, error=infinite, gradient=infinite
    )
    config = ArrayConfig(4, 4)
    common = {"config": config, "steps": 12, "batch": 8}
    runs = {
        "harsh": TrainingSettings.of("mlp", recipe=harsh, **common),
        "deep": TrainingSettings.of(
            "resnet34", recipe=Recipe.named("hybrid"), width=1, **{**common, "steps": 1}
        ),
        "fp32": TrainingSettings.of("mlp", engine="fp32", recipe=harsh, **common),
    }
    for name, settings in runs.items():
        result = train(settings, root / name)
        if name == "harsh":
            lines = [json.loads(x) for x in (root / name / METRICS).read_text().splitlines()]
            seen = replace(result, audit=AUDIT, simulator="verilator")
            write_report(root / name, asdict(seen), lines, [("every bit", "the same")])
    return {name: root / name for name in runs}


def test_utilisation():
    assert utilisation(640, 20, {"rows": 8, "cols": 8}) == 0.5
    assert utilisation(0, 0, {"rows": 8, "cols": 8}) == 0


def test_pages_say_what_happened(folders):
    pages = {name: (folder / "report.html").read_text() for name, folder in folders.items()}
    result = json.loads((folders["harsh"] / "result.json").read_text())
    assert result["skipped"] > 0
    harsh = re.sub(r"\s+", " ", pages["harsh"])
    assert f"infinite or NaN: {result['skipped']} of 12" in harsh
    assert f"{100 * result['utilisation']:.2f} %" in harsh
    assert "without a difference in 1,234,560 bits" in harsh
    assert "1.23 M" in harsh
    assert "simulated by verilator" in harsh
    memory = result["master_bytes"]
    assert f"{memory['fp32'] - memory['masters']:,} bytes saved, 50.00 %" in harsh
    for layer in result["statistics"]["layers"]:
        assert harsh.count(f"<tr><td>{layer}</td>") == 2
    for page in pages.values():
        # Everything is in the page: no address of anything else.
        assert not re.findall(r"(?:src|href)=\"(?!data:)", page)
        assert "http" not in page
    assert "Work of the array" not in pages["fp32"]


@pytest.fixture(scope="module")
def browser():
    if CHROMIUM is None:
        pytest.skip("chromium is absent: apt-get install chromium")
    from playwright.sync_api import sync_playwright

    # A new profile each time, as playwright does; sandboxes need rights that containers lack.
    options = ["--no-sandbox", "--disable-gpu", "--disable-background-networking"]
    with sync_playwright() as started:
        browser = started.chromium.launch(executable_path=CHROMIUM, args=options)
        yield browser
        browser.close()


@pytest.mark.parametrize("width", WIDTHS.values(), ids=WIDTHS)
@pytest.mark.parametrize("name", ["harsh", "deep", "fp32"])
def test_in_a_browser(browser, folders, name, width):
    page = browser.new_page(viewport={"width": width, "height": 800}, offline=True)
    complaints, requests = [], []
    page.on("console", lambda message: complaints.append(message.text))
    page.on("pageerror", lambda error: complaints.append(str(error)))
    page.on("request", lambda request: requests.append(request.url))
    address = (folders[name] / "report.html").as_uri()
    page.goto(address, wait_until="load")
    about = page.evaluate(ABOUT)
    page.close()

    assert complaints == []
    assert {url for url in requests if not url.startswith("data:")} == {address}
    assert about["overflow"] == 0
    on_array = name != "fp32"
    assert len(about["pictures"]) == (10 if on_array else 3)
    for complete, size, text in about["pictures"]:
        assert complete
        assert size > 500
        assert text
    assert len(about["tables"]) == {"harsh": 6, "deep": 5, "fp32": 1}[name]
    for table in about["tables"]:
        assert table
        assert all(cell for row in table for cell in row)
    assert about["titles"][0 if name == "harsh" else -1] == (
        "Checked" if name == "harsh" else "Settings"
    )
