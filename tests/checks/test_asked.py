"""What only HOLDS needs is asked while HOLDS is possible, and no more of it than is needed; verdicts do not change by that."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from fractions import Fraction
from pathlib import Path
from types import SimpleNamespace

import pytest

from pytest_llminvariance import Question, Verdict, check, controls
from pytest_llminvariance.checks import responses
from pytest_llminvariance.checks.evidence import Answers
from pytest_llminvariance.checks.responses import Stem
from pytest_llminvariance.checks.run import Run, run, surrounded
from pytest_llminvariance.checks.stopping import Stopping
from pytest_llminvariance.checks.verdict import Finding, Guard
from pytest_llminvariance.gate.comparison import compare_runs
from pytest_llminvariance.gate.decision import under_tolerance
from pytest_llminvariance.models.controls import CONTROLS, control
from pytest_llminvariance.models.protocol import MissingReply, Reply, Request
from pytest_llminvariance.questions.question import STEM_OF
from pytest_llminvariance.records.answer_log import AnswerLog, RecordedMemo
from pytest_llminvariance.records.judge import judge, parse_changes
from pytest_llminvariance.records.record import load
from pytest_llminvariance.report.formats import FORMATS, report_text
from tests.checks.test_reached import Kept
from tests.checks.test_responsiveness import SUITES, perfect, steady
from tests.run_directories import write_run

EXAM = [Question(f"What is {i}?", [f"{i}-{c}" for c in "dacb"], answer=i % 4) for i in range(24)]
LARGE = [Question(f"Is claim {i} true?", ["yes", "no", f"unknown {i}"], answer=i % 2) for i in range(120)]

WRITERS = ("reasoning", "eliminating", "only_eliminating", "polyglot")
"""Controls that write texts, which takes long and decides nothing else."""


class Heard:
    """A control that keeps what it was asked; after `changed_after` replies another one answers."""

    deterministic = True

    def __init__(self, inner: controls.Control, later: controls.Control | None = None, changed_after: int = 0) -> None:
        self.inner, self.later, self.changed_after = inner, later, changed_after
        self.name, self.fingerprint, self.capabilities = inner.name, inner.fingerprint, inner.capabilities
        self.requests: list[Request] = []

    def answer(self, requests: Sequence[Request]) -> list[Reply]:
        replies = []
        for request in requests:
            self.requests.append(request)
            is_later = self.later is not None and len(self.requests) > self.changed_after
            replies += (self.later if is_later and self.later else self.inner).answer([request])
        return replies

    @property
    def n_foreign(self) -> int:
        return sum(STEM_OF in request.presentation.question.attributes for request in self.requests)


def order(model: object, questions: Sequence[Question] = EXAM, tolerance: float = 0.05, **more: object) -> Finding:
    return check("option_order", model, questions, tolerance=tolerance, **more)  # type: ignore[arg-type]


def guard(finding: Finding, name: str = "responsive") -> Guard:
    return next(guard for guard in finding.guards if guard.name == name)


@pytest.mark.parametrize("limit", [None, 0.05])
@pytest.mark.parametrize("make", [controls.always_first, controls.always_label, lambda: controls.noisy(0.3)])
def test_a_broken_check_asks_nothing_that_only_holds_needs(
    make: Callable[[], controls.Control], limit: float | None
) -> None:
    for suite in (EXAM, EXAM[:2], LARGE):
        model = Heard(make())
        with run(risk_limit=limit):
            finding = order(model, suite, orders="reversed")
        assert finding.verdict is Verdict.BROKEN
        assert model.n_foreign == 0
        found = guard(finding)
        assert (found.passed, found.needed, found.blocks) == (None, False, "HOLDS")
        assert "was not asked" in found.text
        assert "not checked" not in found.text
        assert finding.to_json()["guards"][[g.name for g in finding.guards].index("responsive")]["needed"] is False


def test_drift_that_voids_broken_is_still_asked() -> None:
    for suite in (EXAM, EXAM[:2]):
        n = 24 * len(suite)
        model = Heard(controls.always_first(), controls.always_last(), changed_after=n - 1)
        finding = order(model, suite)
        assert finding.verdict is Verdict.UNDECIDED
        assert guard(finding, "drift").passed is False
        assert guard(finding).needed is False
        assert order(Heard(controls.always_first()), suite).verdict is Verdict.BROKEN


class InProcess(Heard):
    """A model that counts its passes and is shown to give equal answers in each; it only changes as a whole."""

    changes_as_a_whole = True

    def __init__(self, inner: controls.Control, *, passes: int = 1, is_proven: bool = True) -> None:
        super().__init__(inner)
        self.passes, self.is_proven = passes, is_proven
        self.usage = SimpleNamespace(passes=0, sent_tokens=0, asked_tokens=0)

    def answer(self, requests: Sequence[Request]) -> list[Reply]:
        self.usage.passes += self.passes
        return super().answer(requests)


def test_what_came_from_one_pass_cannot_have_changed_meanwhile() -> None:
    model = InProcess(controls.always_first())
    finding = order(model, EXAM[:2])
    assert finding.verdict is Verdict.BROKEN
    assert len(model.requests) == 48
    drift = guard(finding, "drift")
    assert (drift.passed, drift.needed, drift.blocks) == (None, False, "nothing")
    assert drift.text == "drift not asked: everything was answered in one pass of the model"
    several, unproven = (
        InProcess(controls.always_first(), passes=2),
        InProcess(controls.always_first(), is_proven=False),
    )
    holding = InProcess(perfect(EXAM[:2], steady))  # stems came in a pass of their own
    for model in (several, unproven, holding):
        assert guard(order(model, EXAM[:2]), "drift").passed is True
        assert len(model.requests) == 48 + model.n_foreign + 3
        assert {request.presentation.question for request in model.requests[-3:]} == {EXAM[0]}
    assert holding.n_foreign > 0
    with run():  # half of it was answered before
        again = InProcess(controls.always_first())
        order(again, EXAM[:1])
        assert guard(order(again, EXAM[:2]), "drift").passed is True


def test_missing_answers_still_void_broken() -> None:
    class Lost(Heard):
        def answer(self, requests: Sequence[Request]) -> list[Reply]:
            return [MissingReply("time-out") for _ in requests]

    finding = order(Lost(controls.always_first()))
    assert finding.verdict is Verdict.UNDECIDED
    assert guard(finding, "answered").passed is False
    assert guard(finding).needed is False


def test_holds_asks_as_many_stems_as_make_it_certain() -> None:
    """Of 24 stems 3 are more than a tenth; where the first do not move the answer, more are asked."""
    model = Heard(perfect(EXAM, steady))
    finding = order(model)
    assert finding.verdict is Verdict.HOLDS
    n = model.n_foreign
    assert 3 <= n < 12
    assert guard(finding).text.endswith(f"(must exceed 0.1; {n} of 24 stems asked)")
    assert "moves by at least " in guard(finding).text
    one = Heard(perfect(EXAM[:1], steady))
    assert order(one, EXAM[:1]).verdict is Verdict.HOLDS
    assert one.n_foreign == 2  # of 12
    blind = Heard(controls.stem_blind())
    assert guard(order(blind)).passed is False
    assert blind.n_foreign == 24


def test_under_early_stopping_stems_are_asked_once_the_effect_is_shown() -> None:
    model = Heard(controls.oracle())
    with run(risk_limit=0.05):
        finding = order(model, LARGE, 0.1, orders="reversed")
    assert finding.verdict is Verdict.HOLDS
    assert finding.decision is not None
    assert finding.decision.method == "sequential"
    assert 0 < model.n_foreign <= 12 < finding.questions_asked


def eager(monkeypatch: pytest.MonkeyPatch) -> None:
    """Ask all that only HOLDS needs with every group of questions, as if it cost nothing."""
    lazy = Stopping._ended

    def ended(self: Stopping) -> Answers | None:
        rows = enumerate(self._fetched)
        self.responses.ask(self._fetched, [Stem(number, n) for number, item in rows for n in range(len(item.stems))])
        if self.response is not None:
            self._responded(self.response)
        return lazy(self)

    monkeypatch.setattr(Stopping, "_ended", ended)
    monkeypatch.setattr(responses, "_fewest", lambda *arguments: 10**9)


def heard(name: str, suite: Sequence[Question], surround: Run, tolerance: float) -> tuple[Finding, int]:
    model = Heard(control(name))
    with surrounded(surround):
        return order(model, suite, tolerance, orders="reversed"), len(model.requests)


@pytest.mark.parametrize(
    "name", [*(name for name in CONTROLS if name not in WRITERS), "noisy=0.05", "position_prior=4"]
)
def test_the_verdict_is_that_of_asking_everything(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    kinds = [(kind, tolerance) for kind in ("own options", "all no", "likert") for tolerance in (0.05, 0.3)]
    lazily = [heard(name, SUITES[kind], Run(), tolerance) for kind, tolerance in kinds]
    with run(risk_limit=0.05) as made:
        lazily.append(heard(name, LARGE, made, 0.1))
    eager(monkeypatch)
    eagerly = [heard(name, SUITES[kind], Run(baseline=Path("b")), tolerance) for kind, tolerance in kinds]
    with run(risk_limit=0.05) as made:
        eagerly.append(heard(name, LARGE, made, 0.1))
    for (few, n_few), (whole, n_all) in zip(lazily, eagerly, strict=True):
        assert (few.verdict, few.effect, few.questions_asked) == (whole.verdict, whole.effect, whole.questions_asked)
        assert few.reasons == whole.reasons or (few.verdict, guard(few).needed) == (Verdict.UNDECIDED, False)
        assert n_few <= n_all
        assert guard(few).needed is (few.verdict is not Verdict.BROKEN) or few.verdict is Verdict.UNDECIDED
    (few, n_few), (_, n_all) = lazily[0], eagerly[0]  # where no stem is another question as written
    assert n_few < n_all or few.verdict is Verdict.UNDECIDED


def recorded(
    place: Path,
    make: controls.Control,
    tolerance: float = 0.05,
    limit: float | None = None,
    questions: Sequence[Question] = EXAM,
) -> Path:
    with run(risk_limit=limit, recorder=Kept()) as current:  # type: ignore[arg-type]
        log = AnswerLog(place)
        memo = RecordedMemo({}, log)
        with surrounded(current._replace(answers=log, memory=lambda: memo)):
            finding = order(make, questions, tolerance, orders="reversed")
    return write_run(place, [finding])


@pytest.mark.parametrize("limit", [None, 0.05])
@pytest.mark.parametrize("model", ["always_first", "oracle", "stem_blind", "uniform", "noisy=0.1"])
def test_a_record_is_judged_as_the_run_was(model: str, limit: float | None, tmp_path: Path) -> None:
    (again,) = judge(load(recorded(tmp_path, control(model), limit=limit)))
    assert again.row is not None
    assert again.row.to_json() == again.stored.to_json()


def test_under_a_larger_tolerance_a_record_never_holds_without_what_holds_needs(tmp_path: Path) -> None:
    broken = recorded(tmp_path / "broken", controls.noisy(0.3))
    record = load(broken)
    (stored,) = record.findings
    assert stored.verdict is Verdict.BROKEN
    (again,) = judge(record, parse_changes(["0.9"], []))
    assert again.row is not None
    assert again.row.verdict is Verdict.UNDECIDED
    assert again.row.reasons == (
        "that the model reads the question was not asked as far as tolerance 0.9 needs it. Run it again with that",
    )
    verdict, reasons = under_tolerance(stored, Fraction(9, 10))
    assert verdict is Verdict.UNDECIDED
    assert "was not asked" in reasons[0]
    (smaller,) = judge(record, parse_changes(["0.01"], []))
    assert smaller.row is not None
    assert (smaller.row.verdict, smaller.row.guards[-1].needed) == (Verdict.BROKEN, False)


def test_reports_say_not_needed(tmp_path: Path) -> None:
    page = report_text(FORMATS["html"], recorded(tmp_path / "record", controls.always_first()))
    assert "<b>not needed</b> <bdi>responsive</bdi>" in page
    assert "<b>not checked</b> <bdi>responsive</bdi>" not in page
    held = report_text(FORMATS["html"], recorded(tmp_path / "held", controls.oracle()))
    assert "not needed" not in held


def test_a_comparison_says_what_the_new_run_left_out(tmp_path: Path) -> None:
    """The baseline holds and reads; the new run is hardly worse, but broken: nothing says that it still reads."""
    before = recorded(tmp_path / "before", controls.noisy(0.1), 0.9)
    now = recorded(tmp_path / "now", controls.noisy(0.1))
    found = compare_runs(load(before), load(now), margin=Fraction(1, 2))
    (line,) = found.checks
    assert line.verdict is Verdict.UNDECIDED
    assert "run it with --invariance-baseline" in " ".join(line.reasons)
