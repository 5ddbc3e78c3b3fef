"""A check counts for the model under test by which object was asked, never by what an object says of itself."""

from __future__ import annotations

import json
from pathlib import Path
from textwrap import dedent, indent
from typing import Any

import pytest

from pytest_llminvariance.gate.evidence import foreign
from pytest_llminvariance.records.record import load
from tests.commands import llminvariance
from tests.models.tiny_models import save_llama
from tests.run_directories import recording

KNOWN = """
import pytest
from pytest_llminvariance import (
    FindingList, Presentation, Question, assert_no_negative_flips, assert_order_symmetric, assert_same_answer, check, controls,
    load_model, run, symmetrized, wrap_model,
)

BANK = [Question(f"stem {n}?", [f"{c}{n}" for c in "abc"], id=f"q{n}", answer=n % 3) for n in range(12)]

class Fake:
    capabilities = frozenset({"label"})
    deterministic = True

    def __init__(self, model):
        self.name, self.fingerprint = model.name, model.fingerprint

    def answer(self, requests):
        return controls.oracle().answer(requests)

def first(messages, options):
    return {option: 0.9 if option == options[0] else 0.05 for option in options}

def named(messages, options):
    asked = messages[-1]["content"].partition("\\n")[0]
    number = asked.partition("stem ")[2].partition("?")[0]
    wanted = [option for option in options if option in asked]
    letter = "abc"[int(number) % 3] if number else (wanted or options)[0][0]
    return {option: 0.8 if option[0] == letter else 0.1 for option in options}
first.deterministic = named.deterministic = True
"""
FIRST, ORACLE = "control:always_first", "control:oracle"


def suite(pytester: pytest.Pytester, body: str, conftest: str = "") -> None:
    pytester.makepyfile(known=KNOWN, test_it="from known import *\n" + dedent(body))
    pytester.makeconftest("from known import *\n" + dedent(conftest))


def gated(pytester: pytest.Pytester, model: str, *flags: str, spec: str | None = None) -> tuple[int, str]:
    """Run the suite and return what a gate for `model` says of its record."""
    told = [f"--invariance-model={spec}"] if spec else []
    workers = any(flag.startswith("-n") for flag in flags)
    (pytester.runpytest_subprocess if workers else pytester.runpytest)(
        *told, *flags, "-W", "ignore", *recording(pytester.path / "rec")
    )
    (pytester.path / "gate.toml").write_text(f"models = [{model!r}]\nrequired = ['option_order']")
    told = llminvariance(["gate", pytester.path / "rec", "--policy", pytester.path / "gate.toml"])
    return told.exit_code, told.output


def origins(pytester: pytest.Pytester) -> dict[str, str]:
    return {row.where.partition("::")[2]: row.model_from for row in load(pytester.path / "rec").findings}


PASSING = "assert_order_symmetric(Fake(invariance_model), BANK)"
FAKED = {
    "in the test": f"def test_it(invariance_model): {PASSING}",
    "in a helper": f"def help(invariance_model): {PASSING}\ndef test_it(invariance_model): help(invariance_model)",
    "a fixture": """
        @pytest.fixture
        def fake(invariance_model): return Fake(invariance_model)
        def test_it(fake): assert_order_symmetric(fake, BANK)
        """,
    "an override in the module": """
        @pytest.fixture
        def invariance_model(invariance_model): return Fake(invariance_model)
        def test_it(invariance): invariance.assert_order_symmetric(BANK)
        """,
    "an override in a class": """
        class TestIt:
            @pytest.fixture(scope="class")
            def invariance_model(self, invariance_model): return Fake(invariance_model)
            def test_it(self, invariance_model): assert_order_symmetric(invariance_model, BANK)
        """,
    "parametrised": """
        @pytest.mark.parametrize("invariance_model", [Fake(controls.always_first())])
        def test_it(invariance_model): assert_order_symmetric(invariance_model, BANK)
        """,
    "in a fixture of wider scope": """
        @pytest.fixture(scope="session")
        def checked(invariance_model): return assert_order_symmetric(Fake(invariance_model), BANK)
        def test_it(checked): pass
        """,
    "by unittest": """
        import unittest
        class TestIt(unittest.TestCase):
            @pytest.fixture(autouse=True)
            def take(self, invariance_model): self.model = Fake(invariance_model)
            def test_it(self): assert_order_symmetric(self.model, BANK)
        """,
    "that says what it was made of": """
        class Made(Fake):
            def __init__(self, model):
                super().__init__(model)
                self.origin, self.__self__ = (model,), model
            def __eq__(self, other): return True
            __hash__ = None
        def test_it(invariance_model): assert_order_symmetric(Made(invariance_model), BANK)
        """,
    "in a thread": f"""
        import threading
        def test_it(invariance_model):
            thread = threading.Thread(target=lambda: {PASSING})
            thread.start()
            thread.join()
        """,
}
OTHERS = """
def test_real(invariance_model): assert check("labels", invariance_model, BANK, tolerance=0.99).model
"""


