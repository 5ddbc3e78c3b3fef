"""What must be there for a gate to pass: every instance, at its level, by its metric, on its model, and no failure unexplained."""

from __future__ import annotations

import dataclasses
import datetime
import json
import unicodedata
from collections.abc import Callable
from fractions import Fraction
from pathlib import Path
from typing import Any

import pytest

from pytest_llminvariance import Finding, check, controls
from pytest_llminvariance.checks.verdict import Decision, Guard, Verdict
from pytest_llminvariance.errors import RecordError
from pytest_llminvariance.gate.decision import GateDecision, decide_gate
from pytest_llminvariance.gate.policy import policy_from
from pytest_llminvariance.measures.metrics import Interval
from pytest_llminvariance.records.record import CleanSearch, Record, load
from pytest_llminvariance.report.release import gate_lines
from tests.commands import llminvariance
from tests.gate.test_gate import BANK, BROKEN, HOLDS, LABELS, OPEN, TODAY
from tests.run_directories import write_run

A, B, C = (f"tests/test_order.py::test_order[{name}]" for name in "abc")
OTHER = "tests/test_more.py::test_more"
ORACLE = {"fingerprint": HOLDS.fingerprint, "model": "control:oracle"}


@pytest.fixture
def recorded(tmp_path: Path) -> Callable[..., Record]:
    names = iter(range(1000))

    def make(*findings: Finding, **settings: Any) -> Record:
        return load(write_run(tmp_path / str(next(names)), findings, **{"where": [A, B, C], **settings}))

    return make


def decided(*runs: Record, **policy: Any) -> GateDecision:
    today = policy.pop("today", TODAY)
    return decide_gate(runs, policy_from(policy, "gate.toml"), today)


def text(decision: GateDecision) -> str:
    return "\n".join(line for line, _ in gate_lines(decision))


@pytest.mark.parametrize("name", ["option_order", "tests/test_order.py::test_order", "tests/test_order.py", "tests", B])
@pytest.mark.parametrize("fact", ["skipped", "left_out"])
def test_one_instance_does_not_stand_in_for_another(recorded: Callable[..., Record], name: str, fact: str) -> None:
    run = recorded(HOLDS, **{fact: [B]}, with_model=[A, B])
    decision = decided(run, required=[name], left_out="ignore")
    assert decision.exit_code == 1
    assert f"{name}: required, but no run has run {B}, which was skipped or left out" in decision.missing
    other = recorded(HOLDS, where=[B], with_model=[B])
    assert decided(run, other, required=[name], left_out="ignore").exit_code == 0, "another run has run it"


@pytest.mark.parametrize("name", ["option_order", "tests/test_order.py::test_order", "tests/test_order.py", B])
def test_an_instance_that_checks_nothing_is_not_there(recorded: Callable[..., Record], name: str) -> None:
    """`if n: return` is no better than `if n: pytest.skip()`."""
    run = recorded(HOLDS, unchecked=[B, OTHER], with_model=[A, B, OTHER])
    decision = decided(run, required=[name])
    assert decision.exit_code == 1
    if name != B:
        assert decision.missing == (f"{name}: required, but {B} passed without a check",)
        assert decided(run).exit_code == 0, "not required: it is said, and a test may use the model otherwise"
    other = recorded(HOLDS, where=[B], with_model=[B])
    assert decided(run, other, required=[name]).exit_code == 0, "another run has checked it"


@pytest.mark.parametrize("where", ["option_order/test_labels.py::test_labels", "option_order::test_labels"])
def test_a_folder_called_as_a_property_is_no_check_of_it(recorded: Callable[..., Record], where: str) -> None:
    """Else the one required check is replaced by an easier one that stands in such a folder."""
    decision = decided(recorded(LABELS, where=[where]), required=["order"])
    assert decision.exit_code == 1
    assert "option_order: required, but no run has checked it" in text(decision)
    assert decided(recorded(HOLDS, where=[where]), required=["order"]).exit_code == 0, "the property itself"
    clean = CleanSearch(where=where, file=None, line=None, level="block", markers=(), pairs=9)
    searched = dataclasses.replace(recorded(LABELS), searches=(clean,))
    assert decided(searched, required=["order"]).exit_code == 1, "nor is a search there"
    assert decided(searched, required=[where]).exit_code == 0


