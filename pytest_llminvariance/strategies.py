"""Hypothesis strategies for presentations; all shrink towards the question as written.

Importing this module takes the deadline off Hypothesis' current profile: a model answers slowly the first
time and at once when it remembers, which a deadline reports as flaky.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypeVar

from hypothesis import currently_in_test_context
from hypothesis import strategies as st
from hypothesis.control import current_build_context
from hypothesis.errors import InvalidArgument
from hypothesis.strategies import SearchStrategy

from pytest_llminvariance.draws import Kind, drew
from pytest_llminvariance.errors import UsageError
from pytest_llminvariance.hypothesis_profile import default_without_deadline
from pytest_llminvariance.presentation import DEFAULT_LAYOUT, Layout, Presentation, Template, as_template, check_labels
from pytest_llminvariance.questions import Question, as_questions
from pytest_llminvariance.transforms import LABEL_SETS, LAYOUTS

__all__ = ["labels", "layouts", "option_orders", "presentations", "questions"]

Drawn = TypeVar("Drawn")

default_without_deadline()


def option_orders(k: int | Question) -> SearchStrategy[tuple[int, ...]]:
    """Draw orders of k options, or of a question's options; shrinks towards the order as written."""
    n = len(k.options) if isinstance(k, Question) else k
    if isinstance(n, bool) or not isinstance(n, int) or n < 2:
        raise InvalidArgument(f"option_orders({k!r}): needs a Question or a number of options from 2")
    return _noted("orders", st.permutations(range(n)).map(tuple))


def labels(k: int | Question, label_sets: Sequence[Sequence[str]] = LABEL_SETS) -> SearchStrategy[tuple[str, ...]]:
    """Draw one of the label sets that are long enough, cut to k labels; shrinks towards the first."""
    n = len(k.options) if isinstance(k, Question) else k
    try:
        sets = [check_labels(tuple(given))[:n] for given in label_sets if len(given) >= n]
    except (TypeError, UsageError) as error:
        raise InvalidArgument(f"labels({k!r}): {error}") from error
    if not sets:
        raise InvalidArgument(f"labels({k!r}): no label set has {n} labels")
    return _noted("labels", st.sampled_from(list(dict.fromkeys(sets))))


def layouts(of: Sequence[Layout] = LAYOUTS) -> SearchStrategy[Layout]:
    """Draw one of the layouts; shrinks towards the first."""
    if not of or not all(isinstance(layout, Layout) for layout in of):
        raise InvalidArgument(f"layouts({of!r}): needs one or more Layout objects")
    return _noted("layouts", st.sampled_from(list(of)))


def presentations(
    question: Question,
    *,
    orders: SearchStrategy[tuple[int, ...]] | Sequence[int] | None = None,
    labels: SearchStrategy[tuple[str, ...]] | Sequence[str] | None = None,
    layouts: SearchStrategy[Layout] | Layout | None = None,
    templates: Sequence[str | Template] | None = None,
) -> SearchStrategy[Presentation]:
    """Draw presentations of a question: by default any order, labels, layout and templates as written.

    Each part takes a strategy, or one fixed value. Shrinks part by part towards the question as written.
    """
    if not isinstance(question, Question):
        raise InvalidArgument(f"presentations({question!r}): needs a Question")
    ways = None if templates is None else [as_template(template) for template in templates]
    if ways is not None and not ways:
        raise InvalidArgument("presentations(templates=[]): give at least one template, or leave it out")
    return st.builds(
        _presentation,
        st.just(question),
        _drawn(option_orders(question) if orders is None else orders),
        _drawn(labels),
        _drawn(DEFAULT_LAYOUT if layouts is None and ways is None else layouts),
        st.none() if ways is None else _noted("templates", st.sampled_from(ways)),
    )


def questions(bank: Sequence[Question]) -> SearchStrategy[Question]:
    """Draw questions from a bank; shrinks towards the first."""
    try:
        return st.sampled_from(list(as_questions(tuple(bank))))
    except (TypeError, UsageError) as error:
        raise InvalidArgument(f"questions: {error}") from error


def _presentation(
    question: Question,
    order: tuple[int, ...],
    shown_labels: tuple[str, ...] | None,
    layout: Layout | None,
    template: Template | None,
) -> Presentation:
    return Presentation(question, order=order, labels=shown_labels, layout=layout, template=template)


def _noted(kind: Kind, strategy: SearchStrategy[Drawn]) -> SearchStrategy[Drawn]:
    """Return the strategy, noting for the example that runs what was drawn; it draws and shrinks the same."""

    def note(value: Drawn) -> Drawn:
        if currently_in_test_context():
            drew(kind, current_build_context().data)
        return value

    return strategy.map(note)


def _drawn(part: object) -> SearchStrategy[object]:
    if isinstance(part, SearchStrategy):
        return part
    return st.just(tuple(part) if isinstance(part, list) else part)
