"""What the answers of controls of known truth look like together."""

from __future__ import annotations

import itertools
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from pytest_llminvariance.checks.verdict import QuestionEffect
from pytest_llminvariance.measures.variance import Observation, Variance, VarianceShares
from pytest_llminvariance.questions.template import Template
from pytest_llminvariance.records.answers import readable_answers
from pytest_llminvariance.report.entries import read_report
from pytest_llminvariance.report.html.orbit_tables import orbit_table
from pytest_llminvariance.report.patterns import (
    AnsweredOrbit,
    Patterns,
    index_answers,
    orbits,
)
from tests.run_records import bank, measured, write_run

TEMPLATES = [Template(f"{word} {{stem}}\n{{options}}\n{{labels}}", name=word) for word in ("one", "two", "three")]


def found(
    directory: Path, model: str, property: str = "option_order", strip: bool = False, **more: Any
) -> list[AnsweredOrbit]:
    """The orbits of one check, through the files."""
    run = write_run(directory / "run", [measured(model, bank(12), property, **more)])
    if strip:
        rows = [json.loads(line) for line in (run / "answers.jsonl").read_text().splitlines()]
        kept = [{name: row[name] for name in row if name not in ("check", "role", "index")} for row in rows]
        (run / "answers.jsonl").write_text("".join(json.dumps(row) + "\n" for row in kept))
    (entry,) = read_report(run).entries
    return [orbit for orbit in orbits(entry, index_answers(readable_answers(run)[0])) if orbit is not None]


def gathered(answers: Sequence[AnsweredOrbit]) -> Patterns:
    patterns = Patterns()
    for orbit in answers:
        patterns.add(orbit)
    return patterns


def variance_shares(observations: Sequence[Observation]) -> VarianceShares | None:
    """Question by question, as they come."""
    variance = Variance()
    for _, group in itertools.groupby(observations, lambda item: item.question):
        variance.add(list(group))
    return variance.shares()


def effect(question: str, presentations: int) -> QuestionEffect:
    return QuestionEffect(question=question, low=0.5, high=0.5, presentations=presentations)


@pytest.mark.parametrize("strip", [False, True])
def test_a_model_that_takes_the_first(tmp_path: Path, strip: bool) -> None:
    answers = found(tmp_path, "always_first", strip=strip)
    assert len(answers) == 12
    assert all(len(orbit.rows) == 24 and orbit.has_as_written for orbit in answers)
    shares = gathered(answers).position_shares()
    assert shares is not None
    assert (shares.values, shares.is_balanced, shares.n) == ((1.0, 0.0, 0.0, 0.0), True, 288)
    assert shares.even == (0.25,) * 4
    went = gathered(answers).directions()
    assert went is not None
    assert (went.earlier, went.later) == (216, 0)
    # the first is right in a quarter: 3 of 12 questions go wrong in 18 orders, the others right in 6
    assert (went.to_right, went.to_wrong) == (9 * 6, 3 * 18)
    assert gathered(answers).label_shares() is None, "labels only number the positions"


def test_a_model_that_takes_the_last_goes_later(tmp_path: Path) -> None:
    went = gathered(found(tmp_path, "always_last")).directions()
    assert went is not None
    assert (went.earlier, went.later) == (0, 216)


def test_a_model_that_reads_the_content(tmp_path: Path) -> None:
    answers = found(tmp_path, "oracle")
    shares = gathered(answers).position_shares()
    assert shares is not None
    assert shares.values == (0.25,) * 4
    assert gathered(answers).directions() is None
    assert gathered(answers).spread() is None, "nothing varies"


def test_ties_count_in_parts(tmp_path: Path) -> None:
    shares = gathered(found(tmp_path, "uniform")).position_shares()
    assert shares is not None
    assert shares.values == pytest.approx((0.25,) * 4)


def test_labels_are_told_from_positions(tmp_path: Path) -> None:
    shares = gathered(found(tmp_path, "always_first", "labels")).label_shares()
    assert shares is not None
    first = {name: value for name, value in zip(shares.names, shares.values, strict=True) if value}
    assert len(first) == 4
    assert set(first.values()) == {0.25}


def test_the_variance_is_where_the_control_puts_it(tmp_path: Path) -> None:
    order = gathered(found(tmp_path / "a", "always_first")).spread()
    assert order is not None
    assert order.order == pytest.approx(1)
    assert (order.form, order.replicate) == (None, None)
    form = gathered(found(tmp_path / "b", "prompt_sensitive", "prompt", templates=TEMPLATES)).spread()
    assert form is not None
    assert form.form == pytest.approx(1)
    assert form.order is None


def test_a_table_shows_the_presentation_as_written_first(tmp_path: Path) -> None:
    orbit = found(tmp_path, "prompt_sensitive", "prompt", templates=TEMPLATES)[0]
    table = orbit_table(orbit, effect(orbit.name, 3), is_share=True)
    assert [row.name for row in table.rows] == ["as written", "two", "three"]
    assert table.names == "template"
    assert sum(row.is_changed for row in table.rows) in (1, 2)
    assert "of 2 other presentations" in table.said


def test_without_the_presentation_as_written_nothing_is_said_about_changes(tmp_path: Path) -> None:
    orbit = found(tmp_path, "prompt_sensitive", "prompt", strip=True, templates=TEMPLATES)[0]
    assert not orbit.has_as_written
    table = orbit_table(orbit, effect(orbit.name, 3), is_share=True)
    assert table.said == "50%"
    assert not any(row.is_changed for row in table.rows)


def test_a_long_orbit_is_cut_and_says_so(tmp_path: Path) -> None:
    run = write_run(tmp_path / "run", [measured("pair_order_sensitive", bank(2, k=5), orders="all")])
    (entry,) = read_report(run).entries
    orbit = next(orbits(entry, index_answers(readable_answers(run)[0])))
    assert orbit is not None
    table = orbit_table(orbit, effect("q0", 120), is_share=True)
    assert (len(table.rows), table.left_out) == (24, 96)
    assert table.rows[0].name == "as written"
    assert all(row.is_changed for row in table.rows[1:]), "changed answers are shown before others"


def test_shares_of_variance_on_numbers_worked_by_hand() -> None:
    def shares(values: list[float]) -> Any:
        keys = itertools.product("ab", "xy", "12")
        return variance_shares([Observation(*key, value) for key, value in zip(keys, values, strict=True)])

    only_question = shares([0, 0, 0, 0, 1, 1, 1, 1])
    assert (only_question.question, only_question.form, only_question.order) == (1, 0, 0)
    only_form = shares([0, 0, 1, 1, 0, 0, 1, 1])
    assert (only_form.question, only_form.form, only_form.order) == (0, 1, 0)
    half = shares([0, 1, 2, 3, 0, 1, 2, 3])  # forms differ by 2, orders by 1: 1 and 0.25 of 1.25
    assert (half.question, half.form, half.order, half.total) == (0, 0.8, 0.2, 1.25)
    assert half.replicate is None
    again = variance_shares([Observation("a", "x", "1", value) for value in (0, 1)])
    assert again is not None
    assert (again.question, again.form, again.order, again.replicate) == (None, None, None, 1)
    assert variance_shares([]) is None
    assert shares([0.3] * 8) is None
