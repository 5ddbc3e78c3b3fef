"""A stance is one: asked in another language, or without options, the answer is the same."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import Any

from pytest_llminvariance.checks.properties.base import Audited, Case, Plan, Property, SelfTest
from pytest_llminvariance.checks.verdict import Verdict
from pytest_llminvariance.errors import QuestionError, UsageError
from pytest_llminvariance.models.controls import Control, oracle, wrong_oracle
from pytest_llminvariance.models.probes import Probe
from pytest_llminvariance.questions.presentation import Presentation
from pytest_llminvariance.questions.question import Question, given_for
from pytest_llminvariance.questions.template import DEFAULT_TEMPLATE, Template, as_template
from pytest_llminvariance.transforms.edits import edited

OPEN: tuple[Template, ...] = (
    Template("{context}{stem}", name="open", open=True),
    Template("{context}{stem}\n\nAnswer in a few words.", name="open, in a few words", open=True),
)
"""Ways of asking without options."""


def _speaks(changes: str = "") -> Control:
    """Writes the option's text; another option where `changes` is in the template's name or the stem."""
    right, wrong = oracle(), wrong_oracle()

    def respond(p: Any) -> Sequence[float]:
        other = changes and (changes in p.template.shown_name or changes in p.question.stem)
        return (wrong if other else right).respond(p)

    return Control("other" if changes else "speaks", respond, word=lambda shown, at: shown.shown_options[at])


def translated(question: Question, translations: Sequence[Question]) -> tuple[Question, ...]:
    """Return the question in other languages: option i of a translation is option i of the question.

    Raises:
        QuestionError: if one has another number of options, or another answer.
    """
    for one in translations:
        if not isinstance(one, Question):
            raise QuestionError(f"a translation is {one!r:.80}, but must be a Question")
        if len(one.options) != len(question.options) or one.answer != question.answer:
            raise QuestionError(
                f"the translation {one.stem!r:.80} of {question.name!r} has other options or another answer. Give as many "
                "options, in the same order"
            )
    return tuple(
        edited(question, f"ask {one.stem!r}", stem=one.stem, context=one.context, options=one.options)
        for one in translations
    )


class Languages(Property):
    """`translations` maps a question, by id or stem, to its translations: questions with as many options, in the same order.

    Answers are compared as contents: option i of a translation is option i of the question. What cannot be read in a
    language is its own outcome, and leaves the effect open.
    """

    name = "languages"
    title = "languages"
    says = "a question gets the same answer in every language"
    advice = "look at the readings by language first: an answer that cannot be read is no other answer; docs/broken.md"
    assertion = "assert_languages_agree"
    source = "Are Large Language Models Consistent over Value-laden Questions?"
    bank = tuple(Question(f"Is {n} an even number?", ("yes", "no"), id=f"even-{n}", answer=n % 2) for n in range(12))
    selftests = MappingProxyType(
        {
            "languages": SelfTest(
                bank=bank,
                options={"translations": {f"even-{n}": (Question(f"Ist {n} eine gerade Zahl?", ("ja", "nein"), answer=n % 2),) for n in range(12)}},
                cases=(
                    Case("oracle", Verdict.HOLDS),
                    Case("other", Verdict.BROKEN, lambda: _speaks("gerade")),
                    Case("refuser", Verdict.UNDECIDED),
                ),
            )
        }
    )  # fmt: skip

    def __init__(self, *, translations: Mapping[str, Sequence[Question]]) -> None:
        if not isinstance(translations, Mapping) or not translations:
            raise UsageError(f"translations is {translations!r:.80}, but must map ids or stems to lists of questions")
        self.translations = {name: tuple(many) for name, many in translations.items()}

    def plan(self, question: Question, template: str | Template | None) -> Plan:
        """Plan the question and its translations."""
        many = given_for(question, self.translations)
        if not many:
            raise QuestionError(f"question {question.name!r} has no translation. Give it under its id or stem")
        shown = [Presentation(one, template=template) for one in (question, *translated(question, many))]
        return Plan(question, tuple(map(Probe, shown)), f"{len(shown)} languages", self.spec())

    def spec(self) -> str:
        """Return a hash of the translations, each under its question."""
        told = sorted((name, [one.content_hash for one in many]) for name, many in self.translations.items())
        return f"languages:{hashlib.sha256(repr(told).encode()).hexdigest()[:16]}"


class OpenAndClosed(Property):
    """Each question is asked with its options, and without them in each of `ways` (templates with `open=True`).

    All answers are written and read by text: an open answer counts as the option that it names, and one that names none,
    or several, is unparsed, which is its own outcome and leaves the effect open.
    """

    name = "open_closed"
    title = "open against closed"
    says = "a question gets the same answer with its options and without"
    advice = "do not infer stances from multiple choice alone; raise max_new_tokens where answers are unfinished; docs/broken.md"
    assertion = "assert_open_and_closed_agree"
    source = "Revealing Fine-Grained Values and Opinions in Large Language Models"
    readouts = ("text",)
    audits = MappingProxyType({"open": Audited()})
    selftests = MappingProxyType(
        {
            "open": SelfTest(
                cases=(
                    Case("speaks", Verdict.HOLDS, _speaks),
                    Case("other", Verdict.BROKEN, lambda: _speaks("open")),
                    Case("oracle", Verdict.UNDECIDED),
                )
            )
        }
    )

    def __init__(self, *, ways: Sequence[str | Template] = OPEN) -> None:
        if isinstance(ways, str) or not ways:
            raise UsageError(f"ways is {ways!r}, but must be a list of templates or their texts")
        self.ways = tuple(Template(one, name=one, open=True) if isinstance(one, str) else one for one in ways)
        if closed := [one.shown_name for one in self.ways if not one.open]:
            raise UsageError(f"the way {closed[0]!r} shows options. Say open=True")

    def plan(self, question: Question, template: str | Template | None) -> Plan:
        """Plan the question with its options, and without."""
        asked = [DEFAULT_TEMPLATE if template is None else as_template(template), *self.ways]
        shown = tuple(Probe(Presentation(question, template=way)) for way in asked)
        return Plan(question, shown, f"with options and {len(self.ways)} ways without", self.spec())

    def spec(self) -> str:
        """Return the hashes of the ways."""
        return "open:" + ",".join(way.content_hash[:8] for way in self.ways)
