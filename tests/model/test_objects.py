"""What people hold of a model: the numbers are those of its folder, and nothing of it is changed or kept."""

from __future__ import annotations

import copy
import gc
import importlib.util
import io
import math
import pickle
import weakref
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import accelerate
import pytest
import tokenizers
import torch
import transformers as hf

from pytest_llminvariance import (
    ModelError,
    Presentation,
    Question,
    UsageError,
    check,
    debiased,
    load_model,
    repeated,
    run,
    symmetrized,
    wrap_model,
)
from pytest_llminvariance.models.engine import ask
from pytest_llminvariance.models.local.objects import ObjectModel
from pytest_llminvariance.models.local.state import state_of
from pytest_llminvariance.models.local.transformers import TransformersModel
from pytest_llminvariance.models.protocol import (
    LabelReply,
    LabelRequest,
    Model,
    OptionReply,
    OptionRequest,
    Reply,
    Request,
    TextReply,
    TextRequest,
)
from tests.models.tiny_models import save_llama

HAS_PEFT = importlib.util.find_spec("peft") is not None
SHOWN = Presentation(Question("Which colour is it?", ["red", "green", "blue"], id="q"))
ORDERS = [SHOWN, SHOWN.replace(order=(2, 1, 0))]
REQUESTS: list[Request] = [
    *map(LabelRequest, ORDERS),
    *map(OptionRequest, ORDERS),
    *(TextRequest(shown, max_new_tokens=3) for shown in ORDERS),
]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return Path(save_llama(tmp_path))


def load(folder: Path) -> tuple[Any, Any]:
    return hf.AutoModelForCausalLM.from_pretrained(folder), hf.AutoTokenizer.from_pretrained(folder)


def same(replies: Sequence[Reply], others: Sequence[Reply]) -> bool:
    """Whether replies say the same: texts, what was sent, and log-probabilities to 1e-4 nat."""
    for reply, other in zip(replies, others, strict=True):
        if isinstance(reply, TextReply) and isinstance(other, TextReply):
            equal = reply.text == other.text
        else:
            assert isinstance(reply, LabelReply | OptionReply)
            assert isinstance(other, LabelReply | OptionReply)
            equal = reply.logprobs_nats == pytest.approx(other.logprobs_nats, abs=1e-4)
        if not equal or reply.sent_sha256 != other.sent_sha256:
            return False
    return True


def plainly(network: Any, tokenizer: Any) -> object:
    return wrap_model(network, tokenizer)


def dispatched(network: Any, tokenizer: Any) -> object:
    return accelerate.dispatch_model(network, {"model": "cpu", "lm_head": "cpu"}, force_hooks=True), tokenizer


def compiled_in_place(network: Any, tokenizer: Any) -> object:
    network.compile()
    return network, tokenizer


def adapted(network: Any, tokenizer: Any) -> object:
    if not HAS_PEFT:
        pytest.skip("needs the extra peft")
    import peft

    config = peft.LoraConfig(task_type="CAUSAL_LM", r=2, target_modules=["q_proj"])
    return peft.get_peft_model(network, config), tokenizer  # an adapter that was not trained changes nothing


def in_tuples(network: Any, tokenizer: Any) -> object:
    network.config.return_dict = False
    return network, tokenizer


KINDS: dict[str, Callable[[Any, Any], object]] = {
    "a model and its tokenizer": plainly,
    "both as a tuple": lambda network, tokenizer: (network, tokenizer),
    "both as a list": lambda network, tokenizer: [network, tokenizer],
    "a pipeline": lambda network, tokenizer: hf.pipeline("text-generation", model=network, tokenizer=tokenizer),
    "compiled": lambda network, tokenizer: (torch.compile(network), tokenizer),
    "compiled in place": compiled_in_place,
    "on several devices": lambda network, tokenizer: (torch.nn.DataParallel(network), tokenizer),
    "dispatched": dispatched,
    "adapted": adapted,
    "adapted and compiled": lambda network, tokenizer: (torch.compile(adapted(network, tokenizer)[0]), tokenizer),  # type: ignore[index]
    "answering in tuples": in_tuples,
    "in training": lambda network, tokenizer: (network.train(), tokenizer),
}


@pytest.mark.filterwarnings("ignore::FutureWarning")
@pytest.mark.parametrize("kind", KINDS)
def test_numbers_are_those_of_the_folder(kind: str, folder: Path) -> None:
    config = hf.AutoConfig.from_pretrained(folder)
    config.attention_dropout = 0.5
    config.save_pretrained(folder)
    expected = load_model(folder, device="cpu").answer(REQUESTS)
    assert same(wrap_model(KINDS[kind](*load(folder))).answer(REQUESTS), expected)


