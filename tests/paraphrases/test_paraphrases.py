"""Reviewed paraphrases in tests: what is asked, controls of known truth both ways, and what is refused."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from pytest_llminvariance import (
    AddDistractor,
    InvarianceError,
    Paraphrase,
    Presentation,
    Question,
    QuestionError,
    Reorder,
    Restate,
    Transform,
    UsageError,
    Verdict,
    assert_invariant,
    check,
    controls,
    load_model,
    load_paraphrases,
)
from pytest_llminvariance.checks.examples import change_words
from pytest_llminvariance.paraphrases.lock import Lock, LockEntry, ReviewStatus, Wording
from pytest_llminvariance.paraphrases.lock_file import write_lock
from pytest_llminvariance.paraphrases.transform import accepted_stems

N = 12
BANK = tuple(
    Question(f"Which is thing {n}?", [f"{c}{n}" for c in "abcd"], id=f"q{n}", answer=n % 4, attributes={"cluster": "x"})
    for n in range(N)
)
OPEN = tuple(Question(q.stem, q.options, id=q.id) for q in BANK)
Make = Callable[..., Path]


@pytest.fixture
def lock_file(tmp_path: Path) -> Make:
    """Return a function that writes a lock file with two wordings of each question of the bank, of a status."""

    def make(status: ReviewStatus = "accepted", n: int = N, questions: tuple[Question, ...] = OPEN) -> Path:
        entries = [
            LockEntry(
                q,
                (
                    *(Wording(f"{w} {q.stem}", status, "rule: x") for w in ("Say:", "Tell:")),
                    Wording("No?", "rejected", "m"),
                ),
            )
            for q in questions[:n]
        ]
        file = tmp_path / "paraphrases.toml"
        write_lock(file, Lock("q.jsonl", tuple(entries)), expected=None)
        return file

    return make


def test_the_orbit_is_the_question_as_written_and_its_accepted_stems(lock_file: Make) -> None:
    orbit = Paraphrase(lock_file()).orbit(BANK[1])
    assert [shown.question.stem for shown in orbit] == [
        "Which is thing 1?", "Say: Which is thing 1?", "Tell: Which is thing 1?",
    ]  # fmt: skip
    assert orbit.as_written == Presentation(BANK[1])
    for shown in orbit.presentations[1:]:
        again = shown.question
        assert (again.options, again.answer, again.context) == (BANK[1].options, 1, None)
        assert again.attributes["cluster"] == "x"
    assert orbit.transform.size(orbit.as_written) == 3


def test_a_model_that_keeps_its_answer_holds(lock_file: Make) -> None:
    finding = assert_invariant(controls.oracle(), BANK, under=Paraphrase(lock_file()))
    assert (finding.verdict, finding.property, finding.effect.high) == (Verdict.HOLDS, "question_wording", 0)
    assert finding.presentations_planned == 3 * N


def test_a_model_that_is_moved_by_the_wording_is_broken_and_both_wordings_are_shown(lock_file: Make) -> None:
    # without known answers this control's choice is drawn from the stem
    with pytest.raises(InvarianceError) as raised:
        assert_invariant(controls.oracle(), OPEN, under=Paraphrase(lock_file()))
    text = str(raised.value)
    assert text.startswith("question wording is broken: the answer changed in ")
    assert " - ask in other words:" in text
    first, second = text.split(" - ask in other words:\n")[1].splitlines()[:2]
    assert first.strip().startswith("Which is thing")
    assert second.strip().startswith(("Say: Which is thing", "Tell: Which is thing"))
    finding = raised.value.finding
    assert finding is not None
    expected = sum(favourite(q.stem, q) != favourite(f"{w} {q.stem}", q) for q in OPEN for w in ("Say:", "Tell:"))
    assert finding.effect.low == finding.effect.high == pytest.approx(expected / (2 * N))


def favourite(stem: str, question: Question) -> int:
    """The control's own rule, written down again."""
    ranked = [hashlib.sha256(f"None\x1f{stem}\x1f{option}".encode()).digest() for option in question.options]
    return ranked.index(max(ranked))


def test_a_model_that_never_reads_the_question_does_not_hold(lock_file: Make) -> None:
    finding = check(Paraphrase(lock_file()), controls.stem_blind(), OPEN, tolerance=0.05)
    assert (finding.effect.high, finding.verdict) == (0, Verdict.UNDECIDED)
    assert any("hardly reads the question" in reason for reason in finding.reasons)


def test_it_goes_together_with_other_transforms_in_both_orders(lock_file: Make) -> None:
    wording = Paraphrase(lock_file())
    for product in (wording * Reorder("reversed"), Reorder("reversed") * wording):
        shown = product.orbit(BANK[0]).presentations
        assert len({(p.question.stem, p.order) for p in shown}) == len(shown) == product.size(shown[0]) // 12 == 6
    for product in (wording * wording, AddDistractor() * wording):
        with pytest.raises(UsageError, match="Put Paraphrase first, and re-word a question once"):
            product.orbit(BANK[0])


@pytest.fixture
def twins(lock_file: Make) -> tuple[Transform, Transform]:
    """The same wordings, from a reviewed file and as they are."""
    return Paraphrase(lock_file()), Restate({q.stem: [f"Say: {q.stem}", f"Tell: {q.stem}"] for q in BANK})


def test_a_product_with_orders_plans_the_same_for_reviewed_wordings_and_others(twins: Any) -> None:
    """`Paraphrase` drew other orders for each wording, so that wording and order could not be told apart."""
    question = BANK[0]
    plans = [[(p.question, p.order) for p in (under * Reorder("balanced")).orbit(question)] for under in twins]
    orders = [{order for _, order in plan} for plan in plans]
    assert orders[0] == orders[1]
    assert len(orders[0]) == len(plans[0]) / 3
    assert [asked.stem for asked, _ in plans[0]] == [asked.stem for asked, _ in plans[1]]


