"""The whole flow in a real terminal session: propose, review, check, test; stale, malformed and interrupted."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pexpect
import pytest

from pytest_llminvariance.paraphrases.lock_file import read_lock

QUESTIONS: list[dict[str, object]] = [
    {"id": "q1", "stem": "Which animal barks?", "options": ["Dog", "Cat"], "answer": "Dog"},
    {"id": "q2", "stem": "I make plans.", "options": ["agree", "disagree"]},
    {"id": "q3", "stem": "What colour is snow?", "options": ["White", "Red"], "context": "Say \x1b]0;owned\x07 it."},
]
ASKED = r"\[a\]ccept, \[r\]eject, \[e\]dit, \[s\]kip or \[q\]uit\? "


class Terminal:
    """Commands run in a folder, each in a terminal of its own."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.questions = folder / "questions" / "q.jsonl"
        self.file = folder / "paraphrases.toml"
        self.questions.parent.mkdir()
        self.ask(QUESTIONS)

    def ask(self, rows: list[dict[str, object]]) -> None:
        self.questions.write_text("\n".join(map(json.dumps, rows)))

    def start(self, *words: str) -> pexpect.spawn[str]:
        code = "from pytest_llminvariance.cli import main; main()"
        arguments = ["-c", code, "paraphrase", *words]
        return pexpect.spawn(
            sys.executable, arguments, cwd=str(self.folder), encoding="utf-8", timeout=120, dimensions=(40, 200)
        )

    def run(self, *words: str) -> tuple[int, str]:
        """Return exit status and everything printed."""
        session = self.start(*words)
        session.expect(pexpect.EOF)
        session.close()
        return session.exitstatus, session.before.replace("\r\n", "\n")

    def statuses(self) -> list[str]:
        return [wording.status for entry in read_lock(self.file).entries for wording in entry.wordings]


@pytest.fixture
def terminal(tmp_path: Path) -> Terminal:
    return Terminal(tmp_path)


def ended(session: pexpect.spawn[str]) -> tuple[int, str]:
    session.expect(pexpect.EOF)
    session.close()
    return session.exitstatus, session.before


def test_propose_review_and_check(terminal: Terminal) -> None:
    code, text = terminal.run("new", "questions/q.jsonl")
    assert code == 0, text
    assert "paraphrases.toml: 6 new wordings for 3 questions: 6 proposed, 0 screened out; 0 more were the same" in text
    assert read_lock(terminal.file).questions == "questions/q.jsonl"

    session = terminal.start("review")
    session.expect("1 of 6: q1")
    session.expect("wording: Please answer this question: Which animal barks\\?")
    session.expect(ASKED)
    session.sendline("a")
    session.expect("accepted")
    session.expect("2 of 6: q1")
    session.expect(ASKED)
    assert terminal.statuses()[:2] == ["accepted", "proposed"]  # saved before the next was asked
    session.sendline("what?")
    session.expect('"what\\?" is no answer')
    session.expect(ASKED)
    session.sendline("r")
    session.expect("3 of 6")
    session.expect(ASKED)
    session.sendline("e")
    session.expect("new wording")
    session.expect("> Of the options given, which animal barks\\?")  # ready to be edited
    session.send("\x15")  # empties the line
    session.sendline("Of these options, which animal barks?")
    session.expect("accepted as edited")
    session.expect("4 of 6: q3")
    session.expect("context: Say \\\\u001b\\]0;owned\\\\u0007 it\\.")  # nothing reaches the terminal itself
    session.expect(ASKED)
    session.sendline("s")
    session.expect("5 of 6")
    session.expect(ASKED)
    session.sendline("q")
    code, text = ended(session)
    assert code == 0
    assert "stopped: 3 decided and saved, 3 wait for review" in text
    assert terminal.statuses() == ["accepted", "rejected", "rejected", "accepted", *["proposed"] * 3]
    assert read_lock(terminal.file).entries[0].wordings[3].source == "edit of rule: of the options"

    code, text = terminal.run("check")
    assert (code, text.splitlines()[-1]) == (0, "check: ok")
    code, text = terminal.run("check", "--strict")
    assert (code, text.splitlines()[-1]) == (1, "check: FAILED: 3 waiting for review, 2 without an accepted wording")

    # what was rejected, and edited away, is not proposed again
    before = terminal.file.read_bytes()
    code, text = terminal.run("new", "questions/q.jsonl")
    assert "0 new wordings" in text
    assert terminal.file.read_bytes() == before


