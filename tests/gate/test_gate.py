"""The gate: what blocks, what lets pass, and that nothing passes by accident."""

from __future__ import annotations

import dataclasses
import datetime
from collections.abc import Callable
from fractions import Fraction
from pathlib import Path
from typing import Any

import pytest

from pytest_llminvariance import Finding, Question, check, controls, run
from pytest_llminvariance.checks.verdict import Decision
from pytest_llminvariance.gate.decision import GateDecision, decide_gate
from pytest_llminvariance.gate.policy import Policy, policy_from
from pytest_llminvariance.models.controls import Control
from pytest_llminvariance.records.record import Record, load
from pytest_llminvariance.report.release import gate_lines
from tests.commands import llminvariance
from tests.run_directories import ANY, write_run

BANK = [Question(f"stem {n}?", [f"{c}{n}" for c in "abc"], id=f"q{n}", answer=n % 3) for n in range(12)]
TODAY = datetime.date(2026, 2, 1)


def found(model: Control, property: str = "option_order", tolerance: float = 0.05) -> Finding:
    with run():  # at import, of no test
        return check(property, model, BANK, tolerance=tolerance)


HOLDS, BROKEN, OPEN = found(controls.oracle()), found(controls.always_first()), found(controls.uniform())
LABELS = found(controls.oracle(), "labels")
MODELS = {"holds": HOLDS, "broken": BROKEN, "undecided": OPEN}


@pytest.fixture
def recorded(tmp_path: Path) -> Callable[..., Record]:
    def make(*findings: Finding, name: str = "run", **settings: Any) -> Record:
        return load(write_run(tmp_path / name, findings, **settings))

    return make


def decided(runs: Record | list[Record], **policy: Any) -> GateDecision:
    made = policy_from(policy, "gate.toml") if policy else Policy()
    return decide_gate(runs if isinstance(runs, list) else [runs], made, TODAY)


def text(decision: GateDecision) -> str:
    return "\n".join(line for line, _ in gate_lines(decision))


def waiver(**changes: Any) -> list[dict[str, Any]]:
    base = {"property": "option_order", "owner": "ana", "reason": "known", "expires": datetime.date(2026, 3, 1)}
    return [base | changes]


@pytest.mark.parametrize(("name", "code"), [("holds", 0), ("broken", 1), ("undecided", 3)])
def test_without_a_policy_broken_blocks_and_undecided_is_no_evidence(
    recorded: Callable[..., Record], name: str, code: int
) -> None:
    assert decided(recorded(MODELS[name], exit=int(code > 0))).exit_code == code


@pytest.mark.parametrize(
    ("level", "codes"),
    [("block", (0, 1, 3)), ("warn", (0, 0, 0)), ("ignore", (3, 3, 3))],
)
@pytest.mark.parametrize("said_by", ["test", "property", "marker"])
def test_levels(recorded: Callable[..., Record], level: str, codes: tuple[int, ...], said_by: str) -> None:
    policy: dict[str, Any] = {
        "test": {},
        "property": {"properties": {"option_order": {"level": level}}},
        "marker": {"markers": {"slow": {"level": level}}},
    }[said_by]
    for finding, code in zip(MODELS.values(), codes, strict=True):
        run = recorded(finding, level=level if said_by == "test" else "block", markers=["slow"])
        assert decided(run, **policy).exit_code == code


def test_the_strictest_rule_counts_and_a_rule_wins_over_the_test(recorded: Callable[..., Record]) -> None:
    run = recorded(BROKEN, level="ignore", markers=["slow", "odd"])
    rules = {"markers": {"slow": {"level": "warn"}, "odd": {"level": "ignore"}}}
    assert decided(run, **rules).of("warns")
    assert decided(run, **rules, properties={"option_order": {"level": "block"}}).exit_code == 1


@pytest.mark.parametrize(("undecided", "code"), [("block", 1), ("insufficient", 3), ("warn", 0), ("ignore", 3)])
def test_what_undecided_means(recorded: Callable[..., Record], undecided: str, code: int) -> None:
    assert decided(recorded(OPEN), undecided=undecided).exit_code == code
    assert decided(recorded(OPEN), properties={"option_order": {"undecided": undecided}}).exit_code == code
    assert decided(recorded(BROKEN, exit=1), undecided=undecided).exit_code == 1