def test_a_check_finds_what_it_finds_of_the_folder(folder: Path) -> None:
    bank = [Question(f"Which colour is it {n}?", ["red", "green", "blue"], answer=n % 3) for n in range(4)]
    with run():
        found = [
            check("option_order", held, bank, tolerance=0.05)
            for held in (load(folder), load_model(folder, device="cpu"))
        ]
    assert found[0].effect == found[1].effect
    assert found[0].per_question == found[1].per_question


def test_a_plain_object_has_the_name_and_the_fingerprint_of_its_folder(folder: Path) -> None:
    loaded, made = load_model(folder, device="cpu"), wrap_model(*load(folder))
    assert (made.name, made.fingerprint) == (str(folder), loaded.fingerprint)
    assert wrap_model(*load(folder), name="mine").name == "mine"


def test_nothing_of_the_object_is_changed(folder: Path) -> None:
    network, tokenizer = load(folder)
    network.train()
    network.lm_head.eval()
    before = [module.training for module in network.modules()]
    weights = {name: (tensor.clone(), tensor.device) for name, tensor in network.state_dict().items()}
    attention, settings = network.config._attn_implementation, network.generation_config
    wrap_model(network, tokenizer).answer(REQUESTS)
    assert [module.training for module in network.modules()] == before
    assert all(
        torch.equal(tensor, weights[name][0]) and tensor.device == weights[name][1]
        for name, tensor in network.state_dict().items()
    )
    assert network.config._attn_implementation == attention
    assert network.generation_config is settings
    assert all(parameter.requires_grad and parameter.grad is None for parameter in network.parameters())


# who is who


def test_the_same_object_is_the_same_model_however_it_is_held(folder: Path) -> None:
    network, tokenizer = load(folder)
    made = wrap_model(network, tokenizer)
    for held in (
        (network, tokenizer),
        (torch.compile(network), tokenizer),
        hf.pipeline("text-generation", model=network, tokenizer=tokenizer),
    ):
        assert wrap_model(held) is made
    assert wrap_model(network, tokenizer, packed=False) is not made
    assert symmetrized((network, tokenizer)).inner is made
    assert wrap_model(made) is made


def asked(model: Model, memo: dict[Any, Any]) -> int:
    return ask(model, REQUESTS, memo).fresh


def test_answers_are_remembered_for_one_object_and_never_for_two(folder: Path) -> None:
    memo: dict[Any, Any] = {}
    one, other = load(folder), load(folder)
    assert [asked(wrap_model(*one), memo) for _ in range(2)] == [len(REQUESTS), 0]
    assert asked(wrap_model(*other), memo) == len(REQUESTS)
    assert not getattr(wrap_model(*one), "cacheable", False), "hooks and patches are in no fingerprint"


def step(network: Any, tokenizer: Any) -> None:
    network(input_ids=torch.tensor([[1, 2, 3]]), labels=torch.tensor([[1, 2, 3]])).loss.backward()
    torch.optim.SGD(network.parameters(), lr=1.0).step()


def by_data(network: Any, tokenizer: Any) -> None:
    for parameter in network.parameters():
        parameter.data.mul_(1.5)


def one_weight(network: Any, tokenizer: Any) -> None:
    with torch.no_grad():
        network.lm_head.weight[3, 5] += 1


def hook(network: Any, tokenizer: Any) -> None:
    network.model.layers[0].register_forward_hook(lambda module, given, out: out)


def template(network: Any, tokenizer: Any) -> None:
    tokenizer.chat_template = "{% for m in messages %}{{ m.content }}{% endfor %}!"


def cast(network: Any, tokenizer: Any) -> None:
    network.to(torch.bfloat16)


def eos(network: Any, tokenizer: Any) -> None:
    network.generation_config.eos_token_id = 7


def configuration(network: Any, tokenizer: Any) -> None:
    network.config.rms_norm_eps = 0.5


def special_token(network: Any, tokenizer: Any) -> None:
    tokenizer.pad_token = "a"


def normalised(network: Any, tokenizer: Any) -> None:
    tokenizer.backend_tokenizer.normalizer = tokenizers.normalizers.Replace("Which", "What")


CHANGES = [step, by_data, one_weight, hook, template, cast, eos, configuration, special_token, normalised]


