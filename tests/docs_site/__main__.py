"""Make the documentation site in build/site: `python -m tests.docs_site`, or `tox run -e docs`.

Warnings are errors, links and anchors are checked, and no page may load anything from elsewhere.
`--tables` writes what docs/ holds of the code anew instead.
"""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from pathlib import Path

from tests.docs_site.pages import ROOT, assemble, filled

SOURCES, SITE = ROOT / "build" / "docs", ROOT / "build" / "site"
LOADED = re.compile(r"<(?:script|img|iframe|source|link)\b[^>]*?\b(?:src|href)=[\"']?((?:https?:)?//[^\"'\s>]+)")
IN_STYLES = re.compile(r"(?:url\(|@import )[\"']?((?:https?:)?//[^\"')\s]+)")


def loaded_from_elsewhere(site: Path) -> list[str]:
    """Return what pages and styles load from other places, each with its file."""
    found = []
    for file in sorted(site.rglob("*")):
        pattern = {".html": LOADED, ".css": IN_STYLES}.get(file.suffix)
        if pattern:
            found += [f"{file.relative_to(site)}: {url}" for url in pattern.findall(file.read_text("utf-8"))]
    return found


def write_tables() -> None:
    """Write the parts of docs/settings.md that are made from code."""
    page = ROOT / "docs" / "settings.md"
    page.write_text(filled(page.read_text("utf-8")), encoding="utf-8")


def main() -> int:
    """Return the exit status."""
    if "--tables" in sys.argv[1:]:
        write_tables()
        return 0
    print(f"{len(assemble(SOURCES))} pages")
    shutil.rmtree(SITE, ignore_errors=True)
    build = [
        sys.executable,
        "-m",
        "zensical",
        "build",
        "--strict",
        "--clean",
        "--config-file",
        str(ROOT / "mkdocs.yml"),
    ]
    made = subprocess.run(build, check=False, cwd=ROOT)
    foreign = loaded_from_elsewhere(SITE) if made.returncode == 0 else []
    for line in foreign:
        print(f"loaded from elsewhere: {line}")
    return made.returncode or int(bool(foreign))


if __name__ == "__main__":
    raise SystemExit(main())
