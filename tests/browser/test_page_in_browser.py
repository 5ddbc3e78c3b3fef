"""The page in headless Chromium, from the file system: layout, console, accessibility, hostile texts, size and time.

Skipped where no Chromium is installed. Accessibility needs axe-core, which is no dependency: `tox run -e browser` takes it from the
wheel axe-playwright-python; or set AXE_CORE to an `axe.min.js`. With SCREENSHOTS=FOLDER pictures are left there to be looked at.
"""

from __future__ import annotations

import importlib.util
import os
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from pytest_llminvariance.records.answers import readable_answers
from pytest_llminvariance.report.entries import read_report
from pytest_llminvariance.report.html.page import page
from tests.browser.webdriver import Browser, browser, missing
from tests.run_records import bank, hostile_bank, measured, write_run

if reason := missing():
    pytest.skip(reason, allow_module_level=True)

VIEWS = [(1400, False), (390, False), (1400, True), (390, True)]


def axe_core() -> Path | None:
    """The file that AXE_CORE names, or that of an installed wheel; the wheel's own code is not imported."""
    wheel = importlib.util.find_spec("axe_playwright_python")
    folders = wheel.submodule_search_locations if wheel is not None else None
    places = [os.environ.get("AXE_CORE", ""), *(f"{folder}/axe.min.js" for folder in folders or ())]
    return next((Path(place) for place in places if Path(place).is_file()), None)


def written(directory: Path) -> Path:
    file = directory / "report.html"
    file.write_text(page(read_report(directory), *readable_answers(directory)), encoding="utf-8")
    return file


@pytest.fixture(scope="module")
def window() -> Iterator[Browser]:
    with browser() as opened:
        yield opened


@pytest.fixture(scope="module")
def mixed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    checks = [measured("always_first", bank(12)), measured("oracle", bank(12)), measured("uniform", bank(12))]
    checks += [measured("always_first", bank(12), "labels"), measured("noisy", bank(12, k=5))]
    return written(write_run(tmp_path_factory.mktemp("mixed") / "run", checks))


@pytest.fixture(scope="module")
def short(tmp_path_factory: pytest.TempPathFactory) -> Path:
    checks = [
        measured("always_first", bank(3, k=3)),
        measured("oracle", bank(3, k=3)),
        measured("uniform", bank(2, k=3)),
    ]
    checks += [measured("always_first", bank(2), "labels"), measured("oracle", bank(12, k=2))]
    return written(write_run(tmp_path_factory.mktemp("short") / "run", checks))


