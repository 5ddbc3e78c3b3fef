"""The test in a message can be copied into a file, and fails there by itself."""

from __future__ import annotations

import ast
from collections.abc import Callable, Sequence

import pytest

from pytest_llminvariance import (
    InvarianceError,
    Layout,
    Presentation,
    Question,
    Template,
    assert_batch_invariant,
    assert_order_symmetric,
    assert_readouts_agree,
    assert_same_answer,
    assert_tracks,
    controls,
)
from pytest_llminvariance.models.controls import Control
from pytest_llminvariance.models.protocol import Capability, Reply, Request
from pytest_llminvariance.questions.source import presentation_source, question_source
from pytest_llminvariance.report.paste import pasted_test

PLAIN = Question("Who?", ["Ann", "Bob", "Cy"])
NASTY = Question(
    'She said: "it\'s {brace}"\n\tand\\more \\n \u2028 é 🦆',
    ['a "quoted" one', "one\nin two lines", "back\\slash\t'", "Presentation(question)"],
    id='it\'s; "a"',
    context="Context with '''three''' and \"\"\"three\"\"\"\r\nand # hashes",
    scores=[1, 2.5, 3, 4],
    reverse_keyed=True,
    answer=2,
    attributes={"trait": "O'Brien", "odd": object(), "nested": {"a": (1, None)}},
)
CONTEXT = Template(
    "{context}{{x}} '{stem}' \"\n{options}\n{labels}",
    name="it's",
    system='be "brief"\n',
    labels=("i", "ii", "iii", "iv"),
)
OWN = Template("{stem}: {options}", labels=tuple("wxyz"), layout=Layout(enumerator="- {label}: ", label_case="upper"))

PAIRS: dict[str, tuple[Presentation, Presentation]] = {
    "order": (Presentation(PLAIN), Presentation(PLAIN, order=[1, 0, 2])),
    "labels": (Presentation(PLAIN), Presentation(PLAIN, labels=list("pqr"))),
    "layout": (Presentation(PLAIN), Presentation(PLAIN, layout=Layout(separator="\t", extra_blank_lines=2))),
    "case": (Presentation(PLAIN), Presentation(PLAIN, layout=Layout(label_case="lower"))),
    "template": (Presentation(PLAIN), Presentation(PLAIN, template="{stem}\n\"{options}\"'")),
    "own labels": (Presentation(PLAIN, template=OWN), Presentation(PLAIN, template=OWN, labels=list("ABC"))),
    "own layout": (Presentation(PLAIN), Presentation(PLAIN, template=OWN)),
    "nasty": (Presentation(NASTY), Presentation(NASTY, order=[3, 2, 1, 0])),
    "nasty and own": (Presentation(NASTY, template=CONTEXT), Presentation(NASTY, template=CONTEXT, layout=Layout(enumerator="<{label}> "))),
    "another question": (Presentation(PLAIN), Presentation(Question("Who's?", PLAIN.options, answer=1), order=[2, 0, 1])),
}  # fmt: skip


def pasted(error: InvarianceError) -> str:
    """What a user copies."""
    assert error.example is not None
    return pasted_test(error.example, error.readout)


def disliking(shown: Presentation) -> Control:
    """Answer the first content, but the second where it meets this presentation."""

    def respond(p: Presentation) -> Sequence[float]:
        rendered = (p.render(), p.order) == (shown.render(), shown.order)
        return [0.9 if content == rendered else 0.1 / (len(p.order) - 1) for content in p.order]

    return Control("disliking", respond)


def failure(assertion: Callable[[], object]) -> InvarianceError:
    with pytest.raises(InvarianceError) as caught:
        assertion()
    return caught.value


@pytest.mark.parametrize("name", PAIRS)
def test_the_pasted_test_fails_in_the_same_way(name: str) -> None:
    a, b = PAIRS[name]
    model = disliking(b)
    error = failure(lambda: assert_same_answer(model, a, b))
    code = pasted(error)
    namespace: dict[str, object] = {}
    exec(compile(code, "pasted.py", "exec"), namespace)
    again = failure(lambda: namespace["test_counterexample"](model))  # type: ignore[operator]
    assert str(again) == str(error)
    namespace["test_counterexample"](disliking(Presentation(Question("Other?", ["a", "b"]))))  # type: ignore[operator]