@pytest.mark.parametrize("name", ["tests", "tests/", "tests/test_order.py", "tests/test_order.py/"])
def test_a_place_is_named_with_or_without_its_last_stroke(recorded: Callable[..., Record], name: str) -> None:
    assert decided(recorded(HOLDS), required=[name]).exit_code == 0
    missing = decided(recorded(HOLDS, skipped=[OTHER], with_model=[A, OTHER]), required=["tests/"], left_out="ignore")
    assert missing.exit_code == 1, f"{OTHER} is below it and was not run"
    waiver = {"where": name, "owner": "ana", "reason": "known", "expires": "2999-01-01"}
    assert decided(recorded(BROKEN), waivers=[waiver]).exit_code == 0


def test_what_was_skipped_elsewhere_says_nothing_of_a_required_check(recorded: Callable[..., Record]) -> None:
    run = recorded(HOLDS, skipped=["tests/test_order.py::test_units", OTHER])
    for name in ("option_order", A, "tests/test_order.py"):
        assert decided(run, required=[name]).exit_code == 0
    assert decided(run, required=[OTHER]).exit_code == 1


@pytest.mark.parametrize(
    ("meaning", "code"), [("block", 1), ("insufficient", 3), ("warn", 0), ("ignore", 0), (None, 3)]
)
@pytest.mark.parametrize(
    "facts",
    [
        {"skipped": [OTHER], "with_model": [A, OTHER]},
        {"left_out": [OTHER], "with_model": [A, OTHER]},
        {"left_out": [C], "with_model": None},
        {"named": [A]},
    ],
    ids=["skipped", "left out", "instance", "named"],
)
def test_tests_of_the_model_that_did_not_run(
    recorded: Callable[..., Record], facts: dict[str, Any], meaning: str | None, code: int
) -> None:
    policy = {} if meaning is None else {"left_out": meaning}
    decision = decided(recorded(HOLDS, **facts), **policy)
    assert decision.exit_code == code
    assert ("(left_out)" in text(decision)) == (meaning != "ignore")


def test_a_test_that_was_skipped_for_its_finding_was_run(recorded: Callable[..., Record]) -> None:
    """--invariance-undecided=skip: the finding decides, not the skip."""
    run = recorded(OPEN, skipped=[A], with_model=[A])
    assert decided(run, required=["option_order"], undecided="warn").exit_code == 0
    assert decided(recorded(HOLDS, skipped=[A], with_model=[A]), required=["option_order"]).exit_code == 1


LEVELS = ("block", "warn", "ignore")


@pytest.mark.parametrize("least", LEVELS)
@pytest.mark.parametrize("level", LEVELS)
def test_every_required_check_has_at_least_the_least_level(
    recorded: Callable[..., Record], level: str, least: str
) -> None:
    run = recorded(HOLDS, HOLDS, levels=["block", level])
    decision = decided(run, required=["option_order"], min_level=least)
    enough = LEVELS.index(level) <= LEVELS.index(least) and level != "ignore"
    assert decision.exit_code == (0 if enough else 1)
    assert decided(run, required=[A], min_level=least).exit_code == 0, "the tests that must hold can be named"
    raised = {"option_order": {"level": "block"}}
    assert decided(run, required=["option_order"], properties=raised).exit_code == 0, "the policy gives the level"


def test_levels_are_told_with_the_way_out(recorded: Callable[..., Record]) -> None:
    run = recorded(HOLDS, BROKEN, levels=["block", "ignore"])
    assert decided(run, required=["option_order"]).missing == (
        f"option_order: required, but {B} has the level ignore, and at least block is asked for (min_level; or name the tests that must hold)",
    )


@pytest.mark.parametrize("undecided", ["insufficient", "warn"])
def test_another_metric_is_no_evidence_for_the_policys(recorded: Callable[..., Record], undecided: str) -> None:
    other = check("option_order", controls.oracle(), BANK, tolerance=0.3, metric="position_bias")
    rule = {"option_order": {"metric": "flip_rate"}}
    decision = decided(recorded(HOLDS, other), properties=rule, required=["option_order"], undecided=undecided)
    assert decision.exit_code == 1
    assert f"{B} is measured by position_bias, and the policy wants flip_rate" in text(decision)
    decision = decided(recorded(HOLDS, other), properties=rule)
    assert decision.exit_code == 3
    assert "it is measured by position_bias, but the policy wants flip_rate" in text(decision)
    assert decided(recorded(HOLDS, HOLDS), properties=rule, required=["option_order"]).exit_code == 0


WAIVED = {"waivers": [{"property": "option_order", "owner": "a", "reason": "b", "expires": datetime.date(2999, 1, 1)}]}


