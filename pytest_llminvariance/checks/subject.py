"""What is checked: a model, or what people hold of one, asked as the settings of the session say."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from pytest_llminvariance.checks.costs import announce_asking
from pytest_llminvariance.checks.run import current_run
from pytest_llminvariance.errors import UsageError
from pytest_llminvariance.measures.distribution import AnswerDistribution
from pytest_llminvariance.measures.reading import read_reply
from pytest_llminvariance.models import debiased as removing
from pytest_llminvariance.models import repeated as repeating
from pytest_llminvariance.models import symmetrized as averaging
from pytest_llminvariance.models.engine import ask
from pytest_llminvariance.models.functions import FunctionModel
from pytest_llminvariance.models.protocol import AnyModel, Model, request_for, resolve_readout
from pytest_llminvariance.models.replay import ReplayModel
from pytest_llminvariance.models.wrapping import SETTINGS, as_model
from pytest_llminvariance.questions.presentation import Presentation
from pytest_llminvariance.questions.question import Questions, as_questions


def model_of(obj: AnyModel) -> Model:
    """Return a model as it is, and anything else as `wrap_model` takes it, with the settings of the session.

    Raises:
        UsageError: for what is not taken.
        ModelError: for a network that is no causal language model, or a tokenizer that does not fit it.
    """
    return (current_run.get().wrap or as_model)(obj)


def answers_to(model: AnyModel, shown: Sequence[Presentation], readout: str, title: str) -> list[AnswerDistribution]:
    """Ask for presentations, each distinct one once, and return what was answered, by content.

    A session that only plans is told what that costs, under `title`, and nothing is asked.

    Raises:
        UsageError: for a readout that is none, or recorded answers that fit nothing.
    """
    run, subject = current_run.get(), model_of(model)
    way = resolve_readout(readout, subject)
    requests = [request_for(one, way) for one in shown]
    with run.turn:
        announce_asking(title, "description", (subject, list(dict.fromkeys(requests))))
        if isinstance(subject, ReplayModel):
            subject.check_planned(requests)
        replies = ask(subject, requests, {} if run.memo is None else run.memo).replies
    return [read_reply(reply, one, way) for reply, one in zip(replies, shown, strict=True)]


def wrap_model(obj: object, tokenizer: object = None, *, name: str | None = None, **settings: Any) -> Model:
    """Return what you hold of a model as a model of this package; every check does this by itself.

    `obj` is a causal language model of transformers with its `tokenizer` (or the pair of both), also one of PEFT,
    compiled or dispatched to several devices; a `pipeline("text-generation")`; a `vllm.LLM`; a function `messages -> text`, read as
    text; a function `messages, options -> {option: probability}`, read by label; or a model already, which is
    returned as it is. Messages are dictionaries with `role` and `content`. The object stays where and as it is:
    weights, device, training mode. `name` stands in messages and reports.

    `settings` are those of `load_model` which reach a model that is loaded already: `prompt_format`, `batch_tokens`,
    `threads`, `packed`, `deterministic`, `max_new_tokens` and `chat_arg`; `dtype` is checked, never changed. They are
    for models of transformers; a `vllm.LLM` is reached by four of them. In a pytest session those that are not given are the session's.

    The same object, wrapped twice in the same way, is the same model, until its weights, adapters or template change.
    Two objects never share answers, and no answer is kept between sessions.

    Raises:
        UsageError: for what is not taken, a model without its tokenizer, or settings that cannot reach it.
        ModelError: for a network that is no causal language model, or a tokenizer that does not fit it.
    """
    unknown = sorted(settings.keys() - set(SETTINGS))
    if unknown:
        raise UsageError(
            f"{unknown[0]}={settings[unknown[0]]!r:.80} is no setting of wrap_model: it cannot reach a model that is loaded already.\n"
            f"These can: {', '.join(SETTINGS)}"
        )
    made = (current_run.get().wrap or as_model)(obj, tokenizer, name=name, settings=settings)
    given = sorted(settings) + (["name"] if name is not None else [])
    if made is obj and given:
        raise UsageError(
            f"{given[0]} is given for {made.name}, which is a model already.\nGive it where that model is made"
        )
    if lost := sorted(settings.keys() - set(getattr(made, "taken", SETTINGS))):
        raise UsageError(
            f"{lost[0]} is given for {made.name}, which it does not reach.\nGive it where the engine is started"
        )
    if isinstance(made, FunctionModel) and settings:
        raise UsageError(
            f"{given[0]} is given for the function {made.name}, which it does not reach.\nLet the function do it"
        )
    return made


def symmetrized(model: AnyModel, frame: averaging.Frame = "all") -> averaging.SymmetrizedModel:
    """Return `model` averaged over a frame of orders: it passes the order check by construction.

    Raises:
        UsageError: for an unknown frame.
        CapabilityError: if the model gives texts only.
    """
    return averaging.symmetrized(model_of(model), frame)


def repeated(model: AnyModel, times: int = 3) -> repeating.RepeatedModel:
    """Return `model` asked several times a prompt: a way to HOLDS for a server whose answers change by themselves.

    Raises:
        UsageError: for an even number of times, or fewer than 3.
    """
    return repeating.repeated(model_of(model), times)


def debiased(model: AnyModel, questions: Questions) -> removing.DebiasedModel:
    """Return `model` with its preference for positions and labels taken off, estimated on a few `questions`.

    The prior is estimated once for each set of labels and template, on all rotations of the questions with as many
    options as are asked: k prompts each. After that it costs one prompt a question. Take other questions than those that
    you check.

    Raises:
        UsageError: if there is no question.
        CapabilityError: if the model gives no log-probabilities of labels.
    """
    return removing.debiased(model_of(model), as_questions(questions))
