"""--invariance-report: what is written, that it follows its schemas, and that `judge` gives the same findings."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from pytest_llminvariance.cli import app
from pytest_llminvariance.records.directory import findings_text, repair
from pytest_llminvariance.records.judge import judge
from pytest_llminvariance.records.record import load
from tests.records.records_schema import problems

MANY = """
    import pytest
    from pytest_llminvariance import (
        Layout, Question, Questionnaire, Item, Scale, Relabel, Reorder, Template, assert_batch_invariant,
        assert_invariant, assert_order_symmetric, assert_prompt_insensitive, assert_readouts_agree, assert_tracks,
    )

    BANK = [
        Question(f"stem {n}?", [f"{c}{n}" for c in "abcd"], id=f"q{n}", answer=n % 4, attributes={"n": (1, n)})
        for n in range(12)
    ]
    SCALE = Scale(("no", "rather no", "rather yes", "yes"), (1, 2, 3, 4))
    ITEMS = Questionnaire(
        tuple(Item(f"I like {n}.", "calm", reverse_keyed=n % 2 > 0, id=f"i{n}") for n in range(12)), SCALE, "items"
    )
    FIVE = [Question(f"five {n}?", [f"{c}{n}" for c in "abcde"]) for n in range(2)]
    WAYS = (
        Template("{stem}\\n{options}\\n{labels}", name="one"),
        Template("{stem}; {options}", system="Be brief.", labels=tuple("PQRS"), layout=Layout("{label}) ", " ")),
    )
    EDITS = [(q, Question(q.stem + " not", q.options, answer=(q.answer + 1) % 4)) for q in BANK]

    def test_order(invariance_model):
        assert_order_symmetric(invariance_model, BANK)

    def test_order_tv(invariance_model):
        assert_order_symmetric(invariance_model, BANK, metric="tv", tolerance=0.1)

    def test_order_position(invariance_model):
        assert_order_symmetric(invariance_model, BANK, metric="position_bias", orders="cyclic")

    def test_order_text(invariance_model):
        assert_order_symmetric(invariance_model, BANK + FIVE, readout="text")

    def test_order_option_sum(invariance_model):
        assert_order_symmetric(invariance_model, FIVE, readout="option_sum", orders="reversed")

    def test_prompt(invariance_model):
        assert_prompt_insensitive(invariance_model, BANK, templates=WAYS, orders="reversed")

    def test_product(invariance_model):
        assert_invariant(invariance_model, BANK, under=Relabel() * Reorder("reversed"), tolerance=1 / 3)

    def test_traits(invariance_model):
        assert_prompt_insensitive(
            invariance_model, ITEMS, templates=WAYS, orders="reversed", metric="trait_shift"
        )

    def test_scores(invariance_model):
        assert_order_symmetric(invariance_model, ITEMS, metric="score_gap")

    def test_readouts(invariance_model):
        assert_readouts_agree(invariance_model, BANK)

    def test_tracks(invariance_model):
        assert_tracks(invariance_model, EDITS)

    def test_batch(invariance_model):
        assert_batch_invariant(invariance_model, BANK)

    @pytest.fixture(scope="module")
    def found(invariance):
        return invariance.check("labels", BANK, tolerance=0.2)

    def test_fixture(found):
        assert found.scope == "session"