def test_an_object_that_copies_name_and_fingerprint_is_not_the_model(pytester: pytest.Pytester) -> None:
    suite(pytester, OTHERS)
    for number, body in enumerate(FAKED.values()):
        pytester.makepyfile(**{f"test_{number}": "from known import *\n" + dedent(body)})
    code, said = gated(pytester, FIRST, spec=FIRST)
    assert code == 1, said
    run = load(pytester.path / "rec")
    assert [row.where for row in run.findings if not foreign(row, run)] == ["test_it.py::test_real"]
    assert len(run.findings) == len(FAKED) + 1
    assert "checked another model than the run's" in said
    assert "only says that it is the run's model" in said
    assert "a fixture invariance_model beside the session's" in said


@pytest.mark.parametrize("more", [(), ("-n1", "-p", "xdist")], ids=["alone", "worker"])
def test_a_conftest_says_what_the_model_is_only_where_no_setting_does(
    more: tuple[str, ...], pytester: pytest.Pytester
) -> None:
    """Without --invariance-model the one outermost fixture gives it; an override that copies it is another one."""
    fixture = "@pytest.fixture(scope='session')\ndef invariance_model(): return controls.{}()\n"
    test = "def test_it(invariance_model): assert_order_symmetric(invariance_model, BANK)\n"
    suite(pytester, test, fixture.format("oracle"))
    if not more:
        assert gated(pytester, "oracle")[0] == 0
        assert gated(pytester, FIRST, spec=FIRST)[0] != 0, "the setting names another"
    suite(pytester, dedent(FAKED["an override in the module"]) + OTHERS, fixture.format("always_first"))
    code, said = gated(pytester, "always_first", *more)
    assert code == 1, said
    assert origins(pytester) == {"test_it": "fixture", "test_real": "fixture"}


def test_two_outermost_fixtures_leave_open_what_the_model_is(pytester: pytest.Pytester) -> None:
    fixture = "@pytest.fixture\ndef invariance_model(): return {}\n"
    suite(pytester, fixture.format("controls.always_first()") + OTHERS)
    body = fixture.format("Fake(controls.always_first())") + "def test_b(invariance_model): " + PASSING
    pytester.makepyfile(test_b="from known import *\n" + body)
    code, said = gated(pytester, "always_first")
    assert code == 1
    assert "without it, of the one fixture that all tests share" in said


GIVEN = {
    "a function": "named",
    "a wrapped function": "wrap_model(named, name='mine')",
    "a method": "Bot().reply",
    "an object that is called": "Called()",
    "a model": "controls.oracle()",
    "an average": "symmetrized(named)",
    "a class of the user's": "Fake(controls.oracle())",
}


@pytest.mark.parametrize(
    ("given", "scope"),
    list(zip(GIVEN, ["session", "function", "session", "module", "class", "session", "session"], strict=True)),
)
def test_what_the_suites_fixture_gives_is_its_model(given: str, scope: str, pytester: pytest.Pytester) -> None:
    classes = """
        class Bot:
            def reply(self, messages, options): return named(messages, options)
        class Called:
            def __call__(self, messages, options): return named(messages, options)
        """
    fixture = f"@pytest.fixture(scope={scope!r})\ndef invariance_model():\n    yield {GIVEN[given]}\n"
    body = """
        def test_order(invariance_model): assert_order_symmetric(invariance_model, BANK)
        def test_fixture(invariance): invariance.assert_order_symmetric(BANK)
        def test_wrapped(invariance_model): assert_order_symmetric(wrap_model(invariance_model), BANK)
        """
    suite(pytester, body, dedent(classes) + fixture)
    gated(pytester, "mine")
    assert set(origins(pytester).values()) == {"session"}
    run = load(pytester.path / "rec")
    if scope == "session":
        assert not any(foreign(row, run) for row in run.findings)


