"""The test to copy: a question and two presentations as Python, which fails by itself."""

from __future__ import annotations

import ast

from pytest_llminvariance.checks.verdict import Example


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