@pytest.mark.parametrize("change", CHANGES, ids=lambda change: change.__name__)
def test_an_object_that_has_changed_is_asked_again(change: Callable[[Any, Any], None], folder: Path) -> None:
    held, memo = load(folder), {}  # type: ignore[var-annotated]
    made = wrap_model(*held)
    assert asked(made, memo) == len(REQUESTS)
    change(*held)
    again = wrap_model(*held)
    assert again is not made
    assert wrap_model(made) is again, "what was made before is not what is asked now"
    if change is not special_token:  # the token that fills up reaches no answer
        assert again.fingerprint != made.fingerprint
    assert asked(again, memo) == len(REQUESTS)


@pytest.mark.parametrize("wrap", [symmetrized, repeated, lambda model: debiased(model, [SHOWN.question])])
def test_what_wraps_an_object_that_has_changed_asks_it_again(wrap: Callable[[Any], Any], folder: Path) -> None:
    held, memo = load(folder), {}  # type: ignore[var-annotated]
    made = wrap(held)
    before = ask(wrap_model(made), REQUESTS[:2], memo).replies
    assert ask(wrap_model(made), REQUESTS[:2], memo).fresh == 0
    by_data(*held)
    after = ask(wrap_model(made), REQUESTS[:2], memo).replies
    assert not same(before, after)
    assert same(after, wrap(held).answer(REQUESTS[:2]))


@pytest.mark.filterwarnings("ignore::FutureWarning")
def test_a_pipeline_whose_model_was_changed_for_another_is_another_model(folder: Path) -> None:
    network, tokenizer = load(folder)
    pipe = hf.pipeline("text-generation", model=network, tokenizer=tokenizer)
    made = wrap_model(pipe)
    pipe.model = copy.deepcopy(network)
    assert wrap_model(pipe) is not made


def test_a_function_that_asks_a_network_is_asked_again_after_training(folder: Path) -> None:
    network, tokenizer = load(folder)
    pipe = hf.pipeline("text-generation", model=network, tokenizer=tokenizer)

    def by_network(messages: Any) -> str:
        return str(network(**tokenizer("a", return_tensors="pt")).logits.sum().item())

    def by_pipeline(messages: Any) -> str:
        return str(pipe("a", max_new_tokens=2))

    made = [wrap_model(by_network), wrap_model(by_pipeline)]
    for function in (by_network, by_pipeline):
        wrap_model(function).answer(REQUESTS[-1:])
    assert [wrap_model(by_network), wrap_model(by_pipeline)] == made, "asking changes nothing"
    network.generation_config.do_sample = True
    again = [wrap_model(by_network), wrap_model(by_pipeline)]
    assert not {*again} & {*made}
    by_data(network, tokenizer)
    assert not {wrap_model(by_network), wrap_model(by_pipeline)} & {*again}


@pytest.mark.parametrize(
    "dtype", [torch.float32, torch.float16, torch.bfloat16, torch.float8_e4m3fn, torch.int8, torch.bool]
)
def test_what_weights_are_like_is_seen_without_numbers_of_64_bits(
    dtype: torch.dtype, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*given: object, **more: object) -> None:
        raise TypeError("Cannot convert a MPS Tensor to float64 dtype")

    for name in ("double", "to"):
        monkeypatch.setattr(torch.Tensor, name, refuse)
    network = torch.nn.Linear(3, 3)
    network.register_buffer("more", torch.zeros(100).type(dtype))
    before = state_of(network)
    assert state_of(network) == before
    network.more.data[0] = 1
    assert state_of(network) != before


# memory


def of_torch() -> dict[str, Any]:
    class Endless(torch.utils.data.IterableDataset[int]):  # type: ignore[misc]
        def __iter__(self) -> Any:
            yield 1

    return {
        "a class": torch.Tensor,
        "a class of weights": torch.nn.Parameter,
        "a number": torch.tensor(1.5),
        "an endless data set": torch.utils.data.DataLoader(Endless()),
        "weights that are not made": torch.nn.LazyLinear(3),
        "a loaded class": hf.LlamaForCausalLM,
    }


@pytest.mark.filterwarnings("ignore::UserWarning")
@pytest.mark.parametrize(
    "kind",
    ["a class", "a class of weights", "a number", "an endless data set", "weights that are not made", "a loaded class"],
)
def test_a_function_may_hold_whatever_torch_has(kind: str) -> None:
    held = of_torch()[kind]

    def ask_for(messages: object) -> str:
        return "A" if held is not None else "B"

    model = wrap_model(ask_for)
    (reply,) = model.answer([TextRequest(SHOWN)])
    assert isinstance(reply, TextReply)
    assert wrap_model(ask_for) is model


