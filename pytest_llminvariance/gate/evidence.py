"""Whether the evidence as a whole can be trusted, and whether it is all there: runs that ended, of one model, explained."""

from __future__ import annotations

import datetime
from collections.abc import Collection, Iterable, Sequence
from fractions import Fraction

from pytest_llminvariance.checks.verdict import Verdict
from pytest_llminvariance.gate.policy import Policy
from pytest_llminvariance.gate.presence import named
from pytest_llminvariance.models.spec import place_in_full
from pytest_llminvariance.records.record import Record, StoredFinding

NO_FINDING_SAYS_WHY = "{} failed, and no finding there says why"
CLOCKS = datetime.timedelta(days=1)
"""How far a day and the UTC of a record may be apart in time zones."""


def weights(run: Record) -> str | None:
    """Return the fingerprint of the run's model; `None` where the record does not say."""
    found: str | None = run.fact("fingerprint")
    return found or None


def foreign(finding: StoredFinding, run: Record) -> str:
    """Return why a finding is not about the run's model; empty where it is."""
    name = f"{finding.model:.60}"
    if finding.fingerprint != weights(run):
        return f"it was made on another model than the run's ({name}), so it is no evidence here"
    return {
        "session": "",
        "loaded": "",
        "fixture": f"{name} is what a fixture invariance_model beside the session's gave, so it is no evidence here. "
        "The session's is that of --invariance-model; without it, of the one fixture that all tests share",
        "test": f"{name} is an object that the test brought, and only says that it is the run's model, so it is no evidence here. "
        "Take the model from the fixture invariance_model, or load its files with load_model",
        "": f"the record does not say where {name} came from, so it is no evidence here. Record it again",
    }[finding.model_from]


def distrusted(runs: Sequence[Record], spent: float, policy: Policy, today: datetime.date) -> Iterable[str]:
    """Yield why the evidence as a whole cannot be trusted."""
    if not runs:
        yield "no run was given"
    if spent > policy.risk_limit + Fraction(1, 10**12):
        yield (
            f"the risk spent over {len(runs)} runs is {spent:.3g}, above the limit of {float(policy.risk_limit):g}: "
            "ask everything (exhaustive), or give each run a share of the limit"
        )
    for run in runs:
        yield from _of_the_policy(run, policy.models)
        unknown = sum(finding.alpha is None for finding in run.findings)
        if unknown:
            yield f"{run.name}: {unknown} sampled findings do not say what risk they spent"
        began = _day(run.fact("started"))
        if began is not None and today < began - CLOCKS:
            yield f"{run.name} began on {began}, after the day {today} that waivers are judged by: set the clock, or --today"
    for name in ("model", "fingerprint", "commit"):
        values = sorted({str(run.fact(name)) for run in runs if run.fact(name)})
        if name == "model" and len({place_in_full(value) for value in values}) == 1:
            continue
        if len(values) > 1:
            yield f"the runs differ in {name}: {', '.join(value[:40] for value in values)}. Gate each on its own"


def _of_the_policy(run: Record, models: Collection[str]) -> Iterable[str]:
    if not models:
        return
    if place_in_full(str(run.fact("model"))) not in map(place_in_full, models):
        yield f"{run.name} is of the model {run.fact('model')!r:.80}, and the policy is for {', '.join(models)}"
    elif weights(run) is None:
        yield (
            f"{run.name} does not say what {run.fact('model')!r:.80} was: no test took it from the fixture invariance_model, "
            "or workers loaded different ones. The policy is for certain models"
        )


def _day(started: str | None) -> datetime.date | None:
    try:
        return None if started is None else datetime.datetime.fromisoformat(started).date()
    except ValueError:
        return None


def insufficient(runs: Sequence[Record], models: Collection[str]) -> Iterable[str]:
    """Yield what is not known of runs: that they ended, and why tests failed."""
    for run in runs:
        yield from _unended(run, models)
        yield from (f"{run.name}: {what}" for what in run.lost)


def _unended(run: Record, models: Collection[str]) -> Iterable[str]:
    if run.facts is None:
        yield f"{run.name} holds no run.json, so it is not known whether the run ended"
        return
    status = run.fact("exit")
    if status is None:
        yield f"{run.name}: the run did not end"
    elif run.fact("stopped"):
        yield f"{run.name}: the run left tests out ({str(run.fact('stopped'))[:100]}): run it without -x or --maxfail"
    elif status not in (0, 1):
        yield f"{run.name}: the run ended with exit status {status}, not with a result"
    elif failed := unexplained(run, models):
        yield f"{run.name}: {NO_FINDING_SAYS_WHY.format(named(list(failed), limit=1))}"
    elif status == 1 and not any(f.verdict is not Verdict.HOLDS and f.level == "block" for f in run.findings):
        tests_passed = run.fact("failures") == []
        why = "although no test did: its policy, its baseline or another plugin failed it"
        yield f"{run.name}: the run failed (exit status 1){f', {why}' if tests_passed else ', and no finding says why'}"


def unexplained(run: Record, models: Collection[str]) -> dict[str, str]:
    """Return the tests that failed otherwise than by a finding which does not hold and is about the run's model, and why."""
    known = {
        finding.id
        for finding in run.findings
        if finding.verdict is not Verdict.HOLDS and not (models and foreign(finding, run))
    }
    failures = run.fact("failures") or ()
    return {row["where"]: row.get("why", "") for row in reversed(failures) if row["finding"] not in known}