"""


def read(path: Path) -> Any:
    return json.loads(path.read_text())


@pytest.mark.parametrize("control", ["oracle", "always_first", "noisy=0.3", "position_prior=2", "refuser", "two_faced"])
def test_judge_gives_the_same_bytes_for_every_kind_of_check(control: str, pytester: pytest.Pytester) -> None:
    pytester.makepyfile(test_many=MANY)
    pytester.runpytest(f"--invariance-model=control:{control}", "--invariance-report=rec")
    record = load(pytester.path / "rec")
    assert len(record.findings) == 13
    judged = judge(record)
    assert [item.thin for item in judged] == [""] * 13
    text = findings_text([item.row.to_json() for item in judged if item.row], [lost.to_json() for lost in record.lost])
    assert text == (pytester.path / "rec" / "findings.json").read_text()
    assert problems(pytester.path / "rec") == []


def test_a_tolerance_that_is_no_decimal_is_kept_exactly(pytester: pytest.Pytester) -> None:
    pytester.makepyfile(
        test_third="""
        from fractions import Fraction
        from pytest_llminvariance import Question, assert_order_symmetric

        def test_third(invariance_model):
            assert_order_symmetric(
                invariance_model, [Question(f"s{n}", ["elm", "oak", "ash"]) for n in range(3)], tolerance=Fraction(1, 3)
            )
        """
    )
    pytester.runpytest("--invariance-model=control:always_first", "--invariance-report=rec")
    line, *_ = (pytester.path / "rec" / "sheets.jsonl").read_text().splitlines()
    assert json.loads(line)["tolerance"] == "1/3"


def test_what_is_written(suite: pytest.Pytester) -> None:
    suite.runpytest("--invariance-model=control:always_first", "--invariance-report=rec", "--invariance-seed=3")
    (finding,) = read(suite.path / "rec" / "findings.json")["findings"]
    assert (finding["where"], finding["file"], finding["line"]) == ("test_suite.py::test_order", "test_suite.py", 6)
    assert (finding["level"], finding["verdict"], finding["seed"]) == ("block", "BROKEN", 3)
    run = read(suite.path / "rec" / "run.json")
    assert (run["exit"], run["seed"], run["model"]) == (1, 3, "control:always_first")
    assert run["fingerprint"] == "control:always_first"
    lines = [json.loads(line) for line in (suite.path / "rec" / "answers.jsonl").read_text().splitlines()]
    roles = [line["role"] for line in lines]
    assert (roles.count("planned"), roles.count("foreign"), roles.count("sentinel")) == (288, 0, 3)
    assert {line["check"] for line in lines} == {finding["id"]}
    assert run["tokens"] == finding["tokens"]


def test_the_level_comes_from_the_marker(suite: pytest.Pytester) -> None:
    text = (suite.path / "test_suite.py").read_text()
    suite.makepyfile(test_suite=text.replace("def test_order", '@pytest.mark.invariance(level="warn")\ndef test_order'))
    suite.runpytest("--invariance-model=control:oracle", "--invariance-report=rec", "-W", "ignore")
    (finding,) = read(suite.path / "rec" / "findings.json")["findings"]
    assert finding["level"] == "warn"


def test_two_workers_write_what_one_process_writes(pytester: pytest.Pytester) -> None:
    pytester.makepyfile(test_many=MANY, test_more=MANY)
    model = "--invariance-model=control:noisy=0.3"
    pytester.runpytest_subprocess(model, "--invariance-report=one")
    pytester.runpytest_subprocess(model, "--invariance-report=two", "-n2", "--dist=loadfile")
    one, two = (load(pytester.path / name) for name in ("one", "two"))
    plain = [
        [
            {**found.to_json(), "id": "", "tokens": 0, "guards": ()}
            for found in sorted(record.findings, key=lambda found: found.where)
        ]
        for record in (one, two)
    ]
    assert plain[0] == plain[1]
    assert len(plain[0]) == 26
    assert not list((pytester.path / "two").glob("*-gw*.jsonl"))
    assert problems(pytester.path / "two") == []
    assert all(item.row == item.stored for item in judge(two))


def test_a_worker_that_dies_leaves_its_answers_and_is_told(pytester: pytest.Pytester) -> None:
    pytester.makepyfile(
        dying="""
        import os
        from pytest_llminvariance import controls

        class Dying:
            name, fingerprint, capabilities = "dying", "dying", frozenset({"label"})
            deterministic = True
            asked = 0

            def answers(self, requests):
                for index, request in enumerate(requests):
                    Dying.asked += 1
                    if Dying.asked > 350:
                        os._exit(1)
                    yield [(index, controls.oracle().answer([request])[0])]

            def answer(self, requests):
                return [reply for batch in self.answers(requests) for _, reply in batch]
        """,
        test_dies="""
        from pytest_llminvariance import Question, assert_order_symmetric

        BANK = [Question(f"stem {n}?", [f"{c}{n}" for c in "abcd"], answer=n % 4) for n in range(12)]

        def test_dies(invariance_model):
            assert_order_symmetric(invariance_model, BANK)
            assert_order_symmetric(invariance_model, [Question(f"more {n}?", [f"{c}{n}" for c in "efgh"], answer=n % 4) for n in range(12)])
        """,
    )
    model = "--invariance-model=python:dying:Dying"
    pytester.runpytest_subprocess(model, "--invariance-report=rec", "-n1", "--max-worker-restart=0")
    record = load(pytester.path / "rec")
    assert [row.verdict for row in record.findings] == ["HOLDS"]
    (lost,) = record.lost
    assert (lost.title, lost.reason) == ("option order", "started and did not finish")
    assert (lost.where, lost.file) == ("test_dies.py::test_dies", "test_dies.py")
    first = record.n_answers(record.findings[0].id)
    assert 288 < first < 288 + 12 + 3, "planned, some foreign stems, and 3 again"
    assert record.n_answers(lost.id) == 350 - first
    assert problems(pytester.path / "rec") == []


def test_after_a_crash_of_everything_the_record_is_read_as_it_is(suite: pytest.Pytester) -> None:
    suite.makeconftest(
        """
        import os

        def pytest_sessionfinish(session):
            os._exit(9)
        """
    )
    suite.runpytest_subprocess("--invariance-model=control:always_first", "--invariance-report=rec")
    assert not (suite.path / "rec" / "findings.json").exists()
    record = load(suite.path / "rec")
    assert not record.ended
    assert [found.verdict for found in record.findings] == ["BROKEN"]
    assert judge(record)[0].row == record.findings[0]
    assert not (suite.path / "rec" / "findings.json").exists(), "a reader writes nothing"
    repair(suite.path / "rec")
    assert [row["verdict"] for row in read(suite.path / "rec" / "findings.json")["findings"]] == ["BROKEN"]
    assert load(suite.path / "rec") == record


def test_a_later_run_replaces_the_record_and_nothing_else(suite: pytest.Pytester) -> None:
    flags = ("--invariance-model=control:oracle", "--invariance-report=rec")
    suite.runpytest(*flags)
    suite.runpytest(*flags)
    assert len(load(suite.path / "rec").findings) == 1
    (suite.path / "rec" / "mine.txt").write_text("precious")
    result = suite.runpytest(*flags)
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    result.stderr.fnmatch_lines(["ERROR: --invariance-report: *rec' holds 'mine.txt', which is no part of a record*"])
    assert (suite.path / "rec" / "answers.jsonl").exists()


def test_only_collecting_leaves_the_record(suite: pytest.Pytester) -> None:
    suite.runpytest("--invariance-model=control:oracle", "--invariance-report=rec")
    before = (suite.path / "rec" / "findings.json").read_bytes()
    suite.runpytest("--invariance-report=rec", "--collect-only")
    suite.runpytest("--invariance-report=rec", "--help")
    assert (suite.path / "rec" / "findings.json").read_bytes() == before


def test_an_ini_directory_is_below_the_ini_file(suite: pytest.Pytester, monkeypatch: pytest.MonkeyPatch) -> None:
    suite.makeini("[pytest]\ninvariance_report = rec\ninvariance_model = control:oracle\n")
    suite.mkdir("elsewhere")
    monkeypatch.chdir(suite.path / "elsewhere")
    suite.runpytest("..")
    assert (suite.path / "rec" / "findings.json").exists()


def test_searches_are_written_too(pytester: pytest.Pytester) -> None:
    pytester.makepyfile(
        test_looked_for="""
        from hypothesis import given, settings
        from pytest_llminvariance import Presentation, Question, assert_same_answer, strategies as inv

        Q = Question("s", ["a", "b", "c"], answer=0)

        @settings(max_examples=6, derandomize=True)
        @given(order=inv.option_orders(3))
        def test_search(invariance_model, order):
            assert_same_answer(invariance_model, Presentation(Q), Presentation(Q, order=order))
        """
    )
    pytester.runpytest("--invariance-model=control:oracle", "--invariance-report=rec").assert_outcomes(passed=1)
    lines = [json.loads(line) for line in (pytester.path / "rec" / "answers.jsonl").read_text().splitlines()]
    assert {(line["check"], line["role"]) for line in lines} == {(None, "search")}
    orders = {tuple(line["order"]) for line in lines}
    assert (0, 1, 2) in orders
    assert len(orders) == len(lines) > 1


SECRET_MODEL = """
    from pytest_llminvariance import controls

    class Leaky:
        name = "openai:m@http://user:hunter22@host/v1?api_key=abcdefgh99"
        fingerprint, capabilities = "served:http://user:hunter22@host", frozenset({"label"})

        def answer(self, requests):
            if "fails" in requests[0].presentation.question.stem:
                raise RuntimeError("401 from http://user:hunter22@host with Bearer abcdefgh99 and zebra-crossing")
            return controls.oracle().answer(requests)
