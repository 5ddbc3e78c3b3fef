"""`--invariance-plan` on real folders: tokens are counted without weights, and nothing looks like an error."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, NoReturn

import pytest

from pytest_llminvariance import Question, check, load_model
from pytest_llminvariance.checks.run import run, surrounded
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


class Planned(Exception):  # noqa: N818 - not an error
    """What a check would cost."""


def stop(plan: dict[str, Any]) -> NoReturn:
    raise Planned(plan)


@pytest.mark.parametrize("limit", [None, 0.05])
@pytest.mark.parametrize("n_words", [5, 20, 60])
def test_a_plan_is_what_is_sent_at_most(n_words: int, limit: float | None, tiny_folder: Callable[[Any], Path]) -> None:
    """Whatever the verdict: with all foreign stems asked, which a baseline asks for, and the prompts asked again at the end."""
    config = TREE["llama"]()
    config.max_position_embeddings = 20_000
    folder = str(tiny_folder(config))
    words = ["old", "new", "quiet", "busy", "narrow", "wide", "cold", "warm", "early", "late"]
    stems = [" ".join(words[(n * 7 + k * k) % 10] for k in range(n_words)) + f" {n}?" for n in range(5)]
    questions = [Question(stem, ["elm", "oak", "ash"]) for stem in stems]
    for batch_tokens in (200, 100_000):
        model = load_model(folder, batch_tokens=batch_tokens)
        counting = load_model(folder, weights=False, batch_tokens=batch_tokens)
        for baseline in (None, Path("baseline")):
            with run(risk_limit=limit) as made:
                with pytest.raises(Planned) as caught, surrounded(made._replace(on_plan=stop)):
                    check("option_order", counting, questions, tolerance=0.3)
                before = model.usage.sent_tokens  # type: ignore[attr-defined]
                with surrounded(made._replace(baseline=baseline, memory=None)):
                    check("option_order", model, questions, tolerance=0.3)
                sent = model.usage.sent_tokens - before  # type: ignore[attr-defined]
            most = caught.value.args[0]["sent_tokens"]
            assert sent <= most, (batch_tokens, baseline, model.describe_path())  # type: ignore[attr-defined]
            assert most < 4 * sent or limit is not None


@pytest.mark.real_model
def test_the_demo(pytester: pytest.Pytester) -> None:
    planned(pytester, "demo")
