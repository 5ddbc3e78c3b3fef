"""The package's stub, for type checkers and editors, made from its table of names: `python -m tests.stub` writes it."""

from __future__ import annotations

from pathlib import Path

import pytest_llminvariance

STUB = Path(pytest_llminvariance.__file__).with_suffix(".pyi")
HEAD = "# made by `python -m tests.stub` from the table in __init__.py; a test compares them\n\n"


def stub_text() -> str:
    """Return one import a name, sorted as ruff sorts them."""
    lines = []
    for name, home in pytest_llminvariance._HOMES.items():
        module = f"pytest_llminvariance.{home}"
        lines.append((module.rpartition(".")[0] if name in pytest_llminvariance._MODULES else module, name))
    imports = [f"from {module} import {name} as {name}\n" for module, name in sorted(lines)]
    return HEAD + "".join(imports) + "\n__all__: list[str]\n_HOMES: dict[str, str]\n_MODULES: set[str]\n"


if __name__ == "__main__":
    STUB.write_text(stub_text())
