"""The way of a check goes one way, and the script that says so sees what it should see."""

from __future__ import annotations

import pytest

from tests import structure


@pytest.mark.parametrize(("stops_early", "changes", "returns"), [(False, 24, 5), (True, 29, 9)])
def test_a_check_changes_modules_seldom(stops_early: bool, changes: int, returns: int) -> None:
    """When all modules lay in one folder: 48 changes and 34 returns where everything is asked, 59 and 44 where a check stops early.

    What comes back: a property plans what it was made for, what only HOLDS needs is asked in a second stage, after the effect is
    known, and a rule that stops goes back to asking after each group.
    """
    stays = structure.walk(structure.HERE, stops_early=stops_early).through(structure.USED)
    assert len(stays) - 1 <= changes, stays
    assert len(stays) - len(set(stays)) <= returns, stays
    story = [
        "refusals",
        "planning",
        "deciding",
        "asking",
        "sheet",
        "evidence",
        "responses",
        "drift",
        "verdict",
        "examples",
    ]
    firsts = [stays.index(f"checks.{name}") for name in story]
    assert firsts == sorted(firsts), stays


def test_an_import_that_runs_up_and_a_cycle_are_seen() -> None:
    arrows = {"low": {"high.inner"}, "high.inner": {"low"}, "high.alone": set()}
    order = [{"low"}, {"high"}]
    assert structure.against(arrows, order) == ["low -> high.inner"]
    assert structure.cycles(arrows) == ["high.inner", "low"]


def test_the_package_has_neither() -> None:
    source = structure.read(structure.HERE)
    arrows, order = structure.imports(source), structure.order_of(structure.HERE)
    assert order
    assert not structure.against(arrows, order)
    assert not structure.cycles(arrows)
