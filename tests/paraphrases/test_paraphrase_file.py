"""The lock file: what is written is read back equal; what is malformed is named; writing is all or nothing."""

from __future__ import annotations

import os
import tomllib
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pytest_llminvariance import Question, QuestionError, UsageError
from pytest_llminvariance.paraphrases.lock import (
    STATUSES,
    Lock,
    LockEntry,
    Wording,
    changes_between,
    comparable,
    stale_entries,
    visible,
)
from pytest_llminvariance.paraphrases.lock_file import (
    digest_of,
    parse_lock,
    read_lock,
    read_what_is_good,
    render_lock,
    write_lock,
)
from pytest_llminvariance.questions.labels import same_form

TEXT = st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=30)
NASTY = st.sampled_from(
    ['"', "'''", '"""', "\\", "\\u0041", "\x00", "\x1f", "\x7f", "\n", "\r\n", "\t", "é", "日本", "🙂", "\u2028", "\u202e", "#", "= ]"]
)  # fmt: skip
PROSE = st.lists(TEXT | NASTY, min_size=1, max_size=4).map("".join).filter(str.strip)


@st.composite
def questions(draw: st.DrawFn) -> Question:
    options = draw(st.lists(PROSE, min_size=2, max_size=4, unique_by=same_form))
    scores = draw(st.none() | st.lists(st.floats(-1e8, 1e8), min_size=len(options), max_size=len(options), unique=True))
    return Question(
        draw(PROSE),
        options,
        id=draw(st.none() | PROSE),
        context=draw(st.none() | PROSE),
        scores=scores,
        reverse_keyed=scores is not None and draw(st.booleans()),
    )


@st.composite
def entries(draw: st.DrawFn) -> LockEntry:
    question = draw(questions())
    stems = draw(st.lists(PROSE, max_size=4, unique_by=comparable))
    free = [stem for stem in stems if comparable(stem) != comparable(question.stem)]
    wordings = [Wording(s, draw(st.sampled_from(STATUSES)), draw(TEXT), draw(st.none() | TEXT)) for s in free]
    return LockEntry(question, tuple(wordings))


LOCKS = st.builds(
    Lock, PROSE, st.lists(entries(), max_size=3, unique_by=lambda entry: entry.question.content_hash).map(tuple)
)


def test_nothing_invisible_is_written_raw() -> None:
    text = render_lock(Lock('a\x00\x1b\x7f\u2028\u202e\n\t"\\é🙂', ()))
    assert 'questions = "a\\u0000\\u001B\\u007F\\u2028\\u202E\\n\\t\\"\\\\é🙂"\n' in text


@given(lock=LOCKS)
def test_what_is_written_is_read_back_equal(lock: Lock) -> None:
    text = render_lock(lock)
    assert parse_lock(text.encode(), "f.toml") == lock
    assert render_lock(parse_lock(text.encode(), "f.toml")) == text


@given(lock=LOCKS)
def test_every_line_is_printable_and_any_reader_agrees(lock: Lock) -> None:
    text = render_lock(lock)
    assert all(line.isprintable() for line in text.split("\n"))
    assert [row["stem"] for row in tomllib.loads(text).get("question", [])] == [e.question.stem for e in lock.entries]


def test_windows_line_ends_and_a_byte_order_mark_are_read(tmp_path: Path) -> None:
    data = b"\xef\xbb\xbf" + render_lock(LOCK).replace("\n", "\r\n").encode()
    assert parse_lock(data, "f.toml") == LOCK


def test_a_decision_changes_one_line() -> None:
    entry = LOCK.entries[0]
    decided = LOCK.with_entry(
        LockEntry(entry.question, (Wording("Which beast barks?", "accepted", "rule: x"), *entry.wordings[1:]))
    )
    before, after = render_lock(LOCK).splitlines(), render_lock(decided).splitlines()
    changed = [(a, b) for a, b in zip(before, after, strict=True) if a != b]
    assert changed == [('status = "proposed"', 'status = "accepted"')]


BARKS = Question("Which animal barks?", ["Dog", "Cat"], id="q1")
LOCK = Lock(
    "questions.jsonl",
    (
        LockEntry(
            BARKS, (Wording("Which beast barks?", "proposed", "rule: x"), Wording("Who barks?", "screened", "m", "why"))
        ),
        LockEntry(Question("Which meows?", ["Dog", "Cat"], id="q2"), ()),
    ),
)
GOOD = render_lock(LOCK)

