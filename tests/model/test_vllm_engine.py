"""Models in vLLM, in this process, on an imitation of it: numbers, order of prompts, settings, refusals, and the engine's end.

`tests/served/real_server.py` does the same with the real one.
"""

from __future__ import annotations

import gc
import importlib.util
import itertools
import sys
import weakref
from pathlib import Path
from typing import Any

import pytest
import transformers as hf

from pytest_llminvariance import (
    MissingExtraError,
    ModelError,
    Presentation,
    Question,
    UsageError,
    assert_backends_agree,
    check,
    load_model,
    wrap_model,
)
from pytest_llminvariance.models.local.vllm_engine import EngineModel
from pytest_llminvariance.models.protocol import (
    Draw,
    LabelReply,
    LabelRequest,
    OptionReply,
    OptionRequest,
    Request,
    TextReply,
    TextRequest,
    is_deterministic,
)
from pytest_llminvariance.models.wrapping import as_model
from tests.model import imitated_vllm
from tests.model.imitated_vllm import LLM
from tests.model.late_sources import flip
from tests.models.tiny_models import save_llama

QUESTION = Question("Which colour is it?", ["red", "green blue", "green red", "blue"], answer="red", id="q")
ORDERS = [Presentation(QUESTION, order=order) for order in itertools.permutations(range(4))]
REQUESTS: list[Request] = [
    *map(LabelRequest, ORDERS),
    *map(OptionRequest, ORDERS[:6]),
    *(TextRequest(shown, max_new_tokens=3) for shown in ORDERS[:3]),
]


@pytest.fixture
def vllm(monkeypatch: pytest.MonkeyPatch) -> list[LLM]:
    monkeypatch.setitem(sys.modules, "vllm", imitated_vllm.imitation())
    monkeypatch.setattr(LLM, "made", [])
    return LLM.made


@pytest.fixture
def folder(tmp_path: Path) -> str:
    return save_llama(tmp_path)


def engine(folder: str, **settings: Any) -> EngineModel:
    made = load_model(f"vllm:{folder}", **settings)
    assert isinstance(made, EngineModel)
    return made


# --- the same numbers as in this process


@pytest.mark.parametrize("held", [False, True], ids=["started", "held"])
def test_numbers_and_texts_are_those_of_the_folder(held: bool, vllm: list[LLM], folder: str) -> None:
    local = load_model(folder)
    model = as_model(LLM(folder)) if held else engine(folder)
    for ours, theirs in zip(local.answer(REQUESTS), model.answer(REQUESTS), strict=True):
        assert type(ours) is type(theirs)
        assert ours.sent_sha256 == theirs.sent_sha256
        if isinstance(ours, TextReply) and isinstance(theirs, TextReply):
            assert (ours.text, ours.ran_out) == (theirs.text, theirs.ran_out)
        elif isinstance(ours, LabelReply | OptionReply) and isinstance(theirs, LabelReply | OptionReply):
            assert theirs.logprobs_nats == pytest.approx(ours.logprobs_nats, abs=1e-4)
            assert getattr(ours, "option_tokens", None) == getattr(theirs, "option_tokens", None)
    assert_backends_agree(local, model, [QUESTION])


def test_with_a_chat_template_too(vllm: list[LLM], tmp_path: Path) -> None:
    template = "{% for m in messages %}{{ m['content'] }}{% endfor %}{% if shout %} ! ! {% endif %} Answer :"
    folder = save_llama(tmp_path, chat_template=template)
    requests: list[Request] = [LabelRequest(ORDERS[0]), OptionRequest(ORDERS[1])]
    for settings in ({}, {"chat_arg": {"shout": True}}, {"prompt_format": "plain"}):
        local, model = load_model(folder, **settings), engine(folder, **settings)
        for ours, theirs in zip(local.answer(requests), model.answer(requests), strict=True):
            assert isinstance(ours, LabelReply | OptionReply)
            assert isinstance(theirs, LabelReply | OptionReply)
            assert ours.sent_sha256 == theirs.sent_sha256
            assert theirs.logprobs_nats == pytest.approx(ours.logprobs_nats, abs=1e-4)
        assert model.rendered(requests[0]) == local.rendered(requests[0])  # type: ignore[attr-defined]


