"""Folders as people have them, made on the spot: loaded right, or refused with the cause and the way out."""

from __future__ import annotations

import importlib.util
import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
import transformers as hf
from safetensors.torch import load_file, save_file

from pytest_llminvariance import ModelError, Presentation, Question, UsageError, load_model
from pytest_llminvariance.errors import MissingExtraError
from pytest_llminvariance.models.engine import ask
from pytest_llminvariance.models.local.fingerprint import _digest
from pytest_llminvariance.models.local.transformers import TransformersModel
from pytest_llminvariance.models.protocol import (
    LabelReply,
    LabelRequest,
    OptionRequest,
    TextReply,
    TextRequest,
)
from tests.model.tiny_configs import SIZE, TREE

QUESTION = Question("stem " * 40 + "?", ["red", "green", "blue"], id="q")
SHOWN = Presentation(QUESTION)
REQUESTS = [TextRequest(SHOWN.replace(order=order), max_new_tokens=6) for order in ((0, 1, 2), (2, 1, 0), (1, 0, 2))]
HAS_PEFT = importlib.util.find_spec("peft") is not None


@pytest.fixture
def folder(tiny_folder: Callable[[Any], Path]) -> Path:
    return tiny_folder(TREE["llama"]())


def load(folder: Path, **settings: Any) -> TransformersModel:
    model = load_model(folder, device="cpu", **settings)
    assert isinstance(model, TransformersModel)
    return model


def change(folder: Path, file: str, **changes: Any) -> None:
    path = folder / file
    known = json.loads(path.read_text()) if path.exists() else {}
    path.write_text(json.dumps({**known, **changes}))


def texts(model: TransformersModel) -> list[str]:
    return [reply.text for reply in model.answer(REQUESTS) if isinstance(reply, TextReply)]


@torch.inference_mode()
def last_row(network: Any, prompt: tuple[int, ...]) -> torch.Tensor:
    """Log-probabilities of the next token, by a plain call."""
    return torch.log_softmax(network(input_ids=torch.tensor([list(prompt)])).logits[0, -1].double(), -1)


def labels_by_hand(network: Any, model: TransformersModel) -> list[float]:
    """Log-probabilities of the labels: over all ways to spell each, the product of the steps."""
    asked = model._jobs.asked([LabelRequest(SHOWN)])[0]
    text, prompt = asked.text, asked.tokens
    found = []
    for paths in model._jobs.labels.spelled(text, prompt, SHOWN.labels).paths:
        ways = [sum(float(last_row(network, prompt + way[:n])[way[n]]) for n in range(len(way))) for way in paths]
        found.append(float(torch.logsumexp(torch.tensor(ways), 0)))
    return found


# what a checkpoint says of generation

SAYS: dict[str, dict[str, Any]] = {
    "repetition penalty": {"repetition_penalty": 5.0},
    "static cache": {"cache_implementation": "static"},
    "several sequences": {"num_return_sequences": 3, "num_beams": 3},
    "a dictionary back": {"return_dict_in_generate": True, "output_scores": True},
    "stop strings": {"stop_strings": ["e"]},
    "no cache": {"use_cache": False},
    "suppressed tokens": {"suppress_tokens": list(range(1, 290))},
    "sampling": {"do_sample": True, "temperature": 5.0, "top_k": 3},
    "forced tokens": {"forced_eos_token_id": 5, "min_new_tokens": 6, "bad_words_ids": [[5], [6]]},
}


@pytest.mark.parametrize("says", SAYS)
def test_nothing_that_a_checkpoint_says_of_generation_reaches_a_text(says: str, folder: Path) -> None:
    before, fingerprint = texts(load(folder)), load(folder).fingerprint
    change(folder, "generation_config.json", **SAYS[says])
    model = load(folder)
    assert texts(model) == before
    assert model.fingerprint == fingerprint


def test_use_cache_false_in_the_configuration_does_not_either(folder: Path) -> None:
    before = texts(load(folder))
    change(folder, "config.json", use_cache=False)
    model = load(folder)
    assert texts(model) == before
    assert model.usage.sent_tokens < model.usage.asked_tokens, "the beginning is still shared"


