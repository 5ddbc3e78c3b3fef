"""The grammar of model specs, and what `load_model` makes of them."""

from __future__ import annotations

import sys
from importlib.metadata import EntryPoint
from pathlib import Path
from typing import Any

import pytest

from pytest_llminvariance import Model, Presentation, Question, UsageError, controls, load_model
from pytest_llminvariance.models import spec as spec_module
from pytest_llminvariance.models.controls import CONTROLS
from pytest_llminvariance.models.protocol import LabelReply, LabelRequest, OptionRequest, TextRequest
from pytest_llminvariance.models.spec import ModelSpec, parse_spec
from tests.questions.bad_input import write

WHO = Question("Who?", ["Ann", "Bob", "Cy"], answer="Bob", id="q1")


@pytest.mark.parametrize(
    ("text", "scheme", "target"),
    [
        ("demo", "demo", ""),
        (" demo ", "demo", ""),
        ("./demo", "hf", "./demo"),
        ("gpt2", "hf", "gpt2"),
        ("org/name", "hf", "org/name"),
        ("hf:org/name", "hf", "org/name"),
        ("hf:demo", "hf", "demo"),
        ("replay:answers.jsonl", "replay", "answers.jsonl"),
        ("replay:/a:b/answers.jsonl", "replay", "/a:b/answers.jsonl"),
        ("control:noisy=0.1", "control", "noisy=0.1"),
        ("vllm:org/name", "vllm", "org/name"),
        ("vllm:./a:b", "vllm", "./a:b"),
        ("python:pkg.mod:make", "python", "pkg.mod:make"),
        (r"C:\models\mine", "hf", r"C:\models\mine"),
        ("/models/a:b", "hf", "/models/a:b"),
        ("./a:b", "hf", "./a:b"),
    ],
)
def test_parts(text: str, scheme: str, target: str) -> None:
    assert parse_spec(text) == ModelSpec(scheme, target)


def test_a_path_is_a_folder_and_never_a_hub_id(tmp_path: Path) -> None:
    assert parse_spec(Path("demo")) == ModelSpec("hf", "./demo")
    assert parse_spec(Path("../mine")) == ModelSpec("hf", "../mine")
    assert parse_spec(tmp_path) == ModelSpec("hf", str(tmp_path))


def test_a_folder_with_a_colon_stays_whole(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "my:model").mkdir()
    monkeypatch.chdir(tmp_path)
    assert parse_spec("my:model") == ModelSpec("hf", "my:model")


@pytest.mark.parametrize("name", CONTROLS)
def test_every_control_has_a_spec_and_answers_every_kind(name: str) -> None:
    model = load_model(f"control:{name}")
    shown = Presentation(WHO)
    replies = model.answer([LabelRequest(shown), OptionRequest(shown), TextRequest(shown)])
    assert len(replies) == 3
    assert model.fingerprint == f"control:{model.name}"
    assert getattr(controls, name)().name == model.name


@pytest.mark.parametrize(
    ("text", "name"),
    [("noisy=0.1", "noisy(0.1)"), ("always_label=C", "always_label(C)"), ("position_prior=2", "position_prior(2)")],
)
def test_controls_take_a_value(text: str, name: str) -> None:
    assert load_model(f"control:{text}").name == name


def test_factory_in_the_working_directory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write(tmp_path, "my_models_for_spec.py", "from pytest_llminvariance import controls\nmake = controls.oracle\n")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", list(sys.path))
    assert load_model("python:my_models_for_spec:make").name == "oracle"
    sys.modules.pop("my_models_for_spec")


def test_factory_that_is_installed() -> None:
    assert load_model("python:pytest_llminvariance.models.controls:always_last").name == "always_last"


def test_replay_answers_what_was_recorded(tmp_path: Path) -> None:
    file = write(tmp_path, "a.jsonl", '{"question": "q1", "order": [0, 1, 2], "probabilities": [0.5, 0.25, 0]}')
    model = load_model(f"replay:{file}")
    (reply,) = model.answer([LabelRequest(Presentation(WHO))])
    assert isinstance(reply, LabelReply)
    assert reply.logprobs_nats == pytest.approx((-0.693147, -1.386294, float("-inf")), abs=1e-6)
    assert model.name == "replay:a.jsonl"
    assert set(model.capabilities) == {"label"}


def made_elsewhere(target: str, **settings: Any) -> Model:
    assert settings["dtype"] == "float32"
    return controls.always_label(target)


def test_schemes_of_third_parties(monkeypatch: pytest.MonkeyPatch) -> None:
    point = EntryPoint("mine", f"{__name__}:made_elsewhere", spec_module.ENTRY_POINT_GROUP)
    monkeypatch.setattr(EntryPoint, "load", lambda self: made_elsewhere)
    monkeypatch.setattr(spec_module, "entry_points", lambda group: [point])
    assert load_model("mine:B", dtype="float32").name == "always_label(B)"
    with pytest.raises(UsageError, match=r"unknown scheme 'other'\. Supported: .*, mine:\.\.\.$"):
        parse_spec("other:B")
