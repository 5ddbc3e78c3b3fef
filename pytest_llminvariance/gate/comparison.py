"""A run against a baseline: refused where the two cannot be compared, paired by question where they can.

The difference of a question is x_new - x_old, and a comparison audits the mean of (x_new - x_old + 1) / 2
against (margin + 1) / 2, which is the mean difference against the margin. Both runs must have asked everything.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import Any, get_args

from pytest_llminvariance.checks.run import Level
from pytest_llminvariance.checks.searches import SEARCH
from pytest_llminvariance.checks.verdict import QuestionEffect, Verdict, decide
from pytest_llminvariance.measures.flips import Flips, Pair, count_flips
from pytest_llminvariance.measures.metrics import METRICS, Interval, mean_interval
from pytest_llminvariance.records.answers import as_written
from pytest_llminvariance.records.record import Record, StoredFinding

ENGINE = ("torch", "transformers", "device", "dtype")
"""What an engine rounds by; a difference in it can be let pass by name."""
LARGEST_DENOMINATOR = 5_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Compared:
    """One check in both runs."""

    key: str
    title: str
    metric: str
    level: Level
    """The stricter of the two runs': below `block` a check is shown and decides nothing."""
    verdict: Verdict
    """HOLDS: not worse by more than the margin; BROKEN: worse; UNDECIDED says why."""
    reasons: tuple[str, ...]
    refused: bool
    """True where the two cannot be compared at all."""
    old: Interval | None
    new: Interval
    difference: Interval | None
    """Mean of new minus old, in [-1, 1]."""
    margin: Fraction
    limit: Fraction | None = None
    """What the ratchet accepts; `None` without one."""
    n_questions: int = 0
    worse: tuple[str, ...] = ()
    """Questions that are certainly worse now, largest difference first."""
    better: tuple[str, ...] = ()
    flips: Flips | None = None
    """Right and wrong answers to the questions as written; `None` where they are not recorded."""


@dataclass(frozen=True, slots=True)
class Comparison:
    """A run against a baseline."""

    checks: tuple[Compared, ...]
    only_old: tuple[str, ...]
    """Checks of level `block` that the baseline has and the new run has not."""
    only_new: tuple[str, ...]
    doubts: tuple[str, ...]
    """Why the two runs together cannot tell, whatever their checks say: one of them is not whole."""
    notes: tuple[str, ...]

    def of(self, verdict: Verdict) -> tuple[Compared, ...]:
        """Return the checks with a verdict."""
        return tuple(item for item in self.checks if item.verdict is verdict)

    @property
    def outcome(self) -> Verdict:
        """BROKEN where a check is worse, UNDECIDED where one is open or gone, else HOLDS; by those that count."""
        counted = [item.verdict for item in self.checks if item.level == "block"]
        if Verdict.BROKEN in counted:
            return Verdict.BROKEN
        open_ones = Verdict.UNDECIDED in counted or bool(self.only_old or self.doubts) or not counted
        return Verdict.UNDECIDED if open_ones else Verdict.HOLDS


def compare_runs(old: Record, new: Record, *, margin: Fraction, allowed: Sequence[str] = ()) -> Comparison:
    """Compare every check that both runs have; `allowed` names differences of the engine that are let pass."""
    before, now = keyed(old.findings), keyed(new.findings)
    pairs = [(key, before[key], now[key]) for key in now if key in before]
    checks = tuple(_compare(key, a, b, old, new, margin, allowed) for key, a, b in pairs)
    return Comparison(
        checks,
        tuple(key for key, finding in before.items() if key not in now and finding.level == "block"),
        tuple(key for key in now if key not in before),
        (*_not_whole("the baseline", old), *_not_whole("the new run", new)),
        tuple(_notes(old, new, pairs, allowed)),
    )


def _not_whole(which: str, run: Record) -> Iterable[str]:
    yield from (f"{which} has no finding of {lost}" for lost in run.lost)
    if run.facts is not None and run.fact("exit") not in (0, 1):
        ended = "did not end" if run.fact("exit") is None else f"ended with exit status {run.fact('exit')}"
        yield f"{which} {ended}"
    elif run.fact("stopped"):
        yield f"{which} left tests out ({run.fact('stopped')})"


def _key(finding: StoredFinding) -> str:
    """Return what a check is called in every run: its test and its property."""
    return f"{finding.where} {finding.property}".strip()


def keyed(findings: Sequence[StoredFinding]) -> Mapping[str, StoredFinding]:
    """Return findings by test and property; a second one of the same gets `#2`. Searches measure nothing to compare."""
    seen: Counter[str] = Counter()
    found = {}
    for finding in findings:
        if finding.property == SEARCH:
            continue
        key = _key(finding)
        seen[key] += 1
        found[key if seen[key] == 1 else f"{key} #{seen[key]}"] = finding
    return found


def suite_digest(finding: StoredFinding) -> tuple[str, ...] | None:
    """Return what identifies the questions of a finding whatever their order; `None` where it is not recorded."""
    return None if finding.question_hashes is None else tuple(sorted(finding.question_hashes))