"""


def test_no_secret_is_written_anywhere(
    suite: pytest.Pytester, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("SERVICE_API_KEY", "zebra-crossing")
    suite.makepyfile(
        leaky=SECRET_MODEL,
        test_suite=(suite.path / "test_suite.py").read_text()
        + """
def test_fails(invariance_model):
    assert_order_symmetric(invariance_model, Question("fails", ["a", "b"]))

@pytest.mark.parametrize("url", ["http://user:hunter22@host"])
def test_more(invariance_model, url):
    assert_order_symmetric(invariance_model, BANK)
""",
    )
    flags = ["--invariance-device-map=token=abcdefgh99", "--invariance-cache=http://user:hunter22@host/zebra-crossing"]
    suite.runpytest("--invariance-model=python:leaky:Leaky", "--invariance-report=rec", "--junitxml=out.xml", *flags)
    files = [path for path in (suite.path / "rec").rglob("*") if path.is_file()]
    assert {path.name for path in files} == {"answers.jsonl", "sheets.jsonl", "findings.json", "run.json", "main.jsonl"}
    for path in files:
        for secret in ("hunter22", "abcdefgh99", "zebra-crossing"):
            assert secret not in path.read_text(), path
    record = load(suite.path / "rec")
    assert len(record.findings) == 2
    assert "401 from http://***@host" in record.lost[0].reason
    assert all(item.row == item.stored for item in judge(record))
    assert "judge" in {command.name for command in app.registered_commands}
