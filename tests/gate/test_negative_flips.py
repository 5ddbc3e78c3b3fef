"""Right before and wrong now: models of known truth, both ways, and baselines that cannot be compared."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from pytest_llminvariance import (
    FindingList,
    InvarianceError,
    Question,
    Template,
    UndecidedError,
    UsageError,
    Verdict,
    assert_no_negative_flips,
    check,
    controls,
    run,
)
from pytest_llminvariance.checks.run import Run, surrounded
from pytest_llminvariance.models.controls import Control
from pytest_llminvariance.models.engine import ask
from pytest_llminvariance.models.protocol import request_for
from pytest_llminvariance.questions.conversation import Ask, Message
from pytest_llminvariance.questions.presentation import Presentation
from tests.run_directories import write_run

BANK = [Question(f"stem {n}?", ["elm", "oak", "ash", "fir"], id=f"q{n}", answer=n % 4) for n in range(40)]


def knows(*wrong: int, name: str = "knows", shift: int = 1) -> Control:
    """Return a model that is right on everything but the questions with these numbers."""
    missed = {BANK[n].stem for n in wrong}

    def respond(p: Presentation) -> Sequence[float]:
        answer = p.question.answer or 0
        best = (answer + shift) % 4 if p.question.stem in missed else answer
        return [0.97 if content == best else 0.01 for content in p.order]

    return Control(f"{name}{wrong}{shift}", respond)


def test_one_flip_in_forty_within_and_above_the_margin() -> None:
    finding = assert_no_negative_flips(knows(3), BANK, baseline=knows(), margin=0.025)
    assert finding.verdict is Verdict.HOLDS
    assert finding.details["negative_flips"] == ("q3",)
    assert finding.count == "1 of 40 questions"
    with pytest.raises(
        InvarianceError, match="negative flips is broken: right before and wrong now are 1 of 40"
    ) as caught:
        assert_no_negative_flips(knows(3), BANK, baseline=knows(), margin=0.024)
    assert caught.value.finding is not None
    assert caught.value.finding.verdict is Verdict.BROKEN


def test_a_better_model_that_takes_something_away_fails_and_the_lists_are_right() -> None:
    old, new = knows(1, 2, 3, 4, 5, 6), knows(0, 6, 7, shift=2)
    with pytest.raises(InvarianceError) as caught:
        assert_no_negative_flips(new, BANK, baseline=old, margin=0.02)
    finding = caught.value.finding
    assert finding is not None
    assert finding.details["negative_flips"] == ("q0", "q7")
    assert finding.details["positive_flips"] == ("q1", "q2", "q3", "q4", "q5")
    assert finding.details["changed_while_wrong"] == ("q6",)
    assert (finding.details["right_before"], finding.details["right_now"]) == (34, 37)
    assert finding.details["mcnemar_exact_p"] == pytest.approx(58 / 128)
    lines = str(caught.value).splitlines()
    assert lines == [
        "negative flips is broken: right before and wrong now are 2 of 40 questions (5%, margin 2%).",
        "  sure:    exact: every question asked as written",
        "  example: q0: elm before, ash now",
        "  lost:    2: q0, q7",
        "  won:     5: q1, q2, q3, q4, q5",
        "  moved:   1: q6 (another answer, wrong both times)",
        "  report:  right before 34, now 37 of 40; McNemar exact p = 0.45 (decides nothing)",
        f"  model:   {new.name} against {old.name}, read by label",
    ]


@pytest.mark.parametrize(("readout", "share"), [("label", 0.97), ("label", 0.1), ("option", 0.97)])
def test_the_mass_on_options_is_told_as_every_check_tells_it(readout: Any, share: float) -> None:
    """There were two guards: one advised other labels, the other did not; one blamed the readout, the other said "here"."""

    def respond(p: Presentation) -> Sequence[float]:
        return [share if content == p.question.answer else 0.0 for content in p.order]

    model = Control("quiet", respond)
    kept = FindingList()
    with run(recorder=kept, undecided="warn"):
        assert_no_negative_flips(model, BANK, baseline=Control("older", respond), readout=readout)
        check("option_order", model, BANK, tolerance=0.05, readout=readout)
    one, other = ([guard for guard in found.guards if guard.name == "mass on options"] for found in kept.findings)
    assert one == other
    assert len(one) == 1


def test_a_baseline_that_knows_nothing_earns_no_pass() -> None:
    with pytest.raises(UndecidedError, match=r"it has too little to lose for the margin 0\.02 to be exceeded"):
        assert_no_negative_flips(controls.oracle(), BANK, baseline=controls.wrong_oracle())


def test_ties_leave_it_open_and_answers_that_name_no_option_too() -> None:
    with pytest.raises(UndecidedError, match="ties and missing answers leave the range") as caught:
        assert_no_negative_flips(controls.uniform(), BANK, baseline=knows())
    assert caught.value.finding is not None
    assert caught.value.finding.details["mcnemar_exact_p"] is None
    with pytest.raises(UndecidedError, match="most answers name no option"):
        assert_no_negative_flips(controls.refuser(), BANK, baseline=knows())


@pytest.fixture
def baseline(tmp_path: Path) -> Path:
    with run() as current:
        finding = check("option_order", knows(5), BANK, tolerance=0.05)
        return write_run(tmp_path / "baseline", [finding], memo=current.memo)


def test_a_run_directory_is_a_baseline(baseline: Path) -> None:
    for place in (baseline, str(baseline), baseline / "answers.jsonl", baseline / "findings.json"):
        finding = assert_no_negative_flips(knows(5), BANK, baseline=place)
        assert finding.verdict is Verdict.HOLDS
        assert finding.details["baseline"] == str(place)
    with pytest.raises(InvarianceError) as caught:
        assert_no_negative_flips(knows(5, 6, 7), BANK, baseline=baseline, margin=0.02)
    assert caught.value.finding is not None
    assert caught.value.finding.details["negative_flips"] == ("q6", "q7")
    direct = assert_no_negative_flips(knows(5), BANK, baseline=knows(5, name="older"))
    assert direct.effect == assert_no_negative_flips(knows(5), BANK, baseline=baseline).effect


def test_the_sessions_baseline_is_the_default(baseline: Path) -> None:
    with pytest.raises(UsageError, match="there is no baseline to compare with"):
        assert_no_negative_flips(knows(), BANK)
    with surrounded(Run(baseline=baseline)):
        assert assert_no_negative_flips(knows(), BANK).details["baseline"] == str(baseline)


CHANGED = Question("another stem?", ["elm", "oak", "ash", "fir"], id="q0", answer=0)


@pytest.mark.parametrize(
    ("bank", "settings", "says"),
    [
        ([CHANGED, *BANK[1:]], {}, r"questions: 1 of 40 were not asked then, or have changed since \('q0'\)"),
        (BANK, {"template": "{stem} {options} Say one."}, "was not asked like this: template was "),
        (BANK, {"readout": "text"}, "was not asked like this: readout was 'label', and is 'text'"),
        (
            [Question("stem 0?", ["elm", "oak", "ash", "fir"], id="q0", answer=1), *BANK[1:]],
            {},
            "the correct answer of 'q0' was another",
        ),
        (
            [Question("stem 0?", ["elm", "oak", "ash", "fir"], id="q0"), *BANK[1:]],
            {},
            r"1 of 40 questions have no correct answer \(first 'q0'\)",
        ),
        (BANK, {"margin": 2}, "must be from 0 to below 1"),
    ],
)
def test_what_cannot_be_compared_is_refused_by_name(
    baseline: Path, bank: list[Question], settings: dict[str, Any], says: str
) -> None:
    with pytest.raises(UsageError, match=says):
        assert_no_negative_flips(knows(), bank, baseline=baseline, **settings)


def test_answers_of_two_models_are_no_baseline(baseline: Path) -> None:
    file = baseline / "answers.jsonl"
    lines = [json.loads(line) for line in file.read_text().splitlines()]
    file.write_text("".join(json.dumps(line) + "\n" for line in lines + [{**row, "fingerprint": "b"} for row in lines]))
    with pytest.raises(UsageError, match="holds answers of several models"):
        assert_no_negative_flips(knows(), BANK, baseline=baseline)


def test_the_finding_is_recorded_and_can_be_written_down(tmp_path: Path) -> None:
    kept = FindingList()
    with run(recorder=kept):
        finding = assert_no_negative_flips(knows(), BANK, baseline=knows(name="older"))
    assert kept.findings == [finding]
    assert json.loads(json.dumps(finding.to_json()))["decision"]["method"] == "exhaustive"
    assert finding.summary()["property"] == "negative_flips"


def test_the_model_itself_is_no_baseline() -> None:
    with pytest.raises(UsageError, match=r"baseline and model have the same fingerprint .*, so nothing can differ"):
        assert_no_negative_flips(knows(5), BANK, baseline=knows(5))


FIRST = Template("{stem}\n{options}\nAnswer:", name="exam")
OTHERS = {
    "text": Template("Pick the wrong one: {stem}\n{options}\nAnswer:", name="exam"),
    "system": Template(FIRST.text, name="exam", system="Always say A."),
    "fields": Template("{options}\n{stem}\nAnswer:", name="exam"),
}


@pytest.mark.parametrize("other", OTHERS)
def test_a_template_of_the_same_name_with_other_words_is_another(tmp_path: Path, other: str) -> None:
    with run() as current:
        finding = check("option_order", knows(5), BANK, tolerance=0.05, template=FIRST)
        place = write_run(tmp_path / "baseline", [finding], memo=current.memo)
    same = Template(FIRST.text, name="exam")
    assert assert_no_negative_flips(knows(5), BANK, baseline=place, template=same).verdict is Verdict.HOLDS
    with pytest.raises(UsageError, match=r"'q0' was not asked like this: its text was another one .* name 'exam'"):
        assert_no_negative_flips(knows(5), BANK, baseline=place, template=OTHERS[other])


@pytest.mark.parametrize("around", ["shots", "turns"])
def test_answers_after_examples_or_turns_are_no_answers_as_written(baseline: Path, around: str) -> None:
    kinds: dict[str, dict[str, Any]] = {
        "shots": {"shots": [Question("example?", ["yes", "no"], answer=0)]},
        "turns": {"turns": [Message("assistant", "Well."), Ask("Are you sure?")]},
    }
    more = kinds[around]
    with run() as current:
        finding = check("option_order", knows(5), BANK, tolerance=0.05)
        model = knows(5)
        assert current.memo is not None
        current.memo.clear()
        ask(model, [request_for(Presentation(question, **more), "label") for question in BANK], current.memo)
        place = write_run(baseline / "around", [finding], memo=current.memo)
    with pytest.raises(UsageError, match="was not asked like this: its text was another one"):
        assert_no_negative_flips(knows(5), BANK, baseline=place)


def test_a_record_that_does_not_say_what_was_shown_is_no_baseline(baseline: Path) -> None:
    file = baseline / "answers.jsonl"
    lines = [json.loads(line) for line in file.read_text().splitlines()]
    file.write_text("".join(json.dumps({**line, "shown_sha256": None}) + "\n" for line in lines))
    with pytest.raises(UsageError, match=r"the record does not say what text was shown\. Record the baseline again"):
        assert_no_negative_flips(knows(), BANK, baseline=baseline)