@pytest.mark.parametrize(
    ("finding", "code"),
    [("finding0", 0), (None, 3), ("finding1", 3), ("gone", 3)],
    ids=["its", "none", "holds", "gone"],
)
def test_a_failure_is_explained_by_the_finding_that_it_carries(
    recorded: Callable[..., Record], finding: str | None, code: int
) -> None:
    rows = [{"where": A, "finding": finding}]
    run = recorded(BROKEN, HOLDS, exit=1, failures=rows)
    assert decided(run, **WAIVED).exit_code == code
    fixture = recorded(BROKEN, HOLDS, exit=1, failures=rows, where=["tests::checked (session fixture)", B])
    assert decided(fixture, **WAIVED).exit_code == code, "a fixture's finding explains no other failure"


def test_a_check_on_another_model_is_no_evidence(recorded: Callable[..., Record]) -> None:
    policy = {"models": ["control:oracle"]}
    assert decided(recorded(HOLDS, **ORACLE), **policy, required=["option_order"]).exit_code == 0
    run = recorded(LABELS, BROKEN, HOLDS, with_model=[A, B], **ORACLE)
    decision = decided(run, **policy)
    assert decision.exit_code == 0, "nor against the policy's"
    assert "IGNORED" in text(decision)
    decision = decided(run, **policy, required=["option_order"])
    assert decision.exit_code == 1
    assert f"{B} checked another model than the run's" in text(decision)
    beside = recorded(LABELS, BROKEN, HOLDS, with_model=[A, C], **ORACLE)
    assert decided(beside, **policy, required=["option_order"]).exit_code == 0, "a test of the instrument"
    assert decided(beside, **policy, required=[B]).exit_code == 1
    failed = recorded(HOLDS, BROKEN, exit=1, failures=[{"where": B, "finding": "finding1"}], **ORACLE)
    assert decided(failed, **policy).exit_code == 3
    assert "some checks were made on another model" in text(decided(run))


def test_a_model_that_is_not_known_is_not_the_policys(recorded: Callable[..., Record]) -> None:
    run = recorded(HOLDS, **{**ORACLE, "fingerprint": None})
    decision = decided(run, models=["control:oracle"])
    assert decision.exit_code == 3
    assert "no test took it from the fixture invariance_model" in text(decision)


def test_early_stopping_counts_planned_questions(recorded: Callable[..., Record]) -> None:
    early = dataclasses.replace(
        HOLDS,
        risk_limit=0.05,
        questions_asked=6,
        decision=Decision(method="sequential", alpha=0.01, n=6, n_planned=12),
    )
    assert decided(recorded(early), properties={"option_order": {"min_questions": 12}}).exit_code == 0
    assert decided(recorded(early), properties={"option_order": {"min_questions": 13}}).exit_code == 3
    fewer = dataclasses.replace(HOLDS, questions_asked=6)
    assert decided(recorded(fewer), properties={"option_order": {"min_questions": 12}}).exit_code == 3


@pytest.mark.parametrize(
    ("rule", "code"),
    [
        ({"properties": {"option_ordr": {"tolerance": 0.01}}}, 3),
        ({"properties": {"option_\u043erder": {"level": "block"}}}, 3),
        ({"properties": {"ordr": {"min_questions": 100}}}, 3),
        ({"markers": {"critcal": {"level": "block"}}}, 3),
        ({"markers": {"critical": {"level": "block"}}}, 0),
        ({"properties": {"labels": {"level": "block"}}}, 0),
        ({"markers": {"trail": {"level": "warn"}}}, 0),
        ({"properties": {"promt": {"undecided": "ignore"}}}, 0),
    ],
)
def test_a_demand_that_meets_no_check_is_no_pass(
    recorded: Callable[..., Record], rule: dict[str, Any], code: int
) -> None:
    decision = decided(recorded(HOLDS, markers=["critical"]), **rule)
    assert decision.exit_code == code
    if code:
        assert "matches no check" in text(decision)


def test_names_that_look_alike_are_told_apart_in_words(recorded: Callable[..., Record]) -> None:
    decision = decided(recorded(HOLDS), required=["option_\u043erder"])
    assert decision.exit_code == 1
    assert "Did you mean 'option_order', which is not 'option_\\u043erder'?" in decision.missing[0]


def test_accents_are_the_same_however_they_are_written(recorded: Callable[..., Record]) -> None:
    """macOS gives the names of files in another form than editors write."""
    place = unicodedata.normalize("NFD", "tests/test_été.py::test_order")
    for name in (place, unicodedata.normalize("NFC", place)):
        assert decided(recorded(HOLDS, where=[place]), required=[name]).exit_code == 0
        waiver = {**WAIVED["waivers"][0], "where": name}
        assert decided(recorded(BROKEN, where=[place], exit=1), waivers=[waiver]).exit_code == 0


