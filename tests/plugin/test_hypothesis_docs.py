"""The snippets of docs/hypothesis.md run as they stand: fair models pass, and each is seen to fail on one that is not."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from pytest_llminvariance import strategies as inv

TEXT = (Path(__file__).parents[2] / "docs" / "hypothesis.md").read_text()
SNIPPETS = re.findall(r"```python\n(.*?)```", TEXT, flags=re.DOTALL)


@pytest.mark.parametrize("number", range(len(SNIPPETS)))
@pytest.mark.parametrize(("model", "outcome"), [("oracle", "passed"), ("content_blind", "failed")])
def test_snippets_run(number: int, model: str, outcome: str, pytester: pytest.Pytester) -> None:
    code = SNIPPETS[number]
    pytester.makepyfile(test_it=code)
    result = pytester.runpytest(f"--invariance-model=control:{model}", "--hypothesis-seed=0")
    result.assert_outcomes(**{outcome: 1})


def test_the_table_names_every_strategy() -> None:
    assert set(re.findall(r"^\| `inv\.(\w+)\(", TEXT, flags=re.MULTILINE)) == set(inv.__all__)
