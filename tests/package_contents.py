"""See that sdist and wheel in a folder hold what they should and nothing else: `python tests/package_contents.py dist`."""

from __future__ import annotations

import sys
import tarfile
import zipfile
from collections.abc import Iterable
from pathlib import Path

ROOT = Path(__file__).parents[1]
MUST = {
    "pyproject.toml",
    "tox.ini",
    "constraints.txt",
    "mkdocs.yml",
    "README.md",
    "LICENSE",
    "docs/tutorial.md",
    "tests/pins.py",
}
FOLDERS = {"pytest_llminvariance", "tests", "examples", "benchmarks", "docs", "changes"}
FILES = MUST | {"ARCHITECTURE.md", "CONTRIBUTING.md", "SECURITY.md", "CHANGELOG.md", "PKG-INFO", ".gitignore"}
CRUFT = ("__pycache__", ".pyc", ".egg-info", ".tox", ".cache", "_cache/", "build/", "dist/", ".hypothesis")


def of_package(root: Path) -> set[str]:
    """Return the files of the package as they lie in a checkout."""
    files = (path for path in (root / "pytest_llminvariance").rglob("*") if path.is_file())
    return {path.relative_to(root).as_posix() for path in files if "__pycache__" not in path.parts}


def wheel_problems(names: Iterable[str], package: set[str]) -> list[str]:
    """Return what a wheel lacks of the package, and what it holds besides."""
    held = {name for name in names if ".dist-info/" not in name and not name.endswith("/")}
    return [f"wheel lacks {name}" for name in sorted(package - held)] + [
        f"wheel holds {name}" for name in sorted(held - package)
    ]


def sdist_problems(names: Iterable[str], package: set[str]) -> list[str]:
    """Return what an sdist lacks, and what does not belong into it."""
    held = {name.partition("/")[2] for name in names}
    strange = {name for name in held if name not in FILES and name.partition("/")[0] not in FOLDERS}
    strange |= {name for name in held if any(mark in name for mark in CRUFT)}
    return [f"sdist lacks {name}" for name in sorted((package | MUST) - held)] + [
        f"sdist holds {name}" for name in sorted(strange)
    ]


def main(folder: Path) -> int:
    """Return the exit status: 1 where something is missing or too much."""
    (wheel,), (sdist,) = folder.glob("*.whl"), folder.glob("*.tar.gz")
    package = of_package(ROOT)
    with zipfile.ZipFile(wheel) as zipped, tarfile.open(sdist) as packed:
        names, files = zipped.namelist(), [one.name for one in packed.getmembers() if one.isfile()]
    problems = wheel_problems(names, package) + sdist_problems(files, package)
    for file, held in ((wheel, names), (sdist, files)):
        print(f"{file.name}: {len(held)} files, {file.stat().st_size / 1e6:.2f} MB")
    print(*problems, sep="\n")
    return int(bool(problems))


if __name__ == "__main__":
    raise SystemExit(main(Path(sys.argv[1])))
