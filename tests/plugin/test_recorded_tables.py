"""An instrument, a multiverse and a decomposition inside a test are findings: recorded, told everywhere, seen by gate and judge."""

from __future__ import annotations

import datetime
import html
from fractions import Fraction
from pathlib import Path

import pytest

from pytest_llminvariance import (
    FindingList,
    InvarianceError,
    Question,
    Reorder,
    UndecidedError,
    UsageError,
    Verdict,
    assert_configurations_agree,
    assert_forms_agree,
    assert_instrument_stable,
    check,
    controls,
    decompose,
    instrument,
    multiverse,
    run,
)
from pytest_llminvariance.checks.cells import Cell, worst_first, worst_of
from pytest_llminvariance.cli.selftest import _bank, _items
from pytest_llminvariance.gate.decision import BLOCKED, NO_EVIDENCE, PASSED, GateDecision, decide_gate
from pytest_llminvariance.gate.policy import policy_from
from pytest_llminvariance.measures.noise import Limits
from pytest_llminvariance.records.judge import judge, parse_changes
from pytest_llminvariance.records.record import load
from pytest_llminvariance.report.cells import cell_lines, cell_words
from pytest_llminvariance.report.entries import read_report
from pytest_llminvariance.report.html.page import page
from pytest_llminvariance.report.markdown import MAX_BYTES, markdown
from tests.records.records_schema import problems

HEAD = """
from pytest_llminvariance import *
from pytest_llminvariance.cli.selftest import _bank, _items

def test_it():
"""
NAMES = ("order: calm, letters with text", "prompt: order, letters with text -> digits with a legend, reversed")
CALLS = {
    "instrument": "instrument(controls.{}, _items(), margin=0.5)",
    "multiverse": "multiverse(controls.{}, _bank(), tolerance=0.05)",
    "forms": "decompose(controls.{}, _bank(), under=Reorder('cyclic'), tolerance=0.05)",
}
BROKEN = {"instrument": "noisy(0.9)", "multiverse": "noisy(0.5)", "forms": "always_first()"}


def ran(pytester: pytest.Pytester, body: str, *flags: str) -> tuple[pytest.RunResult, Path]:
    pytester.makepyfile(test_it=HEAD + "    " + body)
    return pytester.runpytest("--invariance-report=rec", *flags), pytester.path / "rec"


def decided(directory: Path, **policy: object) -> GateDecision:
    return decide_gate([load(directory)], policy_from(policy, "here"), datetime.date.today())


@pytest.mark.parametrize("name", CALLS)
def test_a_call_in_a_test_is_a_finding_like_any_other(name: str, pytester: pytest.Pytester) -> None:
    result, rec = ran(pytester, CALLS[name].format(BROKEN[name]))
    result.assert_outcomes(passed=1)  # like `check`, it raises nothing
    (finding,) = load(rec).findings
    assert (finding.property, finding.verdict, finding.level) == (name, Verdict.BROKEN, "block")
    assert problems(rec) == []
    assert decided(rec, required=[name]).exit_code == BLOCKED
    (again,) = judge(load(rec))
    assert again.row is not None
    assert again.row.to_json() == finding.to_json(), "judged again from its answers alone"
    good, held = ran(pytester, CALLS[name].format("oracle()"))
    good.assert_outcomes(passed=1)
    assert decided(held, required=[name]).exit_code == PASSED


def test_a_required_instrument_that_was_not_asked_is_missing(pytester: pytest.Pytester) -> None:
    _, rec = ran(pytester, "assert_order_symmetric(controls.oracle(), _bank())")
    decision = decided(rec, required=["instrument"])
    assert decision.exit_code != PASSED
    assert decision.missing


def test_cells_are_named_with_effect_bounds_and_verdict_in_every_format(pytester: pytest.Pytester) -> None:
    result, rec = ran(pytester, CALLS["instrument"].format("noisy(0.9)"))
    (finding,) = load(rec).findings
    assert len(finding.cells) == 2 * (3 + 3 * 2)
    broken = [cell for cell in finding.cells if cell.verdict is Verdict.BROKEN]
    result.stdout.fnmatch_lines(
        ["*BROKEN * Likert instrument: trait_move *", f"*cells: *{len(broken)} BROKEN*of 18 cells"]
    )
    result.stdout.fnmatch_lines(["*BROKEN * order: *, *: *points*, margin 0.5"])
    report = read_report(rec)
    shown = {"page": html.unescape(page(report, ())), "markdown": html.unescape(markdown(report))}
    for kind, text in shown.items():
        for name in {cell.name for cell in finding.cells} | set(NAMES):
            assert name in text, (kind, name)
        for title in ("Trait scores", "Acquiescence, and what a reversal left in place", "Internal consistency"):
            assert title in text, (kind, title)
        assert "kept_position" in text
    assert len(markdown(report).encode()) < MAX_BYTES