def test_each_model_of_a_parametrised_fixture_is_the_sessions(pytester: pytest.Pytester) -> None:
    fixture = "@pytest.fixture(params=['oracle', 'always_first'])\ndef invariance_model(request): return controls.control(request.param)\n"
    suite(
        pytester, "def test_it(invariance_model): check('option_order', invariance_model, BANK, tolerance=0.1)", fixture
    )
    code, said = gated(pytester, "oracle")
    assert (code, list(origins(pytester).values())) == (3, ["session"] * 2)
    assert "is of the model None" in said


def test_files_that_a_test_loads_again_are_the_same_model(pytester: pytest.Pytester, tmp_path: Path) -> None:
    """The fingerprint of files is computed and not said; in another dtype they are another model."""
    save_llama(pytester.path / "tiny")
    body = """
        def test_real(invariance_model): check("option_order", invariance_model, BANK, tolerance=0.99)
        def test_again(invariance_model): check("option_order", load_model("tiny", dtype="float32"), BANK, tolerance=0.99)
        def test_coarse(invariance_model): check("option_order", load_model("tiny", dtype="bfloat16"), BANK, tolerance=0.99)
        def test_average(invariance_model): check("option_order", symmetrized(invariance_model), BANK, tolerance=0.99)
        def test_fake(invariance_model): check("option_order", Fake(invariance_model), BANK, tolerance=0.99)
        """
    suite(pytester, body)
    _, said = gated(pytester, "./tiny", "--invariance-dtype=float32", spec="./tiny")
    assert origins(pytester) == {
        "test_real": "session", "test_again": "loaded", "test_coarse": "loaded", "test_average": "test", "test_fake": "test",
    }  # fmt: skip
    ignored = [line.rpartition("::")[2] for line in said.splitlines() if "IGNORED" in line]
    assert ignored == ["test_coarse]", "test_average]", "test_fake]"]


@pytest.mark.parametrize("kind", ["negative flips", "search"])
def test_comparisons_and_searches_know_it_too(kind: str, pytester: pytest.Pytester) -> None:
    call = {
        "negative flips": "assert_no_negative_flips({}, BANK, baseline=controls.wrong_oracle(), margin=0.5)",
        "search": "assert_same_answer({}, Presentation(BANK[0]), Presentation(BANK[0], order=(1, 0, 2)))",
    }[kind]
    body = f"""
        def caught(model):
            with pytest.raises(AssertionError): {call.format("model")}
        def test_real(invariance_model): caught(invariance_model)
        class Bad(Fake):
            def answer(self, requests): return controls.always_first().answer(requests)
        def test_fake(invariance_model): caught(Bad(invariance_model))
        """
    suite(pytester, body)
    gated(pytester, FIRST, spec=FIRST)
    assert origins(pytester) == {"test_real": "session", "test_fake": "test"}


def test_a_failure_is_not_explained_by_a_fake(pytester: pytest.Pytester) -> None:
    """A waiver of the fake's finding does not let the failed test pass."""
    body = """
        class Bad(Fake):
            def answer(self, requests): return controls.always_first().answer(requests)
        def test_it(invariance_model): assert_order_symmetric(Bad(invariance_model), BANK)
        def test_real(invariance_model): assert_order_symmetric(invariance_model, BANK)
        """
    suite(pytester, body)
    pytester.runpytest(f"--invariance-model={ORACLE}", *recording(pytester.path / "rec"))
    (pytester.path / "gate.toml").write_text(f"models = [{ORACLE!r}]")
    told = llminvariance(["gate", pytester.path / "rec", "--policy", pytester.path / "gate.toml"])
    assert told.exit_code == 3
    assert "failed, and no finding there says why" in told.output


def test_a_control_beside_the_model_costs_no_evidence(pytester: pytest.Pytester) -> None:
    """A function that a test wraps is written down as a model too; which one is the run's is known all the same."""
    body = """
        def test_it(invariance_model): assert_order_symmetric(invariance_model, BANK)
        def test_control():
            with pytest.raises(AssertionError): assert_order_symmetric(first, BANK)
        """
    suite(pytester, body)
    assert gated(pytester, ORACLE, spec=ORACLE)[0] == 0