def test_a_missing_check_blocks(recorded: Callable[..., Record]) -> None:
    both = recorded(HOLDS, LABELS, where=[ANY, "tests/test_b.py::test_labels"])
    required = ["option_order", "labels", ANY, "tests/test_b.py::test_labels"]
    assert decided(both, required=required).exit_code == 0
    one = recorded(HOLDS, name="one")
    decision = decided(one, required=required)
    assert decision.exit_code == 1
    assert decision.missing == (
        "labels: required, but no run has checked it",
        "tests/test_b.py::test_labels: required, but no run has checked it",
    )
    assert decided([one, recorded(LABELS, name="two")], required=["option_order", "labels"]).exit_code == 0


def test_a_required_check_cannot_be_ignored_away_by_its_test(recorded: Callable[..., Record]) -> None:
    run = recorded(HOLDS, LABELS, level="ignore")
    decision = decided(run, required=["labels"], properties={"option_order": {"level": "block"}})
    assert decision.exit_code == 1
    assert decision.missing == (
        f"labels: required, but {ANY}1 has the level ignore, and at least block is asked for (min_level; or name the tests that must hold)",
    )


def test_a_waiver_lets_pass_and_is_shown_until_it_expires(recorded: Callable[..., Record]) -> None:
    run = recorded(BROKEN, exit=1)
    decision = decided(run, waivers=waiver())
    assert decision.exit_code == 0
    assert "waived by ana until 2026-03-01: known" in text(decision)
    assert decided(run, waivers=waiver(expires=TODAY)).exit_code == 0
    expired = decided(run, waivers=waiver(expires=TODAY - datetime.timedelta(days=1)))
    assert expired.exit_code == 1
    assert "the waiver of ana for option_order expired on 2026-01-31" in text(expired)


def test_an_expired_waiver_of_an_undecided_check_blocks(recorded: Callable[..., Record]) -> None:
    assert decided(recorded(OPEN), waivers=waiver()).exit_code == 0
    assert decided(recorded(OPEN), waivers=waiver(expires=datetime.date(2026, 1, 1))).exit_code == 1


def test_a_waiver_covers_no_more_than_it_says(recorded: Callable[..., Record]) -> None:
    run = recorded(BROKEN, LABELS, exit=1)
    size = float(BROKEN.effect.high)
    assert decided(run, waivers=waiver(up_to=size + 0.01)).exit_code == 0
    decision = decided(run, waivers=waiver(up_to=size - 0.01))
    assert decision.exit_code == 1
    assert "covers effects up to" in text(decision)
    assert decided(run, waivers=waiver(where="tests/other.py")).exit_code == 1
    assert decided(run, waivers=waiver(where=ANY)).exit_code == 0
    assert decided(run, waivers=waiver(property="labels")).exit_code == 1


def test_a_waiver_does_not_stand_in_for_a_missing_check(recorded: Callable[..., Record]) -> None:
    run = recorded(LABELS)
    assert decided(run, required=["option_order"], waivers=waiver()).exit_code == 1


def test_a_waiver_or_rule_that_matches_nothing_is_said(recorded: Callable[..., Record]) -> None:
    run = recorded(HOLDS, fingerprint=HOLDS.fingerprint)
    decision = decided(run, waivers=waiver(property="labels"), properties={"promt": {"level": "warn"}})
    assert decision.notes == (
        "the waiver of ana for labels matches no check: remove it, or mend its name",
        "the rule for the property 'promt' matches no check. Did you mean 'prompt'?",
    )
    needless = decided(run, waivers=waiver(), markers={"slow": {"level": "warn"}})
    assert needless.notes == (
        "the waiver of ana for option_order is not needed: what it covers holds. Remove it",
        "the rule for the marker 'slow' matches no check",
    )


def test_rules_for_markers_need_a_record_of_markers(recorded: Callable[..., Record]) -> None:
    run = recorded(HOLDS, markers=None)
    assert decided(run).exit_code == 0
    decision = decided(run, markers={"slow": {"level": "block"}})
    assert decision.exit_code == 3
    assert "does not hold the markers of tests" in text(decision)


def test_too_few_questions_are_undecided(recorded: Callable[..., Record]) -> None:
    assert decided(recorded(HOLDS), properties={"option_order": {"min_questions": 12}}).exit_code == 0
    decision = decided(recorded(HOLDS), properties={"option_order": {"min_questions": 13}})
    assert decision.exit_code == 3
    assert "12 questions were asked, but the policy wants at least 13" in text(decision)


