"""Every surface says of a run what its gate decides: page, Markdown, card, annotations, JUnit, SARIF and terminal."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple
from xml.etree import ElementTree as ET

import pytest

from tests.commands import llminvariance

HEAD = """
import pytest
from pytest_llminvariance import Presentation, Question, assert_order_symmetric, assert_same_answer, controls

BANK = [Question(f"stem {n}?", [f"{c}{n}" for c in "abc"], id=f"q{n}", answer=n % 3) for n in range(12)]
"""
ORDER = """
def test_order(invariance_model):
    assert_order_symmetric(invariance_model, BANK, tolerance=0.1)
"""
SEARCH = """
def test_search(invariance_model):
    shown = Presentation(BANK[0])
    assert_same_answer(invariance_model, shown, shown.replace(order=(1, 0, 2)))
"""
CRASH = """
def test_crash(invariance_model):
    raise OSError("the disk is full")
"""
ERROR = """
def test_error():
    def broken(messages):
        raise OSError("no route to host")
    assert_order_symmetric(broken, BANK)
"""
SKIPPED = """
@pytest.mark.skip(reason="slow")
def test_order(invariance_model):
    assert_order_symmetric(invariance_model, BANK)
"""
WAIVER = '[[waivers]]\nproperty = "{}"\nowner = "kim"\nreason = "known of 12"\nexpires = {}\n'
REQUIRED = 'required = ["option_order"]\n'
NEVER, LONG_AGO = "2100-01-01", "2026-01-31"
PASSED, BLOCKED, NO_EVIDENCE = 0, 1, 3


class Case(NamedTuple):
    """A run, and what the gate must decide about it."""

    model: str
    body: str
    policy: str
    exit_code: int
    says: str = ""
    """What every surface must name."""
    flags: tuple[str, ...] = ()


CASES = {
    "green": Case("oracle", ORDER, REQUIRED, PASSED),
    "red": Case("always_first", ORDER, REQUIRED, BLOCKED, "option order"),
    "waived": Case("always_first", ORDER, WAIVER.format("option_order", NEVER), PASSED, "kim"),
    "expired waiver": Case("always_first", ORDER, WAIVER.format("option_order", LONG_AGO), BLOCKED, LONG_AGO),
    "undecided": Case("refuser", ORDER, REQUIRED, NO_EVIDENCE, "option order"),
    "undecided, and the session warns": Case(
        "refuser", ORDER, REQUIRED, NO_EVIDENCE, "option order", ("--invariance-undecided=warn",)
    ),
    "undecided blocks": Case("refuser", ORDER, 'undecided = "block"\n', BLOCKED, "option order"),
    "undecided passes": Case("refuser", ORDER + SEARCH, 'undecided = "warn"\n', PASSED, "option order"),
    "search only": Case("always_first", SEARCH, "", BLOCKED, "same answer"),
    "search waived": Case("always_first", SEARCH, WAIVER.format("search", NEVER), PASSED, "kim"),
    "search that found nothing": Case("oracle", SEARCH, "", NO_EVIDENCE),
    "required is skipped": Case("oracle", SKIPPED + SEARCH, REQUIRED, NO_EVIDENCE, "option_order"),
    "required is missing": Case(
        "oracle", ORDER, 'required = ["option_order", "prompt"]\n', BLOCKED, "prompt: required"
    ),
    "required is missing, another is broken": Case(
        "always_first", ORDER, 'required = ["prompt"]\n', BLOCKED, "prompt: required"
    ),
    "failed without a finding": Case("oracle", ORDER + CRASH, REQUIRED, NO_EVIDENCE, "test_crash"),
    "only failed without a finding": Case("oracle", CRASH, "", NO_EVIDENCE, "test_crash"),
    "check that did not end": Case("oracle", ORDER + ERROR, REQUIRED, NO_EVIDENCE, "no route to host"),
    "level warn": Case("always_first", ORDER, '[properties.option_order]\nlevel = "warn"\n', PASSED, "option order"),
    "level ignore": Case("always_first", ORDER, '[properties.option_order]\nlevel = "ignore"\n', NO_EVIDENCE, "option order"),
    "other model": Case("oracle", ORDER, 'models = ["./other"]\n', NO_EVIDENCE, "other"),
}  # fmt: skip


@pytest.mark.parametrize("case", CASES.values(), ids=CASES)
def test_every_surface_follows_the_gate(case: Case, pytester: pytest.Pytester) -> None:
    pytester.makepyfile(test_it=HEAD + case.body)
    Path("gate.toml").write_text(case.policy)
    made = (f"--invariance-model=control:{case.model}", "--invariance-report=rec", "--invariance-policy=gate.toml")
    terminal = pytester.runpytest(*made, *case.flags).stdout.str()
    gate = llminvariance(("gate", "rec", "--policy", "gate.toml"))
    assert gate.exit_code == case.exit_code, gate.output
    assert gate.output.splitlines()[0] in terminal
    for policy in ((), ("--policy", "gate.toml")):  # without one it is the policy of the run
        said = surfaces(*policy)
        for name, problem in contradictions(said, case, terminal):
            raise AssertionError(f"{name}: {problem}\n{said[name]}\n{gate.output}")
        for name, text in {**said, "gate": gate.output, "terminal": terminal}.items():
            assert case.says in plain(text), (name, text)


def surfaces(*policy: str) -> dict[str, str]:
    """What each report says of the run."""
    said = {}
    for form in ("markdown", "github", "junit", "sarif", "card", "html"):
        made = llminvariance(("report", "rec", *policy, "--format", form, "--out", "-"))
        assert made.exit_code == 0, made.output
        said[form] = made.output
    return said


def contradictions(said: dict[str, str], case: Case, terminal: str) -> Iterator[tuple[str, str]]:
    """Yield each surface that says something else than the gate."""
    passes, failed = case.exit_code == PASSED, re.search(r"\d+ (failed|errors?)", terminal)
    marks = "!" if passes and failed else {PASSED: "✓!", BLOCKED: "✗", NO_EVIDENCE: "?"}[case.exit_code]
    for form, pattern in (("markdown", r"^## (.) Invariance: "), ("html", r'<h1><span class="mark"[^>]*>(.)')):
        mark = found(pattern, said[form])
        if mark not in marks:
            yield form, f"the mark is {mark}, but must be {marks}"
    if found(r"^## .*Invariance\n\n([^.]*)", said["card"]) != found(r"^## . Invariance: ([^.\n]*)", said["markdown"]):
        yield "card", "it begins otherwise than the Markdown"
    weighs = {
        "github": "::error " in said["github"],
        "junit": fails(said["junit"]),
        "sarif": '"level": "error"' in said["sarif"][said["sarif"].index('"invocations"') :],
    }
    yield from ((form, f"errors are there: {there}") for form, there in weighs.items() if there == passes)


def found(pattern: str, text: str) -> str:
    match = re.search(pattern, text, re.MULTILINE)
    assert match is not None, text
    return match[1]


def fails(junit: str) -> bool:
    suite = next(ET.fromstring(junit).iter("testsuite"))
    cases = list(suite.iter("testcase"))
    tags = [child.tag for case in cases for child in case]
    assert (int(suite.get("tests", "0")), int(suite.get("failures", "0"))) == (len(cases), tags.count("failure"))
    return bool(tags.count("failure") + tags.count("error"))


def plain(text: str) -> str:
    """The text without escapes of its format."""
    for escape, mark in (("&#95;", "_"), ("&#64;", "@"), ("%3A", ":"), ("&#x27;", "'"), ("<wbr>", "")):
        text = text.replace(escape, mark)
    return text
