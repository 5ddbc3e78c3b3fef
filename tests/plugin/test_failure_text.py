"""The failure message, pinned word for word: a pure function of a finding."""

from __future__ import annotations

import pytest

from pytest_llminvariance import Finding, Model, Question, Template, check, controls, run
from pytest_llminvariance.report.failure import failure_message

BANK = [Question(f"stem {n}?", [f"{c}{n}" for c in "abcd"], id=f"q{n}", answer=n % 4) for n in range(12)]
REPLAY = "pytest test_it.py::test_order --invariance-seed=7"

BROKEN = """\
option order is broken: the answer changed in 216 of 276 other presentations (78%, tolerated 5%).
  sure:    exact: 12 questions, 24 of 24 orders each, all asked
  example: q0: stem 0? - swap A and B:
             A. a0  B. b0  C. c0  D. d0  ->  a0 (A)
             A. b0  B. a0  C. c0  D. d0  ->  b0 (A)
  pattern: share chosen by position shown, first to last: 100%, 0%, 0%, 0% (even would be 25%)
  model:   always_first, read by label
  do:      average over orders with symmetrized(model), or train on permuted options; docs/broken.md
  replay:  pytest test_it.py::test_order --invariance-seed=7
  copy:    pytest -v shows the example as a test to copy"""
UNDECIDED = """\
option order is undecided: the answer changed in 0 of 276 other presentations (0% to 100%, tolerated 5%).
  because: the effect lies between 0 and 1, on both sides of the tolerance: tie 100% of answers
  sure:    12 questions, 24 of 24 orders each, all asked; ties and missing answers leave the range
  model:   uniform, read by label
  replay:  pytest test_it.py::test_order --invariance-seed=7"""
HOLDS = """\
option order holds: the answer changed in 0 of 276 other presentations (0%, tolerated 5%).
  sure:    exact: 12 questions, 24 of 24 orders each, all asked
  model:   oracle, read by label
  replay:  pytest test_it.py::test_order --invariance-seed=7"""


def order(model: Model, questions: list[Question] | Question = BANK) -> Finding:
    with run():  # not among the findings of the session that runs these tests
        return check("option_order", model, questions, tolerance=0.05)


@pytest.mark.parametrize(
    ("model", "text"),
    [(controls.always_first(), BROKEN), (controls.uniform(), UNDECIDED), (controls.oracle(), HOLDS)],
    ids=["BROKEN", "UNDECIDED", "HOLDS"],
)
def test_every_verdict_word_for_word(model: Model, text: str) -> None:
    assert failure_message(order(model), REPLAY) == text


def test_without_a_replay_the_line_is_left_out() -> None:
    assert failure_message(order(controls.oracle()), None) == HOLDS.rpartition("\n")[0]


def test_a_change_of_wording_shows_both_names_once() -> None:
    templates = [Template("{stem}\n{options}", name="plain"), Template("Please: {stem}\n{options}", name="polite")]
    with run():
        finding = check("prompt", controls.prompt_sensitive(), BANK, tolerance=0.05, templates=templates)
    assert finding.verdict == "BROKEN"
    lines = failure_message(finding, None).splitlines()
    (changed,) = (line for line in lines if line.startswith("  example: "))
    assert changed.count("'plain'") == changed.count("'polite'") == 1


def test_long_text_is_cut_and_stays_on_its_line() -> None:
    question = Question("long stem\nin lines " + "x" * 500, ["y" * 500, "z" * 500], id="long")
    lines = failure_message(order(controls.always_first(), question), REPLAY).splitlines()
    assert [line[:11] for line in lines[1:]] == [
        "  sure:    ", "  example: ", " " * 11, " " * 11, "  pattern: ", "  model:   ", "  do:      ", "  replay:  ", "  copy:    "
    ]  # fmt: skip
    assert max(map(len, lines)) < 650


@pytest.mark.parametrize("name", ["q", "s7"])
def test_a_short_id_is_shown(name: str) -> None:
    finding = order(controls.always_first(), Question("stem?", ["red", "blue", "green"], id=name))
    assert f"  example: {name}: stem? - swap A and B:" in failure_message(finding, None).splitlines()
