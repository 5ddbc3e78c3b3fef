"""Invariance properties of language models as unit tests.

Names are imported when they are first used (PEP 562), so that installing this package costs a test suite
nothing that does not use it.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

_HOMES = {
    "Question": "questions.question",
    "Item": "questions.questionnaire",
    "Questionnaire": "questions.questionnaire",
    "Scale": "questions.questionnaire",
    "load_questionnaire": "questions.reading",
    "load_questions": "questions.reading",
    "Paraphrase": "paraphrases.transform",
    "load_paraphrases": "paraphrases.transform",
    "Ask": "questions.conversation",
    "Message": "questions.conversation",
    "Said": "questions.conversation",
    "Conversation": "search.conversations",
    "run_machine": "search.conversations",
    "AddDistractor": "transforms.texts",
    "AddNoise": "transforms.texts",
    "AddOpinion": "transforms.texts",
    "ReorderShots": "transforms.texts",
    "Restate": "transforms.texts",
    "SwapGroups": "transforms.texts",
    "fix_references": "questions.references",
    "Layout": "questions.template",
    "Presentation": "questions.presentation",
    "Template": "questions.template",
    "Orbit": "transforms.base",
    "Product": "transforms.base",
    "Reformat": "transforms.showing",
    "Relabel": "transforms.showing",
    "Reorder": "transforms.showing",
    "Reword": "transforms.showing",
    "Transform": "transforms.base",
    "Model": "models.protocol",
    "load_model": "models.loading",
    "controls": "models.controls",
    "symmetrized": "models.symmetrized",
    "assert_batch_invariant": "assertions",
    "assert_invariant": "assertions",
    "assert_no_negative_flips": "assertions",
    "assert_order_symmetric": "assertions",
    "assert_prompt_insensitive": "assertions",
    "assert_readouts_agree": "assertions",
    "assert_same_answer": "assertions",
    "assert_tracks": "assertions",
    "check": "checks.check",
    "FindingList": "checks.recorders",
    "NoiseFloor": "measures.noise",
    "noise_floor": "checks.noise",
    "run": "checks.run",
    "find_counterexample": "search.breadth_first",
    "Choices": "search.spaces",
    "Finding": "checks.verdict",
    "InvarianceError": "checks.verdict",
    "UndecidedError": "checks.verdict",
    "Verdict": "checks.verdict",
    "LLMInvarianceError": "errors",
    "CapabilityError": "errors",
    "MissingExtraError": "errors",
    "ModelError": "errors",
    "QuestionError": "errors",
    "UsageError": "errors",
    "strategies": "strategies",
}
_MODULES = {"controls", "strategies"}

__all__ = sorted(_HOMES)  # noqa: PLE0605 - the names are in one table

if TYPE_CHECKING:
    from pytest_llminvariance import strategies as strategies
    from pytest_llminvariance.assertions import assert_batch_invariant as assert_batch_invariant
    from pytest_llminvariance.assertions import assert_invariant as assert_invariant
    from pytest_llminvariance.assertions import assert_no_negative_flips as assert_no_negative_flips
    from pytest_llminvariance.assertions import assert_order_symmetric as assert_order_symmetric
    from pytest_llminvariance.assertions import assert_prompt_insensitive as assert_prompt_insensitive
    from pytest_llminvariance.assertions import assert_readouts_agree as assert_readouts_agree
    from pytest_llminvariance.assertions import assert_same_answer as assert_same_answer
    from pytest_llminvariance.assertions import assert_tracks as assert_tracks
    from pytest_llminvariance.checks.check import check as check
    from pytest_llminvariance.checks.noise import noise_floor as noise_floor
    from pytest_llminvariance.checks.recorders import FindingList as FindingList
    from pytest_llminvariance.checks.run import run as run
    from pytest_llminvariance.checks.verdict import Finding as Finding
    from pytest_llminvariance.checks.verdict import InvarianceError as InvarianceError
    from pytest_llminvariance.checks.verdict import UndecidedError as UndecidedError
    from pytest_llminvariance.checks.verdict import Verdict as Verdict
    from pytest_llminvariance.errors import CapabilityError as CapabilityError
    from pytest_llminvariance.errors import LLMInvarianceError as LLMInvarianceError
    from pytest_llminvariance.errors import MissingExtraError as MissingExtraError
    from pytest_llminvariance.errors import ModelError as ModelError
    from pytest_llminvariance.errors import QuestionError as QuestionError
    from pytest_llminvariance.errors import UsageError as UsageError
    from pytest_llminvariance.measures.noise import NoiseFloor as NoiseFloor
    from pytest_llminvariance.models import controls as controls
    from pytest_llminvariance.models.loading import load_model as load_model
    from pytest_llminvariance.models.protocol import Model as Model
    from pytest_llminvariance.models.symmetrized import symmetrized as symmetrized
    from pytest_llminvariance.paraphrases.transform import Paraphrase as Paraphrase
    from pytest_llminvariance.paraphrases.transform import load_paraphrases as load_paraphrases
    from pytest_llminvariance.questions.conversation import Ask as Ask
    from pytest_llminvariance.questions.conversation import Message as Message
    from pytest_llminvariance.questions.conversation import Said as Said
    from pytest_llminvariance.questions.presentation import Presentation as Presentation
    from pytest_llminvariance.questions.question import Question as Question
    from pytest_llminvariance.questions.questionnaire import Item as Item
    from pytest_llminvariance.questions.questionnaire import Questionnaire as Questionnaire
    from pytest_llminvariance.questions.questionnaire import Scale as Scale
    from pytest_llminvariance.questions.reading import load_questionnaire as load_questionnaire
    from pytest_llminvariance.questions.reading import load_questions as load_questions
    from pytest_llminvariance.questions.references import fix_references as fix_references
    from pytest_llminvariance.questions.template import Layout as Layout
    from pytest_llminvariance.questions.template import Template as Template
    from pytest_llminvariance.search.breadth_first import find_counterexample as find_counterexample
    from pytest_llminvariance.search.conversations import Conversation as Conversation
    from pytest_llminvariance.search.conversations import run_machine as run_machine
    from pytest_llminvariance.search.spaces import Choices as Choices
    from pytest_llminvariance.transforms.base import Orbit as Orbit
    from pytest_llminvariance.transforms.base import Product as Product
    from pytest_llminvariance.transforms.base import Transform as Transform
    from pytest_llminvariance.transforms.showing import Reformat as Reformat
    from pytest_llminvariance.transforms.showing import Relabel as Relabel
    from pytest_llminvariance.transforms.showing import Reorder as Reorder
    from pytest_llminvariance.transforms.showing import Reword as Reword
    from pytest_llminvariance.transforms.texts import AddDistractor as AddDistractor
    from pytest_llminvariance.transforms.texts import AddNoise as AddNoise
    from pytest_llminvariance.transforms.texts import AddOpinion as AddOpinion
    from pytest_llminvariance.transforms.texts import ReorderShots as ReorderShots
    from pytest_llminvariance.transforms.texts import Restate as Restate
    from pytest_llminvariance.transforms.texts import SwapGroups as SwapGroups


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    module = importlib.import_module(f"{__name__}.{_HOMES[name]}")
    value = module if name in _MODULES else getattr(module, name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *_HOMES})
