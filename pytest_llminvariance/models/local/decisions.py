"""Decision models of transformers: its pipeline, and the same prompts through the prefix tree where that gives the same.

A model without a decision head scores its options by the tokens of their labels. Those prompts can be scored as any others
are, many at once; whether that gives what the pipeline gives is seen on the first request, and else the pipeline is asked.
"""

from __future__ import annotations

import contextlib
import dataclasses
import hashlib
import json
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, Literal, NamedTuple

import torch
import transformers
from transformers.decision.modeling_utils import DecisionMixin

from pytest_llminvariance.errors import ModelError, UsageError
from pytest_llminvariance.models.decision_wire import canonical, own_part, read_answers, request_body
from pytest_llminvariance.models.kept import forget, kept
from pytest_llminvariance.models.load_settings import LoadSettings
from pytest_llminvariance.models.local.devices import as_in_use, batch_tokens_for, choose_device, entrance, free_memory
from pytest_llminvariance.models.local.fingerprint import fingerprint_of, is_quantised
from pytest_llminvariance.models.local.hub import load_transformers, quiet
from pytest_llminvariance.models.local.identity import Known
from pytest_llminvariance.models.local.jobs import check_length
from pytest_llminvariance.models.local.late import load_late
from pytest_llminvariance.models.local.rotary import context_tokens_of
from pytest_llminvariance.models.local.scoring import Scorer, TooLargeError, Usage, first_line, too_large
from pytest_llminvariance.models.local.state import state_of
from pytest_llminvariance.models.local.tree import Reading
from pytest_llminvariance.models.protocol import Capability, LabelReply, Model, Reply, Request, in_order, log_of

SAME_NATS = 1e-3
"""How far the first answer through the tree may be from the pipeline's."""
HEAD_FILES = ("decision_config.json", "judge_config.json", "calibration.json")
"""What a repository with a decision head holds beside its weights."""


class _Prompt(NamedTuple):
    """The prompt that holds one question of a request, and where its answer is read."""

    whole: Any
    """The prompts of the request, as the pipeline makes them."""
    tokens: tuple[int, ...]
    mark: int
    """Tokens before the place where the answer is read."""
    question: Any
    label_ids: tuple[int, ...]
    """Of the labels by option; none where a head scores the options."""
    sent_sha256: str

    @property
    def reading(self) -> Reading:
        """What is read through the tree."""
        return Reading(self.tokens[: self.mark], (self.mark - 1,), (self.label_ids,))