def test_a_number_of_torch_that_changes_makes_another_model() -> None:
    scale = torch.tensor(1.5)

    def ask_for(messages: object) -> str:
        return "A" if scale > 1 else "B"

    model = wrap_model(ask_for)
    scale.fill_(0.5)
    assert wrap_model(ask_for) is not model


def test_a_probability_may_be_a_tensor() -> None:
    def likes(messages: object, options: Sequence[str]) -> dict[str, Any]:
        return {option: torch.tensor(0.25, requires_grad=True) for option in options}

    (reply,) = wrap_model(likes).answer([LabelRequest(SHOWN)])
    assert isinstance(reply, LabelReply)
    assert reply.logprobs_nats[0] == pytest.approx(math.log(0.25))
    with pytest.raises(ModelError, match="gave tensor"):
        wrap_model(lambda messages, options: dict.fromkeys(options, torch.ones(2))).answer([LabelRequest(SHOWN)])


def test_a_model_lives_as_long_as_its_object(folder: Path) -> None:
    memo: dict[Any, Any] = {}
    network, tokenizer = load(folder)
    dead, model = weakref.ref(network), weakref.ref(wrap_model(network, tokenizer))
    asked(wrap_model(network, tokenizer), memo)
    with run():
        check("option_order", (network, tokenizer), [SHOWN.question], tolerance=0.05)
    gc.collect()
    assert model() is not None, "kept with the object"
    del network, tokenizer
    gc.collect()
    assert dead() is None
    assert model() is None


def test_what_is_released_can_be_wrapped_again(folder: Path) -> None:
    network, tokenizer = load(folder)
    made = wrap_model(network, tokenizer)
    assert isinstance(made, ObjectModel)
    made.release()
    with pytest.raises(ModelError, match="was released"):
        made.answer(REQUESTS)
    assert wrap_model(network, tokenizer).answer(REQUESTS[:1])
    again = wrap_model(network, tokenizer)
    assert isinstance(again, ObjectModel)
    again.release()
    dead = weakref.ref(network)
    del network
    assert dead() is None, "without the garbage collector"


def test_copies_and_pickles_of_an_object_carry_nothing_of_ours(folder: Path) -> None:
    network, tokenizer = load(folder)
    made = wrap_model(network, tokenizer)
    copied = copy.deepcopy(network)
    assert wrap_model(copied, tokenizer) is not made
    stream = io.BytesIO()
    torch.save(network, stream)
    assert b"llminvariance" not in stream.getvalue().replace(b"_llminvariance_models", b"")
    assert pickle.loads(pickle.dumps(network)).config.vocab_size == network.config.vocab_size
    network.save_pretrained(folder)
    assert load_model(folder, device="cpu").fingerprint == made.fingerprint


# settings


def test_settings_reach_the_model(folder: Path) -> None:
    network, tokenizer = load(folder)
    tokenizer.chat_template = "{% for m in messages %}{{ m.content }}{% endfor %}{{ cue }}"
    made = wrap_model(network, tokenizer, batch_tokens=50, max_new_tokens=2, chat_arg={"cue": "!"}, packed=False)
    assert isinstance(made, TransformersModel)
    assert (made.batch_tokens, made.max_new_tokens, made.packed, made.chat) == (50, 2, False, True)
    assert made.rendered(REQUESTS[0]).endswith("!")
    plain = wrap_model(network, tokenizer, prompt_format="plain")
    assert isinstance(plain, TransformersModel)
    assert not plain.chat


@pytest.mark.parametrize(
    ("settings", "says"),
    [
        ({"device": "cpu"}, r"^device='cpu' is no setting of wrap_model: .*\nThese can: dtype, prompt_format,"),
        ({"revision": "main"}, "^revision='main' is no setting of wrap_model"),
        ({"dtype": "bfloat16"}, r"^dtype='bfloat16', but the model .* is float32, and is left as it is\.\n"),
        ({"dtype": "int4"}, "^dtype is 'int4', but must be one of"),
        ({"prompt_format": "chat"}, "has no chat template"),
        ({"chat_arg": {"cue": 1}}, "cue"),
    ],
)
def test_settings_that_cannot_reach_it_are_refused(settings: dict[str, Any], says: str, folder: Path) -> None:
    with pytest.raises(UsageError, match=says):
        wrap_model(*load(folder), **settings)


# what is not taken


def headless(network: Any, tokenizer: Any) -> object:
    return network.model, tokenizer


def offloaded(network: Any, tokenizer: Any) -> object:
    return accelerate.cpu_offload(network, execution_device=torch.device("cpu")), tokenizer


