"""A run against a baseline: verdicts of known truth, and refusals that name the field."""

from __future__ import annotations

import dataclasses
import itertools
import json
from collections.abc import Callable
from fractions import Fraction
from pathlib import Path
from typing import Any

import pytest

from pytest_llminvariance import Finding, Question, Template, Verdict, check, controls, run
from pytest_llminvariance.checks.verdict import Decision
from pytest_llminvariance.gate.comparison import Compared, audit_difference, compare_runs
from pytest_llminvariance.gate.ratchet import accept, read_ratchet, write_ratchet
from pytest_llminvariance.measures.flips import changed_while_wrong, mcnemar_exact, negative_flip
from pytest_llminvariance.measures.metrics import Interval
from pytest_llminvariance.models.controls import Control
from pytest_llminvariance.records.record import Record, StoredFinding, load
from tests.commands import llminvariance
from tests.run_directories import write_run

BANK = [Question(f"stem {n}?", ["elm", "oak", "ash", "fir"], id=f"q{n}", answer=n % 4) for n in range(10)]
Recorded = Callable[..., Record]


def found(model: Control, bank: list[Question] = BANK, **settings: Any) -> Finding:
    return check("option_order", model, bank, **({"tolerance": 0.05} | settings))


with run():  # at import, of no test
    HOLDS, NOISY, BROKEN = found(controls.oracle()), found(controls.noisy(0.1)), found(controls.always_first())


@pytest.fixture
def recorded(tmp_path: Path) -> Recorded:
    names = iter(range(1000))

    def make(*findings: Finding, **settings: Any) -> Record:
        return load(write_run(tmp_path / str(next(names)), findings, **settings))

    return make


def compared(old: Record, new: Record, margin: float = 0.02, allowed: tuple[str, ...] = ()) -> Compared:
    (item,) = compare_runs(old, new, margin=Fraction(str(margin)), allowed=allowed).checks
    return item


def test_worse_same_and_better(recorded: Recorded) -> None:
    truth = float(NOISY.effect.high)
    worse = compared(recorded(HOLDS), recorded(NOISY))
    assert worse.verdict is Verdict.BROKEN
    assert worse.difference is not None
    assert float(worse.difference.high) == pytest.approx(truth)
    assert worse.worse
    assert not worse.better
    same = compared(recorded(NOISY), recorded(NOISY), margin=0)
    assert same.verdict is Verdict.HOLDS
    assert same.difference == Interval(0, 0)
    better = compared(recorded(NOISY), recorded(HOLDS), margin=0)
    assert better.verdict is Verdict.HOLDS
    assert better.better == worse.worse


def effects(finding: Finding, values: list[float]) -> Finding:
    rows = [dataclasses.replace(row, low=x, high=x) for row, x in zip(finding.per_question, values, strict=True)]
    mean = sum(map(Fraction, map(str, values))) / len(values)
    verdict = Verdict.BROKEN if mean > finding.tolerance else Verdict.HOLDS
    return dataclasses.replace(finding, per_question=tuple(rows), effect=Interval(mean, mean), verdict=verdict)


@pytest.mark.parametrize("n", [3, 7, 23])
def test_exactly_at_the_margin_holds_and_the_next_count_is_broken(recorded: Recorded, n: int) -> None:
    """Counts go through JSON as floats and are still compared as the fractions that they are."""
    bank = BANK[:10]
    old = effects(found(controls.oracle(), bank), [1 / n] * 10)
    new = effects(found(controls.oracle(), bank), [2 / n] + [1 / n] * 9)
    step = Fraction(1, 10 * n)
    runs = recorded(old, exit=0), recorded(new, exit=0)
    difference = compare_runs(*runs, margin=step).checks[0]
    assert difference.difference == Interval(step, step)
    assert difference.verdict is Verdict.HOLDS
    assert compare_runs(*runs, margin=step - Fraction(1, 10**6)).checks[0].verdict is Verdict.BROKEN


@pytest.mark.parametrize(
    ("low", "high", "verdict"),
    [(-1, -1, "HOLDS"), (0, 0.1, "HOLDS"), (0.11, 0.11, "BROKEN"), (0.05, 0.11, "UNDECIDED"), (1, 1, "BROKEN")],
)
def test_the_audit_of_a_difference(low: float, high: float, verdict: str) -> None:
    ends = Interval(Fraction(str(low)), Fraction(str(high)))
    assert audit_difference(ends, Fraction(1, 10))[0] == verdict


