"""The table of properties: one class and one registration are enough for `check`, audits, selftest, judging and reports."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Iterator
from pathlib import Path
from types import MappingProxyType

import pytest

from pytest_llminvariance import Question, UsageError, Verdict, check, controls
from pytest_llminvariance.checks.planning import KEPT, Planner
from pytest_llminvariance.checks.properties import PROPERTIES, as_property, register, table_lines
from pytest_llminvariance.checks.properties.base import Audited, Plan, Property, SelfTest
from pytest_llminvariance.checks.properties.invariance import Invariance
from pytest_llminvariance.checks.refusals import settle
from pytest_llminvariance.cli import selftest
from pytest_llminvariance.cli.auditing import read_bank
from pytest_llminvariance.models.probes import Probe
from pytest_llminvariance.questions.presentation import Presentation
from pytest_llminvariance.questions.template import Layout, Template
from pytest_llminvariance.transforms.showing import Reformat, Relabel, Reorder, Reword
from tests.commands import llminvariance

DOCS = Path(__file__).parents[2] / "docs"
SMALL = read_bank(None)[:12]


class Thanks(Property):
    """Thanking the model must not matter."""

    name = "politeness"
    title = "thanks at the end"
    short = "thanks"
    says = "the answer stays the same where the question ends with thanks"
    audits = MappingProxyType({"thanks": Audited()})
    selftests = MappingProxyType({"thanks": SelfTest(broken="content_blind", undecided="refuser")})

    def plan(self, question: Question, template: str | Template | None) -> Plan:
        polite = Question(f"{question.stem} Thank you.", question.options, id=question.id, answer=question.answer)
        shown = (Presentation(one, template=template) for one in (question, polite))
        return Plan(question, tuple(map(Probe, shown)), "with and without thanks", self.spec())

    def spec(self) -> str:
        return "thanks"


@pytest.fixture
def _thanks() -> Iterator[None]:
    register(Thanks)
    yield
    del PROPERTIES[Thanks.name]


@pytest.mark.usefixtures("_thanks")
def test_a_registered_property_is_everywhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    found = check("politeness", controls.content_blind(), SMALL, tolerance=0.05)
    assert (found.verdict, found.property, found.title) == (Verdict.BROKEN, "politeness", "thanks at the end")
    audit = llminvariance(
        ["audit", "control:content_blind", "--properties", "order,thanks", "--out", str(tmp_path / "run")]
    )
    assert audit.exit_code == 1
    assert "BROKEN   thanks" in audit.output
    row = json.loads((tmp_path / "run" / "findings.json").read_text())["findings"][1]
    judged = llminvariance(["judge", str(tmp_path / "run"), "--tolerance", "thanks=0.99"]).output
    assert "HOLDS     thanks at the end" in judged or "UNDECIDED thanks at the end" in judged
    assert row["title"] in llminvariance(["report", str(tmp_path / "run"), "--format", "markdown"]).output
    monkeypatch.setattr(selftest, "CONTROLS", ("oracle", "content_blind", "refuser"))
    table = llminvariance(["selftest"])
    assert table.exit_code == 0, table.output
    assert table.output.splitlines()[0].split()[-1] == "thanks"
    assert any(line.startswith("| `politeness` | `thanks` |") for line in table_lines())


def test_the_docs_hold_the_table() -> None:
    assert "\n".join(table_lines()) in (DOCS / "properties.md").read_text()


@pytest.mark.usefixtures("_thanks")
class Spaces(Reorder):
    """Calls itself the order of options and adds blank lines."""

    def plan(self, start: Presentation) -> tuple[Presentation, ...]:
        return (start, dataclasses.replace(start, layout=Layout(extra_blank_lines=1)))


def called(name: str) -> Property:
    """Return a property that takes a name, and is not registered."""
    mine: Property = type("Mine", (Thanks,), {"name": name})()
    return mine


@pytest.mark.parametrize("title", ["option order", "layout", "labels", "search", "negative flips"])
def test_a_transform_of_a_suites_own_is_no_property_of_ours(title: str) -> None:
    """Else a gate that requires the order of options is satisfied by blank lines."""
    mine = Spaces()
    object.__setattr__(mine, "title", title)
    assert (
        check(mine, controls.always_first(), SMALL, tolerance=0.05).property == f"{title.replace(' ', '_')}_by_Spaces"
    )
    object.__setattr__(mine, "title", "blank lines")
    assert check(mine, controls.always_first(), SMALL, tolerance=0.05).property == "blank_lines"
    for ours in (
        Reorder("reversed"),
        Relabel((("1", "2", "3", "4"), ("A", "B", "C", "D"))),
        Reformat((Layout(), Layout(separator=" "))),
        Reword(("{stem} {options}", "{options} {stem}")),
    ):
        assert as_property(ours, {}).name in PROPERTIES


def test_a_property_object_takes_no_name_of_another() -> None:
    for name in ("option_order", "search", "negative_flips"):
        with pytest.raises(UsageError, match=f"Mine is called '{name}', which is the name of another property"):
            check(called(name), controls.oracle(), SMALL, tolerance=0.05)
        with pytest.raises(UsageError, match="is called 'option_order'"):
            check(Invariance(Spaces(), "option_order"), controls.oracle(), SMALL, tolerance=0.05)
    assert check(called("mine"), controls.oracle(), SMALL, tolerance=0.05).property == "mine"
    assert check(PROPERTIES["option_order"](), controls.oracle(), SMALL, tolerance=0.05).property == "option_order"


def test_a_name_is_used_once() -> None:
    for taken in (
        {"name": "labels"},
        {"name": "search"},
        {"short": "order"},
        {"audits": {"prompt": Audited()}},
        {"selftests": {"tracks": None}},
    ):
        kind = type("Other", (Thanks,), {"name": "new", "short": "", "audits": {}, "selftests": {}, **taken})
        with pytest.raises(UsageError, match="is taken by"):
            register(kind)


@pytest.mark.parametrize("lacks", ["name", "says"])
def test_a_property_says_what_it_is(lacks: str) -> None:
    with pytest.raises(UsageError, match=f"has no '{lacks}'"):
        register(type("Silent", (Thanks,), {lacks: ""}))


@pytest.mark.parametrize("keeps_all", [True, False])
def test_a_suite_is_planned_once_and_memory_is_bounded(keeps_all: bool) -> None:
    """In a suite of more than 20,000 presentations those that come later are planned again when they are asked."""
    made, asked = as_property("option_order", {}), []
    bank = [Question(f"Which is {i}?", [f"a{i}", f"b{i}", f"c{i}", f"d{i}"]) for i in range(KEPT // 24 + 20)]
    plan = made.plan
    made.plan = lambda question, template: (asked.append(question), plan(question, template))[1]  # type: ignore[method-assign, func-returns-value]
    terms = settle(made, controls.oracle(), bank, tolerance=0.1)
    planner = Planner(terms, keeps_all=keeps_all)
    assert asked == bank
    assert [one.question for one in map(planner.plan, range(len(bank)))] == bank
    assert len(asked) - len(bank) == (0 if keeps_all else len(bank) - KEPT // 24)
