"""Every control against every assertion, with the verdict that is known beforehand.

The expected verdicts are reasoned from what each control is. Two that may surprise: the pair-order and
adjacency controls change their answer with the order and yet have no position bias, because with correct
answers spread evenly their early and late choices cancel.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType

from pytest_llminvariance.checks.check import check
from pytest_llminvariance.checks.run import run
from pytest_llminvariance.checks.verdict import Finding, Verdict
from pytest_llminvariance.models import controls
from pytest_llminvariance.models.loading import load_model
from pytest_llminvariance.models.protocol import Model
from pytest_llminvariance.models.symmetrized import symmetrized
from pytest_llminvariance.questions.question import Question
from pytest_llminvariance.questions.questionnaire import Item, Questionnaire, Scale
from pytest_llminvariance.questions.template import Layout, Template

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


def _edits() -> list[tuple[Question, Question]]:
    """Return pairs of questions with the same options and other correct answers."""
    return [
        (
            question,
            Question(
                question.stem.replace("goes", "does not go"), question.options, id=f"{question.id}-edit",
                answer=((question.answer or 0) + 1 + number % 3) % 4,
            ),
        )
        for number, question in enumerate(_bank())
    ]  # fmt: skip


TEMPLATES = (
    Template("{stem}\n\n{options}\n\nAnswer with only one of: {labels}.", name="letters"),
    Template("Question: {stem}\nOptions:\n{options}\nReply with one label.", name="reply"),
    Template("{stem}\n{options}\nYour choice:", name="choice", layout=Layout(enumerator="{label}) ")),
)

CHECKS: Mapping[str, Callable[[Model], Finding]] = MappingProxyType(
    {
        "order": lambda model: check("option_order", model, _bank(), tolerance=0.05),
        "order tv": lambda model: check("option_order", model, _bank(), tolerance=0.05, metric="tv"),
        "position": lambda model: check("option_order", model, _bank(), tolerance=0.1, metric="position_bias"),
        "prompt": lambda model: check("prompt", model, _bank(), tolerance=0.05, templates=TEMPLATES),
        "labels": lambda model: check("labels", model, _bank(), tolerance=0.05),
        "likert": lambda model: check(
            "option_order", model, _items(), tolerance=0.05, metric="score_gap", orders="reversed"
        ),
        "readouts": lambda model: check("readouts", model, _bank(), tolerance=0.05),
        "tracks": lambda model: check("tracks", model, [pair[0] for pair in _edits()], tolerance=0.05, edits=_edits()),
    }
)

EXPECTED: Mapping[str, tuple[Verdict, ...]] = MappingProxyType(
    {
        # name               order  tv  posit. prompt labels likert readouts tracks
        "oracle": (H, H, H, H, H, H, H, H),
        "always_first": (B, B, B, U, U, B, U, B),
        "always_last": (B, B, B, U, U, B, U, B),
        "always_label": (B, B, B, U, U, B, U, B),
        "wrong_oracle": (U, U, U, U, U, H, U, U),
        "literal_reader": (H, H, H, H, H, H, H, H),
        "stem_blind": (U, U, U, U, U, U, U, B),
        "content_blind": (B, B, U, B, B, B, U, B),
        "refuser": (U, U, U, U, U, U, U, U),
        "uniform": (U, U, U, U, U, U, U, U),
        "jitter": (U, U, U, U, U, U, U, U),
        "tie_maker": (U, U, U, U, U, U, U, U),
        "position_prior=0.5": (H, B, H, H, H, B, H, H),
        "position_prior=2": (B, B, B, U, U, B, U, B),
        "label_prior=0.5": (H, B, H, H, H, B, H, H),
        "label_prior=2": (B, B, B, U, B, B, U, B),
        "acquiescent=0.8": (H, H, H, H, H, U, H, H),
        "noisy=0.3": (B, B, H, B, B, B, H, B),
        "noisy=0": (H, H, H, H, H, H, H, H),
        "prompt_sensitive": (H, H, H, B, H, H, H, H),
        "pair_order_sensitive": (B, B, H, H, H, B, H, H),
        "adjacency_sensitive": (B, B, H, H, H, B, H, H),
        "two_faced": (H, H, H, H, H, H, B, H),
    }
)


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
        cells = [
            Cell(name, title, (expected,), run_check(controls.control(name)))
            for name, row in EXPECTED.items()
            for (title, run_check), expected in zip(CHECKS.items(), row, strict=True)
        ]
        inner = controls.always_first()
        cells += _wrapped(inner, "always_first")
        if spec is not None:
            cells += _wrapped(load_model(spec), spec)
    return cells


def _wrapped(model: Model, name: str) -> list[Cell]:
    """Return what must be true of any model: sorted away or averaged away, order cannot be broken."""
    order = CHECKS["order"]
    return [
        Cell(f"sorting_proxy({name})", "order", (U,), order(controls.sorting_proxy(model))),
        Cell(f"symmetrized({name})", "order", (H, U), order(symmetrized(model))),
    ]


def table_lines(cells: Sequence[Cell]) -> Iterator[str]:
    """Yield the table: one line a control, one column a check, differences marked and listed."""
    titles = list(CHECKS)
    width = max(len(cell.control) for cell in cells) + 2
    yield "control".ljust(width) + "".join(title.ljust(12) for title in titles)
    for name in dict.fromkeys(cell.control for cell in cells):
        row = {cell.check: cell for cell in cells if cell.control == name}
        yield name.ljust(width) + "".join(_entry(row.get(title)).ljust(12) for title in titles).rstrip()
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
