"""Causal language models of the library transformers, in this process: from requests to tokens, and back.

How token sequences reach the model is for `scoring` and `generation`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, Literal

from pytest_llminvariance.errors import ModelError
from pytest_llminvariance.models.local.devices import entrance, free_memory, out_of_memory
from pytest_llminvariance.models.local.fingerprint import fingerprint_of, is_quantised
from pytest_llminvariance.models.local.generation import end_tokens, generate, text_batches
from pytest_llminvariance.models.local.head import has_short_head
from pytest_llminvariance.models.local.identity import Known
from pytest_llminvariance.models.local.jobs import Asked, Job, Jobs, tokens_digest
from pytest_llminvariance.models.local.passes import Values
from pytest_llminvariance.models.local.rotary import context_tokens_of
from pytest_llminvariance.models.local.scoring import Scorer, TooLargeError, Usage, too_large
from pytest_llminvariance.models.local.speed import tokens_per_s
from pytest_llminvariance.models.local.tree import grow
from pytest_llminvariance.models.protocol import (
    Capability,
    Reply,
    Request,
    TextReply,
    TextRequest,
    in_order,
)


class TransformersModel:
    """A causal language model and its tokenizer, held in memory until `release`."""

    capabilities: frozenset[Capability] = frozenset({"label", "option", "text"})
    cacheable = True
    """The fingerprint covers everything that determines the answers, so they may be kept on disk."""
    changes_as_a_whole = True
    """Its weights are here: what changes them changes the answer to every prompt."""

    def __init__(
        self,
        name: str,
        network: Any,
        tokenizer: Any,
        *,
        chat: bool,
        batch_tokens: int,
        packed: bool = True,
        max_new_tokens: int | None = None,
        chat_arguments: Mapping[str, Any] | None = None,
        notes: Sequence[str] = (),
    ) -> None:
        self.name = name
        self.chat = chat
        self.packed = packed
        self.max_new_tokens = max_new_tokens
        """The most tokens of a text, whatever its request says; `None`: what the request says."""
        self.notes = tuple(notes)
        """What was done otherwise than the model's files say."""
        self._network: Any = network
        self._tokenizer: Any = tokenizer
        self._jobs = Jobs(
            name, tokenizer, chat=chat, max_new_tokens=max_new_tokens, arguments=chat_arguments,
            context_tokens=lambda: self.context_tokens,
        )  # fmt: skip
        self._scorer = Scorer(network, pad=self._pad(), batch_tokens=batch_tokens, shared=packed)
        self.device = str(entrance(network))
        self.dtype = str(network.dtype).removeprefix("torch.")
        self.planned_for: str | None = None
        """Where a model without weights would be; `None`: where it is."""
        self._fingerprint: str | None = None
        self._noisy: bool | None = None
        self._load: Callable[[], TransformersModel] | None = None

    def __repr__(self) -> str:
        return f"<{self.name} on {self.device}, {self.dtype}>"

    @property
    def fingerprint(self) -> str:
        """SHA-256 over weights, configuration, tokenizer, prompt format and arithmetic; made on first use.

        Of a model that was loaded without weights, to count tokens, it says just that.
        """
        if self._fingerprint is None and self.device == "meta":
            self._fingerprint = "without weights"
        if self._fingerprint is None:
            says = {
                "chat_template": self._jobs.prompts.template,
                "chat_arguments": self._jobs.prompts.arguments,
                "before": self._jobs.encoder.before,
                "shared": self.packed,
                "max_new_tokens": self.max_new_tokens,
                "ends": end_tokens(self._live(), self._tokenizer),
                **({"head": "float32"} if has_short_head(self._live()) else {}),
            }
            self._fingerprint = fingerprint_of(self._live(), self._tokenizer, says)
        return self._fingerprint

    def wait(self, known: Known, load: Callable[[], TransformersModel]) -> None:
        """Make of a model without weights one that is known by its files, and loads them when it is first asked."""
        self._fingerprint, self._noisy, self._load = known.fingerprint, not known.deterministic, load
        self.device, self.dtype, self.notes, self.planned_for = known.device, known.dtype, known.notes, None

    def _wake(self) -> None:
        """Load the weights, where that was left until now."""
        if self._load is None:
            return
        awake, usage = self._load(), self._scorer.usage
        self._load, self._network, self._scorer = None, awake._network, awake._scorer
        self.device, self.notes = awake.device, awake.notes
        self._scorer.usage = usage  # whoever counts holds this

    def rendered(self, request: Request) -> str:
        """Return the text that is sent for a request: answers are remembered by it."""
        return self._jobs.prompts.text(request)

    @property
    def context_tokens(self) -> int | None:
        """The longest sequence that the model takes, where its configuration says so."""
        return context_tokens_of(self._live().config)

    @property
    def plain(self) -> TransformersModel:
        """The same model, asked prompt by prompt in padded batches and with its own attention: for comparison."""
        self._wake()
        return type(self)(
            self.name, self._live(), self._tokenizer, chat=self.chat, batch_tokens=self.batch_tokens, packed=False,
            max_new_tokens=self.max_new_tokens, chat_arguments=self._jobs.prompts.arguments, notes=self.notes,
        )  # fmt: skip

    @property
    def deterministic(self) -> bool | Literal["rounding"]:
        """`"rounding"` where that can move an answer by more than 1e-4 nat, so that its noise must be measured.

        So for all arithmetic that is not float32 throughout, and for every quantised model.
        """
        if self._noisy is None:
            self._noisy = is_quantised(self._live())
        return "rounding" if self._noisy else True

    @property
    def usage(self) -> Usage:
        """Tokens asked for and tokens sent so far."""
        return self._scorer.usage

    @property
    def is_proven(self) -> bool:
        """Whether the path that prompts take was compared with single prompts, so that equal prompts get equal answers in it."""
        return self._scorer.proof is not None

    @property
    def batch_tokens(self) -> int:
        """Tokens of one pass; halved whenever memory ran out."""
        return self._scorer.batch_tokens

    def describe_path(self) -> str:
        """Return one line: how prompts are sent, what was measured to allow it, and why not faster."""
        return "; ".join([self._scorer.describe(), *self.notes]) if self.usage.passes else "nothing was asked"

    def planned_tokens(self, requests: Sequence[Request]) -> tuple[int, int]:
        """Return the tokens of all prompts, and those that a prefix tree would send for them; nothing is asked.

        Texts count with all tokens that they may have. Needs tokenizer and configuration, no weights.
        """
        asked = self._jobs.asked(requests)
        jobs = [self._jobs.job(item) for item in asked if not isinstance(item.request, TextRequest)]
        readings = [reading for job in jobs for reading in job.readings]
        prompt, sent = sum(len(item.tokens) for item in readings), 0
        for group in self._scorer.tree_passes(readings) if self.packed else ():
            sent += len(grow([readings[index] for index in group]).tokens)
        sent = sent if self.packed else prompt
        written = sum(len(item.tokens) + item.n_new for item in asked if isinstance(item.request, TextRequest))
        return prompt + written, sent + written

    def planned_seconds(self, tokens: int) -> float:
        """Return about how long so many tokens take on this machine; a guess within a factor of two or three."""
        return tokens / tokens_per_s(self._live(), self.planned_for or self.device)

    def release(self) -> None:
        """Let go of the weights; on a GPU, hand cached memory back."""
        if self._network is not None:
            self._fingerprint, self._noisy = self.fingerprint, self.deterministic is not True
        self._network = self._load = None
        self._scorer.release()
        free_memory()

    def answer(self, requests: Sequence[Request]) -> list[Reply]:
        """Score and generate; replies come in the order asked."""
        return in_order(self.answers(requests))

    def answers(self, requests: Sequence[Request]) -> Iterator[list[tuple[int, Reply]]]:
        """Yield (index, reply) pairs after every pass, each request once, in any order."""
        self._wake()
        if self.device == "meta":
            raise ModelError(f"{self.name} was loaded without weights: it can count tokens, but cannot answer")
        asked = self._jobs.asked(requests)
        jobs = [self._jobs.job(item) for item in asked if not isinstance(item.request, TextRequest)]
        yield from self._scored(jobs, requests)
        yield from self._texts([item for item in asked if isinstance(item.request, TextRequest)])

    def _scored(self, jobs: Sequence[Job], requests: Sequence[Request]) -> Iterator[list[tuple[int, Reply]]]:
        owners = [(job, part) for job in jobs for part in range(len(job.readings))]
        waiting: dict[int, dict[int, Values]] = {job.index: {} for job in jobs}
        try:
            for scored in self._scorer.score([job.readings[part] for job, part in owners]) if jobs else ():
                done = []
                for item in scored:
                    job, part = owners[item.index]
                    found = waiting[job.index]
                    found[part] = item.values
                    if len(found) == len(job.readings):
                        done.append((job.index, job.reply([found[n] for n in range(len(found))])))
                        del waiting[job.index]
                yield done
        except TooLargeError as error:
            job, part = owners[error.args[0]]
            raise self._too_large(requests[job.index], len(job.readings[part].tokens)) from error

    def _texts(self, asked: Sequence[Asked]) -> Iterator[list[tuple[int, Reply]]]:
        prompts, news = [item.tokens for item in asked], [item.n_new for item in asked]
        groups = text_batches(prompts, news, self.batch_tokens)
        while groups:
            group = groups.pop(0)
            try:
                texts, sent = generate(
                    self._live(), self._tokenizer, [prompts[n] for n in group], news[group[0]],
                    pad=self._pad(), share=self._scorer.shares_beginnings(len(prompts[group[0]])),
                    draws=[getattr(asked[n].request, "draw", None) for n in group],
                )  # fmt: skip
            except Exception as error:
                if not out_of_memory(error):
                    raise
                if len(group) == 1:
                    raise self._too_large(asked[group[0]].request, len(prompts[group[0]])) from error
                self._scorer.shrink(len(group) * len(prompts[group[0]]))
                groups[:0] = [group[: len(group) // 2], group[len(group) // 2 :]]
                continue
            self._scorer.count(sum(len(prompts[n]) for n in group), sent)
            yield [
                (asked[n].index, TextReply(made.text, tokens_digest(prompts[n]), len(prompts[n]), made.ran_out))
                for n, made in zip(group, texts, strict=True)
            ]

    def _too_large(self, request: Request, n_tokens: int) -> ModelError:
        return too_large(self.name, self.device, request, n_tokens)

    def _pad(self) -> int:
        for value in (self._tokenizer.pad_token_id, self._tokenizer.eos_token_id, 0):
            if value is not None:
                return int(value)
        raise AssertionError("unreachable")  # pragma: no cover

    def _live(self) -> Any:
        if self._network is None:
            raise ModelError(f"{self.name} was released and cannot be asked any more. Load it again")
        return self._network
