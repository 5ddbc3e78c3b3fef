"""`benchmarks.scale`: its growth is that of the numbers, and every stage runs."""

from __future__ import annotations

from pathlib import Path

import pytest

from benchmarks.scale import FIT_FROM_S, STAGES, growth, questions, table

SIZES = (100, 1_000, 10_000)


@pytest.mark.parametrize("power", [1, 2])
def test_growth_is_the_power_with_no_residual(power: int) -> None:
    assert growth([(n, 3 * n**power) for n in SIZES]) == pytest.approx((power, 0), abs=1e-9)


def test_a_bend_shows_as_a_residual() -> None:
    found = growth([(100, 1), (1_000, 10), (10_000, 1_000)])
    assert found is not None
    assert found[0] > 1.4
    assert found[1] > 0.3


def test_what_takes_no_time_has_no_growth() -> None:
    assert growth([(100, FIT_FROM_S / 2), (1_000, 1), (10_000, 10)]) is None


def test_every_stage_runs_and_has_its_rows(tmp_path: Path) -> None:
    for stage in STAGES.values():
        assert stage(tmp_path / "run", questions(2))
    cells = [{"stage": name, "questions": 2, "answers": 48, "cpu_s": 1.2, "peak_bytes": 2**20} for name in STAGES]
    lines = table([*cells, {"stage": "disk", "questions": 2, "answers": 48, "disk_bytes": 48_000}])
    assert len(lines) == 1 + len(cells) + 1 + len(STAGES)
    assert "25.000 ms" in lines[1]
    assert lines[1 + len(cells)].endswith("1.00 kB")


def test_questions_are_distinct_and_right_answers_stand_everywhere() -> None:
    made = questions(2_000)
    assert len({question.content_hash for question in made}) == len(made)
    assert {question.answer for question in made} == {0, 1, 2, 3}
