"""A choice is read from a claim only: in every language of the table, with every mark of thoughts, never by guessing."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pytest_llminvariance import Presentation, Verdict, check
from pytest_llminvariance import Question as Asked
from pytest_llminvariance.measures.distribution import REFUSED
from pytest_llminvariance.measures.languages import Language
from pytest_llminvariance.measures.parsing import Outcome, ParsedText, parse_choice
from pytest_llminvariance.measures.reading import read_reply
from pytest_llminvariance.measures.wording import LANGUAGES
from pytest_llminvariance.models.protocol import Capability, Reply, Request, TextReply
from pytest_llminvariance.models.thoughts import MARKS, after_thoughts, has_marks
from tests.measures.parsing_cases import CITY, SCALE, Question

CASES, REPLIES = (
    [json.loads(line) for line in (Path(__file__).parent / "cases" / name).read_text("utf-8").splitlines()]
    for name in ("parsing.jsonl", "replies.jsonl")
)
CAPITAL = "What is the capital of France?"
GUILT: Question = (("A", "B"), ("guilty", "not guilty"))
PLEA: Question = (("A", "B"), ("guilty", "innocent"))
FRUIT: Question = (("A", "B", "C"), ("pear", "apple", "plum"))
CARBON: Question = (("A", "B", "C"), ("carbon", "carbon dioxide", "oxygen"))
LIKE: Question = (
    ("1", "2", "3", "4", "5"),
    ("Very like me", "Like me", "Somewhat like me", "Not very like me", "Not like me"),
)
COUNT: Question = (("A", "B", "C", "D"), ("2", "12", "1990", "5"))
TRUTH: Question = (("A", "B"), ("True", "False"))


def read(question: Question, text: str, stem: str | None = None, *, ran_out: bool = False) -> ParsedText:
    return parse_choice(text, labels=question[0], options=question[1], stem=stem, ran_out=ran_out)


@pytest.mark.parametrize("case", CASES, ids=[f"{n}-{case['text'][:40]}" for n, case in enumerate(CASES)])
def test_reads_what_was_misread(case: dict[str, Any]) -> None:
    parsed = parse_choice(case["text"], labels=case["labels"], options=case["options"], stem=case.get("stem"))
    label = None if parsed.position is None else case["labels"][parsed.position]
    assert label == case["right"] or (label is None and not case["must_be_read"]), parsed.reading


def test_no_case_was_lost() -> None:
    assert len(CASES) == 119
    assert sum(case["must_be_read"] for case in CASES) >= 55


@pytest.mark.parametrize("options", sorted({tuple(case["options"]) for case in REPLIES}), ids="/".join)
def test_reads_replies_as_models_write_them(options: tuple[str, ...]) -> None:
    """Claims in many wordings, what only looks like one, and what is not read yet: that may be unread, never another option."""
    wrong = []
    for case in (case for case in REPLIES if tuple(case["options"]) == options):
        parsed = parse_choice(case["text"], labels=case["labels"], options=options, stem=case.get("stem"))
        label = None if parsed.position is None else case["labels"][parsed.position]
        if label != case["right"] and (label is not None or case["must_be_read"]):
            wrong.append((case["text"], parsed.reading, case["right"]))
    assert not wrong


def test_replies_hold_claims_and_what_is_none() -> None:
    assert len(REPLIES) >= 700
    assert sum(case["right"] is None for case in REPLIES) >= 350
    assert sum(case["must_be_read"] for case in REPLIES) >= 200


@pytest.mark.parametrize("language", LANGUAGES, ids=lambda language: language.code)
def test_every_language_reads_its_cases(language: Language) -> None:
    for text in language.read:
        parsed = read((CITY[0], CITY[1]), text)
        assert (parsed.outcome, parsed.position) == (Outcome.CHOSEN, 1), (text, parsed.reading)
        assert parsed.reading.startswith(f"{language.code}: "), text
    for text in language.unread:
        assert read(CITY, text).outcome is Outcome.UNPARSED, text
    for text in language.refused:
        assert read(CITY, text) == ParsedText(Outcome.REFUSED, None, "refusal", language.code), text
    assert len(language.read) >= 4
    assert len(language.unread) >= 6


def test_codes_of_languages_are_distinct() -> None:
    assert len({language.code for language in LANGUAGES}) == len(LANGUAGES) >= 15


def said(words: str) -> list[str]:
    """Return the words of an entry that are written without pattern signs."""
    single = re.sub(r"[^|]*\([^()]*\)[^|]*", "", words)
    plain = (re.sub(r"\\w[*+]", "", word) for word in single.split("|"))
    return [word for word in plain if re.fullmatch(r"[\w' \u0900-\u097f-]+", word)]


def rejections(language: Language) -> list[str]:
    """Return templates that reject or doubt `{}`."""
    gap = " " if language.spaced else ""
    words = [word for entry in (language.deny, language.wrong, language.doubt) for word in said(entry)]
    cases = [re.sub(r"(?<![A-Za-z])(?:B|C|Paris)(?![A-Za-z'])", "{}", text) for text in language.unread]
    return [*cases, *(f"{word}{gap}{{}}" for word in words), *(f"{{}}{gap}{word}" for word in words)]


REJECTIONS = [template for language in LANGUAGES for template in rejections(language)]
JOINED = [". ", "\n", "; ", "! ", ".\n\n"]
NEUTRAL = [
    *(
        "Let me look at this.",
        "The question is about geography",
        "Das ist eine Frage",
        "Bien",
        "我们来看一下",
        "Рассмотрим",
        "考えます",
    ),
    *("Thank you", "Here we go", "A good question", "I see", "Step by step", "This was asked before"),
]


@st.composite
def rejecting(draw: st.DrawFn, question: Question, without: int | None = None) -> str:
    pieces = []
    for template in draw(st.lists(st.sampled_from([*REJECTIONS, *NEUTRAL]), min_size=1, max_size=5)):
        positions = draw(st.permutations([n for n in range(len(question[0])) if n != without]))
        pieces.append(template.format(*(draw(st.sampled_from([row[n] for row in question])) for n in positions)))
    return draw(st.sampled_from(JOINED)).join(pieces)


@given(data=st.data(), question=st.sampled_from([CITY, CARBON, SCALE]))
@settings(max_examples=200)
def test_rejection_and_doubt_are_never_a_choice(data: st.DataObject, question: Question) -> None:
    text = data.draw(rejecting(question))
    parsed = read(question, text)
    assert parsed.outcome is not Outcome.CHOSEN, (text, parsed.reading)


CLAIMS = [
    (template, language.code)
    for language in LANGUAGES
    for template in (re.sub(r"(?<![A-Za-z])(?:B|Paris)(?![A-Za-z])", "{}", text) for text in language.read)
]


@given(data=st.data(), claim=st.sampled_from(CLAIMS), question=st.sampled_from([CITY, CARBON]))
@settings(max_examples=200)
def test_a_claim_is_never_read_as_another_option(
    data: st.DataObject, claim: tuple[str, str], question: Question
) -> None:
    position = data.draw(st.integers(0, 2))
    target = data.draw(st.sampled_from([question[0][position], question[1][position]]))
    before, after = (data.draw(rejecting(question, position)) for _ in range(2))
    joined = data.draw(st.sampled_from(JOINED))
    text = joined.join([before, claim[0].format(target), after])
    parsed = read(question, text)
    assert parsed.position in (None, position), (text, parsed.reading)
    alone = read(question, claim[0].format(target))
    assert alone.position == position, (claim, alone.reading)


@pytest.mark.parametrize(("opens", "closes"), [
    *(("<think>", "</think>"), ("<thinking>", "</thinking>"), ("<thought>", "</thought>"), ("<reasoning>", "</reasoning>")),
    *(("[THINK]", "[/THINK]"), ("◁think▷", "◁/think▷"), ("<seed:think>", "</seed:think>"), ("<analysis>", "</analysis>")),
    *(("<reflection>", "</reflection>"), ("<scratchpad>", "</scratchpad>"), ("<longcat_think>", "</longcat_think>")),
    *(("<|begin_of_thought|>", "<|end_of_thought|>"), ("<|START_THINKING|>", "<|END_THINKING|>"), ("<|think|>", "<|/think|>")),
    *(("[REASONING]", "[/REASONING]"), ("<|thinking|>", "<|/thinking|>"), ("<|inner_prefix|>", "<|inner_suffix|>")),
    ("<|channel|>analysis<|message|>", "<|end|><|start|>assistant<|channel|>final<|message|>"),
])  # fmt: skip
def test_thoughts_are_not_answers(opens: str, closes: str) -> None:
    thought = "The answer is A. No wait"
    assert has_marks(opens)
    assert read(CITY, f"{opens}{thought}{closes}B").position == 1
    assert read(CITY, f"{opens}{thought}{closes}The answer is (B).").position == 1
    assert read(CITY, f"{opens}{thought}") == ParsedText(Outcome.UNFINISHED, None, "open thought")
    assert read(CITY, f"B\n{opens}{thought}").outcome is Outcome.UNFINISHED
    if "channel" not in opens:
        assert read(CITY, f"{thought}{closes}B").position == 1
        assert read(CITY, f"{opens}x{closes}{opens}{thought}{closes}B").position == 1


def test_every_row_of_marks_is_tried() -> None:
    assert len(MARKS) == 18
    assert after_thoughts("B<|end|>") == "B<|end|>"
    assert not has_marks("Let me think. I was thinking of B")


@pytest.mark.parametrize("text", [
    *("Okay, so I need to pick one. Paris has the Louvre, and", "Let me see. The answer is A at first. But", "", "The capital"),
    *("First, A is wrong. So it is B. Let me check that again:", "<think>B"),
])  # fmt: skip
def test_what_ran_out_before_its_answer_is_unfinished(text: str) -> None:
    assert read(CITY, text, ran_out=True).outcome is Outcome.UNFINISHED
    assert read(CITY, text, ran_out=True).position is None


@pytest.mark.parametrize(
    "text",
    [
        "B",
        "B. Paris is the capital of France and",
        "The answer is B because",
        "Hm.\nFinal answer: B\n",
        "B. It lies in France. So the answer is B. It",
    ],
)
def test_an_answer_before_the_end_of_the_tokens_is_read(text: str) -> None:
    assert read(CITY, text, ran_out=True).position == 1


def test_an_option_that_may_go_on_is_unfinished() -> None:
    assert read(CARBON, "carbon", ran_out=True).outcome is Outcome.UNFINISHED
    assert read(CARBON, "carbon dioxide", ran_out=True).position == 1
    assert read(CARBON, "carbon").position == 0


@pytest.mark.parametrize(("text", "position"), [
    *(("4", 3), ("4/5", 3), ("4 / 5", 3), ("4.0", 3), ("4.0/5", 3), ("4 out of 5", 3), ("a 3 out of 5", 2), ("4 von 5", 3), ("4 из 5", 3)),
    *(("I'd rate it a 4.", 3), ("I would rate it 4 out of 5.", 3), ("My rating is 2", 1), ("Rating: 4/5", 3), ("I give this a 1", 0)),
    *(("4 - agree", 3), ("4 (agree)", 3), ("4, agree", 3), ("1 😊", 0), ("😊 4", 3), ("4 - Agree!", 3), ("评分：4", 3), ("Bewertung: 4", 3)),
    *(("1. You like music: 5 (strongly agree)", 4), ("2) You are late: 4", 3), ("On a scale of 1 to 5, I'd say 4.", 3)),
    *(("3/4", None), ("4/10", None), ("4.5", None), ("- 1", None), ("-1", None), ("4-5", None), ("between 3 and 4", None), ("4%", None)),
    *(("4 years", None), ("not 4", None), ("4?", None), ("about 4", None), ("14", None), ("4 or 5", None), ("4 - or 5", None)),
    *(("1. I think that this is fine", None), ("1. You like music: 5 (agree)", None), ("I do not agree", None), ("4 ❌", None)),
])  # fmt: skip
def test_reads_ratings(text: str, position: int | None) -> None:
    assert read(SCALE, text).position == position


@pytest.mark.parametrize(
    "text", ["3 - Not like me", "3. Not like me", "Rating: 3 (not like me)", "1: Not very like me"]
)
def test_number_and_words_that_disagree_have_a_rule_of_their_own(text: str) -> None:
    assert read(LIKE, text).rule == "number and words disagree"
    assert read(LIKE, text).position is None


@pytest.mark.parametrize(("text", "position"), [
    *(("The capital of France is Paris.", 1), ("Paris is the capital of France.", 1), ("Sure! The capital of France is Paris.", 1)),
    *(("The capital of France is indeed Paris, which is a city.", 1), ("It is Paris that is the capital of France.", 1)),
    *(("What is the capital of France? Paris", 1), ("A. Berlin\nB. Paris\nC. Rome\nThe capital of France is Paris.", 1)),
    *(("The capital of France is not Berlin.", None), ("Berlin is the capital of Germany.", None), ("Berlin is a capital.", None)),
    *(("The capital of France could be Rome.", None), ("The capital of France was Rome.", None), ("Is Paris the capital of France?", None)),
    *(("The capital of France is New Paris.", None), ("The capital of France is often confused with Rome.", None)),
    *(("The capital of France is larger than Rome.", None), ("People think the capital of France is Rome.", None)),
    *(("The capital of France is Paris or Rome.", None), ("Vielleicht is the capital of France Rome.", None)),
])  # fmt: skip
def test_reads_statements_that_answer_the_question(text: str, position: int | None) -> None:
    assert read(CITY, text, CAPITAL).position == position
    if text.startswith(("The", "Paris")):
        assert read(CITY, text).position is None


def test_statements_keep_the_order_of_the_question() -> None:
    planets: Question = (("A", "B"), ("Jupiter", "Mercury"))
    assert read(planets, "Jupiter is bigger than Mars.", "Which planet is bigger than Mars?").position == 0
    assert read(planets, "Mars is bigger than Mercury.", "Which planet is bigger than Mars?").position is None
    assert read(planets, "Jupiter is a gas giant.", "Which planet is not a gas giant?").position is None


@pytest.mark.parametrize(("question", "text", "position"), [
    *((GUILT, "not guilty", 1), (GUILT, "The verdict is not guilty.", 1), (GUILT, "It is not not guilty", None), (PLEA, "not guilty", None)),
    *((PLEA, "The verdict is not guilty", None), (PLEA, "guilty", 0), (CARBON, "carbon monoxide", None), (CARBON, "carbon dioxide", 1)),
    *((CARBON, "It is carbon monoxide.", None), (CARBON, "The answer is activated carbon", None), (FRUIT, "prickly pear", None)),
    *((FRUIT, "It is a prickly pear.", None), (FRUIT, "It is a pear tree.", None), (FRUIT, "apple pie", None), (FRUIT, "pineapple", None)),
    *((FRUIT, "It's a pear.", 0), (FRUIT, "The answer is an apple.", 1), (CITY, "The answer is Paris, Texas", None)),
    *((CITY, "New Paris", None), (CITY, "Paris Hilton", None), (CITY, "It is Berlin Avenue.", None), (CITY, "Rome-on-Sea", None)),
    *((COUNT, "2 million", None), (COUNT, "It is 5 o'clock", None), (COUNT, "12 May 1990", None), (COUNT, "2 km", None)),
    *((COUNT, "5-6", None), (COUNT, "5:30", None), (COUNT, "2nd", None), (COUNT, "The answer is 1,990", None), (COUNT, "The answer is 12.", 1)),
    *((COUNT, "$2", None), (COUNT, "The answer is 2, 5 or more", None), (COUNT, "1990", 2), (TRUTH, "Not true", None)),
    *((TRUTH, "That is false.", 1), (TRUTH, "It's true", 0), (TRUTH, "True, not false", 0), (TRUTH, "untrue", None)),
])  # fmt: skip
def test_an_option_inside_something_longer_is_not_that_option(
    question: Question, text: str, position: int | None
) -> None:
    assert read(question, text).position == position


@pytest.mark.parametrize(("text", "position"), [
    *(('{"answer": "B"}', 1), ('```json\n{"answer": "B"}\n```', 1), ('{"reasoning": "The answer is A", "answer": "B"}', 1)),
    *(('{"final_answer": "Paris"}', 1), ('{"answer": ["B"]}', 1), ('{"wrong_answer": "B"}', None), ('{"answer": "not B"}', None)),
    *(('{"answer": ["A", "B"]}', None), ('{"hint": "B"}', None), ("\\boxed{B}", 1), ("The answer is not \\boxed{B}", None)),
    *(("\\boxed{B} is wrong", None), ("Maybe \\boxed{B}", None), ("<answer>B</answer>", 1), ("<answer>not B</answer>", None)),
])  # fmt: skip
def test_reads_marked_answers(text: str, position: int | None) -> None:
    assert read(CITY, text).position == position


@pytest.mark.parametrize(("text", "position"), [
    *(("(B) Paris.\n\nAs an AI, I do not have opinions.", 1), ("B. I cannot say more", 1), ("I cannot answer.\n\nB", 1)),
    *(("The answer is B. No, that is wrong.", None), ("B. That is not correct.", None), ("B\n\nB is wrong.", None)),
    *(("The answer is A. Wait, actually the answer is B.", 1), ("B is right. This answer is incorrect because it is long.", None)),
    *(("Not Berlin, but the answer is B.", 1), ("Some say the answer is A, but it is B.", 1), ("They say: the answer is B.", None)),
    *(("Wrong answers:\nB", None), ("I would exclude:\n- B", None), ("The answer is B, but I am not sure.", None), ("B ❌", None)),
    *(("Based on the passage, the answer is B.", 1), ("According to the text, the answer is B.", 1)),
    *(("The answer is **B. Paris**.\n\nWhy not the others:\n- A. Berlin is in Germany\n- C. Rome is in Italy", 1),),
    *(("B is the answer if it rains", None), ("The answer is B, C", None), ("B) is incorrect", None), ("B: wrong", None), ("Answer:B", 1), ("Paris (option B)", 1), ("The right one is B.", 1), ("The answer is B?", None), ("B) Berlin lies there.", None), ("B) The city is Berlin.", None)),
])  # fmt: skip
def test_what_stands_around_a_claim_counts(text: str, position: int | None) -> None:
    assert read(CITY, text).position == position


@pytest.mark.parametrize("options", [("One", "Four", "Nine", "Ten"), ("Result", "Score", "Letter", "Choice")])
def test_a_list_that_was_cut_off_is_no_answer(options: tuple[str, ...]) -> None:
    question = (("A", "B", "C", "D"), options)
    for length in (2, 3, 4):
        text = "\n".join(
            f"{label}. {option}" for label, option in zip(*question, strict=True) if label < "ABCDE"[length]
        )
        assert read(question, text).position is None
        assert read(question, text, ran_out=True).position is None


def test_says_how_it_was_read() -> None:
    assert read(CITY, "Die Antwort ist B.").reading == "de: announced label"
    assert read(CITY, "B").reading == "label"
    assert read(CITY, "A or B").reading == "unparsed: two answers"
    assert read(CITY, "Je ne peux pas répondre.").reading == "refused: fr: refusal"
    assert read(CITY, "<think>").reading == "unfinished: open thought"


def test_an_unfinished_answer_may_have_been_anything() -> None:
    question = Asked("Which?", ["red", "green"])
    shown = Presentation(question, order=(1, 0))
    cut = read_reply(TextReply("Well, red is", "", ran_out=True), shown, "text")
    assert (cut.status, cut.reading, cut.is_known) == ("unfinished", "unfinished: tokens ran out", False)
    assert cut.outcomes(0.0) == {REFUSED, 0, 1}
    chosen = read_reply(TextReply("The answer is green.", ""), shown, "text")
    assert (chosen.probabilities, chosen.reading) == ((0.0, 1.0), "en: announced option text")
    assert read_reply(TextReply("It depends.", ""), shown, "text").status == "unparsed"
    stem = Asked("What colour is the sky?", ["red", "green"])
    assert read_reply(TextReply("The sky is red.", ""), Presentation(stem), "text").reading == "statement"


def test_a_finding_says_how_texts_were_read_and_what_ran_out() -> None:
    class Thinker:
        name, fingerprint = "thinker", "thinker"
        capabilities: frozenset[Capability] = frozenset({"text"})

        def answer(self, requests: Sequence[Request]) -> list[Reply]:
            asked = [request.presentation for request in requests]
            return [TextReply("<think>Hm" if shown.order[0] == 1 else "red", f"{shown.order}") for shown in asked]

    questions = [Asked(f"Which of {n}?", ["red", "green", "blue"]) for n in range(4)]
    finding = check("option_order", Thinker(), questions, tolerance=0.05, orders="cyclic", readout="text")
    assert set(finding.details["readings"]) == {"option text", "unfinished: open thought"}
    assert finding.verdict is Verdict.UNDECIDED
    reasons = " ".join(finding.reasons)
    assert "unfinished " in reasons
    assert "--invariance-max-new-tokens" in reasons
    assert "enable_thinking=false" in reasons
