"""`llminvariance properties`: what can be checked, from the table of properties."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

import typer

if TYPE_CHECKING:
    from pytest_llminvariance.checks.properties.base import Property


def properties_command() -> None:
    """List the properties: names, what each checks, and how many prompts a question of four options costs."""
    for line in property_lines():
        typer.echo(line)


def property_lines() -> Iterator[str]:
    """Yield a paragraph a property."""
    from pytest_llminvariance.checks.properties import PROPERTIES

    for name, kind in PROPERTIES.items():
        audits = [f"{audit}{' (by default)' if how.by_default else ''}" for audit, how in kind.audits.items()]
        yield name
        yield f"  checks:    {kind.says}"
        if kind.assertion:
            yield f"  assertion: {kind.assertion}"
        yield f"  in audits: {', '.join(audits) or 'no: it needs what only a test can give'}"
        yield f"  metric:    {kind.metric}{'' if kind.own else ', unless another is asked for'}"
        yield f"  cost:      {_cost(kind)}"


def _cost(kind: type[Property]) -> str:
    from pytest_llminvariance.cli.selftest import bank_of
    from pytest_llminvariance.questions.question import Question

    needs = (told for told in kind.selftests.values() if told.bank or (told.likert and told.cases))
    told = next(needs, None)
    usual = tuple(Question(f"{n}?", list("abcd"), id=str(n), answer=n % 4) for n in range(4))
    bank = bank_of(told) if told else usual
    made, template = kind.usual(bank, None, **(told.options if told else {}))
    asked = made.asked(bank)
    said = "as the self-test asks it" if told else "of four options, as audits ask it"
    return f"{len(made.plan(asked[0], template).probes)} prompts for a question {said}"
