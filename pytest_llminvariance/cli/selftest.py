"""Every control against every assertion, with the verdict that is known beforehand.

The expected verdicts stand with the properties, and are reasoned from what each control is. Two that may surprise: the pair-order and
adjacency controls change their answer with the order and yet have no position bias, because with correct
answers spread evenly their early and late choices cancel.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from pytest_llminvariance.checks.check import check
from pytest_llminvariance.checks.properties import PROPERTIES
from pytest_llminvariance.checks.properties.base import Case, Property, SelfTest
from pytest_llminvariance.checks.run import run
from pytest_llminvariance.checks.verdict import Finding, Verdict
from pytest_llminvariance.models import controls
from pytest_llminvariance.models.loading import load_model
from pytest_llminvariance.models.protocol import AnyModel, Model
from pytest_llminvariance.models.symmetrized import symmetrized
from pytest_llminvariance.questions.question import Question
from pytest_llminvariance.questions.questionnaire import Item, Questionnaire, Scale
from pytest_llminvariance.questions.template import Template

H, B, U = Verdict.HOLDS, Verdict.BROKEN, Verdict.UNDECIDED

TOPICS = (
    "tools",
    "rivers",
    "metals",
    "birds",
    "colours",
    "trees",
    "games",
    "coins",
    "breads",
    "winds",
    "maps",
    "songs",
)
WORDS = ("amber", "birch", "cedar", "delta", "ember", "fjord", "grove", "haven", "islet", "jetty", "knoll", "ledge")


def _bank() -> tuple[Question, ...]:
    """Return 14 questions with 4 options; correct answers of 12 stand equally often at each position and never first in the alphabet only.

    The last two refer to their own options: one is left out of orders and labels, of the other the last option stays.
    """
    rows = []
    for number, topic in enumerate(TOPICS):
        options = [WORDS[(number + step) % 12] + f" {topic}" for step in (5, 2, 8, 11)]
        rows.append(Question(f"Which name goes with {topic}?", options, id=f"bank-{number}", answer=number % 4))
    both, every = ("amber clocks", "birch clocks"), ("cedar lamps", "delta lamps", "ember lamps")
    rows.append(Question("Which name goes with clocks?", [*both, "Both A and B", "fjord clocks"], id="both", answer=2))
    rows.append(Question("Which name goes with lamps?", [*every, "All of the above"], id="every", answer=3))
    return tuple(rows)


def _items() -> Questionnaire:
    """Return 12 Likert items on two traits, half of them reverse-keyed."""
    scale = Scale(("strongly disagree", "disagree", "neutral", "agree", "strongly agree"), (1, 2, 3, 4, 5))
    traits = ("calm", "order")
    return Questionnaire(
        tuple(
            Item(f"I care about {topic}.", traits[number % 2], reverse_keyed=number % 4 > 1, id=f"item-{number}")
            for number, topic in enumerate(TOPICS)
        ),
        scale,
        "selftest items",
    )


CONTROLS = (
    "oracle", "always_first", "always_last", "always_label", "wrong_oracle", "literal_reader", "stem_blind", "content_blind",
    "refuser",    "uniform", "jitter", "tie_maker", "position_prior=0.5", "position_prior=2", "label_prior=0.5", "label_prior=2",
    "acquiescent=0.8", "noisy=0.3", "noisy=0", "prompt_sensitive", "pair_order_sensitive", "adjacency_sensitive", "two_faced",
    "reasoning", "reasoning=400", "eliminating", "only_eliminating", "polyglot", "nan_scores", "nan_scores=0.5",
)  # fmt: skip
UNREADABLE = ("reasoning=400", "only_eliminating", "nan_scores", "nan_scores=0.5")
"""Controls that are UNDECIDED under every check: thoughts that are cut off, nothing claimed, no numbers."""


def columns() -> dict[str, tuple[type[Property], SelfTest]]:
    """Return the columns of the table, by title: what is asked of every control."""
    return {title: found for title, found in _selftests().items() if not found[1].cases}


def lines() -> dict[str, tuple[Case, ...]]:
    """Return the checks that are asked of controls of their own, by title."""
    return {title: told.cases for title, (_, told) in _selftests().items() if told.cases}


def _selftests() -> dict[str, tuple[type[Property], SelfTest]]:
    return {title: (kind, told) for kind in PROPERTIES.values() for title, told in kind.selftests.items()}


def expected(title: str, control: str) -> Verdict:
    """Return the verdict that is right for a control."""
    told = columns()[title][1]
    unknown = (*told.undecided.split(), *UNREADABLE)
    return B if control in told.broken.split() else U if control in unknown else H


def asked(title: str, model: Model) -> bool:
    """Return whether a column is asked of a model: one that only writes gives no readouts to compare."""
    return all(readout in model.capabilities for readout in _made(title)[0].readouts)


def run_check(title: str, model: AnyModel, *, readout: str = "auto") -> Finding:
    """Check one column or line on one model."""
    made, template, questions = _made(title)
    told = _selftests()[title][1]
    return check(
        made, model, questions, tolerance=told.tolerance, metric=told.metric, template=template, readout=readout
    )


def _made(title: str) -> tuple[Property, Template | None, tuple[Question, ...]]:
    kind, told = _selftests()[title]
    questions = bank_of(told)
    return (*kind.usual(questions, None, **told.options), questions)


def bank_of(told: SelfTest) -> tuple[Question, ...]:
    """Return what a column or line asks."""
    return told.bank or (_items().questions if told.likert else _bank())


@dataclass(frozen=True, slots=True)
class Cell:
    """One control under one check."""

    control: str
    check: str
    expected: tuple[Verdict, ...]
    """Verdicts that would be right; one, except for a real model of unknown truth."""
    finding: Finding

    @property
    def agrees(self) -> bool:
        """True where the verdict is a right one."""
        return self.finding.verdict in self.expected


def run_selftest(spec: str | None = None) -> list[Cell]:
    """Run the table, and with `spec` the instrument on that model; nothing is raised for a difference.

    Raises:
        ModelError: if `spec` cannot be loaded.
    """
    with run():
        model = None if spec is None else load_model(spec)
        cells = [
            Cell(name, title, (expected(title, name),), run_check(title, controls.control(name)))
            for name in CONTROLS
            for title in columns()
            if asked(title, controls.control(name))
        ]
        cells += [run_case(title, case) for title, cases in lines().items() for case in cases]
        inner = controls.always_first()
        cells += _wrapped(inner, "always_first")
        if spec is not None and model is not None:
            cells += _wrapped(model, spec)
    return cells


def run_case(title: str, case: Case) -> Cell:
    """Check a line on one of its own controls."""
    subject = controls.control(case.name) if case.make is None else case.make()
    return Cell(case.name, title, (case.verdict,), run_check(title, subject))


def _wrapped(model: Model, name: str) -> list[Cell]:
    """Return what must be true of any model: sorted away or averaged away, order cannot be broken."""
    return [
        Cell(f"sorting_proxy({name})", "order", (U,), run_check("order", controls.sorting_proxy(model))),
        Cell(f"symmetrized({name})", "order", (H, U), run_check("order", symmetrized(model))),
    ]


def table_lines(cells: Sequence[Cell]) -> Iterator[str]:
    """Yield the table: one line a control, one column a check, differences marked and listed."""
    titles = list(columns())
    wide = [cell for cell in cells if cell.check in titles]
    width = max(len(cell.control) for cell in wide) + 2
    yield "control".ljust(width) + "".join(title.ljust(12) for title in titles)
    for name in dict.fromkeys(cell.control for cell in wide):
        row = {cell.check: cell for cell in wide if cell.control == name}
        yield name.ljust(width) + "".join(_entry(row.get(title)).ljust(12) for title in titles).rstrip()
    for title in lines():
        yield f"{title}: " + ", ".join(f"{cell.control} {_entry(cell)}" for cell in cells if cell.check == title)
    wrong = [cell for cell in cells if not cell.agrees]
    for cell in wrong:
        wanted = " or ".join(cell.expected)
        why = f" ({cell.finding.reasons[0]})" if cell.finding.reasons else ""
        yield f"DIFFERENT: {cell.control} under {cell.check}: expected {wanted}, obtained {cell.finding.verdict}{why}"
    yield f"selftest: {len(cells) - len(wrong)} of {len(cells)} verdicts as expected"


def _entry(cell: Cell | None) -> str:
    if cell is None:
        return ""
    return str(cell.finding.verdict) if cell.agrees else f"{cell.finding.verdict} !"
