# made by `python -m tests.stub` from the table in __init__.py; a test compares them

from pytest_llminvariance import strategies as strategies
from pytest_llminvariance.assertions import assert_batch_invariant as assert_batch_invariant
from pytest_llminvariance.assertions import assert_invariant as assert_invariant
from pytest_llminvariance.assertions import assert_no_negative_flips as assert_no_negative_flips
from pytest_llminvariance.assertions import assert_order_symmetric as assert_order_symmetric
from pytest_llminvariance.assertions import assert_prompt_insensitive as assert_prompt_insensitive
from pytest_llminvariance.assertions import assert_readouts_agree as assert_readouts_agree
from pytest_llminvariance.assertions import assert_same_answer as assert_same_answer
from pytest_llminvariance.assertions import assert_tracks as assert_tracks
from pytest_llminvariance.assertions import check as check
from pytest_llminvariance.checks.noise import noise_floor as noise_floor
from pytest_llminvariance.checks.recorders import FindingList as FindingList
from pytest_llminvariance.checks.run import run as run
from pytest_llminvariance.checks.subject import symmetrized as symmetrized
from pytest_llminvariance.checks.subject import wrap_model as wrap_model
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

__all__: list[str]
_HOMES: dict[str, str]
_MODULES: set[str]