def test_an_instrument_that_holds_has_its_tables_too(pytester: pytest.Pytester) -> None:
    result, rec = ran(pytester, CALLS["instrument"].format("oracle()"))
    result.stdout.fnmatch_lines(["*HOLDS * Likert instrument: *", "*cells: *18 HOLDS of 18 cells"])
    report = read_report(rec)
    assert NAMES[0] in html.unescape(page(report, ()))
    assert NAMES[0] in html.unescape(markdown(report))


def test_mistyped_keys_are_told_where_the_verdict_is(pytester: pytest.Pytester) -> None:
    body = """from pytest_llminvariance.models.controls import Control
    minus = {i.stem for i in _items().items if i.reverse_keyed}
    def respond(p):
        return [0.96 if content == (0 if p.question.stem in minus else 4) else 0.01 for content in p.order]
    lost = tuple(Item(i.stem, i.trait, id=i.id) for i in _items().items)
    instrument(Control("keyed", respond), Questionnaire(lost, _items().scale, "keys lost"))"""
    result, rec = ran(pytester, body)
    warned = [guard for finding in load(rec).findings for guard in finding.guards if guard.name == "warning"]
    assert any("keys look mis-typed" in guard.text for guard in warned)
    result.stdout.fnmatch_lines(["*warning: keys look mis-typed: *"])
    report = read_report(rec)
    assert "keys look mis-typed" in page(report, ())
    assert "keys look mis-typed" in markdown(report)


@pytest.mark.parametrize("name", ["multiverse", "forms"])
def test_without_a_tolerance_it_describes_and_blocks_nothing(name: str, pytester: pytest.Pytester) -> None:
    result, rec = ran(pytester, CALLS[name].format(BROKEN[name]).replace(", tolerance=0.05", ""))
    result.assert_outcomes(passed=1)
    (finding,) = load(rec).findings
    assert (finding.level, finding.describes) == ("ignore", True)
    assert decided(rec).exit_code != BLOCKED
    assert decided(rec, required=[name]).exit_code in (BLOCKED, NO_EVIDENCE), "a description is no required check"
    assert judge(load(rec))[0].row == finding
    assert finding.title in page(read_report(rec), ())


def test_judge_decides_the_cells_at_another_margin(pytester: pytest.Pytester) -> None:
    _, rec = ran(pytester, CALLS["instrument"].format("noisy(0.3)"))
    (found,) = judge(load(rec), parse_changes(["instrument=0.9"], []))
    assert found.row is not None
    assert found.row.verdict is Verdict.HOLDS
    assert {(cell.verdict, cell.margin) for cell in found.row.cells} == {(Verdict.HOLDS, 3.6)}


def test_assertions_raise_and_name_the_cells() -> None:
    with pytest.raises(
        InvarianceError, match=r"Likert instrument is broken: .*\n(.*\n)*  cells:   \d+ BROKEN.* of 18 cells\n"
    ) as failed:
        assert_instrument_stable(controls.noisy(0.9), _items(), tolerance=0.125)
    assert "BROKEN    order: calm, letters with text: " in str(failed.value) or "BROKEN    prompt: " in str(
        failed.value
    )
    with pytest.raises(InvarianceError, match="score over configurations is broken"):
        assert_configurations_agree(controls.noisy(0.5), _bank())
    with pytest.raises(InvarianceError, match="form consistency under option order is broken"):
        assert_forms_agree(controls.always_first(), _bank(), under=Reorder("cyclic"))
    with pytest.raises(UndecidedError, match="the answers hardly depend on the item"):
        assert_instrument_stable(controls.always_first(), _items())
    for held in (
        assert_instrument_stable(controls.acquiescent(0.8), _items()),
        assert_configurations_agree(controls.oracle(), _bank()),
        assert_forms_agree(controls.oracle(), _bank()),
    ):
        assert held.verdict is Verdict.HOLDS


def test_what_a_notebook_sees_and_what_a_run_keeps() -> None:
    with run(recorder=(kept := FindingList())):
        table = instrument([controls.oracle(), controls.noisy(0.9)], _items())
        ways = multiverse(controls.oracle(), _bank())
        split = decompose(controls.uniform(), _bank(), under=Reorder("cyclic"))
    assert [finding.property for finding in kept.findings] == ["instrument", "instrument", "multiverse", "forms"]
    assert [finding.verdict for finding in table.findings] == [Verdict.HOLDS, Verdict.BROKEN]
    assert table.verdict is Verdict.BROKEN
    assert [finding.describes for finding in kept.findings] == [False, False, True, True]
    assert ways.median == 1
    assert split.uncertainty_bits == pytest.approx(2)
    details = next(finding for finding in kept.findings if finding.property == "forms").details["estimates"]
    assert details["uncertain part (bits)"]["value"] == pytest.approx(2)


