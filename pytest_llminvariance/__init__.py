"""Invariance properties of language models as unit tests.

Names are imported when they are first used (PEP 562), so that installing this package costs a test suite
nothing that does not use it. Type checkers and editors read them in `__init__.pyi`, which is made from the table here.
"""

from __future__ import annotations

import importlib
from typing import Any

_NAMES = {
    "assertions": (
        "assert_batch_invariant assert_invariant assert_no_negative_flips assert_order_symmetric "
        "assert_prompt_insensitive assert_readouts_agree assert_same_answer assert_tracks check"
    ),
    "checks.noise": "noise_floor",
    "checks.recorders": "FindingList",
    "checks.run": "run",
    "checks.subject": "symmetrized wrap_model",
    "checks.verdict": "Finding InvarianceError UndecidedError Verdict",
    "errors": "CapabilityError LLMInvarianceError MissingExtraError ModelError QuestionError UsageError",
    "measures.noise": "NoiseFloor",
    "models.controls": "controls",
    "models.loading": "load_model",
    "models.protocol": "Model",
    "paraphrases.transform": "Paraphrase load_paraphrases",
    "questions.conversation": "Ask Message Said",
    "questions.presentation": "Presentation",
    "questions.question": "Question",
    "questions.questionnaire": "Item Questionnaire Scale",
    "questions.reading": "load_questionnaire load_questions",
    "questions.references": "fix_references",
    "questions.template": "Layout Template",
    "search.breadth_first": "find_counterexample",
    "search.conversations": "Conversation run_machine",
    "search.spaces": "Choices",
    "strategies": "strategies",
    "transforms.base": "Orbit Product Transform",
    "transforms.showing": "Reformat Relabel Reorder Reword",
    "transforms.texts": "AddDistractor AddNoise AddOpinion ReorderShots Restate SwapGroups",
}
_HOMES = {name: home for home, names in _NAMES.items() for name in names.split()}
_MODULES = {"controls", "strategies"}

__all__ = sorted(_HOMES)  # noqa: PLE0605 - the names are in one table


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    module = importlib.import_module(f"{__name__}.{_HOMES[name]}")
    value = module if name in _MODULES else getattr(module, name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *_HOMES})