def test_ctrl_c_keeps_what_was_decided_and_leaves_nothing_beside_the_file(terminal: Terminal) -> None:
    terminal.run("new", "questions/q.jsonl")
    session = terminal.start("review")
    session.expect(ASKED)
    session.sendline("a")
    session.expect("2 of 6")
    session.expect(ASKED)
    session.sendintr()
    code, text = ended(session)
    assert code == 130
    assert "stopped: 1 decided and saved, 5 wait for review" in text
    assert "Traceback" not in text
    assert terminal.statuses() == ["accepted", *["proposed"] * 5]
    assert sorted(path.name for path in terminal.folder.iterdir()) == ["paraphrases.toml", "questions"]

    session = terminal.start("review")  # goes on where it was left
    session.expect("1 of 5: q1")
    session.expect(ASKED)
    session.sendline("e")
    session.expect("> Here is a question")
    session.sendintr()  # in the middle of an edit
    code, text = ended(session)
    assert code == 130
    assert terminal.statuses() == ["accepted", *["proposed"] * 5]


def test_the_end_of_input_is_a_way_to_stop(terminal: Terminal) -> None:
    terminal.run("new", "questions/q.jsonl")
    session = terminal.start("review")
    session.expect(ASKED)
    session.sendline("r")
    session.expect("2 of 6")
    session.expect(ASKED)
    session.sendeof()
    code, text = ended(session)
    assert (code, terminal.statuses()[0]) == (0, "rejected")
    assert "stopped: 1 decided and saved" in text


def test_a_changed_question_is_stale_until_its_wordings_are_reviewed_again(terminal: Terminal) -> None:
    terminal.run("new", "questions/q.jsonl")
    session = terminal.start("review")
    session.expect(ASKED)
    session.sendline("a")
    session.expect(ASKED)
    session.sendline("r")
    session.expect(ASKED)
    session.sendline("q")
    ended(session)
    terminal.ask([{**QUESTIONS[0], "options": ["Dog", "Fox"]}, *QUESTIONS[1:]])
    stale = "q1: stale: the options were Dog | Cat and are now Dog | Fox"
    for words, expected in ((("status",), 0), (("check",), 1)):
        code, text = terminal.run(*words)
        assert code == expected
        assert stale in text
        assert "way out: `llminvariance paraphrase new questions/q.jsonl`" in text
    session = terminal.start("review")
    session.expect("not shown: q1: stale: the options were .* Run `llminvariance paraphrase new`")
    session.expect("1 of 3: q3")
    session.sendline("q")
    ended(session)
    code, text = terminal.run("new", "questions/q.jsonl")
    assert f"{stale}; its accepted wordings are proposed again" in text
    assert terminal.statuses()[:3] == ["rejected", "proposed", "proposed"]
    assert terminal.run("check")[0] == 0


BROKEN = {
    "status": ('= "proposed"', '= "maybe"', "paraphrases.toml, question 1 (q1), wording 1: the field 'status' is 'maybe'"),
    "hash": ("Which animal barks?\"\noptions", "Which beast barks?\"\noptions", "question 1 (q1): the field 'hash' is"),
    "syntax": ("version = 1", "version = ", "paraphrases.toml: is not TOML"),
    "conflict": ("version = 1", "<<<<<<< HEAD\nversion = 1\n=======", "paraphrases.toml: is not TOML"),
}  # fmt: skip


