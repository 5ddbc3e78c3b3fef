"""The product of all parts: presentations of one question."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from functools import partial
from typing import Any

from hypothesis import strategies as st
from hypothesis.errors import InvalidArgument
from hypothesis.strategies import SearchStrategy

from pytest_llminvariance.questions.presentation import Presentation
from pytest_llminvariance.questions.question import Question
from pytest_llminvariance.questions.template import DEFAULT_LAYOUT, Layout, Template
from pytest_llminvariance.strategies.parts import noted, option_orders
from pytest_llminvariance.strategies.parts import templates as templates_of
from pytest_llminvariance.strategies.texts import made
from pytest_llminvariance.transforms.base import MAX_PLANNED, Transform

Under = Transform | Sequence[Transform]


def presentations(
    question: Question,
    *,
    orders: SearchStrategy[tuple[int, ...]] | Sequence[int] | None = None,
    labels: SearchStrategy[tuple[str, ...]] | Sequence[str] | None = None,
    layouts: SearchStrategy[Layout] | Layout | None = None,
    templates: SearchStrategy[Template] | Sequence[str | Template] | None = None,
    under: Under | None = None,
) -> SearchStrategy[Presentation]:
    """Draw presentations of a question: by default any order, everything else as written.

    Each part takes a strategy, or one fixed value (a list of templates is drawn from). `under` takes transforms,
    which are applied in the order given, such as `[Restate(...), SwapGroups(...), AddOpinion()]`; of each, one
    presentation that it plans is drawn.

    Shrinks part by part towards the question as written: parts that need not be changed go first, then adjacent
    swaps, then later layouts, labels and texts give way to earlier ones.

    Raises:
        InvalidArgument: if a part does not fit the question, named with its value.
    """
    if not isinstance(question, Question):
        raise InvalidArgument(f"presentations({question!r}): needs a Question")
    fixed: dict[str, Any] = {
        name: tuple(value) if isinstance(value, list | range) else value
        for name, value in (("order", orders), ("labels", labels), ("layout", layouts))
        if value is not None and not isinstance(value, SearchStrategy)
    }
    made("presentations", lambda: Presentation(question, **fixed))
    ways = templates_of(templates) if isinstance(templates, Sequence) and templates is not None else templates
    parts = [
        option_orders(question) if orders is None else _drawn(orders),
        _drawn(labels),
        _drawn(DEFAULT_LAYOUT if layouts is None and ways is None else layouts),
        _drawn(ways),
    ]
    changes = _transforms(under)
    for change in changes:
        made("presentations", partial(_planned, change, Presentation(question)))
    return _product(question, parts, changes)


@st.composite
def _product(
    draw: st.DrawFn, question: Question, parts: Sequence[SearchStrategy[Any]], changes: Sequence[Transform]
) -> Presentation:
    order, labels, layout, template = (draw(part) for part in parts)
    shown = Presentation(question, order=order, labels=labels, layout=layout, template=template)
    for change in changes:
        shown = draw(noted("texts", st.sampled_from(_planned(change, shown))))
    return shown


def _planned(change: Transform, start: Presentation) -> list[Presentation]:
    """Return what a transform plans, once each; more than 5,000 presentations are an error."""
    planned = list(dict.fromkeys(change.plan(start)))
    if len(planned) > MAX_PLANNED:
        raise InvalidArgument(
            f"presentations(under=...): {change.title} plans more than {MAX_PLANNED:,} presentations. Use a smaller design"
        )
    return planned


def _transforms(under: Under | None) -> list[Transform]:
    given: Iterable[object] = () if under is None else [under] if isinstance(under, Transform) else under
    if isinstance(given, str) or not isinstance(given, Sequence):
        raise InvalidArgument(f"presentations(under={under!r}): give a transform, or a list of them")
    found: list[Transform] = []
    for change in given:
        if not isinstance(change, Transform):
            raise InvalidArgument(f"presentations(under=...): {change!r} is no transform, such as AddDistractor()")
        found += change.factors()
    return found


def _drawn(part: object) -> SearchStrategy[Any]:
    if isinstance(part, SearchStrategy):
        return part
    return st.just(tuple(part) if isinstance(part, list | range) else part)
