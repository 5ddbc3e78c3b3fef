"""README and ARCHITECTURE say what the code does."""

from __future__ import annotations

import configparser
import dataclasses
import re
from pathlib import Path

import pytest

import pytest_llminvariance
from pytest_llminvariance.cli import selftest
from pytest_llminvariance.measures.metrics import METRICS
from pytest_llminvariance.plugin.options import Settings
from tests.docs_site.pages import filled
from tests.house.test_layers import ROOMS

ROOT = Path(__file__).parents[2]
README = (ROOT / "README.md").read_text()
SETTINGS, READING, PROPERTIES, TOLERANCE = (
    (ROOT / "docs" / f"{name}.md").read_text() for name in ("settings", "reading", "properties", "tolerance")
)
ARCHITECTURE = (ROOT / "ARCHITECTURE.md").read_text()


def test_settings_table_equals_the_settings() -> None:
    assert filled(SETTINGS) == SETTINGS, "python -m tests.docs_site --tables writes it anew"
    flags = {f"`--invariance-{item.name.replace('_', '-')}" for item in dataclasses.fields(Settings)}
    assert len(flags) > 20
    assert {re.split("[=`]", line[3:])[0] for line in SETTINGS.splitlines() if line.startswith("| `")} == {
        f[1:] for f in flags
    }


def test_every_assertion_is_told_and_none_that_is_not_there() -> None:
    exist = {name for name in pytest_llminvariance.__all__ if name.startswith("assert_")}
    assert set(re.findall(r"`(assert_\w+)", README + PROPERTIES)) == exist


def test_every_metric_that_can_be_chosen_is_named() -> None:
    for name, metric in METRICS.items():
        assert metric.own or f"`{name}`" in TOLERANCE, name


def test_the_readme_is_short_and_its_links_lead_somewhere() -> None:
    assert len(README.splitlines()) <= 150
    pages = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
    dead = [
        (page.name, link)
        for page in pages
        for link in re.findall(r"\]\(([^)#:]+)(?:#[^)]*)?\)", page.read_text())
        if not (page.parent / link).exists()
    ]
    assert not dead


def test_each_threat_has_a_test_that_exists() -> None:
    text = (ROOT / "SECURITY.md").read_text()
    rows = [line for line in text.splitlines() if line.startswith("| ")][1:]
    named = [re.findall(r"`(tests/\S+)::(\w+)`", row) for row in rows]
    assert len(rows) > 5
    assert all(named)
    gone = [name for row in named for file, name in row if f"def {name}(" not in (ROOT / file).read_text()]
    assert not gone


def test_selftest_has_the_size_that_is_told() -> None:
    assert f"runs {len(selftest.CONTROLS)} fake models of known truth under {len(selftest.columns())} checks" in READING


@pytest.mark.parametrize("code", re.findall(r"```python\n(.*?)```", README, flags=re.DOTALL))
def test_python_in_the_readme_compiles_and_its_imports_exist(code: str) -> None:
    compile(code, "README.md", "exec")
    for line in re.findall(r"^from pytest_llminvariance import (.*)$", code, flags=re.MULTILINE):
        for name in line.replace(" as inv", "").split(", "):
            assert hasattr(pytest_llminvariance, name.strip())


def test_environments_that_are_named_exist() -> None:
    tox = configparser.ConfigParser(interpolation=None)
    tox.read(ROOT / "tox.ini")
    known = {section.removeprefix("testenv:") for section in tox.sections()}
    told = set(re.findall(r"tox run -e (\w+)", README + (ROOT / "CONTRIBUTING.md").read_text()))
    assert told <= known
    assert {tox[f"testenv:{name}"].get("description") for name in told - {"tests"}}.isdisjoint({None})


def test_the_architecture_names_the_rooms_in_their_order() -> None:
    table = ARCHITECTURE.split("|---|---|")[1].split("\n\n")[0]
    assert tuple(re.findall(r"^\| `(\w+)` \|", table, flags=re.MULTILINE)) == ROOMS


def test_modules_named_in_the_architecture_exist() -> None:
    package = ROOT / "pytest_llminvariance"
    named = set(re.findall(r"`((?:\w+/)+\w+)`", ARCHITECTURE))
    assert len(named) > 10
    missing = {
        name
        for name in named
        if not any((base / f"{name}{end}").exists() for base in (package, ROOT) for end in ("", ".py"))
    }
    assert not missing


def test_the_glossary_has_each_word_once() -> None:
    words = re.findall(r"^\| \*\*(.+?)\*\* \|", ARCHITECTURE.split("## Words")[1], flags=re.MULTILINE)
    assert len(words) > 30
    assert len(words) == len(set(words))
