"""Strategies for the parts of a presentation: order, labels, layout, template."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypeVar

from hypothesis import currently_in_test_context
from hypothesis import strategies as st
from hypothesis.control import current_build_context
from hypothesis.errors import InvalidArgument
from hypothesis.strategies import SearchStrategy

from pytest_llminvariance.checks.properties.asides import FORMATS
from pytest_llminvariance.errors import UsageError
from pytest_llminvariance.questions.labels import check_labels
from pytest_llminvariance.questions.presentation import Presentation
from pytest_llminvariance.questions.question import Question
from pytest_llminvariance.questions.template import Layout, Template, as_template
from pytest_llminvariance.search.drawn import Kind, drew
from pytest_llminvariance.transforms.showing import LABEL_SETS, LAYOUTS, Reorder, filled, with_labels

Drawn = TypeVar("Drawn")
MAX_OPTIONS = 100


def option_orders(k: int | Question) -> SearchStrategy[tuple[int, ...]]:
    """Draw orders of k options, or of a question's options.

    Draws all k! orders, each equally often. Of a question catch-alls ("All of the above") keep their place, and where it
    refers to options by letter or place, only the order as written is drawn. Shrinks towards the order as written by undoing adjacent swaps: what
    is left has the fewest that still fail in most cases, with the first options in their places.

    Raises:
        InvalidArgument: unless `k` is a Question or a number from 2 to 100.
    """
    n = len(k.options) if isinstance(k, Question) else k
    if isinstance(n, bool) or not isinstance(n, int) or not 2 <= n <= MAX_OPTIONS:
        raise InvalidArgument(f"option_orders({k!r}): needs a Question or a number of options from 2 to {MAX_OPTIONS}")
    if not isinstance(k, Question):
        return noted("orders", _insertions(n))
    written = Presentation(k)
    moving = Reorder().moving(written)
    drawn = _insertions(len(moving)) if moving else st.just(())
    return noted("orders", drawn.map(lambda row: filled(written.order, tuple(moving[index] for index in row))))


def labels(k: int | Question, label_sets: Sequence[Sequence[str]] = LABEL_SETS) -> SearchStrategy[tuple[str, ...]]:
    """Draw one of the label sets that are long enough, cut to k labels; shrinks towards the first.

    For a question only sets are drawn that keep its meaning, as `Relabel` does; where it refers to options by letter or
    place, only the first.

    Raises:
        InvalidArgument: if no set has k labels, or one cannot tell options apart.
    """
    n = len(k.options) if isinstance(k, Question) else k
    if isinstance(n, bool) or not isinstance(n, int) or n < 2:
        raise InvalidArgument(f"labels({k!r}): needs a Question or a number of options from 2")
    try:
        sets = [check_labels(tuple(given))[:n] for given in label_sets if len(given) >= n]
    except (TypeError, UsageError) as error:
        raise InvalidArgument(f"labels({k!r}): {error}") from error
    if not sets:
        raise InvalidArgument(f"labels({k!r}): no label set has {n} labels")
    if isinstance(k, Question):
        try:
            sets = [shown.given_labels for shown in with_labels(Presentation(k), label_sets, "leave_out")]
        except UsageError as error:
            raise InvalidArgument(f"labels: {error}") from error
    return noted("labels", st.sampled_from(list(dict.fromkeys(sets))))


def layouts(of: Sequence[Layout] = LAYOUTS) -> SearchStrategy[Layout]:
    """Draw one of the layouts; shrinks towards the first, so give the simplest ones first.

    Raises:
        InvalidArgument: if there is none, or one is no Layout.
    """
    if isinstance(of, str | Layout) or not isinstance(of, Sequence) or not of:
        raise InvalidArgument(f"layouts({of!r}): needs one or more Layout objects")
    if not all(isinstance(layout, Layout) for layout in of):
        raise InvalidArgument(f"layouts({of!r}): needs one or more Layout objects")
    return noted("layouts", st.sampled_from(list(of)))


def templates(of: Sequence[str | Template]) -> SearchStrategy[Template]:
    """Draw one of the templates; shrinks towards the first, which is the one as written.

    Raises:
        InvalidArgument: if there is none, or one has no place for the question or its options.
    """
    if isinstance(of, str | Template) or not isinstance(of, Sequence) or not of:
        raise InvalidArgument(f"templates({of!r}): give a list of at least one template")
    try:
        ways = [as_template(template) for template in of]
    except UsageError as error:
        raise InvalidArgument(f"templates: {error}") from error
    return noted("templates", st.sampled_from(ways))


def output_formats(formats: Sequence[str | Template] = FORMATS) -> SearchStrategy[Template]:
    """Draw a template that asks for the answer in some format: as it is, as JSON, as a line, in bold; read it by text.

    Shrinks towards the first, which is the question as written.

    Raises:
        InvalidArgument: if there is none, or one has no place for the question or its options.
    """
    return templates(formats)


@st.composite
def _insertions(draw: st.DrawFn, k: int) -> tuple[int, ...]:
    """Draw an order by how many earlier contents each content is put before: as many adjacent swaps as the numbers' sum.

    The last content's number is drawn first, so that shrinking puts the last ones back first and the rest can take
    over what is needed. Orders drawn as permutations, or by selection, shrink to orders further away.
    """
    before = [draw(st.integers(0, content)) for content in range(k - 1, 0, -1)]
    order = [0]
    for content, n in enumerate(reversed(before), start=1):
        order.insert(content - n, content)
    return tuple(order)


def noted(kind: Kind, strategy: SearchStrategy[Drawn]) -> SearchStrategy[Drawn]:
    """Return the strategy, noting for the example that runs what was drawn; it draws and shrinks the same."""

    def note(value: Drawn) -> Drawn:
        if currently_in_test_context():
            drew(kind, current_build_context().data)
        return value

    return strategy.map(note)