def test_ties_leave_a_difference_open(recorded: Recorded) -> None:
    item = compared(recorded(HOLDS), recorded(found(controls.uniform())))
    assert item.verdict is Verdict.UNDECIDED
    assert item.difference == Interval(0, 1)
    assert "leave the difference between +0 and +1" in item.reasons[0]
    assert not item.refused


def test_questions_are_paired_by_content_whatever_their_order(recorded: Recorded) -> None:
    item = compared(recorded(NOISY), recorded(found(controls.noisy(0.1), BANK[::-1])), margin=0)
    assert (item.verdict, item.worse, item.better) == (Verdict.HOLDS, (), ())


OTHER_TEXT = [Question("another stem?", ["elm", "oak", "ash", "fir"], id="q0", answer=0)]
with run():
    REFUSED: dict[str, tuple[Finding, str]] = {
        "metric": (found(controls.oracle(), metric="tv"), "metric was 'flip_rate' and is 'tv'"),
        "readout": (found(controls.oracle(), readout="text"), "readout was 'label' and is 'text'"),
        "plan": (
            found(controls.oracle(), orders="cyclic"),
            "plan was ",
        ),
        "template": (found(controls.oracle(), template="{stem} {options} Say one."), "template was "),
        "question text": (
            found(controls.oracle(), [*OTHER_TEXT, *BANK[1:]]),
            "questions: 1 of 10 are gone or changed and 1 are new ('q0')",
        ),
        "a question less": (
            found(controls.oracle(), BANK[1:]),
            "questions: 1 of 10 are gone or changed and 0 are new ('q0')",
        ),
    }


@pytest.mark.parametrize("name", REFUSED)
def test_what_cannot_be_compared_is_refused_by_name(recorded: Recorded, name: str) -> None:
    other, says = REFUSED[name]
    for item in (compared(recorded(HOLDS), recorded(other)), compared(recorded(other), recorded(HOLDS))):
        assert item.refused
        assert item.verdict is Verdict.UNDECIDED
        assert item.difference is None
    assert any(reason.startswith(says) for reason in compared(recorded(HOLDS), recorded(other)).reasons)


def test_a_template_with_the_same_name_and_another_text_is_refused(recorded: Recorded) -> None:
    one = found(controls.oracle(), template=Template("{stem} {options} Answer.", name="mine"))
    two = found(controls.oracle(), template=Template("{stem} {options} Answer!", name="mine"))
    item = compared(recorded(one), recorded(two))
    assert item.reasons == ("template: 'mine' has the same name and another text",)


def test_without_hashes_the_questions_are_not_known(recorded: Recorded) -> None:
    bare = dataclasses.replace(HOLDS, details={})
    item = compared(recorded(bare), recorded(HOLDS))
    assert item.reasons == (
        "questions: the baseline does not record what the questions were, only what they are called",
    )


@pytest.mark.parametrize(
    ("old", "new", "refused"),
    [("2.6.0", "2.6.1", False), ("2.6.0+cpu", "2.6.0", False), ("2.6.0", "2.7.0", True), ("2.6.0", "3.6.0", True)],
)
@pytest.mark.parametrize("package", ["torch", "transformers", "pytest-llminvariance"])
def test_versions_matter_by_their_first_two_numbers(
    recorded: Recorded, package: str, old: str, new: str, refused: bool
) -> None:
    before, after = (
        recorded(dataclasses.replace(HOLDS, versions={**HOLDS.versions, package: version})) for version in (old, new)
    )
    item = compared(before, after)
    assert item.refused is refused
    if refused:
        assert f"{package} was {old} and is {new}" in item.reasons[0]
        assert compared(before, after, allowed=(package,)).refused is (package == "pytest-llminvariance")


@pytest.mark.parametrize(
    ("name", "old", "new", "refused"),
    [
        ("device", "cuda:0", "cuda:1", False),
        ("device", "cpu", "cuda:0", True),
        ("dtype", "float32", "bfloat16", True),
    ],
)
def test_device_and_dtype(recorded: Recorded, name: str, old: str, new: str, refused: bool) -> None:
    runs = recorded(HOLDS, **{name: old}), recorded(HOLDS, **{name: new})
    assert compared(*runs).refused is refused
    assert not compared(*runs, allowed=(name,)).refused