@pytest.mark.parametrize(
    ("questions", "words"),
    [
        (_bank(), "has no scores, so it is no item of an instrument"),
        ([Question("I hum.", ["no", "yes"], scores=[1, 2])], "has no trait"),
        (
            [Question(f"I {n}.", ["no", "yes"], scores=[1, n], attributes={"trait": "t"}) for n in (2, 3)],
            "an instrument has one scale",
        ),
    ],
)
def test_what_is_no_instrument_is_refused_before_anything_is_asked(questions: object, words: str) -> None:
    with pytest.raises(UsageError, match=words):
        check("instrument", controls.oracle(), questions, tolerance=0.1)  # type: ignore[arg-type]


def test_a_template_beside_administrations_is_refused() -> None:
    with pytest.raises(UsageError, match="asked in its administrations"):
        check("instrument", controls.oracle(), _items(), tolerance=0.1, template="{stem}\n{options}")
    with pytest.raises(UsageError, match="configurations have their own"):
        check("multiverse", controls.oracle(), _bank(), tolerance=0.1, template="{stem}\n{options}")


def test_an_order_that_never_reaches_the_model_moves_nothing_and_holds_nothing() -> None:
    lettered = _items().administrations()[:2]  # the third names only the ends of the scale, which a proxy cannot sort
    proxy = controls.sorting_proxy(controls.oracle())
    found = check("instrument", proxy, _items(), tolerance=0.125, administrations=lettered)
    assert found.verdict is Verdict.UNDECIDED
    assert any("direction of the scale did not reach the model" in guard.text for guard in found.guards)
    assert {cell.verdict for cell in found.cells if cell.more["kind"] == "order"} == {Verdict.UNDECIDED}


@pytest.mark.parametrize(
    ("low", "high", "why", "verdict"),
    [
        (0.5, 0.5, "", Verdict.HOLDS), (-0.5, 0.5, "", Verdict.HOLDS), (0.5, 0.5, "flat", Verdict.UNDECIDED),
        (0.51, 0.6, "flat", Verdict.BROKEN), (-0.9, -0.51, "", Verdict.BROKEN), (-0.6, 0.1, "", Verdict.UNDECIDED),
        (0.4, 0.6, "", Verdict.UNDECIDED), (-4, 4, "", Verdict.UNDECIDED),
    ],
)  # fmt: skip
def test_a_cell_is_decided_by_the_rule_of_the_check(low: float, high: float, why: str, verdict: Verdict) -> None:
    tolerance = Fraction(1, 8)
    limits = Limits(broken_above=tolerance, holds_within=tolerance)
    cell = Cell(name="c", value=low, low=low, high=high, unit="points", whole=4, reason=why).decided(tolerance, limits)
    assert (cell.verdict, cell.margin) == (verdict, 0.5)
    assert bool(cell.reason) == (verdict is Verdict.UNDECIDED)
    size = worst_of([cell])
    assert (size.low > tolerance) == (verdict is Verdict.BROKEN), "cell and check say the same"
    assert cell_words({**cell.__class__.__dict__, **_plain(cell)}).startswith(f"{verdict:<9} c: ")


def _plain(cell: Cell) -> dict[str, object]:
    names = ("name", "value", "low", "high", "unit", "margin", "verdict", "reason")
    return {name: getattr(cell, name) for name in names}


def test_noise_that_may_explain_a_cell_leaves_it_open() -> None:
    loud = Limits(broken_above=Fraction(1, 2), holds_within=Fraction(-1))
    cell = Cell(name="c", value=0.3, low=0.3, high=0.3).decided(Fraction(1, 10), loud)
    assert (cell.verdict, cell.reason) == (Verdict.UNDECIDED, "noise may explain it between +0.3 and +0.3")


def test_the_worst_cells_come_first_and_many_are_counted() -> None:
    rows = [{**_plain(Cell(name=f"c{n}", value=n, low=n, high=n)), "verdict": v} for n, v in enumerate(("HOLDS", "BROKEN", "UNDECIDED", "BROKEN"))]  # fmt: skip
    assert [row["name"] for row in worst_first(rows)] == ["c3", "c1", "c2", "c0"]
    lines = list(cell_lines({"cells": rows * 5, "guards": []}))
    assert lines[0] == "cells:   10 BROKEN, 5 UNDECIDED, 5 HOLDS of 20 cells"
    assert lines[-1].strip() == "and 5 more that do not hold"