@pytest.mark.parametrize("name", BROKEN)
def test_a_malformed_file_is_told_and_left_as_it_is(name: str, terminal: Terminal) -> None:
    terminal.run("new", "questions/q.jsonl")
    before, after, message = BROKEN[name]
    text = terminal.file.read_text()
    assert before in text
    broken = text.replace(before, after, 1)
    terminal.file.write_text(broken)
    for words, expected in ((("review",), 2), (("new", "questions/q.jsonl"), 2), (("check",), 1), (("status",), 0)):
        code, said = terminal.run(*words)
        said = " ".join(said.split())
        assert code == expected, (words, said)
        assert message in said
        assert "Traceback" not in said
    assert terminal.file.read_text() == broken
    assert "check: FAILED: 1 malformed" in " ".join(terminal.run("check")[1].split())


def test_what_cannot_be_done_ends_in_one_line(terminal: Terminal) -> None:
    for words, message in (
        (("review",), "there is no file 'paraphrases.toml'"),
        (("check", "other.toml"), "there is no file 'other.toml'"),
        (("new", "nowhere.jsonl"), "cannot be read"),
        (("new", "questions/q.jsonl", "--out", "no/where.toml"), "there is no folder"),
        (("new", "questions/q.jsonl", "--encoder", "./nowhere"), "the encoder './nowhere' cannot be loaded"),
        (("new", "questions/q.jsonl", "--with", "control:nobody"), "nobody"),
    ):
        code, text = terminal.run(*words)
        assert code == 2, text
        assert message in " ".join(text.split())
        assert "Traceback" not in text
    assert not terminal.file.exists()
    terminal.run("new", "questions/q.jsonl")
    (terminal.folder / "more.jsonl").write_text(json.dumps({"stem": "Which?", "options": ["a", "b"]}))
    assert "belongs to 'questions/q.jsonl', not to 'more.jsonl'" in terminal.run("new", "more.jsonl")[1]
    assert "--status is 'x', but must be one of proposed" in terminal.run("review", "--status", "x")[1]
    terminal.questions.rename(terminal.folder / "moved.jsonl")
    assert "there is no such file. Name it with --questions" in " ".join(terminal.run("check")[1].split())
    assert terminal.run("check", "--questions", "moved.jsonl")[0] == 0


def test_a_questionnaire_and_a_model_that_writes_nothing_of_use(terminal: Terminal) -> None:
    scale = {"options": ["agree", "disagree"], "scores": [2, 1]}
    items = [
        {"id": "p1", "stem": "I make plans.", "trait": "order"},
        {"id": "p2", "stem": "I lose keys.", "trait": "order", "reverse_keyed": True},
    ]
    (terminal.folder / "p.json").write_text(json.dumps({"scale": scale, "items": items}))
    code, text = terminal.run("new", "p.json", "--with", "control:always_first", "--out", "p.toml")
    assert code == 0, text
    assert "2 new wordings for 2 questions: 0 proposed, 2 screened out" in text
    assert 'screened: p1: "A" (model: always_first): length: has 1 characters' in text
    assert terminal.run("check", "p.toml")[0] == 0


def test_reviewed_wordings_in_a_test(terminal: Terminal) -> None:
    terminal.run("new", "questions/q.jsonl")
    session = terminal.start("review")
    for _ in range(6):
        session.expect(ASKED)
        session.sendline("a")
    assert "done: 6 decided and saved, 0 wait for review" in ended(session)[1]
    (terminal.folder / "test_it.py").write_text(
        "from pytest_llminvariance import Paraphrase, assert_invariant, load_questions\n"
        "def test_wording(invariance_model):\n"
        "    under = Paraphrase('paraphrases.toml')\n"
        "    asked = under.covered(load_questions('questions/q.jsonl'))\n"
        "    assert_invariant(invariance_model, asked, under=under)\n"
    )
    command = ["-m", "pytest", "-p", "no:cacheprovider", "--invariance-model=control:always_first", "test_it.py"]
    session = pexpect.spawn(
        sys.executable, command, cwd=str(terminal.folder), encoding="utf-8", timeout=120, dimensions=(40, 200)
    )
    code, text = ended(session)
    assert code == 1
    assert "question wording is undecided" in text  # it always says the first option, whatever is asked
    assert terminal.statuses() == ["accepted"] * 6  # and a test writes nothing
