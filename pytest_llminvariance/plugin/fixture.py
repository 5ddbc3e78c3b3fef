"""The checks, bound to one model: what the fixture `invariance` gives."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from pytest_llminvariance import assertions
from pytest_llminvariance.assertions import assert_no_negative_flips
from pytest_llminvariance.checks.backends import BackendDifference
from pytest_llminvariance.checks.check import check
from pytest_llminvariance.checks.noise import noise_floor
from pytest_llminvariance.checks.properties.base import Property
from pytest_llminvariance.checks.verdict import Finding
from pytest_llminvariance.measures.noise import NoiseFloor
from pytest_llminvariance.models.protocol import AnyModel
from pytest_llminvariance.questions.presentation import Presentation
from pytest_llminvariance.questions.question import Question, Questions
from pytest_llminvariance.questions.template import Template
from pytest_llminvariance.transforms.base import Transform

if TYPE_CHECKING:
    from pytest_llminvariance.search.conversations import MachineRun


@dataclass(frozen=True, slots=True)
class Checks:
    """Assertions on one model; arguments are those of the functions of the same name."""

    model: AnyModel = field(repr=False)
    """What the fixture `invariance_model` gives: a network's repr would fill a traceback."""

    def check(self, property: str | Property | Transform, questions: Questions, **settings: Any) -> Finding:
        """Return a finding without raising for a broken property."""
        return check(property, self.model, questions, **settings)

    def assert_order_symmetric(self, questions: Questions, **settings: Any) -> Finding:
        """Assert that the order of options does not matter."""
        __tracebackhide__ = True
        return assertions.assert_order_symmetric(self.model, questions, **settings)

    def assert_prompt_insensitive(
        self, questions: Questions, *, templates: Sequence[str | Template], **settings: Any
    ) -> Finding:
        """Assert that the wording of instructions does not matter."""
        __tracebackhide__ = True
        return assertions.assert_prompt_insensitive(self.model, questions, templates=templates, **settings)

    def assert_invariant(self, questions: Questions, *, under: Transform, **settings: Any) -> Finding:
        """Assert that a transform does not matter."""
        __tracebackhide__ = True
        return assertions.assert_invariant(self.model, questions, under=under, **settings)

    def assert_readouts_agree(self, questions: Questions, **settings: Any) -> Finding:
        """Assert that readouts agree."""
        __tracebackhide__ = True
        return assertions.assert_readouts_agree(self.model, questions, **settings)

    def assert_batch_invariant(self, questions: Questions, **settings: Any) -> Finding:
        """Assert that a prompt gets the same answer alone and in the company of others."""
        __tracebackhide__ = True
        return assertions.assert_batch_invariant(self.model, questions, **settings)

    def assert_no_negative_flips(self, questions: Questions, **settings: Any) -> Finding:
        """Assert that what the baseline answered right is not wrong now."""
        __tracebackhide__ = True
        return assert_no_negative_flips(self.model, questions, **settings)

    def assert_backends_agree(self, other: AnyModel, questions: Questions, **settings: Any) -> BackendDifference:
        """Assert that another way of running the same weights gives the same answers."""
        __tracebackhide__ = True
        return assertions.assert_backends_agree(self.model, other, questions, **settings)

    def noise_floor(self, questions: Questions, **settings: Any) -> NoiseFloor:
        """Measure how far answers move when only the company of a prompt changes."""
        return noise_floor(self.model, questions, **settings)

    def assert_tracks(self, edits: Sequence[tuple[Question, Question]], **settings: Any) -> Finding:
        """Assert that edits which change the meaning change the answer."""
        __tracebackhide__ = True
        return assertions.assert_tracks(self.model, edits, **settings)

    def assert_same_answer(self, a: Presentation, b: Presentation, **settings: Any) -> None:
        """Assert that two presentations get the same answer; for use inside `@given`."""
        __tracebackhide__ = True
        assertions.assert_same_answer(self.model, a, b, **settings)

    def run_machine(self, questions: Questions, **settings: Any) -> MachineRun:
        """Assert that an answer survives conversations; `run_machine` has the settings."""
        __tracebackhide__ = True
        from pytest_llminvariance.search.conversations import run_machine

        return run_machine(self.model, questions, **settings)