def _refusals(
    old: StoredFinding, new: StoredFinding, facts: Mapping[str, tuple[Any, Any]], allowed: Sequence[str]
) -> Iterable[str]:
    """Yield why two findings cannot be compared, each naming the field."""
    for name in ("metric", "plan", "readout", "template", "claim"):
        a, b = getattr(old, name), getattr(new, name)
        if a != b:
            yield f"{name} was {a!r:.80} and is {b!r:.80}"
    hashes = (old.template_sha256, new.template_sha256)
    if all(hashes) and len(set(hashes)) > 1 and old.template == new.template:
        yield f"template: {new.template!r:.80} has the same name and another text"
    yield from _changed_questions(old, new)
    ours = "pytest-llminvariance"
    a, b = (finding.versions.get(ours) for finding in (old, new))
    if _release(a) != _release(b):
        yield f"version of {ours} was {a} and is {b}: what is asked and measured may differ"
    engine = {name: (old.versions.get(name), new.versions.get(name)) for name in ("torch", "transformers")}
    for name, (before, now) in {**engine, **facts}.items():
        same = before == now if name in facts else _release(before) == _release(now)
        if not same and None not in (before, now) and name not in allowed:
            yield f"{name} was {before} and is {now}: another engine rounds differently (--allow={name} to compare all the same)"


def _changed_questions(old: StoredFinding, new: StoredFinding) -> Iterable[str]:
    before, now = suite_digest(old), suite_digest(new)
    if before is None or now is None:
        lacking = "baseline" if before is None else "new run"
        yield f"questions: the {lacking} does not record what the questions were, only what they are called"
    elif before != now:
        gone, come = Counter(before) - Counter(now), Counter(now) - Counter(before)
        names = _names(old, gone) + _names(new, come)
        shown = ", ".join(dict.fromkeys(names[:5]))
        yield (
            f"questions: {gone.total()} of {len(before)} are gone or changed and {come.total()} are new "
            f"({shown}{', …' if len(set(names)) > 5 else ''})"
        )


def _names(finding: StoredFinding, hashes: Mapping[str, int]) -> list[str]:
    both = zip(finding.per_question, finding.question_hashes or (), strict=True)
    return [repr(effect.question) for effect, digest in both if digest in hashes]


def _release(version: str | None) -> tuple[str, ...] | None:
    """Return the first two numbers of a version: what follows them fixes errors."""
    return None if version is None else tuple(version.split("+")[0].split(".")[:2])


def _compare(
    key: str,
    old: StoredFinding,
    new: StoredFinding,
    old_run: Record,
    new_run: Record,
    margin: Fraction,
    allowed: Sequence[str],
) -> Compared:
    flips = _flips(old_run, old.id, new_run, new.id)
    known: dict[str, Any] = {"key": key, "title": new.title, "metric": new.metric, "new": new.effect, "margin": margin}
    known |= {"level": min(old.level, new.level, key=get_args(Level).index), "flips": flips}
    facts = {name: (_engine(old_run, name), _engine(new_run, name)) for name in ("device", "dtype")}
    why = tuple(_refusals(old, new, facts, allowed))
    if why:
        return Compared(**known, verdict=Verdict.UNDECIDED, reasons=why, refused=True, old=None, difference=None)
    pooled = new.metric in METRICS and METRICS[new.metric].pooled
    pairs = [] if pooled else _paired(old, new)
    difference = mean_interval([value for _, value in pairs]) if pairs else _minus(new.effect, old.effect)
    verdict, reasons = _decided(old, new, difference, flips, margin)
    ranked = sorted(pairs, key=lambda pair: abs(float(pair[1].low + pair[1].high)), reverse=True)
    return Compared(
        **known,
        verdict=verdict,
        reasons=reasons,
        refused=False,
        old=old.effect,
        difference=difference,
        n_questions=len(new.per_question),
        worse=tuple(name for name, value in ranked if value.low > 0),
        better=tuple(name for name, value in ranked if value.high < 0),
    )


def _decided(
    old: StoredFinding, new: StoredFinding, difference: Interval, flips: Flips | None, margin: Fraction
) -> tuple[Verdict, tuple[str, ...]]:
    """Return the worst of what metric, accuracy and guards say: an answer that never changes may be no answer at all."""
    if doubts := (*_doubts(old, "baseline"), *_doubts(new, "new run")):
        return Verdict.UNDECIDED, doubts
    said = [audit_difference(difference, margin), *([] if flips is None else [_audit_accuracy(flips, margin)])]
    if lost := tuple(_lost_guards(old, new)):
        said.append((Verdict.UNDECIDED, lost))
    ranks = (Verdict.BROKEN, Verdict.UNDECIDED, Verdict.HOLDS)
    verdict = min((one for one, _ in said), key=ranks.index)
    return verdict, tuple(reason for one, reasons in said for reason in reasons if one is not Verdict.HOLDS)


