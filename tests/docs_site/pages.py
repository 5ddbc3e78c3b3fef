"""Pages of the repository as pages of the site: which they are, and where their links lead."""

from __future__ import annotations

import html
import posixpath
import re
import shutil
from collections.abc import Callable, Mapping
from pathlib import Path

from tests.docs_site import reference

ROOT = reference.ROOT
OTHERS = {
    "README.md": "index.md",
    "ARCHITECTURE.md": "architecture.md",
    "CONTRIBUTING.md": "contributing.md",
    "SECURITY.md": "security.md",
    "benchmarks/RESULTS.md": "benchmarks.md",
    "benchmarks/README.md": "benchmarks-running.md",
}
"""Pages that are kept outside of docs/."""
MADE: Mapping[str, Callable[[], str]] = {
    "settings": reference.settings_table,
    "commands": reference.commands,
    "schemas": reference.schema_page,
    "changes": reference.changelog,
}
"""What a page holds between `<!-- made: NAME -->` and `<!-- end of NAME -->`."""
LANGUAGES = {
    ".py": "python",
    ".yml": "yaml",
    ".yaml": "yaml",
    ".toml": "toml",
    ".ini": "ini",
    ".jsonl": "json",
    ".json": "json",
}
FENCE = re.compile(r"(^```.*?^```$)", re.MULTILINE | re.DOTALL)
LINK = re.compile(r"\]\(([^)\s]+)\)")
BARRED = re.compile(r"`([^`\n]*\\\|[^`\n]*)`")
"""Code with an escaped bar, in a cell of a table: GitHub reads it, Python-Markdown shows the escape."""


class LinkError(ValueError):
    """A link leads to nothing that the site has."""


def assemble(target: Path) -> list[str]:
    """Write all sources of the site into an empty folder, and return the names of its pages."""
    shutil.rmtree(target, ignore_errors=True)
    pages = {f"docs/{file.name}": file.name for file in sorted((ROOT / "docs").glob("*.md"))} | OTHERS
    texts = {page: moved(filled((ROOT / source).read_text("utf-8")), source, pages) for source, page in pages.items()}
    texts |= {**reference.api_pages(), "examples.md": examples()}
    for name, text in texts.items():
        (target / name).parent.mkdir(parents=True, exist_ok=True)
        (target / name).write_text(text, encoding="utf-8")
    shutil.copytree(reference.SCHEMAS, target / "schemas")
    return sorted(texts)


def filled(text: str) -> str:
    """Return a page with everything that is made from code made anew."""
    for name, make in MADE.items():
        begin, end = f"<!-- made: {name} -->\n", f"<!-- end of {name} -->"
        before, found, rest = text.partition(begin)
        if found:
            text = f"{before}{begin}\n{make()}\n\n{end}{rest.partition(end)[2]}"
    return text


def moved(text: str, source: str, pages: Mapping[str, str]) -> str:
    """Return a page of the repository with links as they are on the site; code is left as it is."""
    parts = FENCE.split(text)

    def link(found: re.Match[str]) -> str:
        return f"]({_moved(found[1], source, pages)})"

    return "".join(part if part.startswith("```") else BARRED.sub(_unbarred, LINK.sub(link, part)) for part in parts)


def _unbarred(found: re.Match[str]) -> str:
    return f"<code>{html.escape(found[1].replace(chr(92) + '|', '|')).replace('|', '&#124;')}</code>"


def _moved(link: str, source: str, pages: Mapping[str, str]) -> str:
    path, mark, anchor = link.partition("#")
    if not path or ":" in path:
        return link
    there = posixpath.normpath(posixpath.join(posixpath.dirname(source), path))
    if there in pages:
        return pages[there] + mark + anchor
    if there.startswith("pytest_llminvariance/schemas/") and (ROOT / there).is_file():
        return "schemas/" + posixpath.basename(there)
    if there.startswith("examples") and (ROOT / there).exists():
        return "examples.md" + ("" if there == "examples" else f"#{_anchor(there)}")
    raise LinkError(f"{source} links to {link}, and the site has no such page. Name a page of docs/, or one of OTHERS")


def _anchor(path: str) -> str:
    return re.sub(r"[^a-z0-9]+", "-", path.lower()).strip("-")


def examples() -> str:
    """Return one page with every file of examples/."""
    parts = ["# Examples\n", "Every file of the folder `examples` of the repository.\n"]
    for folder in ("examples/model_repo", "examples/ci", "examples"):
        parts.append(f"## {folder} {{#{_anchor(folder)}}}\n")
        within = (ROOT / folder).rglob("*") if folder != "examples" else (ROOT / folder).glob("*")
        for file in sorted(path for path in within if path.is_file() and path.suffix != ".pyc"):
            name = file.relative_to(ROOT).as_posix()
            code = file.read_text("utf-8").rstrip("\n")
            parts.append(f"### {name} {{#{_anchor(name)}}}\n\n````{LANGUAGES.get(file.suffix, 'text')}\n{code}\n````\n")
    return "\n".join(parts)