def sampled(finding: Finding, alpha: float) -> Finding:
    decision = Decision(method="sequential", alpha=alpha, n=6, n_planned=12)
    return dataclasses.replace(finding, risk_limit=0.05, decision=decision)


def test_the_risk_of_all_runs_is_added(recorded: Callable[..., Record]) -> None:
    runs = [recorded(sampled(HOLDS, 0.02), sampled(LABELS, 0.005), name=f"run{n}") for n in range(2)]
    assert decided(runs).exit_code == 0
    assert decided(runs).spent == pytest.approx(0.05)
    more = [*runs, recorded(sampled(HOLDS, 0.001), name="more")]
    decision = decided(more)
    assert decision.exit_code == 3
    assert "the risk spent over 3 runs is 0.051, above the limit of 0.05" in text(decision)
    assert decided(more, risk_limit=0.06).exit_code == 0


def test_fifty_shares_of_a_thousandth_are_within_five_hundredths(recorded: Callable[..., Record]) -> None:
    run = recorded(*[dataclasses.replace(sampled(HOLDS, 0.001), id=str(n)) for n in range(50)])
    assert decided(run).exit_code == 0


def test_risk_above_the_limit_outweighs_what_blocks(recorded: Callable[..., Record]) -> None:
    assert decided(recorded(sampled(BROKEN, 0.06), exit=1)).exit_code == 3


def test_a_sampled_finding_that_hides_its_risk_is_no_evidence(recorded: Callable[..., Record]) -> None:
    decision = decided(recorded(dataclasses.replace(HOLDS, risk_limit=0.05, decision=None)))
    assert decision.exit_code == 3
    assert "1 sampled findings do not say what risk they spent" in text(decision)


@pytest.mark.parametrize(
    ("status", "code", "says"),
    [
        (0, 0, "PASSED"),
        (None, 3, "the run did not end"),
        (1, 3, "the run failed (exit status 1), and no finding says why"),
        (2, 3, "the run ended with exit status 2, not with a result"),
        (5, 3, "the run ended with exit status 5, not with a result"),
    ],
)
def test_a_run_that_did_not_end_well_is_no_evidence(
    recorded: Callable[..., Record], status: int | None, code: int, says: str
) -> None:
    decision = decided(recorded(HOLDS, exit=status))
    assert decision.exit_code == code
    assert says in text(decision)


def test_no_run_json_and_no_finding_are_no_evidence(recorded: Callable[..., Record], tmp_path: Path) -> None:
    recorded(HOLDS)
    (tmp_path / "run" / "run.json").unlink()
    assert "it is not known whether the run ended" in text(decided(load(tmp_path / "run")))
    assert decided(load(tmp_path / "run")).exit_code == 3
    assert decided(recorded()).exit_code == 3
    assert decided(recorded(), required=["labels"]).exit_code == 3
    assert "gate: NO EVIDENCE - there is no finding" in text(decided(recorded()))
    assert decided([]).exit_code == 3


def test_checks_that_did_not_finish_are_no_evidence(recorded: Callable[..., Record]) -> None:
    lost: Any = ("labels: ModelError: gone  [tests/test_b.py::test_labels]",)  # read only as text
    run = dataclasses.replace(recorded(HOLDS), lost=lost)
    assert decided(run).exit_code == 3
    assert decided(dataclasses.replace(recorded(HOLDS, BROKEN, exit=1), lost=run.lost)).exit_code == 1


@pytest.mark.parametrize("name", ["model", "fingerprint", "commit"])
def test_runs_of_different_things_are_not_gated_together(recorded: Callable[..., Record], name: str) -> None:
    runs = [recorded(HOLDS, name="one"), recorded(HOLDS, name="two", **{name: "another"})]
    decision = decided(runs)
    assert decision.exit_code == 3
    assert f"the runs differ in {name}" in text(decision)


FORTY = [Question(f"s {n}?", ["elm", "oak", "ash", "fir"], answer=n % 4) for n in range(40)]
with run():
    NOISY = check("option_order", controls.noisy(0.1), FORTY, tolerance=0.2)