def test_a_clock_set_back_does_not_revive_a_waiver(recorded: Callable[..., Record]) -> None:
    run = recorded(BROKEN, exit=1, started="2026-03-05T00:30:00+00:00")
    waivers = [{**WAIVED["waivers"][0], "expires": datetime.date(2026, 3, 4)}]
    assert decided(run, today=datetime.date(2026, 3, 4), waivers=waivers).exit_code == 0, "of another time zone"
    decision = decided(run, today=datetime.date(2026, 3, 3), waivers=waivers)
    assert decision.exit_code == 3
    assert "began on 2026-03-05, after the day 2026-03-03" in text(decision)


def test_a_record_that_says_more_than_its_guards_is_refused(tmp_path: Path) -> None:
    bad = Guard(name="responsive", passed=False, text="the model hardly reads the question")
    place = write_run(tmp_path / "run", [dataclasses.replace(HOLDS, guards=(*HOLDS.guards, bad))])
    with pytest.raises(RecordError, match="says HOLDS, although: the model hardly reads the question"):
        load(place)


@pytest.mark.parametrize("edited", ["effect", "questions", "half"])
def test_an_effect_that_its_questions_do_not_have_is_refused(tmp_path: Path, edited: str) -> None:
    """A verdict that was edited with its effect and its guards still has the numbers of its questions."""
    none = Interval(Fraction(0), Fraction(0))
    known = tuple(dataclasses.replace(row, low=0.0, high=0.0) for row in BROKEN.per_question)
    told = {
        "effect": (none, BROKEN.per_question),
        "questions": (BROKEN.effect, known),
        "half": (none, (*known[1:], BROKEN.per_question[0])),
    }
    effect, rows = told[edited]
    holds = Verdict.BROKEN if edited == "questions" else Verdict.HOLDS
    guards = tuple(dataclasses.replace(guard, passed=True, needed=True) for guard in BROKEN.guards)
    bad = dataclasses.replace(BROKEN, verdict=holds, effect=effect, guards=guards, per_question=rows)
    with pytest.raises(RecordError, match=r"effect.low is .*, but the mean over its 12 questions is .* was edited"):
        load(write_run(tmp_path / "run", [bad]))
    whole = dataclasses.replace(bad, verdict=Verdict.HOLDS, effect=none, per_question=known)
    assert load(write_run(tmp_path / "invented", [whole])).findings, "what was invented throughout is for `judge`"


@pytest.mark.parametrize(
    "metric", ["flip_rate", "disagreement", "tv", "js_distance", "position_bias", "excess_disagreement"]
)
def test_an_honest_record_of_every_metric_is_read(tmp_path: Path, metric: str) -> None:
    for model in (controls.oracle(), controls.position_prior(2), controls.tie_maker()):
        samples = 3 if metric == "excess_disagreement" else 1
        found = check("option_order", model, BANK, tolerance=0.1, metric=metric, samples=samples)
        assert load(write_run(tmp_path / model.name, [found])).findings[0].verdict is found.verdict


def test_one_run_cannot_be_given_twice_under_two_names(tmp_path: Path) -> None:
    place = write_run(tmp_path / "run", [HOLDS])
    (tmp_path / "link").symlink_to(place)
    for other in (tmp_path / "link", place / "findings.json", tmp_path / "x" / ".." / "run"):
        told = llminvariance(["gate", str(place), str(other)])
        assert (told.exit_code, "is given twice" in told.output) == (2, True)


def test_unknown_metrics_and_levels_are_refused_with_a_hint(tmp_path: Path) -> None:
    file = tmp_path / "gate.toml"
    for said, hint in (
        ("[properties.option_order]\nmetric = 'fliprate'", "Did you mean 'flip_rate'?"),
        ("min_level = 'strict'", "min_level is 'strict', but must be one of block, warn, ignore"),
        ("left_out = 'pass'", "left_out is 'pass', but must be one of block, insufficient, warn, ignore"),
    ):
        file.write_text(said)
        told = llminvariance(["gate", str(tmp_path), "--policy", str(file)])
        assert told.exit_code == 2
        assert hint in told.output


def test_facts_of_another_shape_are_refused(tmp_path: Path) -> None:
    place = write_run(tmp_path / "run", [HOLDS])
    facts = json.loads((place / "run.json").read_text())
    for name, value in (("failures", [{"where": A}]), ("skipped", "all"), ("left_out", [1]), ("with_model", {})):
        (place / "run.json").write_text(json.dumps({**facts, name: value}))
        with pytest.raises(RecordError, match=name):
            load(place)