@pytest.mark.parametrize("which", ["old", "new"])
def test_a_run_that_stopped_early_is_undecided(recorded: Recorded, which: str) -> None:
    early = dataclasses.replace(
        HOLDS, risk_limit=0.05, decision=Decision(method="sequential", alpha=0.01, n=5, n_planned=10)
    )
    runs = (recorded(early), recorded(HOLDS)) if which == "old" else (recorded(HOLDS), recorded(early))
    item = compared(*runs)
    assert item.verdict is Verdict.UNDECIDED
    assert "stopped early" in item.reasons[0]


def test_a_guard_that_makes_numbers_worthless_leaves_it_open(recorded: Recorded) -> None:
    item = compared(recorded(HOLDS), recorded(found(controls.refuser())))
    assert item.verdict is Verdict.UNDECIDED
    assert "mean mass on the options" in item.reasons[0]


def test_pooled_metrics_are_compared_without_pairs(recorded: Recorded) -> None:
    fair = found(controls.oracle(), metric="position_bias")
    biased = found(controls.always_first(), metric="position_bias")
    worse = compared(recorded(fair), recorded(biased, exit=1))
    assert worse.verdict is Verdict.BROKEN
    assert (worse.worse, worse.better) == ((), ())
    assert compared(recorded(fair), recorded(fair)).verdict is Verdict.HOLDS


def test_checks_are_matched_by_test_and_property(recorded: Recorded) -> None:
    labels = check("labels", controls.oracle(), BANK, tolerance=0.05)
    old = recorded(HOLDS, labels, where=["t.py::test_a", "t.py::test_a"])
    new = recorded(labels, HOLDS, HOLDS, where=["t.py::test_a", "t.py::test_a", "t.py::test_a"])
    comparison = compare_runs(old, new, margin=Fraction(0))
    assert [item.key for item in comparison.checks] == ["t.py::test_a labels", "t.py::test_a option_order"]
    assert (comparison.only_old, comparison.only_new) == ((), ("t.py::test_a option_order #2",))
    assert compare_runs(new, old, margin=Fraction(0)).only_old == ("t.py::test_a option_order #2",)


@pytest.mark.parametrize(("old", "new", "outcome"), [
    ("block", "block", "BROKEN"), ("block", "warn", "BROKEN"), ("warn", "block", "BROKEN"), ("warn", "warn", "UNDECIDED"),
])  # fmt: skip
def test_a_level_lowered_after_the_baseline_does_not_help(recorded: Recorded, old: str, new: str, outcome: str) -> None:
    comparison = compare_runs(recorded(HOLDS, level=old), recorded(NOISY, level=new), margin=Fraction(0))
    assert comparison.outcome == outcome
    assert comparison.checks[0].verdict is Verdict.BROKEN


def test_checks_that_only_warn_decide_nothing_beside_others(tmp_path: Path) -> None:
    labels = [check("labels", model, BANK, tolerance=0.05) for model in (controls.oracle(), controls.uniform())]
    old, new = (
        write_run(tmp_path / str(n), [HOLDS, found], levels=["block", "warn"]) for n, found in enumerate(labels)
    )
    code, said = cli(old, new)
    assert code == 0
    assert "UNDECIDED  tests/test_model.py::test_order1 labels (level warn: not counted)" in said


def stored(recorded: Recorded, *findings: Finding) -> tuple[StoredFinding, ...]:
    return recorded(*findings).findings


def test_a_ratchet_only_moves_down_and_only_by_findings_that_hold(recorded: Recorded, tmp_path: Path) -> None:
    wide: dict[str, Any] = {"tolerance": 0.2}
    good, bad = found(controls.oracle(), **wide), effects(found(controls.oracle(), **wide), [0.1] * 10)
    first = accept({}, stored(recorded, bad))
    (key,) = first
    assert first[key].best == Fraction(1, 10)
    lower = accept(first, stored(recorded, good))
    assert lower[key].best == 0
    assert accept(lower, stored(recorded, bad)) == lower
    assert accept({}, stored(recorded, BROKEN, found(controls.uniform()))) == {}
    early = dataclasses.replace(
        good, risk_limit=0.05, decision=Decision(method="sequential", alpha=0.01, n=5, n_planned=10)
    )
    assert accept(first, stored(recorded, early)) == first
    file = tmp_path / "ratchet.json"
    write_ratchet(file, lower)
    again = file.read_bytes()
    assert read_ratchet(file) == lower
    write_ratchet(file, read_ratchet(file))
    assert file.read_bytes() == again


