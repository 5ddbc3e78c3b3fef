"""A model of the user's own in a fixture: whatever people hold, at any scope, with the session's settings."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from tests.models.tiny_models import save_llama

EXAMPLE = Path(__file__).parents[2] / "examples" / "test_own_model.py"

BANK = 'BANK = [Question(f"stem {n}?", [f"{c}{n}" for c in "abc"], id=f"q{n}", answer=n % 3) for n in range(12)]\n'
KNOWN = (
    """
import pytest
from pytest_llminvariance import Question

"""
    + BANK
)

SUITE = """
from conftest import BANK
from pytest_llminvariance import assert_order_symmetric, check, find_counterexample, noise_floor, symmetrized

def test_assertion(invariance_model):
    assert assert_order_symmetric(invariance_model, BANK).verdict == "HOLDS"

def test_fixture(invariance):
    assert invariance.assert_order_symmetric(BANK).verdict == "HOLDS"

def test_check_search_and_average(invariance_model):
    assert check("option_order", invariance_model, BANK, tolerance=0.05).verdict == "HOLDS"
    assert find_counterexample(invariance_model, BANK[0]).presentation is None
    assert check("option_order", symmetrized(invariance_model), BANK, tolerance=0.05).verdict != "BROKEN"
"""
ANSWERING = """
ASKED = []

def answering(messages, options):
    ASKED.append(options)
    asked = messages[-1]["content"].partition("\\n")[0]
    number = asked.partition("stem ")[2].partition("?")[0]
    named = [option for option in options if option in asked]  # an instruction names the option to choose
    letter = "abc"[int(number) % 3] if number else (named or options)[0][0]
    return {option: 0.8 if option[0] == letter else 0.1 for option in options}
"""


@pytest.mark.parametrize("scope", ["session", "package", "module", "class", "function"])
def test_a_fixture_of_any_scope_may_return_a_function(scope: str, pytester: pytest.Pytester) -> None:
    fixture = f"@pytest.fixture(scope={scope!r})\ndef invariance_model():\n    return answering\n"
    pytester.makeconftest(KNOWN + ANSWERING + fixture)
    pytester.makepyfile(test_own=SUITE)
    result = pytester.runpytest()
    result.assert_outcomes(passed=3, warnings=0)
    result.stdout.fnmatch_lines(["model answering, fingerprint *"])


def test_a_parametrised_fixture_is_checked_for_each_of_its_models(pytester: pytest.Pytester) -> None:
    pytester.makeconftest(
        KNOWN
        + ANSWERING
        + """
def first(messages, options):
    return {option: 0.7 if place == 0 else 0.1 for place, option in enumerate(options)}

@pytest.fixture(scope="module", params=[answering, first], ids=["good", "first"])
def invariance_model(request):
    return request.param
"""
    )
    pytester.makepyfile(
        test_own="""
from conftest import BANK

def test_order(invariance):
    invariance.assert_order_symmetric(BANK)
"""
    )
    result = pytester.runpytest()
    result.assert_outcomes(passed=1, failed=1)
    result.stdout.fnmatch_lines(["model answering, *", "model first, *", "HOLDS *test_order?good?*"])


def test_what_was_asked_is_remembered_across_tests_and_never_between_two_functions(pytester: pytest.Pytester) -> None:
    pytester.makeconftest(
        KNOWN
        + ANSWERING
        + """
@pytest.fixture
def invariance_model():
    return answering

@pytest.fixture(scope="session")
def other():
    return lambda messages, options: answering(messages, options)
"""
    )
    pytester.makepyfile(
        test_own="""
from conftest import ASKED, BANK
from pytest_llminvariance import assert_order_symmetric

def test_one(invariance_model):
    assert_order_symmetric(invariance_model, BANK)

def test_two(invariance):
    asked = len(ASKED)
    invariance.assert_order_symmetric(BANK)
    assert len(ASKED) == asked

def test_three(invariance_model, other):
    asked = len(ASKED)
    assert_order_symmetric(other, BANK)
    assert len(ASKED) > asked
"""
    )
    pytester.runpytest().assert_outcomes(passed=3)


TINY = """
import gc
import sys
import weakref
from pathlib import Path
import pytest
import torch
from transformers import AutoModelForCausalLM, AutoTokenizer
from pytest_llminvariance import Question
from tests.models.tiny_models import save_llama

BANK = [Question(f"Which colour is it {n}?", ["red", "blue", "green"], answer=n % 3) for n in range(12)]
ALIVE = weakref.WeakSet()

def load(scale):
    network = AutoModelForCausalLM.from_pretrained(save_llama(Path("tiny")))
    with torch.no_grad():
        network.lm_head.weight *= scale
    ALIVE.add(network)
    return network, AutoTokenizer.from_pretrained("tiny")
"""


def test_memory_comes_back_before_the_next_model_is_loaded(
    pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PYTHONPATH", str(EXAMPLE.parents[1]))
    pytester.makeconftest(
        TINY
        + """
@pytest.fixture(scope="session", params=[1.0, 2.0])
def invariance_model(request):
    assert len(ALIVE) == 0, "the model before"
    gc.disable()
    return load(request.param)

