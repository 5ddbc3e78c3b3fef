"""The test to copy: a question and two presentations as Python, which fails by itself."""

from __future__ import annotations

import ast
from collections.abc import Iterator

from pytest_llminvariance.checks.verdict import Example

MAX_CHARACTERS = 8_000
"""What is longer is not printed: a terminal is no place for a book."""
INDENT = 11


def pasted_test(example: Example, readout: str) -> str:
    """Return a test file for two presentations; empty where these alone do not show the failure again."""
    if not example.source:
        return ""
    body = [
        f"question = {example.source}",
        f"a = {example.before.source}",
        f"b = {example.after.source}",
        f"assert_same_answer(invariance_model, a, b, readout={readout!r})",
    ]
    called = [node.func for node in ast.walk(ast.parse("\n".join(body))) if isinstance(node, ast.Call)]
    names = sorted({func.id for func in called if isinstance(func, ast.Name)})
    head = [f"from pytest_llminvariance import {', '.join(names)}", "", "def test_counterexample(invariance_model):"]
    return "\n".join([*head, *(f"    {line}" for line in body)]) + "\n"


def paste_lines(example: Example, readout: str) -> Iterator[str]:
    """Yield the lines of a message that hold the test; what stands before it is blank on all but the first."""
    text = pasted_test(example, readout)
    if len(text) > MAX_CHARACTERS:
        yield f"  paste:   {len(text):,} characters of source, so not printed: pasted_test(example, {readout!r}) gives it"
        return
    for number, line in enumerate(text.splitlines()):
        yield f"{'  paste:' if number == 0 else '':<{INDENT}}{line}".rstrip()
