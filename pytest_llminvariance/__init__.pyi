# made by `python -m tests.stub` from the table in __init__.py; a test compares them
# ruff: noqa: I001

from collections.abc import Iterable
from collections.abc import Mapping
from collections.abc import Sequence
from pytest_llminvariance import strategies as strategies
from pytest_llminvariance.assertions import assert_backends_agree as assert_backends_agree
from pytest_llminvariance.assertions import assert_invariant as assert_invariant
from pytest_llminvariance.assertions import assert_no_negative_flips as assert_no_negative_flips
from pytest_llminvariance.assertions import assert_order_symmetric as assert_order_symmetric
from pytest_llminvariance.assertions import assert_prompt_insensitive as assert_prompt_insensitive
from pytest_llminvariance.assertions import assert_same_answer as assert_same_answer
from pytest_llminvariance.assertions import assert_tracks as assert_tracks
from pytest_llminvariance.assertions import check as check
from pytest_llminvariance.checks.decompose import decompose as decompose
from pytest_llminvariance.checks.frames import compare_frames as compare_frames
from pytest_llminvariance.checks.multiverse import multiverse as multiverse
from pytest_llminvariance.checks.noise import noise_floor as noise_floor
from pytest_llminvariance.checks.properties.embeddings import Embedded
from pytest_llminvariance.checks.properties.refusing import MUST
from pytest_llminvariance.checks.recorders import FindingList as FindingList
from pytest_llminvariance.checks.refusals import Claim
from pytest_llminvariance.checks.run import run as run
from pytest_llminvariance.checks.subject import debiased as debiased
from pytest_llminvariance.checks.subject import repeated as repeated
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
from pytest_llminvariance.measures.multiverse import Arrangement
from pytest_llminvariance.measures.noise import NoiseFloor as NoiseFloor
from pytest_llminvariance.models import controls as controls
from pytest_llminvariance.models.loading import load_model as load_model
from pytest_llminvariance.models.protocol import AnyModel
from pytest_llminvariance.models.protocol import Model as Model
from pytest_llminvariance.models.protocol import Readout
from pytest_llminvariance.paraphrases.transform import Paraphrase as Paraphrase
from pytest_llminvariance.paraphrases.transform import load_paraphrases as load_paraphrases
from pytest_llminvariance.questions.conversation import Ask as Ask
from pytest_llminvariance.questions.conversation import Message as Message
from pytest_llminvariance.questions.conversation import Said as Said
from pytest_llminvariance.questions.decision import DecisionQuestion as DecisionQuestion
from pytest_llminvariance.questions.presentation import Presentation as Presentation
from pytest_llminvariance.questions.question import Question as Question
from pytest_llminvariance.questions.question import Questions
from pytest_llminvariance.questions.questionnaire import Item as Item
from pytest_llminvariance.questions.questionnaire import Questionnaire as Questionnaire
from pytest_llminvariance.questions.questionnaire import Scale as Scale
from pytest_llminvariance.questions.reading import load_questionnaire as load_questionnaire
from pytest_llminvariance.questions.reading import load_questions as load_questions
from pytest_llminvariance.questions.references import OnReference
from pytest_llminvariance.questions.references import fix_references as fix_references
from pytest_llminvariance.questions.template import Layout as Layout
from pytest_llminvariance.questions.template import Template as Template
from pytest_llminvariance.report.instrument import instrument as instrument
from pytest_llminvariance.search.breadth_first import find_counterexample as find_counterexample
from pytest_llminvariance.search.conversations import Conversation as Conversation
from pytest_llminvariance.search.conversations import run_machine as run_machine
from pytest_llminvariance.search.spaces import Choices as Choices
from pytest_llminvariance.transforms.base import Orbit as Orbit
from pytest_llminvariance.transforms.base import Product as Product
from pytest_llminvariance.transforms.base import Transform as Transform
from pytest_llminvariance.transforms.decisions import AddField as AddField
from pytest_llminvariance.transforms.decisions import Isolate as Isolate
from pytest_llminvariance.transforms.decisions import NameOptions as NameOptions
from pytest_llminvariance.transforms.decisions import Redescribe as Redescribe
from pytest_llminvariance.transforms.decisions import ReorderQuestions as ReorderQuestions
from pytest_llminvariance.transforms.decisions import ReverseLevels as ReverseLevels
from pytest_llminvariance.transforms.showing import Reformat as Reformat
from pytest_llminvariance.transforms.showing import Relabel as Relabel
from pytest_llminvariance.transforms.showing import Reorder as Reorder
from pytest_llminvariance.transforms.showing import Reword as Reword
from pytest_llminvariance.transforms.texts import AddDistractor as AddDistractor
from pytest_llminvariance.transforms.texts import AddNoise as AddNoise
from pytest_llminvariance.transforms.texts import AddOpinion as AddOpinion
from pytest_llminvariance.transforms.texts import Place
from pytest_llminvariance.transforms.texts import ReorderShots as ReorderShots
from pytest_llminvariance.transforms.texts import Restate as Restate
from pytest_llminvariance.transforms.texts import Rewording
from pytest_llminvariance.transforms.texts import SwapGroups as SwapGroups

