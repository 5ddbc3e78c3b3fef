"""Which single change is enough, in words: pinned, from what was answered and nothing else."""

from __future__ import annotations

import pytest

from pytest_llminvariance import Layout, Presentation, Question, Template
from pytest_llminvariance.search.explanation import explain, missing_singles

WHO = Question("Who?", ["Ann", "Bob", "Cy", "Di"])
A = Presentation(WHO)
SWAP = A.replace(order=(1, 0, 2, 3))
LAST = A.replace(order=(0, 1, 3, 2))
BACK = A.replace(order=(3, 2, 1, 0))
ROLL = A.replace(order=(1, 2, 3, 0))
DIGITS, LATE = A.replace(labels=tuple("1234")), A.replace(labels=tuple("PQRS"))
TABS = A.replace(layout=Layout(separator="\t"))
POLITE = A.replace(template=Template("Please: {stem} {options}"))
EDITED = A.replace(question=Question("Who then?", WHO.options))
SWAP_DIGITS = SWAP.replace(labels=tuple("1234"))
THREE = SWAP_DIGITS.replace(layout=TABS.layout)

CASES = [
    (SWAP, {SWAP: True}, ""),
    (SWAP, {}, ""),
    (DIGITS, {DIGITS: True, LATE: True}, ""),
    (SWAP, {SWAP: True, DIGITS: False}, "swapping options 1 and 2 alone flips the answer; re-lettering alone does not"),
    (LAST, {LAST: True, TABS: False}, "swapping options 3 and 4 alone flips the answer; another layout alone does not"),
    (BACK, {BACK: True, DIGITS: True}, "reversing the options alone flips the answer; re-lettering alone does too"),
    (
        ROLL,
        {ROLL: True, DIGITS: False, TABS: False, POLITE: False},
        "re-ordering the options alone flips the answer; re-lettering, another layout or another wording alone does not",
    ),
    (
        DIGITS,
        {DIGITS: True, SWAP: False, LAST: False, POLITE: None},
        "re-lettering alone flips the answer; re-ordering the options (2 ways) alone does not; "
        "another wording alone leaves it open",
    ),
    (
        SWAP,
        {SWAP: True, DIGITS: False, LATE: True, EDITED: False},
        "swapping options 1 and 2 alone flips the answer; editing the question alone does not; "
        "re-lettering (1 of 2 ways) alone does too",
    ),
    (
        SWAP_DIGITS,
        {SWAP: False, DIGITS: False},
        "it takes re-lettering and swapping options 1 and 2 together: neither alone flips the answer",
    ),
    (
        SWAP_DIGITS,
        {SWAP: False, DIGITS: None, TABS: False},
        "it takes re-lettering and swapping options 1 and 2 together: swapping options 1 and 2 alone does not flip "
        "the answer; another layout alone does not",
    ),
    (SWAP_DIGITS, {}, "it takes re-lettering and swapping options 1 and 2 together"),
    (
        THREE,
        {SWAP: False, DIGITS: False, TABS: False},
        "it takes re-lettering, another layout and swapping options 1 and 2 together: none of them alone flips the answer",
    ),
]


@pytest.mark.parametrize(("after", "tried", "text"), CASES)
def test_word_for_word(after: Presentation, tried: dict[Presentation, bool | None], text: str) -> None:
    assert explain(A, after, tried) == text


def test_presentations_with_several_changes_say_nothing_about_one() -> None:
    assert explain(A, SWAP, {SWAP: True, SWAP_DIGITS: False, THREE: False}) == ""


def test_what_is_missing_is_each_part_alone_and_nothing_twice() -> None:
    assert missing_singles(A, SWAP, THREE, {}) == (SWAP, DIGITS, TABS)
    assert missing_singles(A, SWAP, THREE, {DIGITS: False, SWAP: True}) == (TABS,)
    assert missing_singles(A, SWAP, THREE, {LATE: False, LAST: True}) == (SWAP, TABS)
    found = BACK.replace(labels=tuple("1234"))
    assert missing_singles(A, DIGITS, found, {}) == (DIGITS, BACK)
    assert missing_singles(A, SWAP, SWAP, {SWAP: True}) == ()