def test_verdicts_agree(vllm: list[LLM], folder: str) -> None:
    one, other = (
        check("option_order", model, [QUESTION], tolerance=0.05) for model in (load_model(folder), engine(folder))
    )
    assert (one.verdict, one.effect) == (other.verdict, other.effect)


def test_samples_differ_by_draw_and_repeat(vllm: list[LLM], folder: str) -> None:
    model = engine(folder)
    asked = [TextRequest(ORDERS[0], 8, Draw(seed=1, index=index, temperature=0.7)) for index in (0, 1, 0)]
    first, second, again = model.answer(asked)
    assert isinstance(first, TextReply)
    assert isinstance(second, TextReply)
    assert first == again
    assert first.text != second.text
    assert {params.temperature for params in vllm[0].params} == {0.7}
    assert len({params.seed for params in vllm[0].params}) == 2


# --- how it is asked


def test_only_the_wanted_tokens_are_asked_for_each_node_once_and_neighbours_follow(
    vllm: list[LLM], folder: str
) -> None:
    model = engine(folder)
    model.answer([OptionRequest(ORDERS[0])])
    (prompts,), params = vllm[0].asked, vllm[0].params
    trunk = min(prompts, key=len)
    assert len(prompts) == 2 == len(set(prompts)), "the beginning, and `green` that two options share"
    assert [len(part.logprob_token_ids or ()) for part in params] == [3, 2]
    assert all(prompt[: len(trunk)] == trunk for prompt in prompts)
    assert {(part.max_tokens, part.temperature, part.detokenize) for part in params} == {(1, 0.0, False)}


def test_prompts_come_in_tree_order_orbit_by_orbit(vllm: list[LLM], folder: str) -> None:
    other = Question("Which colour is it with E?", ["red", "green", "blue"], id="other", context="red blue " * 10)
    shown = [
        one
        for pair in zip(ORDERS, [Presentation(other, order=o) for o in itertools.permutations(range(3))], strict=False)
        for one in pair
    ]
    model = engine(folder)
    model.answer([LabelRequest(one) for one in shown])
    (prompts,) = vllm[0].asked
    assert len(prompts) == 12
    assert prompts == [*sorted(prompts[:6]), *sorted(prompts[6:])]
    assert model.usage.sent_tokens < 0.8 * model.usage.asked_tokens
    assert "prefix cache had " in model.describe_path()