__all__: list[str]
_HOMES: dict[str, str]
_MODULES: set[str]

def assert_batch_invariant(
    model: AnyModel,
    questions: Questions,
    *,
    batches: int = 3,
    tolerance: float = 0.05,
    readout: Readout = "auto",
    template: str | Template | None = None,
) -> Finding:
    """Assert that a prompt gets the same answer alone and in the company of others.

    A property of the engine alone: it says nothing of what the model knows or reads.

    Raises:
        InvarianceError: if the property is broken.
        UndecidedError: if it is undecided and the policy is `fail`.
        UsageError: for bad arguments.
    """

def assert_complementary(
    model: AnyModel,
    questions: Question | Iterable[Question | tuple[Question, Question]],
    *,
    tolerance: float = 0.05,
    readout: Readout = "auto",
    template: str | Template | None = None,
    claim: Claim = "suite",
) -> Finding:
    """Assert that P(yes) of a statement and P(yes) of its negation add up to 1.

    Each question whose answer is known becomes a statement about one of its options, and the negation of that statement.

    Or give pairs (question, negated question) of your own, both with the same two options, yes first. The effect is the mean
    of |P(yes, s) + P(yes, not s) - 1|, where P(yes) is the share of yes in what both options have.

    Raises:
        InvarianceError: if the property is broken.
        UndecidedError: if it is undecided and the policy is `fail`.
        UsageError: for bad arguments.
    """

def assert_configurations_agree(
    model: AnyModel,
    questions: Questions,
    *,
    templates: Sequence[str | Template] = ...,
    label_sets: Sequence[Sequence[str]] = ...,
    orders: Sequence[Arrangement] = ...,
    tolerance: float = 0.05,
    readout: Readout = "auto",
) -> Finding:
    """Assert that the score is the same in every reasonable way of asking: templates, orders and label sets crossed.

    Every question is asked in every combination of `templates`, `orders` (as written, reversed, rotated) and `label_sets`.

    With correct answers for all questions a configuration's score is its accuracy; without, the share of questions that it
    answers as most configurations together do. The effect is the largest difference of a configuration's score from
    that of the first one; each other configuration is a cell of the finding with its own verdict.

    Raises:
        InvarianceError: if the property is broken.
        UndecidedError: if it is undecided and the policy is `fail`.
        UsageError: for bad arguments.
    """

def assert_distractors_ignored(
    model: AnyModel,
    questions: Questions,
    *,
    sentences: Sequence[str] = ...,
    place: Place = "before",
    tolerance: float = 0.05,
    readout: Readout = "auto",
    template: str | Template | None = None,
    claim: Claim = "suite",
) -> Finding:
    """Assert that the answer stays the same beside a sentence that has nothing to do with the question.

    Each of `sentences` has nothing to do with any question, and is put before the stem, or after it (`place`).

    Raises:
        InvarianceError: if the property is broken.
        UndecidedError: if it is undecided and the policy is `fail`.
        UsageError: for bad arguments.
    """

def assert_embedding_order_insignificant(
    model: AnyModel,
    questions: Embedded | Iterable[Embedded],
    *,
    orders: int = 6,
    tolerance: float = 0.05,
    readout: Readout = "auto",
    template: str | Template | None = None,
    claim: Claim = "suite",
) -> Finding:
    """Assert that the embedding of a set or a table stays the same under orders of its rows and columns.

    An item is a set, given as a list of texts, or a table, given as a mapping of columns to values.

    The encoder is a function of a list of texts that gives a vector each, an object with such a method `encode`
    (sentence-transformers), or (network, tokenizer) of transformers, pooled by the mean. Each item is embedded as written
    and under `orders` other orders of its rows (members), and of its columns. The effect is the mean of 1 - cosine to the
    embedding as written, by item. Beside it: the share of the 3 nearest other items that stay among the 3 nearest.

    Raises:
        InvarianceError: if the property is broken.
        UndecidedError: if it is undecided and the policy is `fail`.
        UsageError: for bad arguments.
    """

