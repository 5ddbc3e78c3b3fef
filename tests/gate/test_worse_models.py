"""A comparison does not let pass a model that never changes its answers because it gives none worth having."""

from __future__ import annotations

import dataclasses
import json
from fractions import Fraction
from pathlib import Path

import pytest

from pytest_llminvariance import Finding, Question, check, controls, run
from pytest_llminvariance.checks.verdict import Guard
from pytest_llminvariance.measures.flips import Pair, count_flips
from pytest_llminvariance.measures.metrics import Interval
from tests.commands import llminvariance
from tests.run_directories import write_run

BANK = [Question(f"stem {n}?", ["elm", "oak", "ash"], id=f"q{n}", answer=n % 3) for n in range(24)]


def cli(*arguments: object) -> tuple[int, str]:
    result = llminvariance(["compare", *arguments])
    assert result.exception is None or isinstance(result.exception, SystemExit), result.exception
    return result.exit_code, result.output


def directory(place: Path, model: object, *, answers: bool) -> Path:
    with run() as current:
        finding = check("option_order", model, BANK, tolerance=0.05)
        return write_run(place, [finding], exit=int(finding.verdict != "HOLDS"), memo=current.memo if answers else {})


def found(*guards: Guard) -> Finding:
    good = check("option_order", controls.oracle(), BANK, tolerance=0.05)
    return dataclasses.replace(good, guards=guards, verdict=good.verdict)


@pytest.mark.parametrize("ratchet", [False, True])
@pytest.mark.parametrize("answers", [False, True])
def test_a_constant_model_is_not_as_good_as_one_that_knows(tmp_path: Path, *, answers: bool, ratchet: bool) -> None:
    old = directory(tmp_path / "old", controls.oracle(), answers=answers)
    new = directory(tmp_path / "new", controls.wrong_oracle(), answers=answers)
    flags = ("--ratchet", tmp_path / "r.json") if ratchet else ()
    if ratchet:
        assert cli(old, old, *flags, "--accept")[0] == 0
    code, said = cli(old, new, *flags)
    assert code == (1 if answers else 3), said
    assert "that was not so in the baseline" in said or answers
    assert ("accuracy as written fell by more than the margin: right 24 -> 0 of 24" in said) == answers
    assert cli(old, old, *flags)[0] == 0
    assert cli(new, new)[0] == 0, "no better then, no worse now"
    assert cli(new, old)[0] == 0


@pytest.mark.parametrize(("n", "code"), [(0, 0), (1, 0), (2, 1), (12, 1)])
def test_accuracy_is_compared_where_every_guard_passes(tmp_path: Path, n: int, code: int) -> None:
    old = directory(tmp_path / "old", controls.oracle(), answers=True)
    new = directory(tmp_path / "new", controls.oracle(), answers=True)
    lines = [json.loads(line) for line in (new / "answers.jsonl").read_text().splitlines()]
    for line in lines:
        if line["question_id"] in {f"q{number}" for number in range(n)}:
            line["answer"]["outcomes"] = [(line["correct"] + 1) % 3]
    (new / "answers.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    got, said = cli(old, new, "--margin", "0.05")
    assert got == code, said
    assert f"right 24 -> {24 - n} of 24" in said


def guard(passed: bool | None, name: str = "responsive", blocks: str = "HOLDS") -> Guard:
    return Guard(name=name, passed=passed, text=f"{name} is {passed}", blocks=blocks)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("before", "now", "code"),
    [
        ([guard(True)], [guard(True)], 0),
        ([guard(True)], [guard(False)], 3),
        ([guard(None)], [guard(False)], 3),
        ([guard(False)], [guard(False)], 0),
        ([guard(False)], [guard(True)], 0),
        ([guard(True)], [guard(None)], 3),
        ([guard(True)], [], 3),
        ([], [guard(False)], 3),
        ([guard(None)], [], 0),
        ([guard(True, blocks="nothing")], [guard(False, blocks="nothing")], 0),
        ([guard(True, blocks="both")], [guard(False, blocks="both")], 3),
    ],
)
def test_a_guard_that_passed_before(tmp_path: Path, before: list[Guard], now: list[Guard], code: int) -> None:
    places = []
    for name, guards in (("old", before), ("new", now)):
        finding = found(*guards)
        if any(one.passed is False and one.blocks != "nothing" for one in guards):
            finding = dataclasses.replace(finding, verdict=type(finding.verdict)("UNDECIDED"))
        places.append(write_run(tmp_path / name, [finding]))
    assert cli(*places)[0] == code


A, B, EITHER = frozenset({0}), frozenset({1}), frozenset({0, 1})


@pytest.mark.parametrize(
    ("before", "now", "low", "high"),
    [(A, A, 0, 0), (A, B, 1, 1), (B, A, -1, -1), (EITHER, EITHER, 0, 0), (A, EITHER, 0, 1), (EITHER, A, -1, 0)],
)
def test_the_loss_of_accuracy(before: frozenset[int], now: frozenset[int], low: int, high: int) -> None:
    pairs = [Pair("a", before, now, 0), Pair("b", A, A, 0)]
    assert count_flips(pairs).accuracy_loss == Interval(Fraction(low, 2), Fraction(high, 2))


def test_a_ratchet_that_cannot_be_read_or_written_is_one_line(tmp_path: Path) -> None:
    old = directory(tmp_path / "old", controls.oracle(), answers=False)
    (tmp_path / "file").write_text("")
    for place in (tmp_path / "file" / "r.json", tmp_path / "none" / "r.json", tmp_path):
        code, said = cli(old, old, "--ratchet", place, "--accept")
        assert code == 2, said
        assert "error: ratchet" in said
        assert "cannot be" in said
    assert "does not exist" not in cli(old, old, "--ratchet", tmp_path / "r.json")[1]
    assert cli(old, old, "--ratchet", tmp_path / "r.json")[0] == 2