@pytest.fixture(scope="module")
def wide(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Checks with names of all widths."""
    names = ("W" * 200, "漢字" * 80, "<b>&amp;" * 50, "👩" * 90, "(%) @" * 40, "é" * 200, "מבחן " * 40)
    checks = [measured("always_first", bank(3, k=3)) for _ in names] + [measured("uniform", bank(3, k=3))]
    places = [{"title": name} for name in names]
    return written(write_run(tmp_path_factory.mktemp("wide") / "run", checks, places=places))


@pytest.fixture(scope="module")
def hostile(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return written(write_run(tmp_path_factory.mktemp("hostile") / "run", [measured("always_first", hostile_bank(1))]))


@pytest.mark.parametrize(("width", "dark"), VIEWS)
def test_nothing_is_wider_than_the_window_and_the_console_is_silent(
    window: Browser, mixed: Path, width: int, dark: bool
) -> None:
    window.log()
    window.window(width, dark=dark)
    window.open(mixed)
    assert window.run("return document.documentElement.scrollWidth") == width
    assert window.log() == []
    ground = window.run("return getComputedStyle(document.body).backgroundColor")
    assert ground == ("rgb(18, 21, 25)" if dark else "rgb(245, 246, 248)")
    shown = window.run(
        "return [...document.querySelectorAll('svg.chart')].filter(e => e.getBoundingClientRect().width > 0).length"
    )
    assert shown >= 4
    if folder := os.environ.get("SCREENSHOTS"):
        window.screenshot(Path(folder) / f"page-{width}-{'dark' if dark else 'light'}.png", width, 3000)


@pytest.mark.parametrize("width", [1400, 390])
def test_the_texts_of_plots_stay_inside(window: Browser, mixed: Path, wide: Path, hostile: Path, width: int) -> None:
    window.window(width)
    for file in (mixed, wide, hostile):
        window.open(file)
        ends = window.run(
            "return [...document.querySelectorAll('svg.chart')].filter(e => e.getBoundingClientRect().width > 0)"
            ".flatMap(e => [...e.querySelectorAll('text')].map(t => [t.getBBox(), e.viewBox.baseVal]))"
            ".map(([box, view]) => [box.x, box.x + box.width, view.width])"
        )
        assert len(ends) > 10
        assert [end for end in ends if end[0] < 0 or end[1] > end[2]] == []


@pytest.mark.parametrize("dark", [False, True])
def test_shares_are_shaded_and_their_ink_turns(window: Browser, mixed: Path, dark: bool) -> None:
    window.window(1400, dark=dark)
    window.open(mixed)
    seen = window.run(
        "const cell = document.querySelector('.heat');"
        "return [0, 10, 40, 60, 90, 100].map(share => { cell.style.setProperty('--share', share + '%');"
        " const style = getComputedStyle(cell); return [style.backgroundColor, style.color] })"
    )
    grounds = [sum(map(float, re.findall(r"[\d.]+", ground)[:3])) for ground, _ in seen]
    assert sorted(grounds, reverse=not dark) == grounds, "always deeper"
    assert len(set(grounds)) == 6
    inks = [sum(map(float, re.findall(r"[\d.]+", ink)[:3])) for _, ink in seen]
    assert inks == [3, 3, 3, 0, 0, 0] if dark else inks == [0, 0, 0, 0, 3, 3]


@pytest.mark.parametrize(("width", "dark"), VIEWS)
def test_axe_reports_no_serious_violation(window: Browser, short: Path, hostile: Path, width: int, dark: bool) -> None:
    axe = axe_core()
    if axe is None:
        pytest.skip(
            "axe-core is not there: pip install --no-deps axe-playwright-python, or set AXE_CORE to an axe.min.js"
        )
    window.devtools("Page.setBypassCSP", enabled=True)
    try:
        window.window(width, dark=dark)
        for file in (short, hostile):
            window.open(file)
            window.run("document.querySelectorAll('details').forEach(e => e.open = true)")
            window.run(axe.read_text())
            found = window.run_async(
                "const done = arguments[0]; axe.run(document).then(r => done({passes: r.passes.length,"
                " bad: r.violations.map(v => [v.id, v.impact, v.nodes[0].html])}))"
            )
            assert found["passes"] > 20
            assert found["bad"] == []
    finally:
        window.devtools("Page.setBypassCSP", enabled=False)


def test_hostile_texts_show_as_text_and_nothing_runs(window: Browser, hostile: Path) -> None:
    window.devtools("Page.setBypassCSP", enabled=True)  # the page must be safe without its policy too
    try:
        window.log()
        window.devtools(
            "Page.addScriptToEvaluateOnNewDocument",
            source="window.ran = []; window.alert = what => window.ran.push(what)",
        )
        window.open(hostile)
        assert window.run("return window.ran") == []
        assert window.run("return document.scripts.length + document.images.length") == 0
        assert "<img src=x onerror=alert(1)>" in window.run("return document.body.innerText")
        assert window.log() == []
        window.run("document.body.insertAdjacentHTML('beforeend', '<img src=x onerror=alert(1)>')")
        ran = window.run_async("const done = arguments[0]; setTimeout(() => done(window.ran), 500)")
        assert ran == [1], "the trap would have caught it"
    finally:
        window.devtools("Page.setBypassCSP", enabled=False)


def test_with_its_policy_the_page_runs_and_loads_nothing_at_all(window: Browser, mixed: Path) -> None:
    window.open(mixed)
    window.run("document.body.insertAdjacentHTML('beforeend', '<img src=x onerror=document.title=1>')")
    assert window.run_async("const done = arguments[0]; setTimeout(() => done(document.title), 500)") != "1"
    assert any("Content Security Policy" in entry["message"] for entry in window.log())


def test_a_suite_of_2000_questions_opens_in_time(window: Browser, tmp_path: Path) -> None:
    run = write_run(tmp_path / "run", [measured("noisy", bank(2000), orders="cyclic")])
    file = written(run)
    window.window(1400)
    seconds, size = window.open(file), file.stat().st_size
    print(f"a suite of 2,000 questions: {size:,} bytes, opened in {seconds:.2f} s")
    assert size < 5_000_000
    assert seconds < 3
    assert "The 12 worst are shown" in window.run("return document.body.innerText")