@pytest.mark.parametrize(
    "shown",
    [pytest.param(shown, id=f"{name} {side}") for name, pair in PAIRS.items() for side, shown in enumerate(pair)],
)
def test_source_makes_an_equal_presentation(shown: Presentation) -> None:
    names = {"Question": Question, "Presentation": Presentation, "Layout": Layout, "Template": Template}
    known = eval(question_source(shown.question), dict(names))
    assert known.content_hash == shown.question.content_hash
    assert (known.id, known.answer, known.scores) == (shown.question.id, shown.question.answer, shown.question.scores)
    for source in (presentation_source(shown), presentation_source(shown, known_as=(shown.question, "question"))):
        made = eval(source, {**names, "question": shown.question})
        assert made.render() == shown.render()
        assert (made.order, made.labels, made.layout, made.template) == (
            shown.order, shown.labels, shown.layout, shown.template
        )  # fmt: skip


def test_attributes_without_a_literal_are_left_out() -> None:
    made = eval(question_source(NASTY), {"Question": Question})
    assert dict(made.attributes) == {"trait": "O'Brien", "nested": {"a": (1, None)}}


def test_word_for_word() -> None:
    error = failure(lambda: assert_order_symmetric(controls.always_first(), [PLAIN]))
    assert pasted(error) == (
        "from pytest_llminvariance import Presentation, Question, assert_same_answer\n"
        "\n"
        "def test_counterexample(invariance_model):\n"
        "    question = Question('Who?', ['Ann', 'Bob', 'Cy'])\n"
        "    a = Presentation(question)\n"
        "    b = Presentation(question, order=(1, 0, 2))\n"
        "    assert_same_answer(invariance_model, a, b, readout='label')\n"
    )


def test_only_what_is_used_is_imported() -> None:
    a, b = PAIRS["own labels"]
    tree = ast.parse(pasted(failure(lambda: assert_same_answer(disliking(b), a, b))))
    (line,) = (node for node in tree.body if isinstance(node, ast.ImportFrom))
    assert [alias.name for alias in line.names] == [
        "Layout",
        "Presentation",
        "Question",
        "Template",
        "assert_same_answer",
    ]


def test_a_failure_is_a_short_report_however_long_the_question_is() -> None:
    long = Question("x\n" * 5_000, [f"{c}\n" * 400 for c in "abcdefgh"], context="y\n" * 5_000)
    for error in (
        failure(lambda: assert_order_symmetric(controls.always_first(), [long], orders="cyclic")),
        failure(lambda: assert_same_answer(controls.always_first(), Presentation(long), Presentation(long, order=range(7, -1, -1)))),
    ):  # fmt: skip
        assert len(str(error).splitlines()) <= 25
        assert len(str(error)) < 2_000
        compile(pasted(error), "pasted.py", "exec")


@pytest.mark.parametrize("assertion", ["tracks", "readouts", "batch"])
def test_where_two_presentations_alone_show_nothing_there_is_no_test_to_copy(assertion: str) -> None:
    bank = [Question(f"stem {n}?", [f"{n}-{c}" for c in "abcd"], answer=n % 4) for n in range(24)]

    class Drifting:
        name = fingerprint = "drifting"
        capabilities: frozenset[Capability] = frozenset({"label"})
        passes = 0

        def answer(self, requests: Sequence[Request]) -> Sequence[Reply]:
            self.passes += 1
            return (controls.oracle() if self.passes % 2 else controls.wrong_oracle()).answer(requests)

    edits = [(q, Question(q.stem + "!", q.options, answer=(q.answer + 1) % 4)) for q in bank if q.answer is not None]
    run = {
        "tracks": lambda: assert_tracks(controls.always_first(), edits),
        "readouts": lambda: assert_readouts_agree(controls.two_faced(), bank),
        "batch": lambda: assert_batch_invariant(Drifting(), bank),
    }[assertion]
    error = failure(run)
    assert error.finding is not None
    assert error.finding.verdict == "BROKEN"
    assert pasted(error) == ""
