"""Where the sentence around some words begins and ends: found from the stops of the whole text as from the text before them."""

from __future__ import annotations

from typing import Any

from hypothesis import example, given
from hypothesis import strategies as st

from pytest_llminvariance.measures import wording
from pytest_llminvariance.measures.parsing import parse_choice
from pytest_llminvariance.measures.wording import STOP, Page

SHOWN: Any = None


def around(text: str, at: int, end: int) -> tuple[int, int, bool]:
    """Look through all that stands before, and through all that comes."""

    def ends(stop: int) -> bool:
        return text[stop] != "\n" or text[:stop].rstrip()[-1:] not in (":", ",")

    starts = [found.end() for found in STOP.finditer(text, 0, at) if ends(found.start())]
    after = next((found for found in STOP.finditer(text, end) if ends(found.start())), None)
    return starts[-1] if starts else 0, len(text) if after is None else after.start(), bool(after and after[0] == "?")


@given(st.text(alphabet="ab3e.g :,\n?", max_size=30), st.integers(0, 30), st.integers(0, 30))
@example("it is 3.5. b", 7, 9)
@example("e.g. a", 2, 4)
@example("a:\n b\n c", 5, 6)
def test_a_sentence_is_found_as_by_reading_all_before_it(text: str, at: int, more: int) -> None:
    at = min(at, len(text))
    end = min(at + more, len(text))
    assert Page(SHOWN, text, text).sentence(at, end) == around(text, at, end)


def test_the_stops_of_a_long_text_are_found_once() -> None:
    """Each of its labels asks about its sentence; reading all before it each time took a minute for 80,000 characters."""
    wording._stops.cache_clear()
    text = "- it is (B)\n" * 200
    found = parse_choice(text, labels=("A", "B", "C"), options=("red", "green", "blue"), stem="Which?", ran_out=False)
    assert found.position == 1
    asked = wording._stops.cache_info()
    assert asked.misses <= 4 < asked.hits
