"""A small part of the table of suites and fakes: who must hold does, and who must not does not."""

from __future__ import annotations

import pytest

from tests.calibration.kinds import KINDS, MODELS, finding, table


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.name)
def test_a_perfect_model_holds_on_every_kind_of_suite_and_no_other_verdict_is_wrong(kind) -> None:  # type: ignore[no-untyped-def]
    found = {name: finding(kind, 20, name) for name in MODELS}
    assert found["perfect"].verdict == "HOLDS", found["perfect"].reasons
    assert found["good"].verdict == "HOLDS", found["good"].reasons
    assert found["biased"].verdict == "BROKEN"
    assert found["blind"].verdict == "UNDECIDED"
    assert found["guessing"].verdict != "BROKEN"


def test_the_table_has_a_cell_for_every_fake() -> None:
    head, _, *rows = table(KINDS[:1], sizes=(2, 3), seeds=2)
    assert rows
    assert {line.count("|") for line in (head, *rows)} == {len(MODELS) + 3}