def test_judge_and_audit_keep_it(pytester: pytest.Pytester) -> None:
    suite(pytester, "def test_it(invariance_model): assert_order_symmetric(invariance_model, BANK)" + OTHERS)
    gated(pytester, ORACLE, spec=ORACLE)
    told = llminvariance(["judge", pytester.path / "rec", "--json"])
    assert {row["model_from"] for row in json.JSONDecoder().raw_decode(told.output)[0]["findings"]} == {"session"}
    out = pytester.path / "audit"
    llminvariance(["audit", ORACLE, "--out", out, "--properties", "order"])
    assert {row.model_from for row in load(out).findings} == {"session"}
    assert llminvariance(["gate", out, "--policy", pytester.path / "gate.toml"]).exit_code == 0


def test_an_old_record_says_nothing(pytester: pytest.Pytester) -> None:
    suite(pytester, "def test_it(invariance_model): assert_order_symmetric(invariance_model, BANK)")
    gated(pytester, ORACLE, spec=ORACLE)
    file = pytester.path / "rec" / "findings.json"
    data: Any = json.loads(file.read_text())
    del data["findings"][0]["model_from"]
    file.write_text(json.dumps(data))
    told = llminvariance(["gate", pytester.path / "rec", "--policy", pytester.path / "gate.toml"])
    assert told.exit_code == 1
    assert "the record does not say where oracle came from" in told.output


# --- findings that go to a recorder of the test's own ---

APART = """
def test_apart(invariance_model):
    with run(recorder=(own := FindingList())):
        {}
def test_real(invariance_model): assert_order_symmetric(invariance_model, BANK[:9])
"""
HIDDEN = {
    "check": "check('option_order', invariance_model, BANK, tolerance=0.1)",
    "assertion": "\n".join(["try: assert_order_symmetric(invariance_model, BANK)", "except AssertionError: pass"]),
    "nested": "with run(seed=3): check('option_order', invariance_model, BANK, tolerance=0.1)",
    "search": "\n".join(
        ["try: assert_same_answer(invariance_model, Presentation(BANK[0]), Presentation(BANK[0], order=(1, 0, 2)))", "except AssertionError: pass"]
    ),
}  # fmt: skip


@pytest.mark.parametrize("way", HIDDEN)
def test_what_goes_to_a_recorder_of_its_own_is_named_everywhere(way: str, pytester: pytest.Pytester) -> None:
    """Two-faced: the bad answers are looked at apart, the good part goes on record."""
    model = "good_at_nine"
    pytester.makepyfile(
        good_at_nine="""
        from pytest_llminvariance import controls
        class Model:
            name = fingerprint = "good at nine"
            capabilities, deterministic = frozenset({"label"}), True
            def answer(self, requests):
                bad, good = controls.always_first(), controls.oracle()
                return [(bad if r.presentation.question.id in ("q0", "q9", "q10", "q11") and len(requests) > 60 else good).answer([r])[0] for r in requests]
        """
    )
    spec = f"python:{model}:Model"
    body = indent(HIDDEN[way], " " * 8).strip()
    suite(pytester, APART.format(body))
    bad = way == "search"
    code, said = gated(pytester, FIRST if bad else spec, spec=FIRST if bad else spec)
    facts = json.loads((pytester.path / "rec" / "run.json").read_text())
    assert [(row["where"], row["model_from"]) for row in facts["apart"]] == [("test_it.py::test_apart", "session")]
    if not bad:
        assert code == 3, said
        assert "told what was found of the model to a recorder of its own" in said
    result = pytester.runpytest(f"--invariance-model={FIRST if bad else spec}", "-W", "ignore")
    result.stdout.fnmatch_lines(["APART *told to a recorder of its own*test_it.py::test_apart]"])


def test_controls_apart_are_named_and_cost_nothing(pytester: pytest.Pytester) -> None:
    suite(pytester, APART.format("check('option_order', controls.always_first(), BANK, tolerance=0.1)"))
    code, said = gated(pytester, ORACLE, spec=ORACLE)
    assert (code, "recorder of its own" in said) == (0, False)
    assert json.loads((pytester.path / "rec" / "run.json").read_text())["apart"][0]["model_from"] == "test"


def test_a_plan_asks_nothing_apart_either(pytester: pytest.Pytester) -> None:
    body = "check('option_order', Loud(), BANK, tolerance=0.1)"
    loud = "class Loud(Fake):\n    def __init__(self): super().__init__(controls.oracle())\n    def answer(self, requests): 1 / 0\n"
    suite(pytester, loud + APART.format(body))
    pytester.runpytest(f"--invariance-model={ORACLE}", "--invariance-plan", "-W", "ignore").assert_outcomes(skipped=2)