def cli(*arguments: object) -> tuple[int, str]:
    result = llminvariance(["compare", *arguments])
    assert result.exception is None or isinstance(result.exception, SystemExit), result.exception
    return result.exit_code, result.output


def test_a_ratchet_stops_what_gets_worse_by_a_margin_each_time(tmp_path: Path) -> None:
    file = tmp_path / "ratchet.json"
    levels = [0.02, 0.03, 0.04, 0.05]
    runs = [
        write_run(tmp_path / str(level), [effects(found(controls.oracle(), tolerance=0.2), [level] * 10)])
        for level in levels
    ]
    plain = [cli(old, new, "--margin", "0.015")[0] for old, new in itertools.pairwise(runs)]
    assert plain == [0, 0, 0]
    assert cli(runs[0], runs[0], "--ratchet", file)[0] == 2
    code, said = cli(runs[0], runs[0], "--ratchet", file, "--accept", "--margin", "0.015")
    assert code == 0
    assert f"{file}: 1 of 1 bests moved. Commit it" in said
    kept = [cli(old, new, "--ratchet", file, "--accept", "--margin", "0.015") for old, new in itertools.pairwise(runs)]
    assert [code for code, _ in kept] == [0, 1, 1]
    assert "the effect must not exceed 0.035 (best 0.02 + margin 0.015)" in kept[1][1]
    assert next(iter(read_ratchet(file).values())).best == Fraction(1, 50)


def test_the_tolerance_bounds_the_ratchet(tmp_path: Path) -> None:
    run_ = write_run(tmp_path / "run", [BROKEN], exit=1)
    code, said = cli(run_, run_, "--ratchet", tmp_path / "r.json", "--accept")
    assert code == 1
    assert "the effect must not exceed 0.05, the tolerance" in said
    assert f"{tmp_path / 'r.json'} was not made" in said
    assert not (tmp_path / "r.json").exists()


@pytest.mark.parametrize("field", ["metric", "plan", "readout", "template", "questions"])
def test_a_ratchet_of_other_questions_is_refused(tmp_path: Path, field: str) -> None:
    file, run_ = tmp_path / "r.json", write_run(tmp_path / "run", [HOLDS])
    assert cli(run_, run_, "--ratchet", file, "--accept")[0] == 0
    data = json.loads(file.read_text())
    next(iter(data["checks"].values()))[field] = "another"
    file.write_text(json.dumps(data))
    code, said = cli(run_, run_, "--ratchet", file)
    assert code == 3
    assert f"because: {field}: the ratchet's best was measured on another one" in said


@pytest.mark.parametrize(
    "text",
    ["", "{}", '{"schema_version": 1}', '{"schema_version": 1, "checks": {"a": {"best": 0}}}', '{"schema_version": 2}'],
)
def test_a_damaged_ratchet_is_a_usage_error(tmp_path: Path, text: str) -> None:
    file, run_ = tmp_path / "r.json", write_run(tmp_path / "run", [HOLDS])
    file.write_text(text)
    code, said = cli(run_, run_, "--ratchet", file, "--accept")
    assert code == 2
    assert "r.json" in said
    assert file.read_text() == text


def test_the_command_and_its_exit_codes(tmp_path: Path) -> None:
    old, new = write_run(tmp_path / "old", [HOLDS]), write_run(tmp_path / "new", [NOISY], exit=1)
    assert cli(old, old)[0] == 0
    code, said = cli(old, new)
    assert code == 1
    assert said.startswith("compare: WORSE - 1 check compared, 1 worse, 0 undecided\n  WORSE ")
    other = write_run(tmp_path / "other", [REFUSED["question text"][0]])
    code, said = cli(old, other)
    assert code == 3
    assert "REFUSED" in said
    assert "because: questions: 1 of 10 are gone or changed and 1 are new ('q0')" in said
    fewer = write_run(tmp_path / "fewer", [])
    assert cli(old, fewer)[0] == 3
    assert "MISSING    tests/test_model.py::test_order option_order: in the baseline only" in cli(old, fewer)[1]
    assert cli(old, tmp_path / "nothing")[0] == 3
    assert cli(old, new, "--margin", "2") == (2, cli(old, new, "--margin", "2")[1])
    assert cli(old, new, "--allow", "metric")[0] == 2
    assert cli(old, new, "--accept")[0] == 2