def pytest_unconfigure():
    gc.enable()
    print("ALIVE", len(ALIVE))
"""
    )
    pytester.makepyfile(
        test_own="""
import pytest
from conftest import BANK
from pytest_llminvariance import assert_order_symmetric, check

def test_check(invariance_model):
    check("option_order", invariance_model, BANK, tolerance=0.05, readout="label")
    check("option_order", invariance_model, BANK[:1], tolerance=0.05, readout="text")

def test_that_fails(invariance_model, invariance):
    assert_order_symmetric(invariance_model, BANK, tolerance=0.01)
"""
    )
    # that plugin keeps the traceback of a failed test, and with it the arguments, until the session ends
    result = pytester.runpytest_subprocess("-s", "-p", "no:rerunfailures")
    result.assert_outcomes(passed=2, failed=2)
    result.stdout.fnmatch_lines(["*ALIVE 0"])


def test_settings_of_the_session_apply_but_the_device(pytester: pytest.Pytester) -> None:
    pytester.makeconftest(
        TINY
        + """
@pytest.fixture(scope="session")
def invariance_model():
    network, tokenizer = load(1.0)
    tokenizer.chat_template = "{% for m in messages %}{{ m.content }}{% endfor %}{{ cue }}"
    return network, tokenizer
"""
    )
    pytester.makepyfile(
        test_own="""
import pytest
from conftest import BANK
from pytest_llminvariance import UsageError, check, symmetrized, wrap_model

def test_settings(invariance_model):
    made = wrap_model(invariance_model)
    assert (made.batch_tokens, made.max_new_tokens, made._jobs.prompts.arguments["cue"]) == (77, 3, " :")
    assert made.device == "cpu"
    assert symmetrized(invariance_model).inner is made
    assert wrap_model(invariance_model, max_new_tokens=5).max_new_tokens == 5
    check("option_order", invariance_model, BANK, tolerance=0.05)
"""
    )
    told = ["--invariance-batch-tokens=77", "--invariance-max-new-tokens=3", '--invariance-chat-arg=cue=" :"']
    result = pytester.runpytest("--invariance-device=cuda:7", *told)
    result.assert_outcomes(passed=1)
    result.stdout.fnmatch_lines(["model tiny, fingerprint *, device cpu, dtype float32", "engine: *", "tokens: *"])
    result = pytester.runpytest("--invariance-dtype=bfloat16")
    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(
        ["E *UsageError: dtype='bfloat16', but the model tiny is float32, and is left as it is."]
    )


def test_what_is_not_taken_is_refused_in_two_lines(pytester: pytest.Pytester) -> None:
    pytester.makeconftest(TINY + '@pytest.fixture(scope="session")\ndef invariance_model():\n    return load(1.0)[0]\n')
    pytester.makepyfile(
        test_own="""
from conftest import BANK

def test_order(invariance):
    invariance.assert_order_symmetric(BANK)
"""
    )
    result = pytester.runpytest("--tb=short")
    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(
        [
            "E *UsageError: model is a LlamaForCausalLM without its tokenizer.",
            "E *Give both, as (model, tokenizer) or wrap_model(model, tokenizer)",
        ]
    )
    result.stdout.no_fnmatch_line("*(embed_tokens)*")


def test_a_record_names_the_model_of_a_fixture(pytester: pytest.Pytester) -> None:
    pytester.makeconftest(KNOWN + ANSWERING + "@pytest.fixture\ndef invariance_model():\n    return answering\n")
    pytester.makepyfile(test_own=SUITE)
    pytester.runpytest("--invariance-report=run", "-k", "test_fixture").assert_outcomes(passed=1)
    assert json.loads((pytester.path / "run" / "run.json").read_text())["model"] == "answering"


def test_a_factory_on_the_command_line_may_give_a_function(pytester: pytest.Pytester) -> None:
    pytester.makepyfile(mine=ANSWERING + "\ndef make():\n    return answering\n")
    pytester.makeconftest(KNOWN)
    pytester.makepyfile(test_own=SUITE)
    result = pytester.runpytest("--invariance-model=python:mine:make")
    result.assert_outcomes(passed=3)
    result.stdout.fnmatch_lines(["model answering, fingerprint *"])


def test_hypothesis_asks_it_too(pytester: pytest.Pytester) -> None:
    pytester.makeconftest(
        KNOWN + ANSWERING + '@pytest.fixture(scope="module")\ndef invariance_model():\n    return answering\n'
    )
    pytester.makepyfile(
        test_own="""
from conftest import BANK
from hypothesis import given
from pytest_llminvariance import Presentation
from pytest_llminvariance import strategies as inv

@given(order=inv.option_orders(3))
def test_search(invariance, order):
    invariance.assert_same_answer(Presentation(BANK[0]), Presentation(BANK[0], order=order))
"""
    )
    pytester.runpytest().assert_outcomes(passed=1)


def test_the_example_runs(pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OWN_MODEL", save_llama(pytester.path / "tiny"))
    shutil.copy(EXAMPLE, pytester.path)
    result = pytester.runpytest()
    result.assert_outcomes(passed=2, warnings=0)
    result.stdout.fnmatch_lines(["HOLDS *test_order_of_teams_does_not_matter_to_the_service?"])