MALFORMED = {
    "not TOML": (GOOD + "\n= 3", "is not TOML"),
    "no version": (GOOD.replace("version = 1\n", ""), "the field 'version' is missing"),
    "other version": (GOOD.replace("version = 1", "version = 2"), "has version 2, but this package reads version 1"),
    "version as text": (GOOD.replace("version = 1", 'version = "1"'), "the field 'version' is '1', but must be a whole number"),
    "unknown field at the top": ("extra = 1\n" + GOOD, "unknown field 'extra'"),
    "questions no list": ('question = 3\nversion = 1\nquestions = "q"\n', "the field 'question' is 3, but must be a list"),
    "question no table": ('question = [3]\nversion = 1\nquestions = "q"\n', "question 1: 3 is no table"),
    "unknown field": (GOOD.replace("stem = \"Which animal", "steem = \"Which animal"), "question 1 (q1): unknown field 'steem'"),
    "no stem": (GOOD.replace('stem = "Which meows?"\n', ""), "question 2 (q2): the field 'stem' is missing"),
    "stem no text": (GOOD.replace('stem = "Which meows?"', "stem = 3"), "question 2 (q2): the field 'stem' is 3, but must be text"),
    "one option": (GOOD.replace('options = ["Dog", "Cat"]', 'options = ["Dog"]', 1), "question 1 (q1): question 'q1': 1 option(s)"),
    "stem by hand": (GOOD.replace("Which meows?", "Which purrs?"), "question 2 (q2): the field 'hash' is"),
    "status": (GOOD.replace('"proposed"\nsource', '"maybe"\nsource'), "question 1 (q1), wording 1: the field 'status' is 'maybe', but must be one of proposed, accepted"),
    "empty wording": (GOOD.replace("Who barks?", " "), "wording 2: the field 'stem' is ' ', but must not be empty"),
    "long wording": (GOOD.replace("Who barks?", "w" * 2001), "wording 2: the field 'stem' has 2,001 characters"),
    "same as the stem": (GOOD.replace("Who barks?", "which ANIMAL  barks"), "wording 2: the field 'stem' is the same as the question's own stem"),
    "twice": (GOOD.replace("Who barks?", "Which beast barks"), "wording 2: the field 'stem' is the same as wording 1"),
    "wording unknown field": (GOOD.replace("reason =", "because ="), "wording 2: unknown field 'because'"),
    "no source": (GOOD.replace('source = "m"\n', ""), "wording 2: the field 'source' is missing"),
    "same question twice": (GOOD + GOOD[GOOD.index("\n[[question]]"):], "question 3 (q1): the field 'hash' is that of question 1 too"),
}  # fmt: skip


@pytest.mark.parametrize("name", MALFORMED)
def test_what_is_malformed_is_told_by_file_entry_field_and_rule(name: str, tmp_path: Path) -> None:
    text, message = MALFORMED[name]
    assert text != GOOD
    file = tmp_path / "paraphrases.toml"
    file.write_text(text)
    with pytest.raises(QuestionError) as raised:
        read_lock(file)
    assert str(raised.value).startswith("paraphrases.toml")
    assert message in str(raised.value)
    assert str(raised.value) in read_what_is_good(file)[1]


def test_a_report_tells_all_problems_and_keeps_what_is_right(tmp_path: Path) -> None:
    file = tmp_path / "p.toml"
    file.write_text(GOOD.replace("Which meows?", "Which purrs?").replace('"screened"', '"lost"'))
    lock, problems = read_what_is_good(file)
    assert (len(problems), lock.entries) == (2, ())
    file.write_text(GOOD.replace("Which meows?", "Which purrs?"))
    lock, problems = read_what_is_good(file)
    assert (len(problems), lock.entries) == (1, LOCK.entries[:1])
    file.write_text(GOOD)
    assert read_what_is_good(file) == (LOCK, ())


def test_bytes_that_are_no_text_and_no_file(tmp_path: Path) -> None:
    (tmp_path / "p.toml").write_bytes(b"\xff")
    with pytest.raises(QuestionError, match=r"p\.toml: is not UTF-8 text \(byte 0\)"):
        read_lock(tmp_path / "p.toml")
    with pytest.raises(UsageError, match=r"there is no file .* Make it with: llminvariance paraphrase new"):
        read_lock(tmp_path / "none.toml")