@pytest.mark.parametrize("steps", range(-3, 4))
def test_another_tolerance_gives_the_verdict_of_a_run_under_it_or_undecided(
    recorded: Callable[..., Record], steps: int
) -> None:
    """Never a HOLDS or BROKEN that a run under that tolerance would not have given."""
    limit = Fraction(str(round(float(NOISY.effect.high), 2))) + Fraction(steps, 50)
    bank = [Question(f"s {n}?", ["elm", "oak", "ash", "fir"], answer=n % 4) for n in range(40)]
    again = check("option_order", controls.noisy(0.1), bank, tolerance=float(limit))
    (judged,) = decided(recorded(NOISY), properties={"option_order": {"tolerance": float(limit)}}).judged
    assert judged.tolerance == limit
    assert judged.verdict in (again.verdict, "UNDECIDED")
    if limit <= NOISY.tolerance:
        assert judged.verdict == again.verdict


def test_a_larger_tolerance_does_not_let_a_model_pass_that_was_not_shown_to_read(
    recorded: Callable[..., Record],
) -> None:
    flips = found(controls.noisy(0.1))
    assert flips.verdict.name == "BROKEN"
    decision = decided(recorded(flips, exit=1), properties={"option_order": {"tolerance": 0.5}})
    assert decision.exit_code == 3
    assert "whether the model reads the question was not asked" in text(decision)


def test_what_holds_holds_under_a_larger_tolerance(recorded: Callable[..., Record]) -> None:
    assert decided(recorded(HOLDS), properties={"option_order": {"tolerance": 0.3}}).exit_code == 0


@pytest.mark.parametrize(("finding", "tolerance", "code"), [(HOLDS, 0.04, 3), (BROKEN, 0.04, 1), (BROKEN, 0.06, 3)])
def test_a_run_that_stopped_early_says_nothing_of_a_harder_claim(
    recorded: Callable[..., Record], finding: Finding, tolerance: float, code: int
) -> None:
    run = recorded(sampled(finding, 0.01), exit=int(finding is BROKEN))
    assert decided(run, properties={"option_order": {"tolerance": tolerance}}).exit_code == code


def test_data_stays_on_its_line(recorded: Callable[..., Record]) -> None:
    nasty = dataclasses.replace(BROKEN, title="x\n::error::\x1b[31mowned", reasons=("a\r\nb",))
    lines = list(gate_lines(decided(recorded(nasty, exit=1, where=["t.py::a\nb"]))))
    assert not any(set(line) & set("\n\r\x1b") for line, _ in lines)
    assert not any(line.startswith("::") for line, _ in lines)


def cli(*arguments: object) -> tuple[int, str]:
    result = llminvariance(["gate", *arguments])
    assert result.exception is None or isinstance(result.exception, SystemExit), result.exception
    return result.exit_code, result.output


def test_the_command_and_its_exit_codes(tmp_path: Path) -> None:
    good, bad = write_run(tmp_path / "good", [HOLDS]), write_run(tmp_path / "bad", [BROKEN], exit=1)
    assert cli(good)[0] == 0
    code, said = cli(good, bad)
    assert code == 1
    assert said.startswith("gate: BLOCKED - 1 check of 2\n  BLOCKS   option order BROKEN: flip_rate ")
    assert "[tests/test_model.py::test_order]" in said
    assert "risk spent: 0 of at most 0.05, over 2 runs (no policy)" in said
    assert cli(good, good) == (2, f"error: {good} is given twice. Give each run once\n")
    assert cli(tmp_path / "none")[0] == 3
    (good / "findings.json").write_text("{}")
    assert cli(good)[0] == 3
    assert cli(bad, good)[0] == 3
    assert cli()[0] == 2


def test_the_command_takes_policy_and_day(tmp_path: Path) -> None:
    bad, policy = write_run(tmp_path / "bad", [BROKEN], exit=1), tmp_path / "gate.toml"
    policy.write_text("[[waivers]]\nproperty='option_order'\nowner='ana'\nreason='known'\nexpires=2026-03-01\n")
    code, said = cli(bad, "--policy", policy, "--today", "2026-03-01")
    assert code == 0
    assert said.startswith("gate: PASSED - 0 of 1 check holds, 1 waived\n")
    assert "  NOTE     waivers are judged by 2026-03-01 (--today), not by today\n" in said
    assert "--today" not in cli(bad, "--today", datetime.date.today())[1]
    assert "--today" not in cli(bad)[1]
    assert cli(bad, "--policy", policy, "--today", "2026-03-02")[0] == 1
    assert cli(bad, "--today", "tomorrow") == (
        2,
        "error: --today is 'tomorrow', but must be a day such as 2026-03-31\n",
    )
    policy.write_text("levels = 1")
    code, said = cli(bad, "--policy", policy)
    assert code == 2
    assert "gate.toml: there is no key 'levels'" in said