class DecisionPipelineModel:
    """A decision pipeline of transformers. Its answers are the pipeline's own probabilities."""

    capabilities: frozenset[Capability] = frozenset({"decision"})
    origin: tuple[object, ...] = ()
    again: Callable[[], Model] | None = None

    def __init__(
        self,
        name: str,
        pipe: Any,
        *,
        batch_tokens: int,
        packed: bool = True,
        cacheable: bool = False,
        notes: Sequence[str] = (),
    ) -> None:
        self.name, self.cacheable, self.notes = name, cacheable, tuple(notes)
        self._pipe: Any = pipe
        self._network: Any = pipe.model
        self._scorer = Scorer(pipe.model, pad=0, batch_tokens=batch_tokens, shared=packed)
        self.usage = self._scorer.usage
        """Tokens asked for and tokens sent so far."""
        self._by_labels = not isinstance(pipe.model, DecisionMixin)
        self._slow = (
            "" if packed and self._by_labels else "it has a decision head" if packed else "asked for comparison"
        )
        self._checked = False
        self.device, self.dtype = str(entrance(pipe.model)), str(pipe.model.dtype).removeprefix("torch.")
        said = {**dataclasses.asdict(pipe.decision_config), "chat": getattr(pipe.tokenizer, "chat_template", None)}
        self.fingerprint = "decision:" + fingerprint_of(
            pipe.model, pipe.tokenizer, {"decision": said, "shared": packed}
        )
        self.deterministic: bool | Literal["rounding"] = "rounding" if is_quantised(pipe.model) else True

    def __repr__(self) -> str:
        return f"<{self.name} on {self.device}, {self.dtype}>"

    @property
    def plain(self) -> DecisionPipelineModel:
        """The same, by the pipeline alone: for comparison."""
        return DecisionPipelineModel(self.name, self._live(), batch_tokens=1, packed=False)

    def describe_path(self) -> str:
        """Return one line: how prompts are sent, and why not faster."""
        if not self.usage.passes:
            return "nothing was asked"
        how = (
            f"the pipeline, one prompt at a time: {self._slow}"
            if self._slow
            else f"the pipeline's prompts by {self._scorer.describe()}"
        )
        return "; ".join([how, *self.notes])

    def release(self) -> None:
        """Let go of the pipeline."""
        forget(self)
        self.origin, self.again = (), None
        self._pipe = self._network = None
        self._scorer.release()
        free_memory()

    def answer(self, requests: Sequence[Request]) -> list[Reply]:
        """Return the probabilities of each request."""
        return in_order(self.answers(requests))

    @torch.inference_mode()
    def answers(self, requests: Sequence[Request]) -> Iterator[list[tuple[int, Reply]]]:
        """Yield (index, reply) pairs after every pass; equal requests are prepared once."""
        with as_in_use(self._live().model):
            yield from self._passes(requests)

    def _passes(self, requests: Sequence[Request]) -> Iterator[list[tuple[int, Reply]]]:
        made: dict[str, Any] = {}
        prompts = [self._prompt(request, made) for request in requests]
        first = 0
        if not self._slow and not self._checked and prompts:
            yield [(0, self._check_first(requests[0], prompts[0]))]
            first = 1
        left = range(first, len(requests))
        if self._slow:
            for index in left:
                yield [(index, self._by_pipeline(requests[index], prompts[index]))]
            return
        try:
            for scored in self._scorer.score([prompts[index].reading for index in left]) if left else ():
                yield [
                    (
                        left[item.index],
                        self._reply(requests[left[item.index]], prompts[left[item.index]], item.values[0]),
                    )
                    for item in scored
                ]
        except TooLargeError as error:
            index = left[error.args[0]]
            raise too_large(self.name, self.device, requests[index], len(prompts[index].reading.tokens)) from error

    def _prompt(self, request: Request, made: dict[str, Any]) -> _Prompt:
        shown = request.presentation
        key, name = canonical(request_body(shown)), own_part(shown).name
        try:
            if key not in made:
                made[key] = self._live().preprocess(json.loads(key))
        except ModelError:
            raise
        except Exception as error:  # what a template or a tokenizer raises is its own business
            raise ModelError(
                f"{self.name} cannot be asked question {shown.question.name!r}: {first_line(error)}"
            ) from error
        whole = made[key]
        digest = hashlib.sha256()
        found = None
        for inputs, questions in whole["prompts"]:
            tokens = tuple(inputs["input_ids"][0].tolist())
            digest.update(f"{tokens}|{inputs['marks'].tolist()}".encode())
            for place, question in enumerate(questions):
                if question.name == name:
                    found = tokens, int(inputs["marks"][min(place, len(inputs["marks"]) - 1)]), question
        assert found is not None  # noqa: S101 - the request holds it
        limit = context_tokens_of(self._network.config)
        check_length(self.name, request, len(found[0]), limit, "state or its descriptions")
        self._check_noul(found[2])
        return _Prompt(whole, *found, self._label_ids(found[2], shown.question.name), digest.hexdigest())

    def _label_ids(self, question: Any, name: str) -> tuple[int, ...]:
        if not self._by_labels:
            return ()
        try:
            return tuple(self._live().label_token_ids(tuple(question.labels)))
        except ValueError as error:
            raise ModelError(
                f"{self.name} cannot be asked question {name!r}: {first_line(error)} Name others under labels in its decision.json"
            ) from error

    def _check_noul(self, question: Any) -> None:
        """Refuse what would answer the opposite: outcomes turned around, under labels that are not."""
        config = self._live().decision_config
        if (
            question.type == "noul"
            and self._by_labels
            and config.noul_options[0] == "false"
            and not config.labels.get("noul")
        ):
            raise ModelError(
                f"{self.name}: its decision.json says noul_options={config.noul_options!r} and names no labels for them, so 'Yes' would "
                "be read as false. Add labels={'noul': ['No', 'Yes']}, or take noul_options out"
            )

    def _by_pipeline(self, request: Request, prompt: _Prompt) -> Reply:
        pipe = self._live()
        answers = pipe.postprocess(pipe.forward(prompt.whole))
        self._scorer.count(
            len(prompt.tokens), sum(inputs["input_ids"].shape[-1] for inputs, _ in prompt.whole["prompts"])
        )
        said = read_answers(answers, request.presentation, self.name)
        assert said.probabilities is not None  # noqa: S101 - a pipeline does not refuse
        return LabelReply(tuple(map(log_of, said.probabilities)), prompt.sent_sha256, len(prompt.tokens))

    def _check_first(self, request: Request, prompt: _Prompt) -> Reply:
        """Ask the pipeline, and go on without it where the same prompt gives the same through the tree."""
        told = self._by_pipeline(request, prompt)
        assert isinstance(told, LabelReply)  # noqa: S101 - see `_by_pipeline`
        try:
            scored = next(iter(self._scorer.score([prompt.reading])))
            other = self._reply(request, prompt, scored[0].values[0])
            apart = max(abs(a - b) for a, b in zip(told.logprobs_nats, other.logprobs_nats, strict=True))
            self._slow = "" if apart <= SAME_NATS else f"the tree gives another first answer ({apart:.2g} nat away)"
        except Exception as error:  # whatever it is, the pipeline works
            self._slow = f"the tree cannot be used: {first_line(error)}"
        self._checked = True
        return told

    def _reply(self, request: Request, prompt: _Prompt, logprobs: Sequence[float]) -> LabelReply:
        """Turn log-probabilities of labels into an answer as the pipeline does: its processors, then over the options alone."""
        pipe = self._live()
        scores = torch.tensor(logprobs, dtype=torch.float64)
        ids = torch.tensor(prompt.tokens[prompt.mark :], dtype=torch.long)
        values = pipe.decision_config.logits_processors[prompt.question.type](ids, scores).softmax(-1).tolist()
        said = read_answers({prompt.question.name: prompt.question.answer(values)}, request.presentation, self.name)
        assert said.probabilities is not None  # noqa: S101 - a pipeline does not refuse
        return LabelReply(tuple(map(log_of, said.probabilities)), prompt.sent_sha256, len(prompt.tokens))

    def _live(self) -> Any:
        if self._pipe is None:
            raise ModelError(f"{self.name} was released and cannot be asked any more. Load it again")
        return self._pipe