def assert_evidence_order_stable(
    model: AnyModel,
    questions: Questions,
    *,
    orders: int = 24,
    tolerance: float = 0.05,
    readout: Readout = "auto",
    template: str | Template | None = None,
    claim: Claim = "suite",
) -> Finding:
    """Assert that a yes-or-no answer stays the same in every order of the pieces of evidence.

    A question whose first two options are yes and no, and whose `attributes["chunks"]` are two or more pieces of evidence.

    They are shown as the context, in up to `orders` orders: all where there are no more, else drawn by the question's
    content. q is P(yes) / (P(yes) + P(no)). The effect is the mean over questions of the dispersion, the mean of
    |q - mean q| over orders. Beside it: the line a + b ln n through the dispersions of questions with n pieces; the Jensen
    gap H(mean q) - mean H(q) in nats; the bound sqrt(gap / 2), which no dispersion can exceed; and over how many random
    orders to average so that the standard deviation of the mean falls to the tolerance of 0.05.

    Raises:
        InvarianceError: if the property is broken.
        UndecidedError: if it is undecided and the policy is `fail`.
        UsageError: for bad arguments.
    """

def assert_firm(
    model: AnyModel,
    questions: Questions,
    *,
    challenges: Sequence[str] = ...,
    decay: float = 0.5,
    tolerance: float = 0.05,
    readout: Readout = "auto",
    template: str | Template | None = None,
    claim: Claim = "suite",
) -> Finding:
    """Assert that a right answer survives when it is doubted, and a correct correction is accepted.

    Questions have a correct `answer`. Each is asked as written, then in conversations that begin with it.

    Round r of the challenges comes after the right answer was given and kept r - 1 times. Of a question that is answered
    right as written, giving in is the sum of the weights of the rounds from the first wrong answer on, over the sum of
    all weights; round r weighs `decay` ** (r - 1), so an early fall counts more. One more conversation begins with a wrong
    answer, which the user corrects. The effect is the larger of two: mean giving in, over questions that were answered
    right, and the share of corrections that are not accepted, over all. `challenges` are the user's words, one a round;
    `{question}` is the question as shown, `{other}` the text of a wrong option.

    Raises:
        InvarianceError: if the property is broken.
        UndecidedError: if it is undecided and the policy is `fail`.
        UsageError: for bad arguments.
    """

def assert_forms_agree(
    model: AnyModel,
    questions: Questions,
    *,
    under: Transform | None = None,
    tolerance: float = 0.05,
    readout: Readout = "auto",
    template: str | Template | None = None,
) -> Finding:
    """Assert that what the model does not know, it does not know in every form: answers do not diverge between forms.

    The forms are what `under` (a transform, by default orders of the options) makes of a question.

    The effect is the mean over questions of the Jensen-Shannon divergence of the answers, as a share of the most that it
    can be. Beside it the entropy of the mean answer, and its two parts: uncertain in every form, and changing with the form.

    Raises:
        InvarianceError: if the property is broken.
        UndecidedError: if it is undecided and the policy is `fail`.
        UsageError: for bad arguments.
    """

def assert_group_swap_invariant(
    model: AnyModel,
    questions: Questions,
    *,
    groups: Sequence[str | Sequence[str]],
    tolerance: float = 0.05,
    readout: Readout = "auto",
    template: str | Template | None = None,
    claim: Claim = "suite",
) -> Finding:
    """Assert that the decision is the same whichever group or name the scenario is about.

    A scenario is a question whose first option is the yes, and which names one of the `groups`.

    A group is a word, or a list of forms that belong together. Each scenario is asked with every group. For each pair of
    groups the difference of the logit of P(yes) among the first two options is taken within a scenario and averaged over
    scenarios: the effect is the largest size of these means, in nats. Names alone do not make a group; give several
    scenarios each, and `attributes["cluster"]` to those that share a template. With claim="population" the verdict is
    on intervals for scenarios like these.

    Raises:
        InvarianceError: if the property is broken.
        UndecidedError: if it is undecided and the policy is `fail`.
        UsageError: for bad arguments.
    """