@pytest.mark.parametrize("listed", [False, True])
def test_tokens_that_end_a_text_are_kept(listed: bool, folder: Path) -> None:
    model = load(folder)
    written = model._live().generate(
        torch.tensor([list(model._jobs.asked(REQUESTS[:1])[0].tokens)]), max_new_tokens=3, do_sample=False
    )
    end = int(written[0, -1])
    change(folder, "generation_config.json", eos_token_id=[0, end] if listed else end)
    ended = load(folder)
    assert texts(ended)[0] != texts(model)[0]
    assert texts(model)[0].startswith(texts(ended)[0].removesuffix(model._tokenizer.decode([end])))
    assert ended.fingerprint != model.fingerprint


def test_a_wrong_way_to_share_beginnings_is_closed_with_its_reason(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As `use_cache: false` once did: what is remembered is sent again."""
    from pytest_llminvariance.models.local import generation, passes

    before = texts(load(folder))

    def doubled(network: Any, ids: torch.Tensor, n_rows: int) -> Any:
        return right(network, torch.cat([ids, ids[:, -1:]], dim=1), n_rows)

    right = passes.remembered
    monkeypatch.setattr(generation, "remembered", doubled)
    model = load(folder)
    assert texts(model) == before
    assert "texts without shared beginnings: generated token 1 differs by" in model.describe_path()


# identity


def test_chat_arguments_and_the_length_of_texts_are_part_of_the_fingerprint(folder: Path) -> None:
    template = "{% for m in messages %}{{ m.content }}{% endfor %}{{ date }}{{ 'x' if enable_thinking else 'y' }}"
    change(folder, "tokenizer_config.json", chat_template=template)
    (folder / "chat_template.jinja").write_text(template)
    settings: list[dict[str, Any]] = [
        {},
        {"chat_arg": {"date": "May"}},
        {"chat_arg": {"enable_thinking": True}},
        {"max_new_tokens": 3},
    ]
    made = [load(folder, **each) for each in settings]
    assert len({model.fingerprint for model in made}) == 4
    assert [model.rendered(REQUESTS[0])[-1] for model in made] == ["y", "y", "x", "y"]
    assert made[1].rendered(REQUESTS[0]).endswith("Mayy")
    short, long = texts(made[3])[0], texts(made[0])[0]
    assert long.startswith(short)
    assert len(short) < len(long)


def test_a_template_with_todays_date_is_asked_again_tomorrow(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import datetime

    from transformers.utils import chat_template_utils

    class Clock(datetime.datetime):
        day = 1

        @classmethod
        def now(cls, tz: Any = None) -> Clock:
            return cls(2026, 5, cls.day, tzinfo=tz)

    monkeypatch.setattr(chat_template_utils, "datetime", Clock)
    (folder / "chat_template.jinja").write_text(
        "{{ strftime_now('%d %b %Y') }}: {% for m in messages %}{{ m.content }}{% endfor %}"
    )
    model, memo = load(folder), {}  # type: ignore[var-annotated]
    first = ask(model, [LabelRequest(SHOWN)], memo)
    assert ask(model, [LabelRequest(SHOWN)], memo).fresh == 0
    Clock.day = 2
    again = ask(model, [LabelRequest(SHOWN)], memo)
    assert again.fresh == 1
    assert again.replies != first.replies


class Parts(torch.Tensor):  # type: ignore[misc] # torch is not followed
    """A tensor that holds others, as torchao's are: it cannot be viewed as bytes."""

    @staticmethod
    def __new__(cls, data: torch.Tensor, scale: torch.Tensor) -> Parts:
        return torch.Tensor._make_wrapper_subclass(cls, data.shape, dtype=torch.float32)  # type: ignore[no-any-return]

    def __init__(self, data: torch.Tensor, scale: torch.Tensor) -> None:
        self.data_, self.scale = data, scale

    def __tensor_flatten__(self) -> tuple[list[str], Any]:
        return ["data_", "scale"], None

    @classmethod
    def __torch_dispatch__(cls, function: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        raise NotImplementedError(f"{function} is not supported")


def test_a_tensor_made_of_others_is_told_by_all_of_them() -> None:
    def digest(value: int, scale: float) -> bytes:
        return _digest(Parts(torch.full((4, 4), value, dtype=torch.int8), torch.tensor([scale])))

    assert digest(1, 0.5) == digest(1, 0.5)
    assert len({digest(1, 0.5), digest(2, 0.5), digest(1, 0.25)}) == 3


def test_everything_but_float32_throughout_is_noisy(folder: Path) -> None:
    assert load(folder, dtype="float32").deterministic is True
    assert load(folder, dtype="bfloat16").deterministic == "rounding"
    mixed = load(folder, dtype="float32")
    mixed._live().model.layers[0].mlp.half()
    assert mixed.deterministic == "rounding"
    quantised = load(folder, dtype="float32")
    quantised._live().config.quantization_config = {"quant_method": "bitsandbytes", "load_in_8bit": True}
    assert quantised.deterministic == "rounding"


# what was not read


def stored(folder: Path) -> dict[str, torch.Tensor]:
    found: dict[str, torch.Tensor] = load_file(folder / "model.safetensors")
    return found


def test_weights_that_the_configuration_does_not_use_are_refused(folder: Path) -> None:
    save_file(
        {**stored(folder), "model.layers.0.self_attn.q_proj.bias": torch.ones(32)},
        folder / "model.safetensors",
        {"format": "pt"},
    )
    says = r"stores 1 weights that its configuration does not use, such as 'model.layers.0.self_attn.q_proj.bias'"
    with pytest.raises(ModelError, match=says):
        load(folder)


def test_layers_beyond_the_count_are_refused(folder: Path) -> None:
    change(folder, "config.json", num_hidden_layers=SIZE["num_hidden_layers"] - 1)
    with pytest.raises(ModelError, match=r"weights that its configuration does not use, such as 'model.layers.2"):
        load(folder)


def test_layers_that_are_not_stored_are_refused(folder: Path) -> None:
    change(folder, "config.json", num_hidden_layers=SIZE["num_hidden_layers"] + 1)
    with pytest.raises(ModelError, match=r"lacks 9 weights, such as 'model.layers.3.*they would be random"):
        load(folder)


def test_buffers_of_old_checkpoints_are_no_weights(folder: Path) -> None:
    save_file(
        {**stored(folder), "model.layers.0.self_attn.rotary_emb.inv_freq": torch.ones(4)},
        folder / "model.safetensors",
        {"format": "pt"},
    )
    assert isinstance(load(folder).answer([LabelRequest(SHOWN)])[0], LabelReply)


def test_a_tokenizer_larger_than_the_embeddings_is_refused(folder: Path) -> None:
    tokenizer = hf.AutoTokenizer.from_pretrained(folder)
    tokenizer.add_special_tokens({"pad_token": "[PAD]"})
    tokenizer.add_tokens([f"[word {n}]" for n in range(300 - len(tokenizer) + 2)])
    tokenizer.save_pretrained(folder)
    with pytest.raises(
        ModelError,
        match=r"its tokenizer has 2 tokens that the embeddings do not hold, such as '\[word .*\(300; there are 300 rows\)",
    ):
        load(folder)


def test_a_folder_without_a_tokenizer_says_so(folder: Path) -> None:
    for file in folder.glob("token*"):
        file.unlink()
    with pytest.raises(ModelError, match=r"the folder .* has no tokenizer. Save the tokenizer of the model that"):
        load(folder)


def test_a_gguf_file_says_so(tmp_path: Path) -> None:
    file = tmp_path / "model.gguf"
    file.write_bytes(b"GGUF")
    with pytest.raises(ModelError, match=r"is a GGUF file, which is not read here. Give the folder or hub id"):
        load(file)


def test_code_of_its_own_is_run_only_when_it_is_trusted(folder: Path) -> None:
    change(
        folder,
        "config.json",
        model_type="own",
        auto_map={"AutoConfig": "own.Own", "AutoModelForCausalLM": "own.OwnModel"},
    )
    (folder / "own.py").write_text("raise SystemExit('run')")
    with pytest.raises(
        ModelError,
        match=r"brings code of its own.*--invariance-trust-remote-code, or load_model\(..., trust_remote_code=True\)",
    ):
        load(folder)


def test_flex_attention_is_replaced_and_said(folder: Path) -> None:
    before = load(folder).answer([LabelRequest(SHOWN)])
    change(folder, "config.json", attn_implementation="flex_attention")
    model = load(folder)
    assert model.answer([LabelRequest(SHOWN)]) == before
    assert model.describe_path().endswith("sdpa in place of flex_attention, which would be compiled for minutes")


def test_a_model_that_sees_is_asked_as_a_language_model(tiny_folder: Callable[[Any], Path], folder: Path) -> None:
    text = hf.LlamaConfig(**SIZE)
    vision = hf.CLIPVisionConfig(
        hidden_size=16, intermediate_size=16, num_hidden_layers=1, num_attention_heads=2, image_size=8, patch_size=4
    )
    torch.manual_seed(0)
    network = hf.LlavaForConditionalGeneration(
        hf.LlavaConfig(text_config=text, vision_config=vision, image_token_index=299)
    ).eval()
    network.save_pretrained(folder)
    model = load(folder)
    (reply,) = model.answer([LabelRequest(SHOWN)])
    assert isinstance(reply, LabelReply)
    assert reply.logprobs_nats == pytest.approx(labels_by_hand(network, model), abs=1e-4)


# adapters


def adapter_only(folder: Path, target: Path, **changes: Any) -> Path:
    import peft

    torch.manual_seed(1)
    told = {"r": 2, "lora_alpha": 16, "target_modules": ["q_proj"], "init_lora_weights": False, **changes}
    network = peft.get_peft_model(
        hf.AutoModelForCausalLM.from_pretrained(folder), peft.LoraConfig(task_type="CAUSAL_LM", **told)
    )
    network.save_pretrained(target)
    return target


@pytest.mark.skipif(HAS_PEFT, reason="PEFT is installed")
@pytest.mark.parametrize("alone", [True, False])
def test_an_adapter_without_peft_is_refused(alone: bool, folder: Path) -> None:
    if alone:
        (folder / "config.json").unlink()
    change(folder, "adapter_config.json", base_model_name_or_path="base", peft_type="LORA")
    with pytest.raises(MissingExtraError, match=r"needs the package 'peft'.*pytest-llminvariance\[peft\]"):
        load(folder)


@pytest.mark.skipif(not HAS_PEFT, reason="needs the extra peft")
@pytest.mark.filterwarnings("ignore::FutureWarning")
def test_an_adapter_is_read_alone_and_beside_its_base(folder: Path, tmp_path_factory: pytest.TempPathFactory) -> None:
    import peft

    weak = adapter_only(folder, tmp_path_factory.mktemp("weak"))
    strong = adapter_only(folder, tmp_path_factory.mktemp("strong"), lora_alpha=64)
    made = [load(place) for place in (folder, weak, strong)]
    assert len({model.fingerprint for model in made}) == 3
    assert load(weak).fingerprint == made[1].fingerprint
    (reply,) = made[2].answer([LabelRequest(SHOWN)])
    plain = peft.PeftModel.from_pretrained(hf.AutoModelForCausalLM.from_pretrained(folder), strong).eval()
    assert isinstance(reply, LabelReply)
    assert reply.logprobs_nats == pytest.approx(labels_by_hand(plain, made[2]), abs=1e-4)
    for file in strong.glob("adapter*"):
        shutil.copy(file, folder)
    (beside,) = load(folder).answer([LabelRequest(SHOWN)])
    assert isinstance(beside, LabelReply)
    assert beside.logprobs_nats == pytest.approx(reply.logprobs_nats, abs=1e-5)


# templates


def with_template(folder: Path, template: str, **settings: Any) -> TransformersModel:
    (folder / "chat_template.jinja").write_text(template)
    return load(folder, **settings)


TURNS = "{% for m in messages %}<|{{ m.role }}|>{{ m.content }}<|end|>\n{% endfor %}"
OPENS = "{% if add_generation_prompt %}<|assistant|>{% endif %}"
THINKS = (
    TURNS
    + "{% if add_generation_prompt %}<|assistant|><think>\n{% if not enable_thinking %}</think>\n{% endif %}{% endif %}"
)


@pytest.mark.parametrize("mark", ["<think>\n", "<thinking>", "[THINK]", "◁think▷", "<seed:think>", "<reasoning>\n"])
@pytest.mark.parametrize("make", [LabelRequest, OptionRequest])
def test_an_open_thought_is_no_place_for_an_answer(mark: str, make: Any, folder: Path) -> None:
    model = with_template(folder, TURNS + "{% if add_generation_prompt %}<|assistant|>" + mark + "{% endif %}")
    with pytest.raises(ModelError, match=r"ends inside an open thought .*--invariance-chat-arg enable_thinking=false"):
        model.answer([make(SHOWN)])
    assert len(texts(model)) == 3, "texts are allowed"


def test_thinking_is_off_where_the_template_can_and_on_where_that_is_asked_for(folder: Path) -> None:
    assert isinstance(with_template(folder, THINKS).answer([LabelRequest(SHOWN)])[0], LabelReply)
    with pytest.raises(ModelError, match="open thought"):
        with_template(folder, THINKS, chat_arg={"enable_thinking": True}).answer([LabelRequest(SHOWN)])


def test_a_question_about_thoughts_opens_none(folder: Path) -> None:
    model = with_template(folder, TURNS + OPENS)
    asked = Presentation(Question("What does <think> do?", ["<think>", "nothing"]))
    assert isinstance(model.answer([LabelRequest(asked)])[0], LabelReply)


def test_a_template_without_a_generation_prompt_says_so(folder: Path) -> None:
    model = with_template(folder, TURNS)
    with pytest.raises(
        ModelError, match=r"its chat template writes '<\|assistant\|>' before an answer and does not end its prompts"
    ):
        model.answer([LabelRequest(SHOWN)])
    inst = "{% for m in messages %}{% if m.role == 'user' %}[INST] {{ m.content }} [/INST]{% else %} {{ m.content }}</s>{% endif %}{% endfor %}"
    assert isinstance(with_template(folder, inst).answer([LabelRequest(SHOWN)])[0], LabelReply)


def test_a_template_that_reads_parts_is_given_parts_and_one_that_drops_the_question_is_refused(folder: Path) -> None:
    parts = "{% for m in messages %}{% for p in m.content %}{% if p.type == 'text' %}{{ p.text }}{% endif %}{% endfor %}{% endfor %}"
    plain, listed = (with_template(folder, t) for t in ("{% for m in messages %}{{ m.content }}{% endfor %}", parts))
    assert plain.rendered(REQUESTS[0]) == listed.rendered(REQUESTS[0])
    with pytest.raises(
        ModelError, match="its chat template drops the question: two different messages give the same prompt"
    ):
        with_template(folder, "{{ bos_token }}<|assistant|>").answer([LabelRequest(SHOWN)])


@pytest.mark.parametrize("name", ["enable_thinkng", "messages", "tokenize"])
def test_an_argument_that_the_template_does_not_know_is_refused(name: str, folder: Path) -> None:
    with pytest.raises(UsageError, match=f"takes no argument '{name}', so it would change nothing"):
        with_template(folder, THINKS, chat_arg={name: False})


def test_an_argument_without_a_template_is_refused(folder: Path) -> None:
    with pytest.raises(UsageError, match="the chat argument 'enable_thinking' cannot be used"):
        load(folder, chat_arg={"enable_thinking": False})
