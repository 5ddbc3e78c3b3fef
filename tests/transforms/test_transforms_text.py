"""Changes to what is said: contents stay, the way back is right, and the checks decide both ways."""

from __future__ import annotations

import re
from typing import Any

import pytest

from pytest_llminvariance import (
    AddDistractor,
    AddNoise,
    AddOpinion,
    InvarianceError,
    Presentation,
    Question,
    ReorderShots,
    Restate,
    SwapGroups,
    Transform,
    UsageError,
    Verdict,
    assert_invariant,
    assert_same_answer,
    controls,
)
from pytest_llminvariance.models.controls import Control
from pytest_llminvariance.transforms.edits import edit_words, edits_of, n_edits, origin_of, same_contents
from pytest_llminvariance.transforms.showing import Reorder
from pytest_llminvariance.transforms.texts import DISTRACTORS, NOISE_KINDS
from tests.questions.bad_input import of

BANK = [
    Question(
        f"Is number {n} what he wants, or is his wish another?", [f"{c}{n}" for c in "abcd"], id=f"q{n}", answer=n % 4
    )
    for n in range(6)
]
SHOTS = [Question(f"What is {n}?", ["odd", "even"], answer=1 - n % 2) for n in range(3)]
HE = [["he", "his"], ["she", "her"], ["Kim", "Kim's"]]
WORDS = {str(q.id): [f"Does he want number {n}?", f"He wants number {n}, does he?"] for n, q in enumerate(BANK)}
ALL: list[Transform] = [
    Restate(WORDS),
    SwapGroups(HE),
    AddDistractor(),
    AddDistractor(place="after"),
    AddOpinion(),
    AddNoise(),
    ReorderShots(SHOTS),
    Restate(WORDS) * AddDistractor(DISTRACTORS[:2]) * Reorder("reversed"),
]


def fooled_by(pattern: str) -> Control:
    """Content-fixed, but another content where the prompt matches."""

    def respond(p: Presentation) -> list[float]:
        prompt = "\n".join(message.content for message in p.render())
        content = ((p.question.answer or 0) + bool(re.search(pattern, prompt))) % len(p.order)
        content = content if p.question.answer is not None else len(p.question.stem) % len(p.order)
        return [0.9 if at == content else 0.1 / 3 for at in p.order]

    return Control(f"fooled_by({pattern})", respond)


def variants(transform: Transform, question: Question) -> list[Question]:
    return [shown.question for shown in transform.variants(Presentation(question))]


@pytest.mark.parametrize("transform", ALL, ids=lambda t: t.spec()[:30])
def test_orbit_begins_as_written_and_keeps_contents(transform: Transform) -> None:
    orbit = transform.orbit(BANK[1])
    assert orbit.question == BANK[1]
    assert len(set(orbit)) == len(orbit) > 1
    assert transform.size(orbit.as_written) == len(list(transform.variants(orbit.as_written)))
    assert len({shown.render() for shown in orbit}) == len(orbit)
    for shown in orbit:
        assert same_contents(BANK[1], shown.question)
        assert (shown.question.answer, shown.question.scores) == (BANK[1].answer, BANK[1].scores)
        assert origin_of(shown.question) == BANK[1].content_hash
        assert shown.question.id == "q1" or str(shown.question.id).startswith("q1~")


@pytest.mark.parametrize("transform", ALL, ids=lambda t: t.spec()[:30])
def test_an_oracle_holds_under_every_one(transform: Transform) -> None:
    assert assert_invariant(controls.oracle(), BANK, under=transform).verdict is Verdict.HOLDS


@pytest.mark.parametrize(
    ("transform", "pattern", "said"),
    [
        (Restate(WORDS), "Does he", "ask 'Does he want number"),
        (SwapGroups(HE), r"\bshe\b", "put she for he"),
        (AddDistractor(), "train", "add 'I am writing this on a train.'"),
        (AddOpinion(), "friend of mine would say: c", "add 'A friend of mine would say: c"),
        (AddNoise(("case",)), "WANTS", "write 'IS NUMBER"),
        (ReorderShots(SHOTS), "^What is 1", "show the worked examples in another order"),
        (Restate(WORDS) * AddDistractor(), "(?s)train.*He wants number", "', and add 'I am writing this on a train.'"),
    ],
    ids=lambda value: value.spec()[:30] if isinstance(value, Transform) else "",
)
def test_a_model_that_is_fooled_is_broken_and_the_example_names_the_change(
    transform: Transform, pattern: str, said: str
) -> None:
    with pytest.raises(InvarianceError, match=re.escape(said)) as caught:
        assert_invariant(fooled_by(pattern), BANK, under=transform)
    assert caught.value.finding is not None
    assert caught.value.finding.verdict is Verdict.BROKEN