def test_more_tokens_than_vllm_takes_at_once_are_asked_in_parts(
    vllm: list[LLM], folder: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = engine(folder).answer([LabelRequest(ORDERS[0])])
    monkeypatch.setattr("pytest_llminvariance.models.local.vllm_engine.MAX_IDS", 3)
    monkeypatch.setattr(imitated_vllm, "MAX_IDS", 3)
    assert engine(folder).answer([LabelRequest(ORDERS[0])]) == whole
    assert len(vllm[1].params) > len(vllm[0].params)


def test_calm_and_plain_ask_one_at_a_time(vllm: list[LLM], folder: str) -> None:
    model = engine(folder)
    requests = [LabelRequest(shown) for shown in ORDERS[:4]]
    together, alone = model.answer(requests), model.plain.answer(requests)
    assert together == alone
    assert [len(call) for call in vllm[0].asked] == [4, 1, 1, 1, 1]
    assert model.calm()
    assert not model.calm()
    model.answer(requests)
    assert len(vllm[0].asked) == 9
    assert model.deterministic == "rounding"
    assert not is_deterministic(model)


# --- the engine: one, told what the settings say, ended


def test_settings_and_arguments_reach_the_engine(vllm: list[LLM], folder: str) -> None:
    model = engine(
        folder, dtype="float32", engine_arg={"max_model_len": 64, "enforce_eager": True}, trust_remote_code=True
    )
    told = vllm[0].arguments
    assert (told.max_model_len, told.enforce_eager, told.dtype, told.trust_remote_code) == (64, True, "float32", True)
    assert told.enable_prefix_caching
    assert engine(folder, engine_arg={"enable_prefix_caching": False}).usage.asked_tokens == 0
    assert vllm[1].arguments.enable_prefix_caching is False
    assert model.fingerprint != engine(folder, dtype="float32").fingerprint
    assert engine(folder).fingerprint == engine(folder).fingerprint


def test_with_a_place_to_keep_it_weights_are_hashed_once(
    vllm: list[LLM], folder: str, settled: None, hashed: list[str], tmp_path_factory: pytest.TempPathFactory
) -> None:
    kept = str(tmp_path_factory.mktemp("kept"))
    first = engine(folder, kept=kept).fingerprint
    assert "model.safetensors" in hashed
    hashed.clear()
    assert engine(folder, kept=kept).fingerprint == first
    assert hashed == []
    assert engine(folder).fingerprint == first
    hashed.clear()
    flip(Path(folder) / "model.safetensors")
    assert engine(folder, kept=kept).fingerprint != first
    assert hashed == ["model.safetensors"]


def test_the_fingerprint_follows_the_weights_and_not_the_place(vllm: list[LLM], tmp_path: Path) -> None:
    one, other = tmp_path / "one", tmp_path / "other"
    places = [save_llama(one), save_llama(other)]
    assert engine(places[0]).fingerprint == engine(places[1]).fingerprint
    weights = other / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:-4] + b"\0\0\0\1")
    assert engine(places[0]).fingerprint != engine(places[1]).fingerprint


def test_an_engine_of_ours_ends_and_one_of_the_users_stays(vllm: list[LLM], folder: str) -> None:
    model = engine(folder)
    started = weakref.ref(vllm.pop())
    core = started().llm_engine.engine_core  # type: ignore[union-attr]
    model.release()
    assert not core.is_running
    assert started() is None
    model.release()
    with pytest.raises(ModelError, match=r"was released and cannot be asked any more"):
        model.answer(REQUESTS[:1])
    assert len(model.fingerprint) == 64
    theirs = LLM(folder)
    vllm.clear()
    held = as_model(theirs)
    assert as_model(theirs) is held
    held.release()  # type: ignore[attr-defined]
    assert theirs.llm_engine.engine_core.is_running
    seen = weakref.ref(theirs)
    del theirs, held
    gc.collect()
    assert seen() is None


def test_a_session_starts_one_engine_and_ends_it(vllm: list[LLM], folder: str, pytester: pytest.Pytester) -> None:
    pytester.makepyfile(
        f"""
        import pytest
        from pytest_llminvariance import Question
        Q = [Question("Which colour is it?", ["red", "green", "blue"])]

        @pytest.mark.parametrize("n", [1, 2])
        def test_it(invariance, n):
            assert invariance.model.name == {folder + " in vLLM"!r}
            invariance.check("option_order", Q, tolerance=0.5)
        """
    )
    flags = [
        f"--invariance-model=vllm:{folder}",
        "--invariance-engine-arg=max_model_len=100",
        "--invariance-engine-arg=enforce_eager=true",
    ]
    result = pytester.runpytest_inprocess(*flags)
    result.assert_outcomes(passed=2)
    (only,) = vllm
    assert (only.arguments.max_model_len, only.arguments.enforce_eager) == (100, True)
    assert not only.llm_engine.engine_core.is_running
    result.stdout.fnmatch_lines(["*vLLM 0.32.0 in this process; prompts as tokens*prefix cache had*"])