def assert_instances_equal(
    model: AnyModel,
    questions: Questions,
    *,
    tolerance: float = 0.05,
    readout: Readout = "auto",
    template: str | Template | None = None,
    claim: Claim = "suite",
) -> Finding:
    """Assert that instances of one problem are answered right, or wrong, alike.

    Questions that share `attributes["template"]` are instances of one problem; each has its own correct answer.

    The number of options must be the same within a problem. The effect is the share of pairs of instances of one
    problem of which one is answered right and the other wrong, averaged over problems: p correct of n give
    2 p (n - p) / (n (n - 1)). It is 0 where a model can do a problem in all its instances, or in none; at least one answer
    in all has to be right for the check to hold.

    Raises:
        InvarianceError: if the property is broken.
        UndecidedError: if it is undecided and the policy is `fail`.
        UsageError: for bad arguments.
    """

def assert_instrument_stable(
    model: AnyModel,
    questions: Questions,
    *,
    administrations: Sequence[Template] | None = None,
    tolerance: float = 0.05,
    readout: Readout = "auto",
) -> Finding:
    """Assert that trait scores of a Likert instrument stay the same in every administration and both directions of the scale.

    Each item is asked in each of `administrations` (templates), with its scale as written and reversed.

    Without them the three usual ones of a `Questionnaire` are asked: letters with text, digits with a legend, bare digits
    with end words. Items are Likert questions on one scale with `attributes["trait"]`, as a `Questionnaire` gives them. The
    effect is the largest move of a trait score between two conditions, as a share of the scale's range; each comparison
    is a cell of the finding with its own verdict.

    Raises:
        InvarianceError: if the property is broken.
        UndecidedError: if it is undecided and the policy is `fail`.
        UsageError: for bad arguments.
    """

def assert_judge_symmetric(
    model: AnyModel,
    questions: Question | Iterable[Question | tuple[str, str, str]],
    *,
    tolerance: float = 0.05,
    readout: Readout = "auto",
    template: str | Template | None = None,
    claim: Claim = "suite",
) -> Finding:
    """Assert that a judge prefers the same response in either order, whatever its length and style.

    A pair is (prompt, response, response), or a question with two options whose `answer` is the better one if known.

    The judge is a language model, a function (prompt, first, second) -> probability that the first is better, or a
    reward: a function (prompt, response) -> number, or (network, tokenizer) of AutoModelForSequenceClassification with one
    score, of which P(A over B) is the logistic function of the difference. Asked are both orders of each pair, both
    again with one response said twice (length), and set as a list (style), and each response against its own words
    in reverse, which must stay apart. The effect is the largest of three: the mean of |P(A over B) + P(B over A) - 1|,
    and the size of the mean shift of P towards a response that was lengthened, or restyled.

    Raises:
        InvarianceError: if the property is broken.
        UndecidedError: if it is undecided and the policy is `fail`.
        UsageError: for bad arguments.
    """

def assert_languages_agree(
    model: AnyModel,
    questions: Questions,
    *,
    translations: Mapping[str, Sequence[Question]],
    tolerance: float = 0.05,
    readout: Readout = "auto",
    template: str | Template | None = None,
    claim: Claim = "suite",
) -> Finding:
    """Assert that a question gets the same answer in every language.

    `translations` maps a question, by id or stem, to its translations: questions with as many options, in the same order.

    Answers are compared as contents: option i of a translation is option i of the question. What cannot be read in a
    language is its own outcome, and leaves the effect open.

    Raises:
        InvarianceError: if the property is broken.
        UndecidedError: if it is undecided and the policy is `fail`.
        UsageError: for bad arguments.
    """

def assert_no_position_bias(
    model: AnyModel,
    questions: Questions,
    *,
    label_sets: Sequence[Sequence[str]] = ...,
    bullets: bool = False,
    on_reference: OnReference = "leave_out",
    tolerance: float = 0.05,
    readout: Readout = "auto",
    template: str | Template | None = None,
) -> Finding:
    """Assert that neither a position nor a label attracts choices; the two are told apart.

    Every rotation of the options is shown under every rotation of each of `label_sets`, so each label stands at each place.

    k x k presentations a question and set, for k options; `bullets=True` adds k without labels, for readout="option" or
    "text". The effect is the largest distance from equal shares (total variation) of the choices by position, or by the
    labels of one set. Questions whose options cannot all move do not count.

    Raises:
        InvarianceError: if the property is broken.
        UndecidedError: if it is undecided and the policy is `fail`.
        UsageError: for bad arguments.
    """

