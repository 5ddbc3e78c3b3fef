"""The sources of the documentation site: every page is in the menu, links lead somewhere, references are whole."""

from __future__ import annotations

import dataclasses
import re
from pathlib import Path

import pytest
import typer
import yaml

import pytest_llminvariance
from pytest_llminvariance.cli import app
from pytest_llminvariance.plugin.options import Settings
from tests.docs_site import pages, reference
from tests.docs_site.__main__ import loaded_from_elsewhere

ROOT = reference.ROOT


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("site") / "docs"
    pages.assemble(folder)
    return folder


def menu(entries: list[object]) -> list[str]:
    inner = [value for entry in entries if isinstance(entry, dict) for value in entry.values()]
    return [page for value in inner for page in ([value] if isinstance(value, str) else menu(value))]


def test_every_page_is_in_the_menu_once(site: Path) -> None:
    told = menu(yaml.safe_load((ROOT / "mkdocs.yml").read_text("utf-8"))["nav"])
    assert sorted(told) == sorted(path.relative_to(site).as_posix() for path in site.rglob("*.md"))


def test_links_lead_to_pages_and_files_of_the_site(site: Path) -> None:
    links = [
        (page, link)
        for page in site.rglob("*.md")
        for part in pages.FENCE.split(page.read_text("utf-8"))
        if not part.startswith("```")
        for link in re.findall(r"\]\(([^)#:\s]+)(?:#[^)]*)?\)", part)
    ]
    assert len(links) > 50
    assert not [(page.name, link) for page, link in links if not (page.parent / link).exists()]


@pytest.mark.parametrize(
    "link", ["nothing.md", "../examples/nothing.py", "../tox.ini", "../pytest_llminvariance/schemas/no.json"]
)
def test_a_link_to_nothing_is_an_error(link: str) -> None:
    with pytest.raises(pages.LinkError, match=re.escape(link)):
        pages.moved(f"[a]({link})", "docs/reading.md", {"docs/reading.md": "reading.md"})


def test_links_in_code_stay_and_bars_in_cells_are_shown_as_bars() -> None:
    code = "```text\n[a](nothing.md)\n```"
    assert pages.moved(code, "docs/reading.md", {}) == code
    assert pages.moved("| `P(D\\|H)` |", "docs/reading.md", {}) == "| <code>P(D&#124;H)</code> |"


def test_every_command_and_option_is_told() -> None:
    text = reference.commands()
    root = typer.main.get_command(app)

    def seen(command: object, path: str) -> None:
        for name, inner in getattr(command, "commands", {}).items():
            section = text.partition(f"\n## {path} {name}\n")[2].partition("\n## ")[0]
            assert section, name
            shown = [part for part in inner.params if part.name != "help" and not getattr(inner, "commands", {})]
            assert all(any(option in section for option in (*part.opts, part.metavar or "-")) for part in shown), name
            seen(inner, f"{path} {name}")

    seen(root, "llminvariance")
    assert text.count("\n## ") > 15


def test_every_setting_is_told() -> None:
    table = reference.settings_table()
    assert all(
        f"| `invariance_{item.name}` | {item.metadata['help']} |" in table for item in dataclasses.fields(Settings)
    )


def test_every_public_name_has_its_place_on_one_page() -> None:
    text = "\n".join(reference.api_pages().values())
    for name in pytest_llminvariance.__all__:
        places = re.findall(rf"^(?:[:]{{3}} \S+\.{name}|## {name} \{{.*)$", text, flags=re.MULTILINE)
        assert len(places) == 1, name


def test_schemas_and_changes_are_told_whole(site: Path) -> None:
    told = (site / "schemas.md").read_text("utf-8")
    assert all(f"schemas/{file.name}" in told for file in reference.SCHEMAS.glob("*.json"))
    assert "| `schema_version` | `1`, `2` | yes |" in told
    changes = (site / "changelog.md").read_text("utf-8")
    for file in (ROOT / "changes").glob("*.md"):
        assert file.read_text("utf-8").strip().splitlines()[0].lstrip("- ") in changes, file


def test_what_a_page_loads_from_elsewhere_is_seen(tmp_path: Path) -> None:
    (tmp_path / "a.html").write_text('<a href="https://x.org">x</a><script src="assets/a.js"></script>')
    (tmp_path / "a.css").write_text("a { background: url(data:image/png;base64,AA) }")
    assert loaded_from_elsewhere(tmp_path) == []
    (tmp_path / "b.html").write_text(
        '<link rel="stylesheet" href="https://fonts.x/a"><script async src=//cdn.x/b.js></script>'
    )
    (tmp_path / "b.css").write_text("@import 'https://c.x/c.css'; b { background: url(//d.x/d) }")
    assert [line.partition(": ")[2] for line in loaded_from_elsewhere(tmp_path)] == [
        "https://c.x/c.css", "//d.x/d", "https://fonts.x/a", "//cdn.x/b.js",
    ]  # fmt: skip
