"""`--invariance-plan` on real folders: tokens are counted without weights, and nothing looks like an error."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.model.tiny_configs import TREE

SUITE = """
    from pytest_llminvariance import Question, assert_order_symmetric

    QUESTIONS = [Question(f"Which is {n}?", ["elm", "oak", "ash"]) for n in range(3)]

    def test_label(invariance_model):
        assert_order_symmetric(invariance_model, QUESTIONS)

    def test_text(invariance_model):
        assert_order_symmetric(invariance_model, QUESTIONS, readout="text")
"""


def planned(pytester: pytest.Pytester, spec: str) -> str:
    pytester.makepyfile(SUITE)
    result = pytester.runpytest_subprocess(f"--invariance-model={spec}", "--invariance-plan", "-p", "no:xdist")
    result.assert_outcomes(skipped=2)
    result.stdout.no_fnmatch_line("*ERROR*")
    result.stdout.no_fnmatch_line("*fingerprint*")
    result.stdout.fnmatch_lines(
        [
            "model *device meta*",
            "option order * 3 * 18 *.*  yes *",
            "at most, 2 checks *",
            "minutes are a guess: about * tokens/s on this machine*",
        ]
    )
    return str(result.stdout)


def test_a_folder(pytester: pytest.Pytester, tiny_folder: Callable[[Any], Path]) -> None:
    planned(pytester, str(tiny_folder(TREE["llama"]())))


@pytest.mark.real_model
def test_the_demo(pytester: pytest.Pytester) -> None:
    planned(pytester, "demo")
