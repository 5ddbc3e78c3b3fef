"""`llminvariance properties`: what can be checked, from the table of properties."""

from __future__ import annotations

from collections.abc import Iterator

import typer


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
        yield f"  cost:      {_cost(name)}"


def _cost(name: str) -> str:
    from pytest_llminvariance.checks.properties import PROPERTIES
    from pytest_llminvariance.questions.question import Question

    kind = PROPERTIES[name]
    told = next((told for told in kind.selftests.values() if told.bank), None)
    usual = [Question(f"{n}?", list("abcd"), id=str(n), answer=n % 4) for n in range(4)]
    made, template = kind.usual(told.bank if told else usual, None, **(told.options if told else {}))
    asked = made.asked(told.bank if told else usual)
    said = "as the self-test asks it" if told else "of four options, as audits ask it"
    return f"{len(made.plan(asked[0], template).probes)} prompts for a question {said}"
