"""Proposing: what a model says is read, screened, merged, and never proposed twice; what was reviewed stays."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import pytest

from pytest_llminvariance import CapabilityError, ModelError, Question, controls
from pytest_llminvariance.models.protocol import Capability, MissingReply, Reply, Request, TextReply
from pytest_llminvariance.paraphrases.lock import Lock, LockEntry, Wording, entry_of
from pytest_llminvariance.paraphrases.lock_file import parse_lock, render_lock
from pytest_llminvariance.paraphrases.proposals import INSTRUCTIONS, lines_of, model_proposals, propose

BARKS = Question("Which animal barks?", ["Dog", "Cat"], id="q1", answer=0)
PLAN = Question("I make plans.", ["agree", "disagree"], id="q2")
EMPTY = Lock("f.jsonl", ())


@dataclass
class Writer:
    """Writes what a function makes of the prompt."""

    write: Callable[[str], str | None]
    name: str = "writer"
    fingerprint: str = "writer"
    capabilities: frozenset[Capability] = frozenset({"text"})

    def answer(self, requests: Sequence[Request]) -> list[Reply]:
        self.prompts = ["\n".join(message.content for message in request.messages) for request in requests]
        texts = [self.write(prompt) for prompt in self.prompts]
        return [MissingReply("no connection") if text is None else TextReply(text, "") for text in texts]


@pytest.mark.parametrize(
    ("text", "lines"),
    [
        ("What barks?", ["What barks?"]),
        ('Sure, here it is:\n\n"What barks?"', ["What barks?"]),
        (
            "1. What barks?\n2) **Who barks?**\n- “Which beast?”\n* a fourth?",
            ["What barks?", "Who barks?", "Which beast?"],
        ),
        ("Rephrased:  What   barks?", ["What barks?"]),
        ("<think>\nWhich one?\n</think>\nWhat barks?", ["What barks?"]),
        ('"No" or "yes": which is it?', ['"No" or "yes": which is it?']),
        (" \n\n", []),
        ("2 dogs bark?", ["2 dogs bark?"]),
    ],
)
def test_wordings_are_read_from_replies(text: str, lines: list[str]) -> None:
    assert list(lines_of(text)) == lines


def test_a_model_is_asked_with_stem_context_and_options_and_told_what_it_words() -> None:
    model = Writer(lambda prompt: "What barks?")
    about = Question("Which one?", ["Dog", "Cat"], context="Something barked.")
    found, missing = model_proposals(model, [about, PLAN])
    assert found[about] == [("What barks?", "model: writer")] * len(INSTRUCTIONS)
    assert not missing
    asked = [prompt for prompt in model.prompts if "Which one?" in prompt]
    assert len(asked) == len(set(asked)) == len(INSTRUCTIONS)
    assert all("Something barked." in prompt and "Dog, Cat" in prompt and "question" in prompt for prompt in asked)
    assert all("statement" in prompt and "question" not in prompt for prompt in model.prompts if "plans" in prompt)


def test_a_model_that_cannot_write_or_says_nothing_is_refused() -> None:
    with pytest.raises(ModelError, match="writer gave no text at all: no connection"):
        model_proposals(Writer(lambda prompt: None), [BARKS])
    mute = Writer(lambda prompt: "x", capabilities=frozenset({"label"}))
    with pytest.raises(CapabilityError, match=r"writer cannot generate text.*Leave out --with"):
        model_proposals(mute, [BARKS])
    found, missing = model_proposals(Writer(lambda prompt: None if "three" in prompt else "What barks?"), [BARKS])
    assert (len(found[BARKS]), missing) == (3, {"no connection": 1})


def test_a_control_that_writes_labels_gets_everything_screened_out() -> None:
    found, _ = model_proposals(controls.always_first(), [BARKS])
    made = propose(EMPTY, [BARKS], found)
    from_model = [wording for _, wording in made.new if wording.source.startswith("model")]
    assert from_model
    assert {wording.status for wording in from_model} == {"screened"}


OFFERED = {
    BARKS: [
        ("What animal barks?", "model: m"),
        ("what animal  barks", "model: m"),
        ("Which animal does not bark?", "model: m"),
        ("Which animal barks", "model: m"),
        ("x" * 3000, "model: m"),
    ]
}


def test_proposals_are_screened_with_a_reason_and_equal_ones_are_left_out() -> None:
    made = propose(EMPTY, [BARKS, PLAN], OFFERED)
    entry = entry_of(made.lock, BARKS)
    assert entry is not None
    assert [(w.stem, w.status, w.source, w.reason) for w in entry.wordings] == [
        ("Please answer this question: Which animal barks?", "proposed", "rule: please answer", None),
        ("Here is a question: Which animal barks?", "proposed", "rule: here is a question", None),
        ("Of the options given, which animal barks?", "proposed", "rule: of the options", None),
        ("What animal barks?", "proposed", "model: m", None),
        ("Which animal does not bark?", "screened", "model: m", "negations: adds the negation not"),
    ]
    assert made.same == 3
    assert [e.question.name for e in made.lock.entries] == ["q1", "q2"]
    assert parse_lock(render_lock(made.lock).encode(), "f") == made.lock


def test_proposing_again_changes_nothing_and_what_was_reviewed_stays() -> None:
    once = propose(EMPTY, [BARKS, PLAN], OFFERED).lock
    entry = once.entries[0]
    reviewed = [Wording(w.stem, s, w.source) for w, s in zip(entry.wordings, ["rejected", "accepted", "proposed", "rejected", "screened"], strict=True)]  # type: ignore[arg-type]  # fmt: skip
    lock = once.with_entry(LockEntry(entry.question, tuple(reviewed)))
    again = propose(lock, [BARKS, PLAN], OFFERED)
    assert again.lock == lock
    assert again.new == ()


def test_the_answer_and_attributes_do_not_go_into_the_file() -> None:
    made = propose(EMPTY, [Question("A b?", ["c", "d"], id="q", answer=1, attributes={"trait": "x"})], {})
    assert made.lock.entries[0].question == Question("A b?", ["c", "d"], id="q")


def test_a_changed_question_gets_its_accepted_wordings_proposed_again_and_screened_anew() -> None:
    old = LockEntry(
        Question("Which animal barks?", ["Dog", "Cat"], id="q1"),
        (
            Wording("What animal barks?", "accepted", "edit of model: m"),
            Wording("Which of the animals barks?", "rejected", "model: m"),
            Wording("What barking animal?", "screened", "model: m", "why"),
            Wording("Which animal barks at home?", "accepted", "model: m"),
        ),
    )
    now = Question("Which animal barks at night?", ["Dog", "Cat"], id="q1")
    made = propose(Lock("f", (old,)), [now], {})
    assert [(item.entry, item.now) for item in made.carried] == [(old, now)]
    assert len(made.lock.entries) == 1
    wordings = {w.stem: (w.status, w.source) for w in made.lock.entries[0].wordings if not w.source.startswith("rule")}
    assert wordings == {
        "Which of the animals barks?": ("rejected", "model: m"),
        "What animal barks?": ("proposed", "edit of model: m"),
        "Which animal barks at home?": ("proposed", "model: m"),
    }


def test_entries_of_questions_that_are_gone_stay_at_the_end() -> None:
    gone = LockEntry(Question("Gone?", ["a", "b"], id="old"), (Wording("Went?", "accepted", "m"),))
    made = propose(Lock("f", (gone,)), [BARKS], {})
    assert [e.question.name for e in made.lock.entries] == ["q1", "old"]
    assert made.lock.entries[1] == gone
    assert [item.now for item in made.gone] == [None]


@dataclass
class Likeness:
    values: dict[str, float]

    def similarities(self, text: str, others: Sequence[str]) -> list[float]:
        return [self.values.get(other, 0.9) for other in others]


def test_an_encoder_decides_instead_of_shared_words() -> None:
    offered = {
        BARKS: [
            ("What creature woofs?", "model: m"),
            ("What tree grows?", "model: m"),
            ("What animal barks?", "model: m"),
        ]
    }
    encoder = Likeness(
        {"What tree grows?": 0.31, "What animal barks?": 0.8, "Here is a question: Which animal barks?": 0.1}
    )
    made = {w.stem: (w.status, w.reason) for _, w in propose(EMPTY, [BARKS], offered, encoder=encoder).new}
    assert made["What creature woofs?"] == ("proposed", None)
    assert made["What tree grows?"] == ("screened", "similarity: 0.31, and at least 0.8 is asked")
    assert made["What animal barks?"] == ("proposed", None)
    # a frame around the stem itself is not compared
    assert made["Here is a question: Which animal barks?"] == ("proposed", None)
    without = {w.stem: w.status for _, w in propose(EMPTY, [BARKS], offered).new}
    assert without["What creature woofs?"] == "screened"
