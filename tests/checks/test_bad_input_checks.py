"""Misuse of checks and assertions: each refused before anything is asked, with value, rule and way out."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pytest

from pytest_llminvariance import (
    Layout,
    ModelError,
    Presentation,
    Question,
    Reorder,
    Template,
    UsageError,
    assert_invariant,
    assert_order_symmetric,
    assert_prompt_insensitive,
    assert_readouts_agree,
    assert_same_answer,
    assert_tracks,
    check,
    controls,
    run,
    symmetrized,
)
from pytest_llminvariance.checks.properties import PROPERTIES
from pytest_llminvariance.errors import CapabilityError, QuestionError
from tests.questions.bad_input import Misuse, assert_refused, of

RED = Question("Which planet is red?", ["Venus", "Mars", "Jupiter"], answer="Mars")
BIG = Question("Which planet is the largest?", ["Venus", "Mars", "Jupiter"], answer="Jupiter")
SEVEN = Question("Which day?", ["Mo", "Tu", "We", "Th", "Fr", "Sa", "Su"])
READ = Question("Who came?", ["Ann", "Bob"], context="Ann came.", id="q1")
ORACLE = controls.oracle()
WAYS = ["{stem}\n{options}\nAnswer:", "{stem}\n{options}\nPick one:"]


class Mine:
    """A model of somebody else, from which parts can be left out."""

    def __init__(self, *without: str, capabilities: frozenset[str] = frozenset({"label"})) -> None:
        parts = {"name": "mine", "fingerprint": "1", "capabilities": capabilities, "answer": lambda _: []}
        for name, part in parts.items():
            if name not in without:
                setattr(self, name, part)

    def __repr__(self) -> str:
        return "<mine>"


def edit(stem: str, options: Sequence[str] = RED.options, answer: str | None = None) -> list[tuple[Question, Question]]:
    return [(RED, Question(stem, options, answer=answer))]


PROTOCOL = "A model of your own has name, fingerprint, capabilities and answer(requests)"
RULES = "but must be from 0 to below 1: it is the largest mean metric that is accepted. For percent divide by 100"

ARGUMENTS = [
    Misuse(
        "tolerance 2",
        lambda _: assert_order_symmetric(ORACLE, RED, tolerance=2),
        UsageError,
        f"tolerance is 2, {RULES}",
    ),
    Misuse(
        "tolerance negative",
        lambda _: assert_order_symmetric(ORACLE, RED, tolerance=-0.1),
        UsageError,
        f"tolerance is -0.1, {RULES}",
    ),
    Misuse(
        "tolerance nan",
        lambda _: assert_order_symmetric(ORACLE, RED, tolerance=float("nan")),
        UsageError,
        f"tolerance is nan, {RULES}",
    ),
    Misuse(
        "tolerance text",
        lambda _: assert_order_symmetric(ORACLE, RED, tolerance=of("5%")),
        UsageError,
        "tolerance is '5%', but must be a number from 0 to below 1",
    ),
    Misuse(
        "tolerance True",
        lambda _: check("option_order", ORACLE, RED, tolerance=True),
        UsageError,
        "tolerance is True, but must be a number from 0 to below 1",
    ),
    Misuse(
        "same template twice",
        lambda _: assert_prompt_insensitive(ORACLE, RED, templates=[WAYS[0], WAYS[0]]),
        UsageError,
        "templates holds the same template twice: Template(<...>). Remove one",
    ),
    Misuse(
        "one template",
        lambda _: assert_prompt_insensitive(ORACLE, RED, templates=WAYS[:1]),
        UsageError,
        "templates holds 1 template(s), but there is nothing to compare below 2",
    ),
    Misuse(
        "context not shown",
        lambda _: assert_order_symmetric(ORACLE, [RED, READ], template=WAYS[0]),
        UsageError,
        "question 'q1' has a context, but the template '{stem} {options} Answer: #<...>' has no {context} field, "
        "so it would not be shown",
    ),
    Misuse(
        "all orders of 7",
        lambda _: assert_order_symmetric(ORACLE, SEVEN, orders="all"),
        UsageError,
        "orders='all' with 7 options means 5,040 orders; the limit is 6 options. Use orders='balanced' or orders='auto'",
    ),
    Misuse(
        "orders unknown",
        lambda _: assert_order_symmetric(ORACLE, RED, orders=of("shuffled")),
        UsageError,
        "orders is 'shuffled', but must be one of auto, all, cyclic, reversed, balanced, sample",
    ),
    Misuse(
        "metric unknown",
        lambda _: assert_order_symmetric(ORACLE, RED, metric=of("flips")),
        UsageError,
        "there is no metric 'flips'; the metrics are flip_rate, disagreement, tv, js_distance, form_inconsistency, "
        "score_gap, score_shift, position_bias, trait_shift, excess_disagreement",
    ),
    Misuse(
        "metric needs scores",
        lambda _: assert_order_symmetric(ORACLE, RED, metric="score_gap"),
        UsageError,
        "metric 'score_gap' compares scores, but question 'Which planet is red?' has none. "
        "Give scores, or use 'flip_rate'",
    ),
    Misuse(
        "range of a sample",
        lambda _: assert_order_symmetric(ORACLE, RED, metric="score_shift", orders="sample", n=2),
        UsageError,
        "metric 'score_shift' needs a full named design, not orders='sample'. Use orders='all', 'cyclic' or 'balanced'",
    ),
    Misuse(
        "excess over noise",
        lambda _: assert_order_symmetric(ORACLE, RED, metric=of("excess_disagreement")),
        UsageError,
        "metric='excess_disagreement' compares repeated answers: give samples=3, or at least 2",
    ),
    Misuse(
        "metric of edits",
        lambda _: assert_order_symmetric(ORACLE, RED, metric=of("unchanged")),
        UsageError,
        "metric 'unchanged' cannot be used for option order. Use 'flip_rate'",
    ),
    Misuse(
        "claim about the world",
        lambda _: assert_order_symmetric(ORACLE, RED, claim=of("world")),
        UsageError,
        "claim is 'world', but must be one of suite, orbit, population",
    ),
    Misuse(
        "three samples",
        lambda _: assert_order_symmetric(ORACLE, RED, samples=3, metric="flip_rate"),
        UsageError,
        "samples=3 draws answers at random, and 'flip_rate' would count the noise as the property's fault. "
        "Use metric='excess_disagreement', which takes off what repeated asking alone changes",
    ),
    Misuse(
        "property unknown",
        lambda _: check("order", ORACLE, RED, tolerance=0.1),
        UsageError,
        f"there is no property 'order'; the properties are {', '.join(PROPERTIES)}",
    ),
    Misuse(
        "options for an object",
        lambda _: check(Reorder(), ORACLE, RED, tolerance=0.1, orders="all"),
        UsageError,
        "orders cannot be given together with a property object",
    ),
    Misuse(
        "under a word",
        lambda _: assert_invariant(ORACLE, RED, under=of("reorder")),
        UsageError,
        "under is 'reorder', but must be a transform, for example Reorder(), Relabel(), Reformat() or Reword([...])",
    ),
    Misuse(
        "policy unknown",
        lambda _: run(undecided=of("ignore")).__enter__(),
        UsageError,
        "undecided is 'ignore', but must be one of fail, skip, warn",
    ),
]

QUESTIONS = [
    Misuse(
        "same question twice",
        lambda _: assert_order_symmetric(ORACLE, [RED, Question(RED.stem, RED.options, id="copy")]),
        QuestionError,
        "questions: 'copy' repeats 'Which planet is red?' (same stem, options and context). Remove one",
    ),
    Misuse(
        "same id twice",
        lambda _: assert_order_symmetric(ORACLE, [READ, Question("Who left?", READ.options, id="q1")]),
        QuestionError,
        "questions: the id 'q1' is used twice, but ids must be unique",
    ),
    Misuse(
        "no questions",
        lambda _: assert_order_symmetric(ORACLE, []),
        QuestionError,
        "there are no questions, and a check of nothing would hold. Give at least one Question",
    ),
    Misuse(
        "questions as text",
        lambda _: assert_order_symmetric(ORACLE, of("facts.jsonl")),
        QuestionError,
        "questions<...>but must be a Question<...>",
    ),
    Misuse(
        "edit keeps the answer",
        lambda _: assert_tracks(ORACLE, edit("Which planet has rust?", answer="Mars")),
        QuestionError,
        "the edit of 'Which planet is red?' has the same correct answer 'Mars', so the answer need not change",
    ),
    Misuse(
        "edit has other options",
        lambda _: assert_tracks(ORACLE, edit("Which planet is blue?", ["Venus", "Mars", "Earth"])),
        QuestionError,
        "the edit of 'Which planet is red?' has other options, so answers cannot be compared. Keep the set of options",
    ),
    Misuse(
        "edit changes nothing",
        lambda _: assert_tracks(ORACLE, edit(RED.stem, RED.options[::-1])),
        QuestionError,
        "the edit of 'Which planet is red?' changes neither stem nor context, so the answer need not change",
    ),
    Misuse(
        "no edits",
        lambda _: assert_tracks(ORACLE, []),
        UsageError,
        "edits is empty, but tracking needs at least one pair (question, edited question)",
    ),
    Misuse(
        "edit is no pair",
        lambda _: assert_tracks(ORACLE, of([5])),
        UsageError,
        "edits holds 5, but must hold pairs (question, edited question)",
    ),
    Misuse(
        "same answer, other options",
        lambda _: assert_same_answer(ORACLE, Presentation(RED), Presentation(SEVEN)),
        UsageError,
        "the two presentations show different options, so their answers cannot be compared",
    ),
    Misuse(
        "same answer, no presentation",
        lambda _: assert_same_answer(ORACLE, of("Who?"), Presentation(RED)),
        UsageError,
        "'Who?' is a str, but must be a Presentation",
    ),
]

MODELS = [
    Misuse(
        "model is a spec",
        lambda _: assert_order_symmetric(of("demo"), RED),
        UsageError,
        "model is the text 'demo'.\nGive load_model('demo'), or the fixture invariance_model",
    ),
    Misuse(
        "model without fingerprint",
        lambda _: assert_order_symmetric(of(Mine("fingerprint")), RED),
        UsageError,
        f"model is a Mine, which has no 'fingerprint'.\n{PROTOCOL}",
    ),
    Misuse(
        "model without answer",
        lambda _: assert_same_answer(of(Mine("answer")), Presentation(RED), Presentation(RED)),
        UsageError,
        f"model is a Mine, which has no 'answer'.\n{PROTOCOL}",
    ),
    Misuse(
        "model that can do nothing",
        lambda _: assert_order_symmetric(of(Mine(capabilities=frozenset())), RED),
        CapabilityError,
        "mine has none of the capabilities label, option, option_sum, text, decision",
    ),
    Misuse(
        "readout unknown",
        lambda _: assert_order_symmetric(ORACLE, RED, readout=of("logits")),
        UsageError,
        "readout is 'logits', but must be one of auto, label, option, option_sum, text, decision",
    ),
    Misuse(
        "readout of an average",
        lambda _: assert_order_symmetric(symmetrized(ORACLE), RED, readout="text"),
        CapabilityError,
        "symmetrized(oracle, frame=all) cannot give readout='text'. These work: 'label', 'option'<...>",
    ),
    Misuse(
        "readouts with a missing one",
        lambda _: assert_readouts_agree(symmetrized(ORACLE), RED, readouts=("label", "text")),
        CapabilityError,
        "symmetrized(oracle, frame=all) cannot give readout='text'. These work: 'label', 'option'<...>",
    ),
    Misuse(
        "one readout",
        lambda _: assert_readouts_agree(ORACLE, RED, readouts=("label", "label")),
        UsageError,
        "readouts is ('label', 'label'), but must name two or more different readouts: label, option, option_sum, text",
    ),
    Misuse(
        "frame unknown",
        lambda _: symmetrized(ORACLE, of("balanced")),
        UsageError,
        "frame is 'balanced', but must be one of reversed, cyclic, all",
    ),
    Misuse(
        "frame too large",
        lambda _: assert_order_symmetric(symmetrized(ORACLE), SEVEN, orders="cyclic"),
        UsageError,
        "frame='all' with 7 options means 5,040 prompts a question. Use frame='cyclic'",
    ),
    Misuse(
        "average of texts",
        lambda _: symmetrized(of(Mine(capabilities=frozenset({"text"})))),
        CapabilityError,
        "mine gives texts only, which cannot be averaged; a label or option readout is needed",
    ),
    Misuse(
        "too few answers",
        lambda _: assert_order_symmetric(of(Mine()), RED),
        ModelError,
        "mine gave 0 answers to <...> requests, but must give one for each",
    ),
    Misuse(
        "label readout without labels",
        lambda _: assert_order_symmetric(
            ORACLE, RED, readout="label", template=Template(WAYS[0], layout=Layout(enumerator="- "))
        ),
        UsageError,
        "the layout '- ' shows no labels, so answers cannot be read by label. "
        "Use readout='option', 'option_sum' or 'text', or an enumerator with {label}",
    ),
]


@pytest.mark.parametrize("misuse", [*ARGUMENTS, *QUESTIONS, *MODELS], ids=lambda misuse: misuse.id)
def test_is_refused(misuse: Misuse, tmp_path: Path) -> None:
    assert_refused(misuse, tmp_path)