def test_the_report_names_what_was_right_and_is_wrong(tmp_path: Path) -> None:
    directories = []
    for model in (controls.oracle(), controls.always_first()):
        with run() as current:
            finding = found(model)
            directories.append(write_run(tmp_path / model.name, [finding], memo=current.memo))
    code, said = cli(*directories)
    wrong = [question.id for question in BANK if question.answer != 0]
    assert code == 1
    assert f"right 10 -> {10 - len(wrong)} of 10 as written" in said
    assert f"right before, wrong now {len(wrong)}: {', '.join(map(str, wrong))}" in said
    assert "changed although both wrong none; McNemar exact p = 0.016 (decides nothing)" in said


A, B, C = frozenset({0}), frozenset({1}), frozenset({2})
EITHER, REFUSAL, ANYTHING = frozenset({0, 1}), frozenset({-1}), frozenset({-1, 0, 1, 2})


@pytest.mark.parametrize(
    ("before", "now", "low", "high"),
    [
        (A, A, 0, 0),
        (A, B, 1, 1),
        (A, REFUSAL, 1, 1),
        (B, A, 0, 0),
        (B, C, 0, 0),
        (A, EITHER, 0, 1),
        (EITHER, B, 0, 1),
        (EITHER, A, 0, 0),
        (ANYTHING, ANYTHING, 0, 1),
        (A, ANYTHING, 0, 1),
        (B, ANYTHING, 0, 0),
    ],
)
def test_negative_flips_of_known_truth(before: frozenset[int], now: frozenset[int], low: int, high: int) -> None:
    assert negative_flip(before, now, 0) == Interval(low, high)
    certain = [(b, n) for b in before for n in now]
    assert low == all(b == 0 and n != 0 for b, n in certain)
    assert high == any(b == 0 and n != 0 for b, n in certain)


def test_changed_although_both_wrong() -> None:
    assert changed_while_wrong(B, C, 0)
    assert changed_while_wrong(B, REFUSAL, 0)
    assert not changed_while_wrong(B, B, 0)
    assert not changed_while_wrong(A, B, 0)
    assert not changed_while_wrong(B, frozenset({1, 2}), 0)


@pytest.mark.parametrize(
    ("worse", "better", "p"), [(0, 0, 1), (1, 0, 1), (5, 0, 1 / 16), (0, 5, 1 / 16), (3, 3, 1), (7, 1, 18 / 256)]
)
def test_mcnemar_by_hand(worse: int, better: int, p: float) -> None:
    assert mcnemar_exact(worse, better) == pytest.approx(p)


@pytest.mark.parametrize(("facts", "said"), [
    ({"exit": None}, "the baseline did not end"),
    ({"exit": 2}, "the baseline ended with exit status 2"),
    ({"exit": 1, "stopped": "stopping after 1 failures"}, "the baseline left tests out (stopping after 1 failures)"),
])  # fmt: skip
def test_a_baseline_that_is_not_whole_tells_nothing(tmp_path: Path, facts: dict[str, Any], said: str) -> None:
    old, new = write_run(tmp_path / "old", [HOLDS], **facts), write_run(tmp_path / "new", [HOLDS])
    code, told = cli(old, new)
    assert code == 3
    assert said in told


def test_a_check_that_was_lost_in_the_baseline_is_no_new_one(tmp_path: Path) -> None:
    old, new = write_run(tmp_path / "old", [HOLDS], exit=1), write_run(tmp_path / "new", [HOLDS, BROKEN], exit=1)
    stored = json.loads((old / "findings.json").read_text())
    stored["unfinished"] = [{"id": "x", "title": "labels", "where": "t.py::test_b", "reason": "ModelError: gone"}]
    (old / "findings.json").write_text(json.dumps(stored))
    code, told = cli(old, new)
    assert code == 3
    assert "the baseline has no finding of labels: ModelError: gone" in told


def test_what_the_ratchet_knows_counts_without_a_baseline(tmp_path: Path) -> None:
    file = tmp_path / "r.json"
    full, part = write_run(tmp_path / "full", [HOLDS, HOLDS]), write_run(tmp_path / "part", [HOLDS])
    worse = write_run(tmp_path / "worse", [HOLDS, BROKEN], exit=1)
    assert cli(full, full, "--ratchet", file, "--accept")[0] == 0
    code, told = cli(part, worse, "--ratchet", file)
    assert code == 3
    assert "not in the baseline, but the ratchet has accepted 0" in told
    code, told = cli(part, part, "--ratchet", file)
    assert code == 3
    assert "which was not compared" in told