def test_an_engine_from_a_fixture_of_the_users(vllm: list[LLM], folder: str, pytester: pytest.Pytester) -> None:
    pytester.makeconftest(
        f"""
        import pytest
        @pytest.fixture(scope="session")
        def invariance_model():
            import vllm
            return vllm.LLM({folder!r})
        """
    )
    pytester.makepyfile(
        """
        from pytest_llminvariance import Question
        def test_it(invariance):
            invariance.check("option_order", Question("Which colour is it?", ["red", "green", "blue"]), tolerance=0.5)
        """
    )
    pytester.runpytest_inprocess().assert_outcomes(passed=1)
    assert vllm[0].asked
    assert vllm[0].llm_engine.engine_core.is_running


def test_a_plan_counts_tokens_and_starts_no_engine(vllm: list[LLM], folder: str) -> None:
    model = load_model(f"vllm:{folder}", weights=False)
    assert model.planned_tokens(REQUESTS) == load_model(folder, weights=False).planned_tokens(REQUESTS)  # type: ignore[attr-defined]
    assert not vllm


# --- what is refused


def test_without_vllm_the_extra_is_named(folder: str, monkeypatch: pytest.MonkeyPatch) -> None:
    assert "vllm" not in sys.modules, "nothing else may import it"
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(MissingExtraError, match=r"in vLLM needs the package 'vllm'.*pytest-llminvariance\[vllm\]"):
        load_model(f"vllm:{folder}")


@pytest.mark.parametrize(
    ("settings", "says"),
    [
        ({"engine_arg": {"tensor_paralel_size": 4}}, r"vLLM 0\.32\.0 has no engine argument 'tensor_paralel_size'\. Did you mean 'tensor_parallel_size'\?"),
        ({"engine_arg": {"kwargs": 1}}, r"has no engine argument 'kwargs'\. vLLM's documentation of EngineArgs"),
        ({"engine_arg": {"self": 1}}, r"has no engine argument 'self'"),
        ({"engine_arg": {"dtype": "float16"}}, r"the engine argument 'dtype' is said by --invariance-dtype"),
        ({"engine_arg": {"model": "x"}}, r"'model' is said by the model spec"),
        ({"engine_arg": ["x"]}, r"engine_arg is \['x'\], but must map names to values, such as {'tensor_parallel_size': 4}"),
        ({"device": "cpu"}, r"device is 'cpu', which does not reach a model in vLLM: .*CUDA_VISIBLE_DEVICES"),
        ({"device_map": "auto"}, r"device_map is 'auto'.*tensor_parallel_size=N"),
        ({"batch_tokens": 64}, r"batch_tokens is 64.*max_num_batched_tokens=N"),
        ({"packed": False}, r"packed is False.*enable_prefix_caching=false"),
        ({"deterministic": True}, r"deterministic is True.*VLLM_BATCH_INVARIANT"),
        ({"worker": (0, 2)}, r"a session has one engine, but pytest-xdist.*without -n"),
        ({"prompt_format": "chat"}, r"has no chat template"),
    ],
)  # fmt: skip
def test_what_does_not_reach_an_engine_is_refused(
    settings: dict[str, Any], says: str, vllm: list[LLM], folder: str
) -> None:
    with pytest.raises(UsageError, match=says):
        load_model(f"vllm:{folder}", **settings)
    assert all(not one.llm_engine.engine_core.is_running for one in vllm)


@pytest.mark.parametrize(
    ("settings", "says"),
    [
        ({"engine_arg": {"tensor_parallel_size": 4}}, r"vLLM cannot start the model '.*': World size \(4\) is larger"),
        ({"engine_arg": {"logprobs_mode": "raw_logits"}}, r"logprobs_mode='raw_logits', but answers are read from 'raw_logprobs'"),
        ({"engine_arg": {"skip_tokenizer_init": True}}, r"without its tokenizer \(skip_tokenizer_init\)"),
        ({"engine_arg": {"runner": "pooling"}}, r"writes no text \(vLLM runs it as 'pooling'\)"),
    ],
)  # fmt: skip
def test_an_engine_that_does_not_start_or_gives_no_log_probabilities(
    settings: dict[str, Any], says: str, vllm: list[LLM], folder: str
) -> None:
    with pytest.raises(ModelError, match=says):
        load_model(f"vllm:{folder}", **settings)
    assert all(not one.llm_engine.engine_core.is_running for one in vllm)