def prompted(network: Any, tokenizer: Any) -> object:
    if not HAS_PEFT:
        pytest.skip("needs the extra peft")
    import peft

    config = peft.PromptTuningConfig(task_type="CAUSAL_LM", num_virtual_tokens=2)
    return peft.get_peft_model(network, config), tokenizer


def encoder_decoder(network: Any, tokenizer: Any) -> object:
    sizes = {"d_model": 16, "d_kv": 8, "d_ff": 16, "num_layers": 1, "num_heads": 2}
    return hf.T5ForConditionalGeneration(hf.T5Config(vocab_size=300, **sizes)), tokenizer


def other_tokenizer(network: Any, tokenizer: Any) -> object:
    tokenizer.add_tokens([f"<more-{n}>" for n in range(500)])
    return network, tokenizer


class Processor:
    """Something of a multimodal model that holds the tokenizer."""

    tokenizer = "here"


REFUSED: dict[str, tuple[Callable[[Any, Any], object], str]] = {
    "no tokenizer": (lambda network, _: network, r"is a LlamaForCausalLM without its tokenizer\.\nGive both"),
    "a tokenizer": (lambda _, tokenizer: tokenizer, r"a tokenizer\.\nGive \(model, tokenizer\), in this order"),
    "the other way round": (lambda network, tokenizer: (tokenizer, network), "a tokenizer"),
    "three": (lambda network, tokenizer: (network, tokenizer, 1), r"is a tuple of 3 objects\.\nGive"),
    "a dictionary": (lambda network, tokenizer: {"model": network}, r"is a dict, which is not taken\.\nGive"),
    "a processor": (lambda network, _: (network, Processor()), r"must be one of transformers\. Its \.tokenizer is one\.\n"),
    "another pipeline": (
        lambda network, tokenizer: hf.pipeline("feature-extraction", model=network, tokenizer=tokenizer),
        r"is a pipeline for 'feature-extraction', which is not taken\.\nGive pipeline",
    ),
    "any module": (lambda _, tokenizer: (torch.nn.Linear(2, 2), tokenizer), r"is a Linear, which is not taken\.\nGive a causal"),
    "a tensor": (lambda *_: torch.zeros(3), r"is a Tensor, which is not taken\.\n"),
    "no head": (headless, r"is a LlamaModel, which writes no text\.\n"),
    "an encoder-decoder": (encoder_decoder, r"is a T5ForConditionalGeneration, which writes no text\.\n"),
    "offloaded": (offloaded, r"of its weights are not in memory \(device 'meta'\).*\nLoad it whole"),
    "prompt tuning": (prompted, r"is adapted by PROMPT_TUNING, .* not supported yet\.\nGive an adapter"),
    "another tokenizer": (other_tokenizer, "its tokenizer has .* tokens that the embeddings do not hold"),
}  # fmt: skip


@pytest.mark.filterwarnings("ignore::FutureWarning")
@pytest.mark.parametrize("kind", REFUSED)
def test_what_is_not_taken_is_refused_without_its_repr(kind: str, folder: Path) -> None:
    make, says = REFUSED[kind]
    held = make(*load(folder))
    with pytest.raises((UsageError, ModelError), match=says) as raised:
        check("option_order", held, [SHOWN.question], tolerance=0.05)
    assert str(raised.value).count("\n") <= 1
    assert "Embedding(" not in str(raised.value)
    assert "tensor(" not in str(raised.value)


@pytest.mark.skipif(not HAS_PEFT, reason="needs the extra peft")
@pytest.mark.filterwarnings("ignore::FutureWarning")
def test_a_trained_adapter_counts_and_switching_it_off_is_another_model(
    folder: Path, tmp_path_factory: pytest.TempPathFactory
) -> None:
    import peft

    network, tokenizer = load(folder)
    plain = wrap_model(*load(folder)).answer(REQUESTS)
    config = peft.LoraConfig(
        task_type="CAUSAL_LM", r=2, lora_alpha=64, target_modules=["q_proj"], init_lora_weights=False
    )
    adapted = peft.get_peft_model(network, config)
    place = tmp_path_factory.mktemp("adapter")
    adapted.save_pretrained(place)
    made = wrap_model(adapted, tokenizer)
    answers = made.answer(REQUESTS)
    assert same(answers, load_model(place, device="cpu").answer(REQUESTS))
    assert not same(answers, plain)
    with adapted.disable_adapter():
        off = wrap_model(adapted, tokenizer)
        assert off is not made
        assert off.fingerprint != made.fingerprint
        assert same(off.answer(REQUESTS), plain)
