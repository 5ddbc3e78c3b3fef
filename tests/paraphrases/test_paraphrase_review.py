"""The review: each answer is on disk before the next question, and nothing that cannot be used is taken."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from pytest_llminvariance import Question, UsageError
from pytest_llminvariance.paraphrases.lock import Lock, LockEntry, Wording
from pytest_llminvariance.paraphrases.lock_file import read_lock, write_lock
from pytest_llminvariance.paraphrases.review import PROMPT, Review, review
from pytest_llminvariance.paraphrases.status import read_status

BARKS = Question("Which animal barks?", ["Dog", "Cat"], id="q1", context="At\x1b[2J home.")
MEOWS = Question("Which animal meows?", ["Dog", "Cat"], id="q2")
STEMS = ("What animal barks?", "Which of the animals barks?", "What animal meows?")
LOCK = Lock(
    "f.jsonl",
    (
        LockEntry(
            BARKS, (*(Wording(stem, "proposed", "m") for stem in STEMS[:2]), Wording("Sits?", "screened", "m", "why"))
        ),
        LockEntry(MEOWS, (Wording(STEMS[2], "proposed", "m"),)),
    ),
)


class Script:
    """Gives answers one after the other, and looks into the file at each."""

    def __init__(self, path: Path, *answers: str) -> None:
        self.path = path
        self.answers: Iterator[str] = iter(answers)
        self.prompts: list[str] = []
        self.on_disk: list[list[str]] = []

    def __call__(self, prompt: str, prefill: str = "") -> str:
        self.prompts.append(prompt + prefill)
        self.on_disk.append(statuses(self.path))
        answer = next(self.answers, None)
        if answer is None:
            raise EOFError
        if answer == "^C":
            raise KeyboardInterrupt
        return answer


def statuses(path: Path) -> list[str]:
    return [wording.status for entry in read_lock(path).entries for wording in entry.wordings]


@pytest.fixture
def path(tmp_path: Path) -> Path:
    file = tmp_path / "paraphrases.toml"
    write_lock(file, LOCK, expected=None)
    return file


def test_every_answer_is_saved_before_the_next_is_asked(path: Path) -> None:
    script, said = Script(path, "a", "R", "accept"), list[str]()
    assert review(Review.of(path), script, said.append)
    assert script.on_disk == [
        ["proposed", "proposed", "screened", "proposed"],
        ["accepted", "proposed", "screened", "proposed"],
        ["accepted", "rejected", "screened", "proposed"],
    ]
    assert statuses(path) == ["accepted", "rejected", "screened", "accepted"]
    assert script.prompts == [PROMPT] * 3
    assert said[:7] == [
        "",
        "1 of 3: q1",
        "  context: At\\u001b[2J home.",
        "  options: Dog | Cat",
        "  stem:    Which animal barks?",
        "  wording: What animal barks?",
        "  from:    m",
    ]


def test_skip_quit_and_what_is_no_answer(path: Path) -> None:
    said: list[str] = []
    script = Script(path, "s", "x\x1b", "", "q")
    assert not review(Review.of(path), script, said.append)
    assert statuses(path) == ["proposed", "proposed", "screened", "proposed"]
    assert '  "x\\u001b" is no answer: type a, r, e, s or q' in said
    assert "3 of 3: q2" not in said


@pytest.mark.parametrize(("last", "error"), [("^C", KeyboardInterrupt), (None, EOFError)])
def test_ctrl_c_and_the_end_of_input_lose_nothing(last: str | None, error: type[BaseException], path: Path) -> None:
    script = Script(path, "a", *([last] if last else []))
    with pytest.raises(error):
        review(Review.of(path), script, lambda line: None)
    assert statuses(path) == ["accepted", "proposed", "screened", "proposed"]


def test_an_edit_is_accepted_and_the_wording_it_came_from_rejected(path: Path) -> None:
    script = Script(path, "e", "Of the two, what animal barks?", "y", "q")
    review(Review.of(path), script, lambda line: None)
    wordings = read_lock(path).entries[0].wordings
    assert wordings[0] == Wording("What animal barks?", "rejected", "m")
    assert wordings[1] == Wording("Of the two, what animal barks?", "accepted", "edit of m")
    assert script.prompts[1] == "  new wording (empty: back): What animal barks?"
    assert script.prompts[2] == "  accept it all the same? [y/N] "


def test_an_edit_that_passes_the_screens_needs_no_second_answer(path: Path) -> None:
    review(Review.of(path), Script(path, "e", "The animal which barks is what?", "q"), lambda line: None)
    assert read_lock(path).entries[0].accepted == ("The animal which barks is what?",)


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("", None),
        ("what animal barks", "it is the proposed wording"),
        ("Which animal barks?", "it equals the stem or another wording"),
        ("which of the animals barks", "it equals the stem or another wording"),
        ("SITS", "it equals the stem or another wording"),
        ("a" * 2001, "it has 2,001 characters, and 2,000 is the most"),
        ("caf\udce9?", "it is no valid text"),
    ],
)
def test_an_edit_that_cannot_be_used_leads_back(text: str, why: str | None, path: Path) -> None:
    said: list[str] = []
    assert not review(Review.of(path), Script(path, "e", text, "q"), said.append)
    assert read_lock(path) == LOCK
    assert [line for line in said if line.startswith("  not taken: ")] == [line for line in said if why and why in line]
    assert why is None or any(why in line for line in said)


def test_an_edit_against_a_screen_is_dropped_unless_confirmed(path: Path) -> None:
    said: list[str] = []
    review(Review.of(path), Script(path, "e", "Which animal does not bark?", "", "q"), said.append)
    assert read_lock(path) == LOCK
    assert "  a screen would sort this out: negations: adds the negation not" in said


def test_stale_entries_are_not_shown_and_decisions_can_be_looked_at_again(path: Path) -> None:
    said: list[str] = []
    assert review(Review.of(path), Script(path, "r"), said.append, stale=frozenset([BARKS.content_hash]))
    assert "1 of 1: q2" in said
    assert review(Review.of(path), Script(path, "a"), said.append, status="screened")
    assert "  from:    m (why)" in said
    assert read_lock(path).entries[0].wordings[2] == Wording("Sits?", "accepted", "m")


def test_a_file_changed_by_somebody_else_is_not_overwritten(path: Path) -> None:
    under = Review.of(path)
    theirs = path.read_text().replace('"screened"', '"rejected"')
    path.write_text(theirs)
    with pytest.raises(UsageError, match="changed by somebody else meanwhile; nothing was overwritten"):
        review(under, Script(path, "a"), lambda line: None)
    assert path.read_text() == theirs


def test_status_counts_and_names(path: Path) -> None:
    status = read_status(
        path, [BARKS, Question("Which animal purrs?", ["Dog", "Cat"], id="q2"), Question("New?", ["a", "b"])]
    )
    text = "\n".join(status.lines())
    assert "proposed      3   wait for review" in text
    assert "without an accepted wording: 1 (q1)" in text
    assert "without an entry: 1 (New?)" in text
    assert 'q2: stale: the stem was "Which animal meows?" and is now "Which animal purrs?"' in text
    assert status.problems(strict=False) == ("1 stale",)
    assert status.problems(strict=True) == ("1 stale", "3 waiting for review", "2 without an accepted wording")


def test_nothing_is_wrong_with_a_finished_file(path: Path) -> None:
    review(Review.of(path), Script(path, "a", "r", "a"), lambda line: None)
    status = read_status(path, [BARKS, MEOWS])
    assert status.problems(strict=True) == ()
    assert len(list(status.lines())) == 5