def _audit_accuracy(flips: Flips, margin: Fraction) -> tuple[Verdict, tuple[str, ...]]:
    verdict, _ = audit_difference(flips.accuracy_loss, margin)
    how = {
        Verdict.BROKEN: "fell by more than the margin",
        Verdict.UNDECIDED: "may have fallen by more than the margin (ties and missing answers)",
        Verdict.HOLDS: "",
    }[verdict]
    return verdict, (
        f"accuracy as written {how}: right {flips.right_before} -> {flips.right_now} of {flips.n}",
    ) if how else ()


def _lost_guards(old: StoredFinding, new: StoredFinding) -> Iterable[str]:
    """Yield the conditions of HOLDS that the baseline met, and that the new run does not meet or did not check."""
    before = {guard.name: guard.passed for guard in old.guards}
    for guard in new.guards:
        if guard.passed is False and before.get(guard.name) is not False and guard.blocks == "HOLDS":
            yield f"the new run: {guard.text}; that was not so in the baseline"
    now = {
        guard.name
        for guard in new.guards
        if guard.passed is not None or (not guard.needed and guard.blocks == "nothing")
    }
    gone = [guard.name for guard in old.guards if guard.passed and guard.blocks != "nothing" and guard.name not in now]
    if gone:
        unneeded = {guard.name for guard in new.guards if not guard.needed}
        todo = ". It was not needed, as the check could not hold: run it with --invariance-baseline, and it is asked"
        yield f"the new run does not check what the baseline has shown: {', '.join(gone)}{todo if unneeded & set(gone) else ''}"


def _flips(old: Record, old_id: str, new: Record, new_id: str) -> Flips | None:
    """Return what changed between right and wrong; only questions with the same content and correct answer count.

    Raises:
        RecordError: where answers are there and damaged.
    """
    first, second = as_written(old.by_place(old_id)), as_written(new.by_place(new_id))
    pairs = [
        Pair(
            answer.question_id or digest[:12],
            frozenset(first[digest].outcomes),
            frozenset(answer.outcomes),
            answer.correct,
        )
        for digest, answer in second.items()
        if digest in first and answer.correct is not None and first[digest].correct == answer.correct
    ]
    return count_flips(pairs) if pairs else None


def audit_difference(difference: Interval, margin: Fraction) -> tuple[Verdict, tuple[str, ...]]:
    """Decide on the mean difference, in [-1, 1], as on any mean in [0, 1]."""
    unit = Interval((difference.low + 1) / 2, (difference.high + 1) / 2)
    verdict, _ = decide(unit, (margin + 1) / 2, (), {}, 0)
    if verdict is not Verdict.UNDECIDED:
        return verdict, ()
    low, high = float(difference.low), float(difference.high)
    return verdict, (f"ties and missing answers leave the difference between {low:+.2g} and {high:+.2g}",)


def _minus(new: Interval, old: Interval) -> Interval:
    return Interval(new.low - old.high, new.high - old.low)


def _paired(old: StoredFinding, new: StoredFinding) -> list[tuple[str, Interval]]:
    """Return (name, difference) of each question, the n-th of equal questions with the n-th."""
    before: dict[str, list[QuestionEffect]] = {}
    for effect, digest in zip(old.per_question, old.question_hashes or (), strict=True):
        before.setdefault(digest, []).append(effect)
    return [
        (effect.question, _minus(_exact(effect), _exact(before[digest].pop(0))))
        for effect, digest in zip(new.per_question, new.question_hashes or (), strict=True)
    ]


def _exact(effect: QuestionEffect) -> Interval:
    """Return the value of a question as the fraction that it was before it was written with 17 digits."""
    return Interval(_fraction(effect.low), _fraction(effect.high))


def _fraction(value: float) -> Fraction:
    near = Fraction(value).limit_denominator(LARGEST_DENOMINATOR)
    return near if abs(near - Fraction(value)) < Fraction(1, 10**14) else Fraction(value)


def _doubts(finding: StoredFinding, run: str) -> Iterable[str]:
    """Yield why the numbers of a finding decide nothing here."""
    if not finding.is_exhaustive:
        yield f"the {run} stopped early, and only runs that asked everything can be compared"
    yield from (
        f"the {run}: {guard.text}" for guard in finding.guards if guard.passed is False and guard.blocks == "both"
    )


def _engine(run: Record, name: str) -> str | None:
    value = run.fact(name)
    return value.split(":")[0] if isinstance(value, str) and value else None


def _notes(
    old: Record,
    new: Record,
    pairs: Iterable[tuple[str, StoredFinding, StoredFinding]],
    allowed: Sequence[str],
) -> Iterable[str]:
    compared = list(pairs)
    if compared and all(a.fingerprint == b.fingerprint for _, a, b in compared):
        yield "both runs are of the same weights"
    for name in allowed:
        yield f"differences in {name} were let pass"
    tolerances = [key for key, a, b in compared if a.tolerance != b.tolerance]
    if tolerances:
        yield f"the tolerance is another now for {', '.join(tolerances)}"
    if new.facts is None or old.facts is None:
        yield "it is not known whether both runs ended: checks may be missing"
