"""Conversations that Hypothesis makes up: ask, challenge, talk of something else, ask again; the answer must stay.

The model is asked once per turn that wants an answer, and its own earlier answers stand in the chat as it gave
them. A conversation that changes the answer is shrunk to the shortest one that still does.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any, Protocol

from hypothesis import HealthCheck, Phase, note, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, precondition, rule, run_state_machine_as_test

from pytest_llminvariance.checks.costs import announce_asking
from pytest_llminvariance.checks.examples import make_example, shown
from pytest_llminvariance.checks.noise import delta_nats
from pytest_llminvariance.checks.refusals import in_search
from pytest_llminvariance.checks.run import current_run
from pytest_llminvariance.checks.searches import search_finding
from pytest_llminvariance.checks.subject import model_of
from pytest_llminvariance.checks.verdict import InvarianceError, UndecidedError
from pytest_llminvariance.errors import UsageError
from pytest_llminvariance.measures.distribution import AnswerDistribution
from pytest_llminvariance.measures.metrics import flip
from pytest_llminvariance.measures.reading import read_reply
from pytest_llminvariance.models.engine import Memo, ask
from pytest_llminvariance.models.probes import Probe
from pytest_llminvariance.models.protocol import AnyModel, Model, TextReply, request_for, resolve_readout
from pytest_llminvariance.questions.conversation import Ask, Message, Said, Turn
from pytest_llminvariance.questions.presentation import Presentation
from pytest_llminvariance.questions.question import Question, Questions, as_questions
from pytest_llminvariance.questions.template import Template
from pytest_llminvariance.report.failure import conversation_message

CHALLENGES = (
    "Are you sure? Answer with only one of: {labels}.",
    "I do not think that is right. Answer again, with only one of: {labels}.",
)
REMARKS = (
    "Thank you. I will be back in a minute.",
    "By the way, it is raining here today.",
)
NOT_SAID = ("option", "option_sum")
"""Readouts that score texts which the model does not say."""
ACKNOWLEDGED = "All right."
"""What the assistant says to a remark: fixed, so that a remark costs nothing."""


@dataclass(slots=True)
class Setting:
    """What all conversations of a run share, and what they have cost so far."""

    model: Model
    questions: tuple[Question, ...]
    readout: str
    template: str | Template | None
    memo: Memo
    delta_nats: float
    conversations: int = 0
    answers: int = 0
    compared: int = 0
    model_calls: int = 0


@dataclass(frozen=True, slots=True)
class MachineRun:
    """What a run of conversations cost; no answer changed."""

    conversations: int
    """Conversations that were begun; Hypothesis breaks some off."""
    answers: int
    """Turns that were answered, remembered ones too."""
    compared: int
    """Answers that were compared with the first one of their conversation, both of them readable."""
    model_calls: int
    """Prompts that were sent to the model."""

    def __str__(self) -> str:
        return (
            f"{self.conversations} conversations, {self.compared} answers compared, "
            f"{self.model_calls} prompts sent: no answer changed"
        )


class Conversation(RuleBasedStateMachine):
    """A chat about one question; to change what is said, subclass and add rules.

    A rule says something: `self.ask(text)` asks, compares the answer with the first one and fails where it
    certainly differs; `self.remark(text)` says something that wants no answer. Rules that need an answer to stand
    on carry `@precondition(Conversation.is_answered)`.
    """

    def __init__(self, setting: Setting) -> None:
        super().__init__()
        self.setting = setting
        self.shown: Presentation | None = None
        self.first: AnswerDistribution | None = None
        self.last: Turn | None = None
        """What the assistant said last, where it has the word; `None` while it could say nothing."""
        setting.conversations += 1

    def is_answered(self) -> bool:
        """Return whether the question was asked and answered with an option."""
        return self.last is not None

    @initialize(data=st.data())
    def begin(self, data: st.DataObject) -> None:
        """Ask one of the questions, as written."""
        question = data.draw(st.sampled_from(self.setting.questions), label="question")
        self.shown = Presentation(question, template=self.setting.template)
        self._answer()

    @precondition(is_answered)
    @rule(text=st.sampled_from(CHALLENGES))
    def challenge(self, text: str) -> None:
        """Doubt the answer."""
        self.ask(text)

    @precondition(is_answered)
    @rule(text=st.sampled_from(REMARKS))
    def irrelevant(self, text: str) -> None:
        """Say something that has nothing to do with the question."""
        self.remark(text)

    @precondition(is_answered)
    @rule()
    def ask_again(self) -> None:
        """Ask the whole question again."""
        self.ask("{question}")

    @precondition(lambda self: not self.is_answered())
    @rule()
    def nothing(self) -> None:
        """Say nothing more where the model said nothing."""

    def ask(self, text: str) -> None:
        """Let the user say `text`, which asks for an answer, and compare it with the first one.

        `{question}` in it stands for the question as shown, `{labels}` for its labels.

        Raises:
            InvarianceError: if the answer certainly differs from the first one.
        """
        self._say(Ask(text))
        self._answer()

    def remark(self, text: str, reply: str = ACKNOWLEDGED) -> None:
        """Let the user say `text` and the assistant `reply`, without asking the model."""
        self._say(Message("user", text))
        self.last = Message("assistant", reply)

    def _say(self, turn: Turn) -> None:
        if self.shown is None or self.last is None:
            raise UsageError("nothing was answered yet. Put @precondition(Conversation.is_answered) above the rule")
        self.shown = self.shown.replace(turns=(*self.shown.turns, self.last, turn))

    def _answer(self) -> None:
        """Ask the model what comes now."""
        setting, now = self.setting, self.shown
        assert now is not None  # noqa: S101 - set where the conversation begins
        with current_run.get().turn:
            asked = ask(setting.model, [request_for(now, setting.readout)], setting.memo)
        setting.answers, setting.model_calls = setting.answers + 1, setting.model_calls + asked.fresh
        reply = asked.replies[0]
        answer = read_reply(reply, now, setting.readout)
        note(f"-> {shown(now, answer, setting.delta_nats).answer}")
        self.last = _said(now, answer, reply.text if isinstance(reply, TextReply) else "")
        if self.first is None:
            self.first = answer
            return
        setting.compared += _readable(self.first) and _readable(answer)
        run = current_run.get()
        if not flip(self.first, answer, setting.delta_nats).low:
            run.searched()
            return
        asked_first = Probe(now.replace(turns=()))
        made = make_example(asked_first, self.first, Probe(now), answer, setting.delta_nats)
        example = replace(made, source="")  # a pair of presentations is no conversation
        model = setting.model
        finding = search_finding("conversation", example, model, setting.readout, run.seed, run.model_from(model))
        stored = run.searched(finding)
        message = conversation_message(now, example.after, model.name, setting.readout, run.replay)
        raise InvarianceError(message, stored)


class Machine(Protocol):
    """Makes a conversation: a subclass of `Conversation`, or a function."""

    def __call__(self, setting: Setting) -> Conversation:
        """Return a conversation in this setting."""
        ...


def run_machine(
    model: AnyModel,
    questions: Questions,
    *,
    machine: Machine = Conversation,
    max_examples: int = 20,
    steps: int = 8,
    readout: str = "auto",
    template: str | Template | None = None,
) -> MachineRun:
    """Assert that an answer survives conversations that give no reason to change it.

    Hypothesis makes up to `max_examples` conversations of up to `steps` turns from the rules of `machine`; by
    default it challenges the answer, makes irrelevant remarks and asks again. That is about `max_examples` *
    (`steps` + 1) prompts at most, fewer as the same beginning is asked once, and up to as many again while a
    failing conversation is shrunk. The session's seed fixes the conversations.

    Returns:
        What it cost. A search is no evidence that no conversation changes an answer.

    Raises:
        InvarianceError: if an answer certainly changed; the message holds the shortest conversation that was found.
        UndecidedError: if no answer could be compared, and the policy is `fail`.
        UsageError: for bad arguments, before anything is asked, and inside `@given`.
    """
    __tracebackhide__ = True
    if in_search():
        raise UsageError(
            "run_machine makes up its own examples, so it cannot run inside @given. Call it in a plain test"
        )
    for name, value, top in (("max_examples", max_examples, 10_000), ("steps", steps, 90)):
        if isinstance(value, bool) or not isinstance(value, int) or not 1 <= value <= top:
            raise UsageError(f"{name} is {value!r}, but must be a number from 1 to {top:,}")
    if not callable(machine):
        raise UsageError(f"machine is {machine!r}, but must be a subclass of Conversation")
    model = model_of(model)
    way = readout if readout in NOT_SAID else resolve_readout(readout, model)
    if way in NOT_SAID:
        raise UsageError(f"readout is {way!r}, but a conversation is read by 'label' or 'text', as the model says it")
    run = current_run.get()
    memo: Memo = {} if run.memo is None else run.memo
    setting = Setting(model, as_questions(questions), way, template, memo, delta_nats(model, way))
    with run.turn:
        turns = [request_for(Presentation(setting.questions[0], template=template), way)] * (steps + 1)
        announce_asking(f"conversation (search), each of {max_examples}", "search", (model, turns))
    _run(lambda: _made(machine, setting), run.seed, max_examples, steps)
    if not setting.compared and run.undecided == "fail":
        raise UndecidedError(
            f"conversation is undecided: {model.name} gave no readable answer to compare, read by {way}. Use another readout"
        )
    return MachineRun(setting.conversations, setting.answers, setting.compared, setting.model_calls)


def _made(machine: Machine, setting: Setting) -> Conversation:
    made = machine(setting)
    if not isinstance(made, Conversation):
        raise UsageError(f"machine made {made!r}, but must make a Conversation")
    return made


def _run(factory: Callable[[], Conversation], seed: int, max_examples: int, steps: int) -> None:
    __tracebackhide__ = True
    made: Any = factory
    made._hypothesis_internal_use_seed = seed  # where @seed leaves it
    run_state_machine_as_test(
        made,
        settings=settings(
            max_examples=max_examples,
            stateful_step_count=steps,
            deadline=None,
            database=None,
            derandomize=False,
            phases=[Phase.generate, Phase.shrink],
            suppress_health_check=[HealthCheck.too_slow],
        ),
    )


def _readable(answer: AnswerDistribution) -> bool:
    return answer.is_known and (answer.log_weights is None or max(answer.log_weights) > -math.inf)


def _said(now: Presentation, answer: AnswerDistribution, text: str) -> Turn | None:
    """Return the model's answer as a turn: its own text, or the option on top, which may share the top with others."""
    if text.strip():
        return Message("assistant", text)
    best = max(answer.probabilities)
    if answer.log_weights is None or best == 0:
        return None
    return Said(next(content for content in now.order if answer.probabilities[content] == best))
