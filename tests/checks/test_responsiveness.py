"""Does the answer follow the question: perfect models are believed on every kind of suite, blind ones on none."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import pytest

from pytest_llminvariance import Presentation, Question, Template, check, controls
from pytest_llminvariance.checks.run import Run, run, surrounded
from pytest_llminvariance.checks.verdict import Finding, Guard

AGREE = ("strongly disagree", "disagree", "neutral", "agree", "strongly agree")
TEAMS = ("billing", "shipping", "returns", "accounts", "technical", "sales")


def classes(n: int, n_yes: int) -> list[Question]:
    return [Question(f"Is claim {i} true?", ["yes", "no"], answer="yes" if i < n_yes else "no") for i in range(n)]


def paraphrases(*, known: bool) -> list[Question]:
    say = ("So", "Well", "Tell me", "Please", "Now", "Again", "Then", "Look")
    asked = [
        f"{word}, {way} Oslo in Norway?" for word in say for way in ("is", "lies", "do you find", "have we", "is not")
    ]
    return [Question(stem, ["yes", "no", "unclear"], answer="yes" if known else None) for stem in asked]


def survey(n: int, *, scores: bool = True) -> list[Question]:
    given = {"scores": (1, 2, 3, 4, 5)} if scores else {}
    return [Question(f"I enjoy task {i}.", AGREE, attributes={"trait": "calm"}, **given) for i in range(n)]  # type: ignore[arg-type]


def judge(n: int, *, context: bool) -> list[Question]:
    return [
        Question(
            "Which reply is better?", [f"A good reply to {i}.", f"A bad reply to {i}."], answer=0,
            context=f"Someone asks about {i}." if context else None,
        )
        for i in range(n)
    ]  # fmt: skip


SUITES: Mapping[str, Sequence[Question]] = {
    "one binary question": classes(1, 1),
    "two binary questions": classes(2, 1),
    "two binary questions, one answer": classes(2, 0),
    "balanced binary": classes(40, 20),
    "2% positives": classes(100, 2),
    "5% positives": classes(60, 3),
    "one positive": classes(40, 1),
    "all no": classes(40, 0),
    "40 paraphrases": paraphrases(known=True),
    "40 paraphrases, answer not known": paraphrases(known=False),
    "likert": survey(20),
    "survey": survey(20, scores=False),
    "ticket router": [Question(f"Ticket {i}: help.", TEAMS, answer=i % 6) for i in range(30)],
    "all refused": [Question(f"Do harm {i}.", ["comply", "refuse"], answer="refuse") for i in range(20)],
    "judge": judge(12, context=False),
    "judge with context": judge(16, context=True),
    "own options": [Question(f"What is {i}?", [f"{i}-{c}" for c in "dacb"], answer=i % 4) for i in range(20)],
    "own options, two": [Question(f"What is {i}?", [f"{i}-{c}" for c in "ba"]) for i in range(14)],
    "numbers": [Question(f"What is {i} + 1?", [str(i), str(i + 1), "Done: {option} {x}"], answer=1) for i in range(5)],
}


def _drawn(n: int, *parts: object) -> int:
    return int.from_bytes(hashlib.sha256(repr(parts).encode()).digest()[:6], "big") % n


def perfect(suite: Sequence[Question], otherwise: Callable[[Presentation], int]) -> controls.Control:
    """A model that knows the suite by heart, does what it is told, and has a rule of its own for everything else.

    It sees what is shown and nothing more; where no answer is known, it always says the same.
    """
    known = {(q.stem, q.context, frozenset(q.options)): q.options[q.answer or 0] for q in suite}

    def respond(p: Presentation) -> Sequence[float]:
        options = p.question.options
        right = known.get((p.question.stem, p.question.context, frozenset(options)))
        named = [text for text in options if text in p.question.stem]
        best = max(named, key=len, default=None)
        content = options.index(right) if right else options.index(best) if best else otherwise(p)
        return [0.98 if place == content else 0.02 / (len(options) - 1) for place in p.order]

    return controls.Control("perfect", respond)


def steady(p: Presentation) -> int:
    return p.question.options.index(min(p.question.options))


def by_stem(p: Presentation) -> int:
    return _drawn(len(p.order), p.question.stem, p.question.context, sorted(p.question.options))


def found(model: object, questions: Sequence[Question], tolerance: float = 0.05, **settings: object) -> Finding:
    return check("option_order", model, questions, tolerance=tolerance, orders="reversed", **settings)  # type: ignore[arg-type]


def moved(model: object, questions: Sequence[Question], tolerance: float = 0.05, seed: int = 0) -> Guard:
    """The guard, asked also where HOLDS is out of reach, as beside a baseline."""
    with surrounded(Run(seed=seed, baseline=Path("baseline"))):
        return responsive(found(model, questions, tolerance))


def responsive(finding: Finding) -> Guard:
    return next(guard for guard in finding.guards if guard.name == "responsive")


@pytest.mark.parametrize("kind", SUITES)
@pytest.mark.parametrize("rule", [steady, by_stem])
def test_a_perfect_model_is_seen_to_read_the_question(kind: str, rule: Callable[[Presentation], int]) -> None:
    finding = found(perfect(SUITES[kind], rule), SUITES[kind])
    assert finding.effect.high == 0
    assert responsive(finding).passed, responsive(finding).text
    if kind in ("2% positives", "ticket router"):
        assert responsive(finding).text == "under another question's stem the answer moves by 1 (must exceed 0.1)"
    if kind in ("all no", "all refused"):
        n, need = len(SUITES[kind]), len(SUITES[kind]) // 10 + 1
        says = f"moves by at least {need / n:.2g} (must exceed 0.1; {need} of {n} stems asked)"
        assert responsive(finding).text == f"under another question's stem the answer {says}"


@pytest.mark.parametrize("kind", SUITES)
def test_a_control_that_knows_is_seen_to_read_the_question(kind: str) -> None:
    for seed in range(3):
        with run(seed=seed):
            assert responsive(found(controls.oracle(), SUITES[kind])).passed, (kind, seed)


@pytest.mark.parametrize("tolerance", [0.1, 0.25, 0.3, 0.45, 0.6])
@pytest.mark.parametrize("kind", ["balanced binary", "one binary question", "all no", "2% positives", "ticket router"])
def test_a_perfect_model_is_believed_at_large_tolerances(kind: str, tolerance: float) -> None:
    finding = found(perfect(SUITES[kind], steady), SUITES[kind], tolerance)
    assert responsive(finding).passed, responsive(finding).text


@pytest.mark.parametrize("metric", ["tv", "disagreement", "js_distance", "score_gap", "score_shift", "trait_shift"])
def test_in_the_units_of_every_metric(metric: str) -> None:
    suite = SUITES["likert"]
    assert responsive(found(perfect(suite, steady), suite, metric=metric)).passed
    assert responsive(found(controls.stem_blind(), suite, metric=metric)).passed is False


def test_a_trait_shift_is_compared_with_movement_of_scores() -> None:
    """Each stem moves the choice to the next point of a long scale: a flip each time, and hardly a score."""
    scale = [f"{n} of 21" for n in range(1, 22)]
    suite = [Question(f"Rate item {i}.", scale, scores=range(21), attributes={"trait": "t"}) for i in range(12)]

    def nearly(p: Presentation) -> Sequence[float]:
        best = 10 + _drawn(2, p.question.stem)
        return [float(place == best) for place in p.order]

    finding = found(controls.Control("nearly", nearly), suite, metric="trait_shift")
    assert responsive(finding).passed is False
    assert "moves by 0.0" in responsive(finding).text
    assert responsive(found(perfect(suite, steady), suite, metric="trait_shift")).passed


BLIND: Mapping[str, Callable[[Presentation], int]] = {
    "first in the alphabet": steady,
    "longest option": lambda p: max(range(len(p.order)), key=lambda c: (len(p.question.options[c]), p.question.options[c])),
    "guesses from the options": lambda p: _drawn(len(p.order), sorted(p.question.options)),
    "last content as written": lambda p: len(p.order) - 1,
    "first as shown": lambda p: p.order[0],
    "guesses from options as shown": lambda p: _drawn(len(p.order), p.shown_options),
}  # fmt: skip


def saying(rule: Callable[[Presentation], int]) -> Callable[[Presentation], Sequence[float]]:
    return lambda p: [0.9 if place == rule(p) else 0.1 / (len(p.order) - 1) for place in p.order]


@pytest.mark.parametrize("kind", SUITES)
def test_a_model_that_never_reads_the_stem_is_believed_nowhere(kind: str) -> None:
    for seed, (name, rule) in enumerate(BLIND.items()):
        model = controls.Control(name, saying(rule))
        tolerance = (0.0, 0.05, 0.4)[seed % 3]
        assert moved(model, SUITES[kind], tolerance, seed).passed is False, name
        with run(seed=seed):
            assert found(model, SUITES[kind], tolerance).verdict != "HOLDS"


@pytest.mark.parametrize("limit", [None, 0.05])
@pytest.mark.parametrize(("n", "n_yes"), [(24, 1), (50, 1), (50, 2), (200, 10)])
def test_few_positives(n: int, n_yes: int, limit: float | None) -> None:
    """At 2 to 5% positives a perfect classifier holds, also one that follows no instruction; the commonest class does not."""
    suite = classes(n, n_yes)
    known = {q.stem: q.options[q.answer or 0] for q in suite}
    knowing = controls.Control(
        "classifier", saying(lambda p: p.question.options.index(known.get(p.question.stem, "no")))
    )
    commonest = controls.Control("commonest", saying(lambda p: p.question.options.index("no")))
    for model, tolerance in ((perfect(suite, steady), 0.05), (knowing, 0.25)):
        with run(risk_limit=limit):
            held = found(model, suite, tolerance)
            assert held.verdict == "HOLDS", held.reasons
            assert found(commonest, suite, tolerance).verdict == "UNDECIDED"


@pytest.mark.parametrize("kind", SUITES)
def test_a_guard_that_may_stop_early_believes_no_blind_model_either(kind: str) -> None:
    suite = SUITES[kind]
    for seed, (name, rule) in enumerate(BLIND.items()):
        with run(risk_limit=0.05, seed=seed):
            model = controls.Control(name, saying(rule))
            assert found(model, suite, (0.05, 0.4)[seed % 2]).verdict != "HOLDS"


def test_no_question_costs_more_than_one_stem_more() -> None:
    """And where another question as written is the stem, nothing."""
    for kind, suite in SUITES.items():
        seen: list[str] = []

        def listening(p: Presentation, seen: list[str] = seen) -> Sequence[float]:
            seen.append(p.question.stem)
            return [1.0 if place == 0 else 0.0 for place in range(len(p.order))]

        found(controls.Control("listening", listening), suite)
        sentinels, most = 3, max(12 + len(suite) - 1, len(suite))
        assert len(seen) <= 2 * len(suite) + most + sentinels, kind
        if kind in ("balanced binary", "2% positives", "ticket router"):
            assert len(seen) == 2 * len(suite) + sentinels, kind


@pytest.mark.parametrize("kind", ["balanced binary", "all no", "likert", "40 paraphrases", "own options"])
def test_ties_and_noise_are_no_movement(kind: str) -> None:
    for model in (controls.uniform(), controls.tie_maker(), controls.jitter(), controls.refuser()):
        assert moved(model, SUITES[kind]).passed is False


def test_it_is_never_said_that_a_model_hardly_reads_where_that_is_not_shown() -> None:
    """A classifier that knows the suite, and follows no instructions: where all answers are "no" it cannot be told from a blind one."""

    def classifier(suite: Sequence[Question]) -> controls.Control:
        known = {q.stem: q.options[q.answer or 0] for q in suite}
        return controls.Control(
            "classifier",
            lambda p: [0.9 if p.question.options[c] == known.get(p.question.stem, "no") else 0.1 for c in p.order],
        )

    text = responsive(found(classifier(classes(40, 0)), classes(40, 0))).text
    assert text == (
        "that the model reads the question is not shown: under another question's stem the answer moves by 0 (must exceed 0.1); "
        "no question here is known to have another right answer over the same options, so 40 of 40 stems are built-in instructions, "
        "which ask for an option. Add contrasting questions: the same options, another right answer"
    )
    assert "hardly" not in responsive(found(controls.stem_blind(), SUITES["40 paraphrases, answer not known"])).text
    assert "hardly" not in responsive(found(controls.stem_blind(), SUITES["likert"])).text
    always_no = controls.Control("no", lambda p: [float(content == 1) for content in p.order])
    assert "; 40 of 40 stems are of 2 questions" in responsive(found(always_no, classes(40, 1))).text
    assert "hardly" not in responsive(found(always_no, classes(4, 1))).text
    blind = responsive(found(controls.stem_blind(), classes(40, 20))).text
    assert blind.startswith("the model hardly reads the question: under another question's stem the answer moves by 0 ")
    assert responsive(found(classifier(classes(40, 3)), classes(40, 3))).passed


def test_stems_are_the_same_for_the_same_suite_and_seed_and_ask_for_another_answer() -> None:
    seen: list[list[str]] = []

    def listening(p: Presentation) -> Sequence[float]:
        seen[-1].append(p.question.stem)
        return [0.9 if c == p.question.answer else 0.1 for c in p.order]

    for questions, seed in ((classes(40, 2), 5), (classes(40, 2)[::-1], 5), (classes(40, 2), 6)):
        seen.append([])
        with run(seed=seed):
            assert found(controls.Control("listening", listening), questions).verdict == "HOLDS"
    # every foreign prompt is another question as written, so only the three sentinels are added
    assert [len(stems) for stems in seen] == [83, 83, 83]


def test_early_stopping_waits_for_movement_on_the_same_scale() -> None:
    suite = classes(400, 12)
    for tolerance in (0.05, 0.3, 0.6):
        with run(risk_limit=0.05):
            held = found(perfect(suite, steady), suite, tolerance)
        assert held.decision is not None
        assert (held.verdict, held.decision.method) == ("HOLDS", "sequential")
        assert held.questions_asked < 250
        with run(risk_limit=0.05):
            blind = found(controls.stem_blind(), suite, tolerance)
        assert blind.verdict == "UNDECIDED"
        assert responsive(blind).passed is False


def test_options_that_are_letters_are_asked_by_digit() -> None:
    letters = [Question(f"Which letter is {n}?", ["A", "B", "C", "D"], answer=n % 4) for n in range(12)]
    finding = found(controls.oracle(), letters)
    assert (finding.verdict, finding.template) == ("HOLDS", "by digit")
    assert found(controls.always_first(), letters).verdict == "BROKEN"
    assert found(controls.oracle(), letters, readout="label").verdict == "UNDECIDED"  # asked as it was told
    mixed = [Question(f"Which is {n}?", ["A", "B", "1", "2"], answer=n % 4) for n in range(12)]
    neither = found(controls.oracle(), mixed)
    assert neither.verdict == "UNDECIDED"
    assert neither.reasons[0].endswith(
        ". Use labels that are no option's text (labels= of a template), or readout='option'"
    )
    other = Template("{stem}\n{options}\nAnswer:", labels=("P", "Q", "R", "S"))
    assert found(controls.oracle(), mixed, template=other).verdict == "HOLDS"
    assert found(controls.oracle(), mixed, readout="option").verdict == "HOLDS"
    few = [*letters[:1], *SUITES["ticket router"]]
    assert found(controls.oracle(), few).template == found(controls.oracle(), SUITES["ticket router"]).template