def test_a_file_that_somebody_else_changed_is_not_overwritten(tmp_path: Path) -> None:
    file = tmp_path / "p.toml"
    digest = write_lock(file, LOCK, expected=None)
    assert digest == digest_of(file)
    file.write_text(GOOD + "# theirs\n")
    with pytest.raises(UsageError, match="changed by somebody else meanwhile; nothing was overwritten"):
        write_lock(file, Lock("other", ()), expected=digest)
    assert file.read_text() == GOOD + "# theirs\n"
    with pytest.raises(UsageError, match="changed by somebody else"):
        write_lock(file, LOCK, expected=None)


@pytest.mark.parametrize("interruption", [KeyboardInterrupt, OSError(28, "No space left on device")])
def test_an_interrupted_write_leaves_the_file_and_nothing_beside_it(
    interruption: BaseException, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "p.toml"
    digest = write_lock(file, LOCK, expected=None)

    def broken(*args: object) -> None:
        raise interruption

    monkeypatch.setattr(os, "replace", broken)
    with pytest.raises((KeyboardInterrupt, UsageError)):
        write_lock(file, Lock("other", ()), expected=digest)
    assert file.read_text() == GOOD
    assert os.listdir(tmp_path) == ["p.toml"]


def test_rights_and_links_stay(tmp_path: Path) -> None:
    file, link = tmp_path / "p.toml", tmp_path / "link.toml"
    digest = write_lock(file, LOCK, expected=None)
    file.chmod(0o640)
    link.symlink_to(file)
    write_lock(link, Lock("other", ()), expected=digest)
    assert link.is_symlink()
    assert file.stat().st_mode & 0o777 == 0o640
    assert read_lock(file).questions == "other"


def test_the_same_content_is_not_written_again(tmp_path: Path) -> None:
    file = tmp_path / "p.toml"
    digest = write_lock(file, LOCK, expected=None)
    before = file.stat().st_ino
    write_lock(file, LOCK, expected=digest)
    assert file.stat().st_ino == before


def test_each_change_of_content_makes_an_entry_stale_and_is_named() -> None:
    now = Question("Which pet barks?", ["Dog", "Fox"], id="q1", context="At home.", scores=[1, 2], reverse_keyed=True)
    found = list(stale_entries(Lock("f", LOCK.entries[:1]), [now]))
    assert [(item.entry.question, item.now) for item in found] == [(BARKS, now)]
    assert str(found[0]) == (
        'q1: stale: the stem was "Which animal barks?" and is now "Which pet barks?"; the context was none and is now '
        '"At home."; the options were Dog | Cat and are now Dog | Fox; the scores were none and are now 1, 2; '
        "reverse_keyed was False and is now True"
    )
    assert changes_between(BARKS, BARKS) == ""


def test_an_answer_or_attribute_changes_nothing() -> None:
    now = Question("Which animal barks?", ["Dog", "Cat"], id="q1", answer="Dog", attributes={"trait": "x"})
    assert not list(stale_entries(Lock("f", LOCK.entries[:1]), [now]))


def test_without_ids_a_question_is_known_by_its_stem_where_that_is_certain() -> None:
    old = [Question("Which team?", ["a", "b"], context=text) for text in ("one", "two")]
    lock = Lock("f", tuple(LockEntry(question, ()) for question in old))
    one, two = (Question("Which team?", ["a", "b"], context=text) for text in ("three", "four"))
    assert [item.now for item in stale_entries(lock, [old[0], one])] == [one]
    assert [item.now for item in stale_entries(lock, [one, two])] == [None, None]
    assert [item.now for item in stale_entries(lock, [one])] == [None, None]
    assert "no such question any more" in str(next(stale_entries(lock, [one])))


def test_nothing_of_a_text_moves_the_cursor_or_turns_the_line() -> None:
    assert visible("a\x1b[2Jb\rc\u202ed\ne\u200b") == "a\\u001b[2Jb\\u000dc\\u202ed ⏎ e\\u200b"
    assert visible("plain é 日本 🙂") == "plain é 日本 🙂"