def test_groups_change_places_in_stem_context_and_options() -> None:
    both = Question(
        "Who forgot the keys?",
        ["the grandfather", "the grandson", "it is not said"],
        context="The Grandfather met his grandson. The grandfather's coat was wet.",
        answer=2,
    )
    swapped = variants(SwapGroups(["grandfather", "grandson"]), both)[1:]
    assert len(swapped) == 1
    assert swapped[0].options == ("the grandson", "the grandfather", "it is not said")
    assert swapped[0].context == "The Grandson met his grandfather. The grandson's coat was wet."
    assert swapped[0].answer == 2
    a, b = Presentation(both), Presentation(swapped[0], order=(2, 0, 1))
    assert_same_answer(controls.oracle(), a, b)
    with pytest.raises(InvarianceError, match="put grandson for grandfather, grandfather for grandson"):
        assert_same_answer(fooled_by("The Grandson met"), a, b)


def test_a_position_means_the_same_content_after_a_swap() -> None:
    """A model that always says the man is content-fixed as a name, and moves as a content."""
    both = Question("Who forgot the keys?", ["the man", "the woman"])

    def respond(p: Presentation) -> list[float]:
        return [0.9 if text == "the man" else 0.1 for text in p.shown_options]

    swapped = variants(SwapGroups(["man", "woman"]), both)[1]
    with pytest.raises(InvarianceError):
        assert_same_answer(Control("man", respond), Presentation(both), Presentation(swapped))


def test_groups_keep_capitals_and_whole_words() -> None:
    he = Question("He said: he is the one. Where is his hen?", ["here", "there"])
    assert variants(SwapGroups(HE), he)[1].stem == "She said: she is the one. Where is her hen?"
    assert variants(SwapGroups(HE), he)[2].stem == "Kim said: Kim is the one. Where is Kim's hen?"
    assert variants(SwapGroups(HE), he)[1].options == ("here", "there")


def test_groups_that_cannot_be_told_apart_are_refused() -> None:
    her = Question("Does she like her hat?", ["yes", "no"])
    three = [["she", "her", "her"], ["he", "him", "his"]]
    with pytest.raises(UsageError, match="'her', which stands for two forms"):
        variants(SwapGroups(three), her)
    him = Question("Does he like his hat?", ["yes", "no"])
    assert variants(SwapGroups(three), him)[1].stem == "Does she like her hat?"
    with pytest.raises(UsageError, match="names none of the groups Ann, Bob"):
        variants(SwapGroups(["Ann", "Bob"]), her)


def test_paraphrases_are_found_by_id_hash_or_stem_and_the_stem_itself_is_no_paraphrase() -> None:
    question = BANK[0]
    for name in (question.id, question.content_hash, question.stem):
        found = variants(Restate({str(name): [question.stem, "Other?", "Other?"]}), question)
        assert [one.stem for one in found] == [question.stem, "Other?"]
    with pytest.raises(UsageError, match="no paraphrases of question 'q1'"):
        variants(Restate({"q0": ["Other?"]}), BANK[1])
    with pytest.raises(UsageError, match="Put Restate first"):
        (AddDistractor() * Restate(WORDS)).orbit(BANK[0])


def test_opinions_name_every_option_by_its_text() -> None:
    said = variants(AddOpinion(["It is {option}!"]), BANK[0])
    assert [one.stem.removeprefix(BANK[0].stem) for one in said] == ["", *(f" It is {o}!" for o in BANK[0].options)]
    odd = Question("What?", ["{option}", "{x}"])
    assert variants(AddOpinion(["It is {option}!"]), odd)[1].stem == "What? It is {option}!"


