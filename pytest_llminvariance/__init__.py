"""Invariance properties of language models as unit tests.

Names are imported when they are first used (PEP 562), so that installing this package costs a test suite
nothing that does not use it. Type checkers and editors read them in `__init__.pyi`, which is made from the table here.
"""

from __future__ import annotations

import importlib
from typing import Any

_NAMES = {
    "assertions": (
        "assert_backends_agree assert_batch_invariant assert_complementary assert_configurations_agree "
        "assert_distractors_ignored assert_embedding_order_insignificant assert_evidence_order_stable "
        "assert_firm assert_forms_agree assert_group_swap_invariant assert_instances_equal "
        "assert_instrument_stable assert_invariant assert_judge_symmetric assert_languages_agree "
        "assert_no_negative_flips assert_no_position_bias assert_open_and_closed_agree "
        "assert_order_symmetric assert_output_formats_agree assert_paraphrase_consistent "
        "assert_prompt_insensitive assert_readouts_agree assert_refusals_stable assert_same_answer "
        "assert_tiers_ignored assert_tracks check"
    ),
    "checks.decompose": "decompose",
    "checks.frames": "compare_frames",
    "checks.multiverse": "multiverse",
    "checks.noise": "noise_floor",
    "checks.recorders": "FindingList",
    "checks.run": "run",
    "checks.subject": "debiased repeated symmetrized wrap_model",
    "checks.verdict": "Finding InvarianceError UndecidedError Verdict",
    "errors": "CapabilityError LLMInvarianceError MissingExtraError ModelError QuestionError UsageError",
    "measures.noise": "NoiseFloor",
    "models.controls": "controls",
    "models.loading": "load_model",
    "models.protocol": "Model",
    "paraphrases.transform": "Paraphrase load_paraphrases",
    "questions.conversation": "Ask Message Said",
    "questions.decision": "DecisionQuestion",
    "questions.presentation": "Presentation",
    "questions.question": "Question",
    "questions.questionnaire": "Item Questionnaire Scale",
    "questions.reading": "load_questionnaire load_questions",
    "questions.references": "fix_references",
    "questions.template": "Layout Template",
    "report.instrument": "instrument",
    "search.breadth_first": "find_counterexample",
    "search.conversations": "Conversation run_machine",
    "search.spaces": "Choices",
    "strategies": "strategies",
    "transforms.base": "Orbit Product Transform",
    "transforms.decisions": "AddField Isolate NameOptions Redescribe ReorderQuestions ReverseLevels",
    "transforms.showing": "Reformat Relabel Reorder Reword",
    "transforms.texts": "AddDistractor AddNoise AddOpinion ReorderShots Restate SwapGroups",
}
_HOMES = {name: home for home, names in _NAMES.items() for name in names.split()}
_MODULES = {"controls", "strategies"}

__all__ = sorted(_HOMES)  # noqa: PLE0605 - the names are in one table


def __getattr__(name: str) -> Any:
    if name not in _HOMES and not name.startswith("assert_"):
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    module = importlib.import_module(f"{__name__}.{_HOMES.get(name, 'assertions')}")
    try:
        value = module if name in _MODULES else getattr(module, name)
    except AttributeError as error:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}") from error
    if name in _HOMES:  # what others register may be taken away again
        globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *_HOMES})
