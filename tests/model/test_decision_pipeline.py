"""Decision pipelines of transformers: the same answers by the pipeline and by the tree, and what is refused."""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import transformers as hf

from pytest_llminvariance import (
    DecisionQuestion,
    ModelError,
    Presentation,
    UsageError,
    Verdict,
    check,
    load_model,
    symmetrized,
    wrap_model,
)
from pytest_llminvariance.models.local.decisions import DecisionPipelineModel
from pytest_llminvariance.models.local.transformers import TransformersModel
from pytest_llminvariance.models.protocol import DecisionRequest, LabelReply, Model
from pytest_llminvariance.transforms.showing import Reorder
from tests.served.decision_suite import ANIMALS, MIXED

CHAT = "{% for m in messages %}{{ m['content'] }}{% endfor %}{% if add_generation_prompt %}\nSay: {% endif %}"
RECORDED = json.loads(
    (Path(__file__).parents[1] / "served" / "recorded" / "systemone.json").read_text(encoding="utf-8")
)


@pytest.fixture
def folder(tiny_folder: Callable[[Any], Path]) -> Path:
    made = tiny_folder(
        hf.LlamaConfig(
            vocab_size=300, hidden_size=32, intermediate_size=48, num_hidden_layers=2, num_attention_heads=2,
            num_key_value_heads=2, max_position_embeddings=1024, bos_token_id=None, eos_token_id=None,
        )
    )  # fmt: skip
    (made / "chat_template.jinja").write_text(CHAT)
    return made


def requests() -> list[DecisionRequest]:
    shown = [order for one in ANIMALS for order in Reorder().orbit(one)]
    return [DecisionRequest(one) for one in (*shown, *map(Presentation, MIXED))]


def logs(model: Model, asked: list[DecisionRequest]) -> list[float]:
    replies = model.answer(asked)
    assert all(isinstance(reply, LabelReply) for reply in replies)
    return [value for reply in replies if isinstance(reply, LabelReply) for value in reply.logprobs_nats]


def test_the_tree_gives_what_the_pipeline_gives(folder: Path) -> None:
    with pytest.raises(
        ModelError, match=r"question 'refund': .*The labels .*Yes.* are not distinct single tokens .*under labels"
    ):
        load_model(f"decision:{folder}").answer([DecisionRequest(Presentation(MIXED[2]))])
    (folder / "decision.json").write_text(json.dumps({"labels": {"noul": ["Y", "N"]}}))
    model = load_model(f"decision:{folder}")
    assert isinstance(model, DecisionPipelineModel)
    asked = requests()
    fast, slow = logs(model, asked), logs(model.plain, asked)
    assert max(abs(a - b) for a, b in zip(fast, slow, strict=True)) < 1e-4
    assert "the pipeline's prompts by prefix tree" in model.describe_path()
    assert len({reply.sent_sha256 for reply in model.answer(asked)}) == len(asked)
    pipe = hf.pipeline("decision", model=str(folder))
    told = pipe({"state": ANIMALS[0].context, "questions": {"q": {"type": "choice", "instructions": ANIMALS[0].stem,
                 "criteria": dict.fromkeys(ANIMALS[0].options)}}})["q"]["probabilities"]  # fmt: skip
    assert [math.exp(value) for value in fast[:3]] == pytest.approx(
        [told[name] for name in ANIMALS[0].options], abs=1e-5
    )
    wrapped = wrap_model(pipe, name="mine")
    assert logs(wrapped, asked) == pytest.approx(fast, abs=1e-5)
    assert wrap_model(pipe, name="mine") is wrapped
    model.release()
    with pytest.raises(ModelError, match="was released"):
        model.answer(asked[:1])


def test_temperature_and_labels_of_the_folder_are_heeded(folder: Path) -> None:
    plain = logs(load_model(f"decision:{folder}"), requests()[:2])
    (folder / "decision.json").write_text(json.dumps({"temperature": {"choice": 4.0}, "sort_choices": True}))
    warm = load_model(f"decision:{folder}")
    got = logs(warm, requests()[:2])
    assert got == pytest.approx(logs(warm.plain, requests()[:2]), abs=1e-4)  # type: ignore[attr-defined]
    assert max(got) - min(got) < max(plain) - min(plain)
    assert "decision.json says sort_choices, which this transformers does not know" in warm.describe_path()  # type: ignore[attr-defined]


def test_what_would_answer_the_opposite_is_refused(folder: Path) -> None:
    (folder / "decision.json").write_text(json.dumps({"noul_options": ["false", "true"]}))
    model = load_model(f"decision:{folder}")
    assert logs(model, requests()[:1])
    with pytest.raises(ModelError, match="'Yes' would be read as false"):
        model.answer([DecisionRequest(Presentation(MIXED[2]))])


def test_too_long_and_too_many_are_refused(folder: Path) -> None:
    model = load_model(f"decision:{folder}")
    long = DecisionQuestion("Which?", ("a", "b"), context="word " * 1000, id="long")
    with pytest.raises(ModelError, match=r"question 'long' needs .* tokens, but the model's context is 1,024"):
        model.answer([DecisionRequest(Presentation(long))])
    with pytest.raises(UsageError, match="dtype='float16', but the pipeline"):
        wrap_model(hf.pipeline("decision", model=str(folder)), dtype="float16")


def test_a_sort_inside_of_the_template_is_no_pass(folder: Path) -> None:
    """A template that sorts its options makes every order one prompt: nothing is shown of the model."""
    sorts = (
        "{{ state }} {{ question.instructions }}{% for o in question.options|sort %} {{ o }}{% endfor %} "
        "{{ question.labels|join(' ') }}:<|mark|>"
    )
    (folder / "decision_template.jinja").write_text(sorts)
    finding = check("option_order", load_model(f"decision:{folder}"), ANIMALS, tolerance=0.05)
    assert finding.verdict is Verdict.UNDECIDED
    assert any("reach" in reason or "same" in reason for reason in finding.reasons), finding.reasons


@pytest.mark.real_model
def test_the_demo_prefers_the_first_choice_in_process_and_served(demo_model: TransformersModel) -> None:
    """The recorded answers are those of `transformers serve` on the same weights; see tests/served/test_decisions.py."""
    pipe = hf.pipelines.DecisionPipeline(model=demo_model._live(), tokenizer=demo_model._tokenizer)
    model = wrap_model(pipe)
    finding = check("option_order", model, ANIMALS, tolerance=0.05)
    assert finding.verdict is Verdict.BROKEN
    assert finding.example is not None
    assert (finding.example.question, finding.example.change) == ("animal0", "swap A and B")
    assert (finding.example.before.answer, finding.example.after.answer) == ("cat", "dog")
    for row in RECORDED["rows"]:
        (name, asked), *more = row["request"]["questions"].items()
        if more or asked["type"] != "choice" or not name.startswith("animal"):
            continue
        told = row["response"]["answers"][name]["probabilities"]
        question = DecisionQuestion(
            asked["instructions"], asked["criteria"], id=name, context=row["request"]["state"] or None
        )
        got = logs(model, [DecisionRequest(Presentation(question))])
        assert [math.exp(value) for value in got] == pytest.approx(list(told.values()), abs=1e-3)
    safe = check("option_order", symmetrized(model, "cyclic"), ANIMALS, tolerance=0.05, orders="cyclic")
    assert safe.verdict is Verdict.HOLDS, safe.reasons
