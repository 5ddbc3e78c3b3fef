"""What must be there and is not: instances of required checks, and tests of the model that no run has run.

A test is known by its node id, an instance of a parametrised one by the part in brackets.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Iterable, Sequence
from functools import partial

from pytest_llminvariance.checks.verdict import Verdict
from pytest_llminvariance.errors import did_you_mean
from pytest_llminvariance.records.record import Record


def is_within(node: str, place: str) -> bool:
    """Return whether a node id is a place or stands below it: a folder, a file, a class or a test."""
    node, place = same_letters(node), same_letters(place).rstrip("/")
    return node == place or node.startswith((f"{place}::", f"{place}[", f"{place}/"))


def same_letters(name: str) -> str:
    """Return a name with one code for each letter: some file systems write an accent as a sign of its own."""
    return unicodedata.normalize("NFC", name)


def function_of(node: str) -> str:
    """Return the node id of a test without its parameters."""
    file, colons, rest = node.partition("::")
    return f"{file}{colons}{rest.partition('[')[0]}"


def not_run(runs: Sequence[Record]) -> tuple[str, ...]:
    """Return the tests that some run skipped or left out and that no run has run.

    A test that was skipped because its check does not hold was run.
    """
    taken, ran = set[str](), set[str]()
    for run in runs:
        skipped = nodes(run, "skipped")
        taken |= skipped | nodes(run, "left_out")
        ran |= nodes(run, "with_model") - skipped - nodes(run, "left_out")
        ran |= {row.where for row in run.findings if row.where not in skipped or row.verdict is not Verdict.HOLDS}
    return tuple(sorted(taken - ran))


def of_the_model(tests: Iterable[str], runs: Sequence[Record]) -> tuple[str, ...]:
    """Return those of some tests that ask for the model, or of which another instance was checked."""
    asking = {node for run in runs for node in nodes(run, "with_model")}
    checked = {function_of(finding.where) for run in runs for finding in run.findings}
    return tuple(node for node in tests if node in asking or function_of(node) in checked)


def idle_nodes(runs: Sequence[Record]) -> set[str]:
    """Return the tests that were given the model, passed, and checked nothing in any run."""
    idle = {node for run in runs for node in nodes(run, "unchecked")}
    return idle - {finding.where for run in runs for finding in run.findings}


def nodes(run: Record, fact: str) -> set[str]:
    """Return node ids that a run has noted; none where it does not say."""
    return set(run.fact(fact) or ())


def named(tests: Sequence[str], limit: int = 3) -> str:
    """Return tests in words: the first of them and how many more."""
    more = f" and {len(tests) - limit} more" if len(tests) > limit else ""
    return ", ".join(tests[:limit]) + more


nearest = partial(did_you_mean, cutoff=0.8)
"""Of rules and waivers, whose names are rarely nearly right by chance."""