class LateDecision(DecisionPipelineModel):
    """One that is known by its files, and loads its pipeline when it is first asked."""

    def __init__(self, name: str, known: Known, load: Callable[[], DecisionPipelineModel]) -> None:
        self.name, self.cacheable, self.notes = name, True, known.notes
        self.fingerprint, self.device, self.dtype = known.fingerprint, known.device, known.dtype
        self.deterministic = True if known.deterministic else "rounding"
        self.usage = Usage()
        self._pipe = None
        self._load: Callable[[], DecisionPipelineModel] | None = load

    def release(self) -> None:
        """Let go of the pipeline, or of ever loading it."""
        self._load = None
        if self._pipe is not None:
            super().release()

    def _live(self) -> Any:
        if self._load is not None:
            awake = self._load()
            awake._scorer.usage = self.usage  # whoever counts holds this
            vars(self).update({**vars(awake), "usage": self.usage, "_load": None})
        return super()._live()


def load_decision(target: str, name: str, settings: LoadSettings) -> DecisionPipelineModel:
    """Load a decision model: one with a head by transformers' own pipeline, any other as a causal language model.

    Raises:
        UsageError: without weights.
        ModelError: where it cannot be loaded.
    """
    if not settings.weights:
        raise UsageError(f"decision:{name} cannot be counted without its weights. Leave the plan out for it")

    def whole(settings: LoadSettings) -> DecisionPipelineModel:
        return _whole(target, name, settings)

    def asleep(_: LoadSettings, known: Known, load: Callable[[], DecisionPipelineModel]) -> DecisionPipelineModel:
        return LateDecision(name, known, load)

    return load_late(target, "decision", name, settings, whole, asleep)