@pytest.mark.parametrize("kind", NOISE_KINDS)
def test_noise_leaves_options_digits_and_short_words_alone(kind: Any) -> None:
    question = Question("Which of these is not a Planet in 2024, Venus or Pluto2?", ["Venus", "Pluto2"])
    noisy = variants(AddNoise([kind], per_kind=50), question)[1:]
    assert noisy
    assert len({one.stem for one in noisy}) == len(noisy)
    for one in noisy:
        assert one.options == question.options
        if kind in ("typo", "lookalike"):
            kept = [word for word in re.findall(r"\w+", question.stem) if word not in ("Which", "these", "Planet")]
            assert [word for word in re.findall(r"\w+", one.stem) if word in kept] == kept
            changed = sum(a != b for a, b in zip(one.stem, question.stem, strict=True))
            assert changed == (2 if kind == "typo" else 1)


def test_noise_depends_on_the_question_only() -> None:
    assert variants(AddNoise(), BANK[0]) == variants(AddNoise(), BANK[0])
    assert len(variants(AddNoise(per_kind=1), BANK[0])) == 1 + len(NOISE_KINDS)


def test_examples_are_reordered_by_design() -> None:
    assert len(ReorderShots(SHOTS, "cyclic").orbit(BANK[0])) == 3
    assert len(ReorderShots(SHOTS).orbit(BANK[0])) == 6
    assert ReorderShots(SHOTS).orbit(BANK[0]).as_written.shots == tuple(SHOTS)


def test_orders_of_a_product_are_crossed_with_texts_not_drawn_anew_for_each() -> None:
    orbit = (AddDistractor() * Reorder("sample", 3)).orbit(BANK[0])
    by_text: dict[str, set[tuple[int, ...]]] = {}
    for shown in orbit:
        by_text.setdefault(shown.question.stem, set()).add(shown.order)
    assert len(by_text) == 1 + len(DISTRACTORS)
    assert len(set(map(frozenset, by_text.values()))) == 1


def test_edits_are_counted_and_told_from_one_another() -> None:
    once = variants(AddDistractor(), BANK[0])[1]
    twice = variants(AddOpinion(), once)[1]
    assert [n_edits(BANK[0], one) for one in (BANK[0], once, twice)] == [0, 1, 2]
    assert (n_edits(once, twice), n_edits(BANK[0], BANK[1])) == (1, 1)
    assert edits_of(twice) == (*edits_of(once), edit_words(once, twice))
    assert edit_words(BANK[0], twice) == ", and ".join(edits_of(twice))
    assert edit_words(twice, BANK[0]) == edit_words(BANK[0], BANK[1]) == "edit the question"
    assert str(twice.id).count("~") == 1
    assert not same_contents(BANK[0], BANK[1])
    faked = Question("x?", ["a", "b"], attributes={"edit_of": 3, "edits": "no"})
    assert (edits_of(faked), origin_of(faked)) == ((), faked.content_hash)


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda: Restate(of(["a"])), "must map a question's id"),
        (lambda: Restate({"q": "a"}), "must be a list of texts"),
        (lambda: Restate({"q": []}), "is empty"),
        (lambda: SwapGroups("he"), "groups is 'he'"),
        (lambda: SwapGroups(["he"]), "nothing to swap below 2"),
        (lambda: SwapGroups([["he", "his"], ["she"]]), "as many forms"),
        (lambda: SwapGroups(["he", "He"]), "belongs to two groups"),
        (lambda: SwapGroups(["he", of(3)]), "must be a list of texts"),
        (lambda: AddDistractor("x"), "must be a list of texts"),
        (lambda: AddDistractor([""]), "not empty"),
        (lambda: AddDistractor(place=of("inside")), "place is 'inside'"),
        (lambda: AddOpinion(["It is so."]), r"must hold \{option\} once"),
        (lambda: AddNoise([of("smell")]), "no kind of noise 'smell'"),
        (lambda: AddNoise(per_kind=0), "per_kind is 0"),
        (lambda: AddNoise(per_kind=True), "per_kind is True"),
        (lambda: ReorderShots(SHOTS[:1]), "two or more different"),
        (lambda: ReorderShots([SHOTS[0]] * 2), "two or more different"),
        (lambda: ReorderShots([BANK[0], of("x")]), "whose answer is given"),
        (lambda: ReorderShots(SHOTS, of("odd")), "orders is 'odd'"),
    ],
)
def test_bad_arguments_are_refused(make: Any, words: str) -> None:
    with pytest.raises(UsageError, match=words):
        make()