def test_answers_recorded_for_the_question_are_not_taken_for_a_wording(twins: Any, tmp_path: Path) -> None:
    """A question re-worded by `Paraphrase` kept its id, under which replay found what was said to the question."""
    rows = [{"question": q.id, "order": [0, 1, 2, 3], "text": "ABCD"[q.answer or 0]} for q in BANK]
    (tmp_path / "said.jsonl").write_text("\n".join(map(json.dumps, rows)))
    model = load_model(f"replay:{tmp_path / 'said.jsonl'}")
    for under in twins:
        finding = check(under, model, BANK, tolerance=0.05, readout="text")
        assert (finding.verdict, finding.effect.high) == (Verdict.UNDECIDED, 1)


def test_a_wording_and_another_edit_are_both_told(twins: Any) -> None:
    """Of a product with `Paraphrase` only the wording was told, and even where it was the same on both sides."""
    for under, said in zip(twins, ("ask in other words", f"ask 'Tell: {BANK[0].stem}'"), strict=True):
        written, *_, worded, last = (under * AddDistractor(["Really."])).orbit(BANK[0])
        assert change_words(written, last) == f"{said}, and add 'Really.'"
        assert change_words(worded, last) == "add 'Really.'"
    shown = twins[0].orbit(BANK[0]).presentations
    assert change_words(shown[1], shown[2]) == "ask in other words"


def test_the_plan_is_told_by_what_is_accepted(lock_file: Make) -> None:
    file = lock_file()
    before, shown = Paraphrase(file), Presentation(BANK[0])
    text = file.read_text()
    file.write_text(text.replace('"rejected"', '"screened"'))
    assert (Paraphrase(file).spec(), Paraphrase(file).spec_for(shown)) == (before.spec(), before.spec_for(shown))
    file.write_text(text.replace('= "accepted"', '= "rejected"', 1))
    assert Paraphrase(file).spec() != before.spec()
    assert Paraphrase(file).spec_for(shown) != before.spec_for(shown)
    assert Paraphrase(file).spec_for(Presentation(BANK[1])) == before.spec_for(Presentation(BANK[1]))


def test_accepted_stems_by_question(lock_file: Make) -> None:
    file = lock_file(n=2)
    assert accepted_stems(file, BANK[0]) == ["Say: Which is thing 0?", "Tell: Which is thing 0?"]
    assert accepted_stems(file, BANK[5]) == []
    found = load_paraphrases(file, BANK[:3])
    assert list(found) == list(BANK[:3])
    assert [len(stems) for stems in found.values()] == [2, 2, 0]


@pytest.mark.parametrize("status", ["proposed", "rejected", "screened"])
def test_only_what_was_accepted_is_asked(status: ReviewStatus, lock_file: Make) -> None:
    file = lock_file(status)
    assert accepted_stems(file, BANK[0]) == []
    with pytest.raises(
        QuestionError, match=r"question 'q0' has .*no accepted paraphrase, so there is nothing to compare"
    ):
        check(Paraphrase(file), controls.oracle(), BANK, tolerance=0.05)
    with pytest.raises(QuestionError, match="none of the 12 questions has an accepted paraphrase"):
        Paraphrase(file).covered(BANK)


def test_questions_without_one_are_named_and_can_be_left_out(lock_file: Make) -> None:
    wording = Paraphrase(lock_file(n=10))
    with pytest.raises(QuestionError, match=r"paraphrases\.toml: question 'q10' has no entry.*covered\(questions\)"):
        check(wording, controls.oracle(), BANK, tolerance=0.05)
    assert wording.covered(BANK) == BANK[:10]
    assert check(wording, controls.oracle(), wording.covered(BANK), tolerance=0.05).verdict is Verdict.HOLDS


def test_waiting_ones_are_counted_in_the_message(lock_file: Make) -> None:
    with pytest.raises(QuestionError, match=r"has 2 proposed and no accepted paraphrase.*paraphrase review"):
        Paraphrase(lock_file("proposed")).orbit(BANK[0])


def test_a_changed_question_is_refused_with_what_changed_and_the_way_out(lock_file: Make) -> None:
    file = lock_file()
    changed = Question("Which is the other thing 0?", BANK[0].options, id="q0", answer=0)
    for use in (
        lambda: Paraphrase(file).orbit(changed),
        lambda: Paraphrase(file).covered([changed, BANK[1]]),
        lambda: load_paraphrases(file, [BANK[1], changed]),
        lambda: accepted_stems(file, changed),
    ):
        with pytest.raises(QuestionError) as raised:
            use()
        assert str(raised.value) == (
            'paraphrases.toml, question q0: stale: the stem was "Which is thing 0?" and is now "Which is the other '
            'thing 0?". Its wordings were reviewed for the question as it was. Run `llminvariance paraphrase new '
            "q.jsonl` to propose them again, then `llminvariance paraphrase review`"
        )


def test_stale_entries_of_other_questions_do_not_matter(lock_file: Make) -> None:
    assert len(Paraphrase(lock_file()).covered(BANK[3:5])) == 2


def test_bad_paths() -> None:
    with pytest.raises(UsageError, match="path is 3, but must be the path of a file"):
        Paraphrase(3)  # type: ignore[arg-type]
    with pytest.raises(UsageError, match=r"there is no file 'nowhere\.toml'"):
        Paraphrase("nowhere.toml")
