"""Words that all texts share: an interval from low to high, and texts in which nothing moves the terminal."""

from __future__ import annotations

import dataclasses
from fractions import Fraction
from typing import Any

import pytest

from pytest_llminvariance import Question, check, controls
from pytest_llminvariance.checks.verdict import Finding, Verdict
from pytest_llminvariance.measures.metrics import Interval
from pytest_llminvariance.report.failure import failure_message, same_answer_message
from pytest_llminvariance.report.terminal import finding_line, section_lines
from pytest_llminvariance.report.text import cut, joined, one_line
from pytest_llminvariance.report.words import COLOURS, SAID, effect_words, low_to_high, number, percent

ATTACK = "a\x1b[31mred\x07 b\u202ec\x9b\x00"


@pytest.fixture
def broken() -> Finding:
    return check(
        "option_order",
        controls.control("always_first"),
        [
            Question(f"Which {n}?\x1b[2J", [f"{ATTACK} {n}", "two\nlines", "three  blanks"], id=f"q{n}")
            for n in range(3)
        ],
        tolerance=0.05,
    )


@pytest.mark.parametrize(
    ("low", "high", "say", "words"),
    [
        (0, Fraction(1, 3), percent, "0% to 33%"),
        (Fraction(9, 23), Fraction(9, 23), percent, "39%"),
        (0.3912, 0.3931, percent, "39%"),
        (0.996, 1, percent, "100%"),
        (0, 0.0001, number, "0 to 0.0001"),
        (0.12345, 0.12349, number, "0.12"),
        (-0.5, -0.25, "{:+.3g}".format, "-0.5 to -0.25"),
    ],
)
def test_low_to_high(low: float, high: float, say: object, words: str) -> None:
    assert low_to_high(low, high, say) == words  # type: ignore[arg-type]


def test_two_ends_that_are_said_alike_are_said_once_everywhere(broken: Finding) -> None:
    count = "9 of 23 other presentations"
    near = dataclasses.replace(broken, effect=Interval(0.3912, 0.3931), count=count)
    assert "(39%, tolerated 5%)" in effect_words(near)  # was: 39% to 39%
    line = finding_line({**near.to_json(), "count": count, "effect": {"low": 0.3912, "high": 0.3931}})
    assert "(39%), tolerance 5%" in line  # was: 39% to 39%, where reports said 39%


def test_every_verdict_has_its_words_and_colour() -> None:
    assert set(SAID) == set(COLOURS) == set(Verdict)
    assert SAID["HOLDS"] == "holds"
    assert COLOURS["BROKEN"] == "red"


def harmless(text: str) -> bool:
    return all(character == "\n" or (character.isprintable() and character != "\u202e") for character in text)


def test_no_control_character_of_a_question_reaches_the_terminal(broken: Finding) -> None:
    text = failure_message(broken, "pytest 'x\x1b'")
    assert harmless(text)
    assert "a\\x1b[31mred\\x07 b\\u202ec\\x9b\\x00 0" in text
    assert "two  lines" in text
    assert "three  blanks" in text, "blanks within a line stay"
    assert broken.example is not None
    assert harmless(same_answer_message(broken.example, "m\x1b]0;title\x07", "label", None))


def test_no_control_character_of_a_record_reaches_the_terminal(broken: Finding) -> None:
    row = {**broken.to_json(), "title": f"order {ATTACK}", "reasons": [f"because {ATTACK}"]}
    records: list[dict[str, Any]] = [
        {"kind": "finding", "id": "1", "finding": row, "where": f"t.py::test[{ATTACK}]", "level": "block"},
        {"kind": "note", "line": ATTACK},
        {"kind": "failed", "id": "2", "title": ATTACK, "reason": ATTACK, "where": ATTACK},
    ]
    lines = [line for line, _ in section_lines(records, "fail")]
    assert len(lines) == 3 + any(not guard.needed for guard in broken.guards)
    assert all(map(harmless, [*lines, finding_line(row)]))


def test_lines_side_by_side() -> None:
    text = "A. one\r\n\n   B. two  three\x1b\n"
    assert joined(text) == "A. one  B. two  three\\x1b"
    assert joined(text, 10) == "A. one  B…"
    assert one_line(text) == "A. one B. two three\\x1b"
    assert cut("abc", 3) == "abc"