def test_no_folder_and_an_old_version(vllm: list[LLM], folder: str, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(ModelError, match=r"there is no folder \./nowhere"):
        load_model("vllm:./nowhere")
    monkeypatch.setattr(sys.modules["vllm"], "SamplingParams", lambda temperature=1.0, max_tokens=16: None)
    with pytest.raises(ModelError, match=r"does not tell the log-probabilities of chosen tokens; that came with 0\.22"):
        load_model(f"vllm:{folder}")


def test_engine_arguments_of_another_model(vllm: list[LLM], folder: str) -> None:
    for spec in (folder, "demo", "control:oracle"):
        with pytest.raises(UsageError, match=r"engine_arg={'max_model_len': 64} goes with vllm:MODEL, not with"):
            load_model(spec, engine_arg={"max_model_len": 64})


def test_a_prompt_that_does_not_fit_names_the_question_and_the_context(vllm: list[LLM], folder: str) -> None:
    model = engine(folder, engine_arg={"max_model_len": 16})
    with pytest.raises(ModelError, match=r"question 'q' needs \d+ tokens, but the model's context is 15\. Shorten"):
        model.answer([LabelRequest(ORDERS[0])])
    n = len(engine(folder)._jobs.asked([LabelRequest(ORDERS[0])])[0].tokens)
    engine(folder, engine_arg={"max_model_len": n + 1}).answer([LabelRequest(ORDERS[0])])
    with pytest.raises(ModelError, match=r"Shorten"):
        engine(folder, engine_arg={"max_model_len": n}).answer([LabelRequest(ORDERS[0])])


def test_an_engine_that_dies_and_one_that_leaves_a_token_out(
    vllm: list[LLM], folder: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    model = engine(folder)
    vllm[0].llm_engine.engine_core.shutdown()
    with pytest.raises(ModelError, match=r"vLLM did not answer: Engine core proc died unexpectedly"):
        model.answer(REQUESTS[:1])
    model = engine(folder)
    whole = LLM._written

    def short(self: LLM, *given: Any) -> Any:
        tokens, rows = whole(self, *given)
        return tokens, [dict(list(row.items())[:2]) for row in rows]

    monkeypatch.setattr(LLM, "_written", short)
    with pytest.raises(
        ModelError,
        match=r"vLLM gave no log-probability for \d of 4 tokens that were asked for, such as \d+\. Install a newer one",
    ):
        model.answer(REQUESTS[:1])


def test_what_people_may_hold_of_vllm_besides(vllm: list[LLM], folder: str) -> None:
    llm = LLM(folder)
    async_engine = type("AsyncLLM", (), {"__module__": "vllm.v1.engine.async_llm"})()
    with pytest.raises(UsageError, match=r"^model is a AsyncLLM of vLLM, which is not taken\.\nGive a vllm\.LLM$"):
        as_model(async_engine)
    with pytest.raises(UsageError, match=r"^model is the class LLM, which is not called yet"):
        as_model(LLM)
    with pytest.raises(UsageError, match=r"which has its tokenizer\.\nGive it alone"):
        as_model((llm, hf.AutoTokenizer.from_pretrained(folder)))
    with pytest.raises(UsageError, match=r"dtype='bfloat16', but the model .* is float32, and is left as it is"):
        wrap_model(llm, dtype="bfloat16")
    with pytest.raises(UsageError, match=r"batch_tokens is given for .* in vLLM, which it does not reach"):
        wrap_model(llm, batch_tokens=64)
    assert wrap_model(llm, name="mine", max_new_tokens=2).name == "mine"
