"""The tutorial's commands run, and the script that writes its outputs sees what differs."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from tests import tutorial

PAGE = tutorial.PAGE.read_text("utf-8")
BINARIES = Path(sys.executable).parent
SMALL = """\
<!-- file: a.txt -->
```text
one
```

<!-- step: look -->
```sh
cat a.txt; echo "took 3.1s"; pwd
```

```text
one
took 2.5s
.
```

<!-- times -->
| old |
<!-- end of times -->
"""


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> tuple[str, list[tutorial.Step]]:
    """The page on a fake model that always takes the first option; it is as broken as the demo model."""
    folder = tmp_path_factory.mktemp("tutorial")
    env = tutorial.surroundings(folder, BINARIES) | {"PYTHONPATH": str(tutorial.ROOT)}
    fake = ("install", "your model")
    return tutorial.run_page(PAGE, folder, env, fake, lambda code: code.replace("./model", "control:always_first"))


def test_the_tutorial_ends_in_a_blocked_release(made: tuple[str, list[tutorial.Step]]) -> None:
    said = {step.name: step.output for step in made[1]}
    assert list(said) == ["first verdict", "test folder", "tests", "gate", "page"]
    assert "BROKEN   order" in said["first verdict"]
    assert "option order is broken" in said["tests"]
    assert "gate: BLOCKED" in said["gate"]
    assert [said[name].splitlines()[-1] for name in ("first verdict", "tests", "gate")] == ["exit status 1"] * 3
    assert "report.html" in said["page"].split()


def test_the_page_has_the_outputs_that_no_model_changes(made: tuple[str, list[tutorial.Step]]) -> None:
    for step in made[1]:
        if step.name in ("test folder", "page"):
            assert f"```text\n{step.output}\n```" in PAGE, "python -m tests.tutorial writes the page anew"


def test_the_page_tells_the_times_that_are_promised() -> None:
    table = tutorial.TIMES.search(PAGE)
    assert table is not None
    rows = [[cell.strip() for cell in row.split("|")] for row in table[0].splitlines() if " min |" in row]
    since = {row[1]: float(row[4].removesuffix(" min")) for row in rows}
    assert since["first verdict"] < 5
    assert since["gate"] < 10


def test_times_and_paths_may_differ_and_nothing_else(tmp_path: Path) -> None:
    page, steps = tutorial.run_page(SMALL, tmp_path, tutorial.surroundings(tmp_path, BINARIES))
    assert [step.name for step in steps] == ["look"]
    assert "took 3.1s\n.\n" in page
    assert tutorial.differences(SMALL, page) == []
    lines = tutorial.differences(SMALL.replace("```text\none\ntook", "```text\ntwo\ntook"), page)
    assert [line for line in lines if line[0] in "+-"][2:] == ["-two", "+one"]


def test_the_package_of_this_repository_is_installed() -> None:
    code = tutorial.installed_from_here("pip install 'pytest-llminvariance[demo]'\n")
    assert f"'{tutorial.ROOT}[demo]'" in code
    assert "constraints.txt" in code