def _whole(target: str, name: str, settings: LoadSettings) -> DecisionPipelineModel:
    folder, notes = Path(target), list[str]()
    config = transformers.AutoConfig.from_pretrained(target, revision=settings.revision) if folder.is_dir() else None
    named = any("ForDecision" in kind for kind in getattr(config, "architectures", None) or ())
    if folder.is_dir() and not named and not any((folder / file).is_file() for file in HEAD_FILES):
        causal = load_transformers(target, name, settings)
        pipe = transformers.pipelines.DecisionPipeline(
            model=causal._live(), tokenizer=causal._tokenizer, decision_config=target
        )
    else:
        pipe = _own_pipeline(target, name, settings)
    _prepare(pipe)
    notes += _unknown_settings(folder, pipe.decision_config)
    tokens = settings.batch_tokens or batch_tokens_for(pipe.model)
    return DecisionPipelineModel(name, pipe, batch_tokens=tokens, packed=settings.packed, cacheable=True, notes=notes)


def _own_pipeline(target: str, name: str, settings: LoadSettings) -> Any:
    dtype = settings.dtype if settings.dtype == "auto" else getattr(torch, settings.dtype)
    try:
        with quiet():
            pipe = transformers.pipeline(
                "decision", model=target, dtype=dtype, device=choose_device(settings.device, None), revision=settings.revision,
                trust_remote_code=settings.trust_remote_code,
            )  # fmt: skip
    except Exception as error:  # files of any shape are read here, and each reader raises its own kind
        raise ModelError(f"decision:{name} cannot be loaded: {first_line(error)}") from error
    pipe.model.eval()
    return pipe


def _unknown_settings(folder: Path, config: Any) -> list[str]:
    """Return what is said of settings in decision.json that this version of transformers drops without a word."""
    file = folder / "decision.json"
    given = json.loads(file.read_text(encoding="utf-8")) if file.is_file() else {}
    unknown = sorted(given.keys() - dataclasses.asdict(config).keys())
    return [f"decision.json says {name}, which this transformers does not know and leaves out" for name in unknown]


def _prepare(pipe: Any) -> None:
    """Let the pipeline add its two marks to the tokenizer now, so that this is not taken for a change of the model."""
    with contextlib.suppress(Exception):  # what a template cannot take is said when it is asked
        pipe.preprocess({"state": "", "questions": {"question": {"type": "noul", "instructions": ""}}})


def decision_object(pipe: Any, name: str | None, settings: LoadSettings, key: str) -> Model:
    """Return the model of a decision pipeline that is loaded already; the same one while it stays as it is."""
    if settings.dtype not in ("auto", dtype := str(pipe.model.dtype).removeprefix("torch.")):
        raise UsageError(
            f"dtype={settings.dtype!r}, but the pipeline's model is {dtype}, and is left as it is.\nLoad it with that dtype, or leave dtype out"
        )

    _prepare(pipe)

    def make() -> Model:
        shown = name or pipe.model.config._name_or_path or type(pipe.model).__name__
        tokens = settings.batch_tokens or batch_tokens_for(pipe.model)
        made = DecisionPipelineModel(shown, pipe, batch_tokens=tokens, packed=settings.packed)
        made.origin = (pipe,)
        return made

    def state() -> object:
        config = json.dumps(dataclasses.asdict(pipe.decision_config), sort_keys=True, default=str)
        return state_of(pipe.model, pipe.tokenizer), config

    return kept(pipe, (key, "decision"), make, state)