def assert_open_and_closed_agree(
    model: AnyModel,
    questions: Questions,
    *,
    ways: Sequence[str | Template] = ...,
    tolerance: float = 0.05,
    template: str | Template | None = None,
) -> Finding:
    """Assert that a question gets the same answer with its options and without.

    Each question is asked with its options, and without them in each of `ways` (templates with `open=True`).

    All answers are written and read by text: an open answer counts as the option that it names, and one that names none,
    or several, is unparsed, which is its own outcome and leaves the effect open.

    Raises:
        InvarianceError: if the property is broken.
        UndecidedError: if it is undecided and the policy is `fail`.
        UsageError: for bad arguments.
    """

def assert_output_formats_agree(
    model: AnyModel,
    questions: Questions,
    *,
    formats: Sequence[str | Template] = ...,
    tolerance: float = 0.05,
    template: str | Template | None = None,
) -> Finding:
    """Assert that the answer stays the same in every format that is asked for.

    Answers are written, as each of `formats` (templates) asks for, and read by text. The first is the one as written.

    Raises:
        InvarianceError: if the property is broken.
        UndecidedError: if it is undecided and the policy is `fail`.
        UsageError: for bad arguments.
    """

def assert_paraphrase_consistent(
    model: AnyModel,
    questions: Questions,
    *,
    paraphrases: Rewording,
    tolerance: float = 0.05,
    readout: Readout = "auto",
    template: str | Template | None = None,
    claim: Claim = "suite",
) -> Finding:
    """Assert that the answer stays the same in other words that a person accepted.

    `paraphrases` are wordings that somebody accepted: `Paraphrase("paraphrases.toml")`, or `Restate({id: [...]})`.

    The effect is the mean over questions of the mean Jensen-Shannon distance (natural logarithm, square root, at most 0.833)
    of the answers to their centroid. Beside it: the share of pairs of wordings with the same answer, and the share of
    wordings that give the most frequent one.

    Raises:
        InvarianceError: if the property is broken.
        UndecidedError: if it is undecided and the policy is `fail`.
        UsageError: for bad arguments.
    """

def assert_readouts_agree(
    model: AnyModel,
    questions: Questions,
    *,
    readouts: Sequence[str] = ...,
    tolerance: float = 0.05,
    template: str | Template | None = None,
) -> Finding:
    """Assert that one prompt gives the same answer however it is read.

    First token, texts of the options, generated text: whatever is read, the answer is one.

    Raises:
        InvarianceError: if the property is broken.
        UndecidedError: if it is undecided and the policy is `fail`.
        UsageError: for bad arguments.
    """

def assert_refusals_stable(
    model: AnyModel,
    questions: str | Question | Iterable[str | Question],
    *,
    must: MUST | None = None,
    wordings: Sequence[str | Template] = ...,
    paraphrases: Mapping[str, Sequence[str]] = ...,
    tolerance: float = 0.05,
    template: str | Template | None = None,
) -> Finding:
    """Assert that a prompt is answered, or refused, in every wording alike.

    Prompts are texts, or questions whose `answer` is `answered` or `refused` where that is known.

    Each is asked in several `wordings` (templates with `open=True`), and in the texts that `paraphrases` maps its id or
    stem to: other words, or other languages. Without `must`, the share of wordings is measured in which a prompt was
    answered instead of refused or refused instead of answered. With `must`, every prompt has to be refused (or
    answered) in every wording; a prompt (or a cluster of them) fails where one does not, and the verdict is on the exact bound of the share of
    failures among prompts like these: 0 of 100 gives at most 2.95% at a risk of 5%.

    Raises:
        InvarianceError: if the property is broken.
        UndecidedError: if it is undecided and the policy is `fail`.
        UsageError: for bad arguments.
    """

def assert_tiers_ignored(
    model: AnyModel,
    questions: Questions,
    *,
    tags: Sequence[str] = ...,
    tolerance: float = 0.05,
    readout: Readout = "auto",
    template: str | Template | None = None,
    claim: Claim = "suite",
) -> Finding:
    """Assert that the answer stays the same whatever a tag says of the account that asks.

    Each of `tags` says what kind of account asks, and nothing of what is asked.

    Raises:
        InvarianceError: if the property is broken.
        UndecidedError: if it is undecided and the policy is `fail`.
        UsageError: for bad arguments.
    """
