"""Audits: the bank, what they find, and that a stopped one goes on as if nothing had happened."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest

from pytest_llminvariance import controls, load_model
from pytest_llminvariance.checks.properties import audits, default_audits
from pytest_llminvariance.cli import auditing
from pytest_llminvariance.cli.audit import default_directory
from pytest_llminvariance.cli.auditing import BANK, AuditPlan, read_bank, run_audit
from pytest_llminvariance.cli.selftest import _items
from pytest_llminvariance.errors import ModelError, UsageError
from pytest_llminvariance.models import engine
from pytest_llminvariance.models.protocol import Reply, Request
from pytest_llminvariance.questions.question import Question
from pytest_llminvariance.records.judge import judge
from pytest_llminvariance.records.record import load
from tests import kill_audit
from tests.commands import llminvariance
from tests.noisy import bank
from tests.records.records_schema import problems

SMALL = read_bank(None)[13:16]
PASS = 5


class Stopped(BaseException):
    """As Ctrl-C."""


class Counting:
    """Noisy, in passes of five answers; raises after so many passes, and counts what it was asked."""

    name, fingerprint, capabilities = "counting", "counting", frozenset({"label", "text"})
    deterministic = True

    def __init__(self, passes: int | None = None) -> None:
        self.inner, self.left, self.asked, self.passes = controls.noisy(0.3), passes, Counter[Request](), 0

    def answers(self, requests: Sequence[Request]) -> Iterator[list[tuple[int, Reply]]]:
        for start in range(0, len(requests), PASS):
            if self.left is not None:
                if not self.left:
                    raise Stopped
                self.left -= 1
            self.passes += 1
            chosen = range(start, min(start + PASS, len(requests)))
            self.asked.update(requests[index] for index in chosen)
            yield [(index, self.inner.answer([requests[index]])[0]) for index in chosen]

    def answer(self, requests: Sequence[Request]) -> list[Reply]:
        found = {index: reply for batch in self.answers(requests) for index, reply in batch}
        return [found[index] for index in range(len(requests))]


def plan(**changes: Any) -> AuditPlan:
    given: dict[str, Any] = {"spec": "control:uniform", "questions": SMALL, "properties": ("order", "labels", "batch")}
    return AuditPlan(**given | changes)


def audited(model: object, out: Path, monkeypatch: pytest.MonkeyPatch, **changes: Any) -> Any:
    monkeypatch.setattr(auditing, "load_model", lambda *args, **settings: model)
    return run_audit(plan(**changes), out)


def test_the_bank_is_sound() -> None:
    bank = read_bank(None)
    assert len(bank) == 40
    assert Counter(len(question.options) for question in bank) == {2: 8, 3: 9, 4: 15, 5: 8}
    for k in (2, 3, 4, 5):
        places = Counter(question.answer for question in bank if len(question.options) == k)
        assert max(places.values()) - min(places[n] for n in range(k)) <= 1, "answers stand evenly"
    kinds = Counter(question.attributes["kind"] for question in bank)
    assert len(kinds) == 9
    assert min(kinds.values()) >= 2
    assert all(question.id and question.answer is not None for question in bank)
    assert {question.id for question in bank if question.context} == {"reading-bus", "reading-price", "reading-cat"}
    assert BANK.read_bytes().endswith(b"\n")


def test_an_audit_finds_what_is_known(tmp_path: Path) -> None:
    for spec, verdict in (("control:oracle", "HOLDS"), ("control:noisy=0.9", "BROKEN")):
        record = run_audit(plan(spec=spec, questions=read_bank(None), properties=default_audits()), tmp_path / spec)
        assert [row.verdict for row in record.findings] == [verdict] * len(default_audits())
        assert [row.where for row in record.findings] == [f"audit::{name}" for name in default_audits()]
        assert problems(tmp_path / spec) == []
        assert all(item.row == item.stored for item in judge(record))


def test_every_property_of_an_audit_works(tmp_path: Path) -> None:
    bank, choices = read_bank(None)[:20], tuple(name for name in audits() if name != "instrument")
    record = run_audit(plan(spec="control:oracle", questions=bank, properties=choices), tmp_path / "a")
    others = {row.property: " ".join(row.reasons) for row in record.findings if row.verdict != "HOLDS"}
    assert {row.verdict for row in record.findings} == {"HOLDS", "UNDECIDED"}
    # the oracle writes a letter where no options are shown, and no question of this bank is a decision
    assert others.keys() == {"open_closed", "isolation", "question_order", "option_names", "level_direction"}
    assert all(
        any(word in why for word in ("name no option", "not applicable", "are left out")) for why in others.values()
    )
    with pytest.raises(UsageError, match="has no scores, so it is no item of an instrument"):
        run_audit(plan(spec="control:oracle", questions=bank, properties=("instrument",)), tmp_path / "b")
    (found,) = run_audit(plan(spec="control:oracle", questions=_items().questions, properties=("instrument",)), tmp_path / "c").findings  # fmt: skip
    assert (found.verdict, len(found.cells)) == ("HOLDS", 18)


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Counter[Request]]:
    model, out = Counting(), tmp_path_factory.mktemp("audit") / "whole"
    with pytest.MonkeyPatch.context() as patch:
        audited(model, out, patch)
    return out, model.asked


@pytest.mark.parametrize("passes", range(20))
def test_stopped_after_any_pass_it_goes_on_as_if_nothing_had_happened(
    passes: int, tmp_path: Path, whole: tuple[Path, Counter[Request]], monkeypatch: pytest.MonkeyPatch
) -> None:
    first, second = Counting(passes), Counting()
    try:
        audited(first, tmp_path / "a", monkeypatch)
    except Stopped:
        assert not load(tmp_path / "a").ended
    else:
        assert passes * PASS >= whole[1].total()
    audited(second, tmp_path / "a", monkeypatch)
    for name in ("findings.json",):
        assert (tmp_path / "a" / name).read_bytes() == (whole[0] / name).read_bytes()
    assert kill_audit.answers(tmp_path / "a") == kill_audit.answers(whole[0])
    both = first.asked + second.asked
    # prompts asked again at the end, and alone and in batches, are asked on purpose; a check may have to begin these anew
    extra = {request: n - whole[1][request] for request, n in both.items() if n > whole[1][request]}
    on_purpose = {request for request, n in whole[1].items() if n > 1}
    assert set(extra) <= on_purpose


@pytest.mark.parametrize("readout", ["label", "text"])
def test_measured_noise_is_kept(readout: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def noisy(passes: int | None = None) -> Counting:
        model = Counting(passes)
        model.deterministic = False
        return model

    first, how = noisy(), {"readout": readout, "questions": tuple(bank(30, 2))}  # so that each property has 59 prompts
    audited(first, tmp_path / "whole", monkeypatch, **how)
    for passes in (1, first.passes // 3, first.passes // 2, first.passes - 7):
        with pytest.raises(Stopped):
            audited(noisy(passes), tmp_path / str(passes), monkeypatch, **how)
        record = audited(noisy(), tmp_path / str(passes), monkeypatch, **how)
        assert "noise" in {guard.name for guard in record.findings[0].guards}
        whole, found = ((tmp_path / name / "findings.json").read_bytes() for name in ("whole", str(passes)))
        assert found == whole
        events = (tmp_path / str(passes) / "events" / "main.jsonl").read_text()
        assert events.count('"kind": "noise"') == 1
        assert all(item.row == item.stored for item in judge(record))


def test_half_written_lines_do_no_harm(
    tmp_path: Path, whole: tuple[Path, Counter[Request]], monkeypatch: pytest.MonkeyPatch
) -> None:
    for cut in range(1, 3000, 173):
        out = tmp_path / str(cut)
        with pytest.raises(Stopped):
            audited(Counting(9), out, monkeypatch)
        for file in (out / "answers.jsonl", out / "sheets.jsonl", out / "events" / "main.jsonl"):
            data = file.read_bytes()
            file.write_bytes(data[: max(0, len(data) - cut)])
        audited(Counting(), out, monkeypatch)
        stored = [json.loads((place / "findings.json").read_text())["findings"] for place in (out, whole[0])]
        plain = [[{**row, "tokens": 0} for row in rows] for rows in stored]
        assert plain[0] == plain[1]


def test_what_is_left_is_cut_into_the_chunks_that_the_whole_was(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Chunks(Counting):
        def answers(self, requests: Sequence[Request]) -> Iterator[list[tuple[int, Reply]]]:
            self.chunks = [*getattr(self, "chunks", []), frozenset(requests)]
            yield from super().answers(requests)

    monkeypatch.setattr(engine, "STREAMED_CHUNK", 8)
    whole, first, second = Chunks(), Chunks(3), Chunks()
    audited(whole, tmp_path / "whole", monkeypatch, properties=("order",))
    with pytest.raises(Stopped):
        audited(first, tmp_path / "a", monkeypatch, properties=("order",))
    audited(second, tmp_path / "a", monkeypatch, properties=("order",))
    assert all(any(chunk <= other for other in whole.chunks) for chunk in second.chunks)
    assert (tmp_path / "a" / "findings.json").read_bytes() == (tmp_path / "whole" / "findings.json").read_bytes()


def test_a_finished_audit_asks_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    audited(Counting(), tmp_path / "a", monkeypatch)
    before = (tmp_path / "a" / "findings.json").read_bytes()
    audited(Counting(0), tmp_path / "a", monkeypatch)
    assert (tmp_path / "a" / "findings.json").read_bytes() == before


def test_a_property_can_be_added_later(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    audited(Counting(), tmp_path / "a", monkeypatch, properties=("order",))
    record = audited(Counting(), tmp_path / "a", monkeypatch, properties=("order", "labels"))
    assert [row.where for row in record.findings] == ["audit::order", "audit::labels"]


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"seed": 1}, "another seed: 0 there, 1 now"),
        ({"questions": SMALL[:2]}, "another questions: 3 there, 2 now"),
        ({"questions": (*SMALL[:2], Question("new?", ["a", "b"]))}, "another questions_sha256"),
        ({"tolerances": {"order": 0.2}}, "for other tolerances alone use llminvariance judge"),
        ({"readout": "text"}, "another readout"),
        ({"spec": "control:oracle"}, "another model"),
    ],
)
def test_other_settings_are_refused(
    changes: dict[str, Any], says: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    audited(Counting(), tmp_path / "a", monkeypatch, properties=("labels",))
    with pytest.raises(UsageError, match=says):
        audited(Counting(), tmp_path / "a", monkeypatch, properties=("labels",), **changes)


def test_other_weights_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    audited(Counting(), tmp_path / "a", monkeypatch, properties=("labels",))
    other = Counting()
    other.fingerprint = "tuned"
    with pytest.raises(UsageError, match="answers of a model with the fingerprint counting, but this one has tuned"):
        audited(other, tmp_path / "a", monkeypatch, properties=("labels",))


def test_a_model_that_fails_loses_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    class Failing(Counting):
        def answers(self, requests: Sequence[Request]) -> Iterator[list[tuple[int, Reply]]]:
            try:
                yield from super().answers(requests)
            except Stopped:
                raise ModelError("the server is gone") from None

    with pytest.raises(ModelError, match="the server is gone"):
        audited(Failing(4), tmp_path / "a", monkeypatch)
    record = load(tmp_path / "a")
    assert [row.reason for row in record.lost] == ["ModelError: the server is gone"]
    assert record.n_answers() == 3 * PASS + 3  # 18 presentations; other stems come in passes of their own
    assert load(tmp_path / "a").findings == ()
    audited(Counting(), tmp_path / "a", monkeypatch)
    assert load(tmp_path / "a").lost == ()


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"properties": ("ordr",)}, "no property 'ordr' in an audit; they are order, prompt"),
        ({"properties": ()}, "must name each property once"),
        ({"properties": ("order", "order")}, "must name each property once"),
        ({"tolerances": {"ordr": 0.1}}, "no property 'ordr'"),
    ],
)
def test_bad_plans_are_refused(changes: dict[str, Any], says: str) -> None:
    with pytest.raises(UsageError, match=says):
        plan(**changes)


def cli(*words: str) -> tuple[int, str]:
    result = llminvariance(words)
    return result.exit_code, result.output


def test_the_command(tmp_path: Path) -> None:
    out = str(tmp_path / "a")
    status, text = cli("audit", "control:always_first", "--properties", "order,labels", "--out", out)
    assert status == 1
    lines = [line.split()[:2] for line in text.splitlines()]
    assert ["BROKEN", "order"] in lines
    assert ["UNDECIDED", "labels"] in lines
    assert "example: yes-ice, swap A and B: yes (A) -> no (A)" in text
    status, text = cli("audit", "control:oracle", "--tolerance", "order=0.2", "--out", str(tmp_path / "b"))
    assert (status, text.count("HOLDS")) == (0, len(default_audits()))
    assert "20%" in text


def test_judge_on_the_command_line(tmp_path: Path) -> None:
    out = str(tmp_path / "a")
    cli("audit", "control:position_prior=0.5", "--properties", "order", "--out", out)
    status, text = cli("judge", out)
    assert (status, text.split()[0]) == (0, "HOLDS")
    status, text = cli("judge", out, "--metric", "order=tv")
    assert status == 1
    assert "BROKEN" in text
    assert "(was HOLDS) (exploratory: this metric was not planned)" in text
    status, text = cli("judge", out, "--metric", "order=score_gap")
    assert status == 3
    assert text.startswith("TOO THIN  option order: metric 'score_gap' compares scores")
    assert cli("judge", out, "--tolerance", "0.99", "--metric", "tv")[0] == 1, "a model that cannot respond so much"
    assert cli("judge", out, "--tolerance", "ordr=0.1")[0] == 2
    assert cli("judge", out, "--tolerance", "order=2")[0] == 2
    assert cli("judge", out, "--tolerance", "order=")[0] == 2
    assert cli("judge", str(tmp_path))[0] == 2


def test_judge_says_when_answers_are_missing(tmp_path: Path) -> None:
    run_audit(plan(spec="control:oracle", properties=("order",)), tmp_path / "a")
    file = tmp_path / "a" / "answers.jsonl"
    lines = file.read_text().splitlines()
    file.write_text("\n".join(line for line in lines if '"index": [1, 2]' not in line) + "\n")
    status, text = cli("judge", str(tmp_path / "a"))
    assert status == 3
    assert "17 of 18 planned answers are in the record" in text
    file.unlink()
    assert "0 of 18 planned answers are in the record" in cli("judge", str(tmp_path / "a"))[1]
    (tmp_path / "a" / "sheets.jsonl").unlink()
    assert "what was asked is not in the record" in cli("judge", str(tmp_path / "a"))[1]


def test_judge_says_when_a_check_never_ended(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(Stopped):
        audited(Counting(2), tmp_path / "a", monkeypatch)
    status, text = cli("judge", str(tmp_path / "a"))
    assert status == 3
    assert "TOO THIN  option order: Stopped; 10 answers recorded  [audit::order]" in text


def test_bad_use_of_the_command_is_told_in_one_line(tmp_path: Path) -> None:
    for words in (
        ["audit", "control:nobody"],
        ["audit", "control:oracle", "--questions", "nowhere.jsonl"],
        ["audit", "control:oracle", "--properties", "ordr"],
        ["audit", "control:oracle", "--tolerance", "order=much"],
        ["audit", "control:oracle", "--template", "no fields"],
        ["audit", "control:oracle", "--readout", "banana"],
    ):
        status, text = cli(*words, "--out", str(tmp_path / "a"))
        assert status == 2, text
        assert text.splitlines()[-1].startswith("error: ")
        assert "Traceback" not in text


def test_the_place_is_named_after_the_model_without_its_secrets() -> None:
    assert default_directory("control:noisy=0.3") == "audit-control-noisy=0.3"
    assert "hunter22" not in default_directory("openai:m@http://user:hunter22@host/v1")


def test_killed_at_random_moments(tmp_path: Path) -> None:
    small = tmp_path / "small.jsonl"
    small.write_text("".join(BANK.read_text().splitlines(keepends=True)[17:21]))
    bench = kill_audit.Bench(kill_audit.SLOW, str(small), "order,labels", tmp_path)
    bench.run(tmp_path / "whole")
    for number, (wanted, delay_s) in enumerate(((0, 0.5), (30, 0.0), (115, 0.05))):
        outcome = kill_audit.killed(bench, tmp_path / str(number), wanted, delay_s, tmp_path / "whole")
        assert outcome.good, outcome
        assert wanted <= outcome.kept < 150


def test_an_audit_that_goes_on_has_not_ended(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    run_audit(plan(properties=("order",)), tmp_path / "a")
    assert load(tmp_path / "a").fact("exit") in (0, 1)

    def dies(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(auditing, "check", dies)
    with pytest.raises(KeyboardInterrupt):
        run_audit(plan(properties=("order", "prompt")), tmp_path / "a")
    run = load(tmp_path / "a").facts or {}
    assert run["exit"] is None
    assert run["settings"]["properties"] == ["order", "prompt"]


@pytest.mark.parametrize(
    ("told", "code", "verdict"), [("leave_out", 0, "HOLDS"), ("ask_anyway", 1, "BROKEN"), ("error", 2, None)]
)
def test_the_command_says_what_becomes_of_questions_that_refer_to_options(
    tmp_path: Path, told: str, code: int, verdict: str | None
) -> None:
    file = tmp_path / "bank.jsonl"
    plain = [{"stem": f"Which is {n}?", "options": ["elm", "oak", "ash", "fir"], "answer": n % 4} for n in range(8)]
    both = {"stem": "Which are prime?", "options": ["2", "3", "Both A and B", "4"], "answer": 2, "id": "both"}
    file.write_text("\n".join(map(json.dumps, [*plain, both])))
    command = ["audit", "control:literal_reader", "--questions", str(file), "--out", str(tmp_path / "out")]
    asked = [*command, "--properties", "order", "--tolerance", "0", "--on-reference", told]
    result = llminvariance(asked)
    assert result.exit_code == code, result.output
    if verdict is None:
        assert "'Both A and B'" in result.output
        assert "fix_references(question) proposes" in result.output
    else:
        (row,) = load(tmp_path / "out").findings
        assert (row.verdict, "left_out" in row.details) == (verdict, told == "leave_out")
        again = llminvariance([*asked[:-1], "error" if told == "leave_out" else "leave_out"])
        assert "holds an audit with another on_reference" in again.output
    wrong = llminvariance([*asked[:-1], "ignore"])
    assert wrong.exit_code == 2
    assert "on_reference is 'ignore', but must be one of leave_out, error, ask_anyway" in wrong.output


def test_what_was_left_out_is_in_the_record_and_judged_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    both = [Question(f"Which are {n}?", ["2", "3", "Both A and B", "4"], id=f"both {n}", answer=2) for n in "xy"]
    audited(controls.literal_reader(), tmp_path / "out", monkeypatch, questions=(*SMALL, *both), properties=("order",))
    record = load(tmp_path / "out")
    (row,) = record.findings
    assert row.to_json()["details"]["left_out"] == {"refer to options by letter or place": ["both x", "both y"]}
    assert row.questions_planned == len(SMALL)
    assert all(item.row == item.stored for item in judge(record))


def test_every_setting_of_a_model_reaches_an_audit(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    told: dict[str, Any] = {}

    def loaded(spec: str, **settings: Any) -> Any:
        told.update(settings)
        return load_model(spec)

    monkeypatch.setattr(auditing, "load_model", loaded)
    command = ["audit", "control:oracle", "--out", str(tmp_path / "a"), "--properties", "order"]
    more = ["--setting", "concurrency=4", "--setting", 'chat_arg={"enable_thinking": false}']
    result = llminvariance([*command, *more, "--setting", "key_variable=SOME_KEY"])
    assert result.exit_code == 0, result.output
    assert (told["concurrency"], told["chat_arg"], told["key_variable"]) == (4, {"enable_thinking": False}, "SOME_KEY")
    again = llminvariance(command)
    assert again.exit_code == 2
    assert "loading" in again.output


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("key_variable=sk-secret", "must be the name of an environment variable"),
        ("sk-secret", "must be NAME=VALUE"),
        ("device=cpu", "It has a flag of its own: --device"),
        ("concurency=sk-secret", "must be one of batch_tokens"),
        ("concurrency=none", "must be NAME=VALUE"),
        ("concurrency=-1", "must be a whole number from 1"),
    ],
)
def test_a_setting_that_is_none_is_refused_and_a_key_not_repeated(tmp_path: Path, text: str, says: str) -> None:
    result = llminvariance(["audit", "control:oracle", "--out", str(tmp_path / "a"), "--setting", text])
    assert result.exit_code == 2
    assert says in " ".join(result.output.split())
    assert "sk-secret" not in result.output
    assert not (tmp_path / "a").exists()
