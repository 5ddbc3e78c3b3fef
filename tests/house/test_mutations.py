"""Each mutation of the table still finds the code that it changes, and the tests that must notice."""

from __future__ import annotations

import pytest

from tests.mutations import MUTATIONS, ROOT, Mutation


@pytest.mark.parametrize("mutation", MUTATIONS, ids=lambda mutation: mutation.name)
def test_its_code_stands_once_and_its_tests_are_there(mutation: Mutation) -> None:
    text = (ROOT / "pytest_llminvariance" / mutation.file).read_text("utf-8")
    assert text.count(mutation.old) == 1
    assert mutation.new != mutation.old
    assert all(list((ROOT / "tests").rglob(name)) for name in mutation.tests)


def test_names_are_unique() -> None:
    names = [mutation.name for mutation in MUTATIONS]
    assert len(names) == len(set(names))
