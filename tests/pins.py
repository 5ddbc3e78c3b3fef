"""Write the versions installed here of everything that pyproject.toml names: `tox run -e pins`."""

from __future__ import annotations

import sys
import tomllib
from importlib.metadata import version
from pathlib import Path

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from packaging.version import Version

ROOT = Path(__file__).parents[1]
HEAD = """\
# Every direct dependency of the package, its extras and its tests, pinned: what README's commands install.
# Written by `tox run -e pins`; CONTRIBUTING.md says when. On a machine without a GPU, set
# PIP_EXTRA_INDEX_URL=https://download.pytorch.org/whl/cpu to get the CPU build of the same torch.
"""


ENGINES = {"vllm"}
"""Extras that bring their own torch, so that nothing of them is in an environment of the tests."""


def direct_dependencies(project: Path) -> list[str]:
    """Return the names in dependencies, extras and the group `tests` of a pyproject.toml, sorted, without its own."""
    read = tomllib.loads(project.read_text("utf-8"))
    told = [
        read["project"]["dependencies"],
        *(lines for extra, lines in read["project"]["optional-dependencies"].items() if extra not in ENGINES),
        read["dependency-groups"]["tests"],
    ]
    names = {canonicalize_name(Requirement(line).name) for lines in told for line in lines}
    return sorted(names - {canonicalize_name(read["project"]["name"])})


def pin(name: str) -> str:
    """Return the line that pins what is installed, without the label of a build such as `+cpu`."""
    return f"{name}=={Version(version(name)).public}"


def main(target: Path) -> None:
    """Write the constraints."""
    lines = [pin(name) for name in direct_dependencies(ROOT / "pyproject.toml")]
    target.write_text(HEAD + "\n".join(lines) + "\n", encoding="utf-8")
    print(*lines, sep="\n")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
