"""Pin what a generated text is read to answer, and that nothing is ever guessed."""

import doctest
import itertools

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pytest_llminvariance.audit import parsing
from pytest_llminvariance.audit.parsing import Outcome, ParsedText, parse_choice

Question = tuple[tuple[str, ...], tuple[str, ...]]
"""Labels and options, by shown position."""

CITY: Question = (("A", "B", "C"), ("Berlin", "Paris", "Rome"))
LOWER: Question = (("a", "b", "c"), ("Berlin", "Paris", "Rome"))
ROMAN: Question = (("i", "ii", "iii"), ("Berlin", "Paris", "Rome"))
AIC: Question = (("A", "I", "C"), ("cat", "dog", "horse"))
RSN: Question = (("R", "S", "N"), ("Berlin", "Paris", "Rome"))
SCALE: Question = (
    ("1", "2", "3", "4", "5"),
    ("strongly disagree", "disagree", "neutral", "agree", "strongly agree"),
)
BARE: Question = (("1", "2", "3"), ("not at all", "", "very much"))
YORK: Question = (("A", "B", "C"), ("York", "New York", "London"))
NUMBERS: Question = (("A", "B", "C", "D"), ("2", "12", "2.5", "-2"))
REGEX: Question = (("A", "B", "C", "D"), ("C++", "C", "a.*b", "(x|y)?"))
ACCENTS: Question = (("A", "B", "C"), ("São Paulo", "Zürich", "Weißenburg"))
HINDI: Question = (("A", "B"), ("कम", "कमी"))
MARKED: Question = (("A", "B", "C"), ("Yes, always.", "Never!", "Who knows?"))
CYCLED: Question = (("B", "C", "A"), ("A", "B", "C"))
FIXED: Question = (("A", "B", "C"), ("A", "B", "C"))
YES_NO: Question = (("A", "B"), ("Yes", "No"))
SHY: Question = (("A", "B", "C", "D"), ("Agree", "I don't know", "Prefer not to say", "I cannot say"))
CATCH_ALL: Question = (("A", "B", "C", "D"), ("Berlin", "Paris", "Both A and B", "None of the above"))
TWINS: Question = (("A", "B", "C"), ("Paris", "paris", "Rome"))

CHOSEN: list[tuple[Question, int, list[str]]] = [
    (CITY, 1, ["B", "b", "(B)", "[B]", "B.", "B)", "B:", "**B**", "`B`", "*B*", "_B_", "__B__", " B ", "B!"]),
    (CITY, 1, ["Ｂ"]),
    (CITY, 1, ["**B", "# B", "- B", "> B", "$B$", '"B"', "“B”", "B</s>", "B<|eot_id|>"]),
    (CITY, 1, ["B. Paris", "B) Paris", "(B) Paris", "B: Paris", "B - Paris", "B — Paris", "B = Paris"]),
    (CITY, 1, ["B Paris"]),
    (CITY, 1, ["**B.** Paris", "B, Paris", "B (Paris)", "Paris (B)", "B. **Paris**", "B.\nParis"]),
    (CITY, 1, ["[B] Paris."]),
    (CITY, 1, ["Answer: B", "answer: b", "**Answer:** B", "Answer:\nB", "Answer: (B)", "Answer: **B**"]),
    (CITY, 1, ["Answer = B"]),
    (CITY, 1, ["Answer: Paris", "Answer: B. Paris", "Final answer: B", "ANSWER: B.", "Answer B", "Option B"]),
    (CITY, 1, ["The answer is (B).", "The correct answer is B. Paris", "The answer is: B"]),
    (CITY, 1, ["The answer is clearly B."]),
    (CITY, 1, ["My answer: B) Paris", "The answer is Paris", "The answer to this question is B"]),
    (CITY, 1, ["the answer is b"]),
    (CITY, 1, ["The best option is B", "The correct option: B", "The answer is option B"]),
    (CITY, 1, ["The answer is not A. It is B."]),
    (CITY, 1, ["I would choose B because A is wrong", "I'd go with Paris.", "I choose B", "I’d say B"]),
    (CITY, 1, ["I think B."]),
    (CITY, 1, ["I think it's B", "I believe the answer is B", "I would probably pick Paris."]),
    (CITY, 1, ["If I had to choose, B."]),
    (CITY, 1, ["B is correct", "B is the correct answer", "Paris is correct.", "B is correct, A is wrong."]),
    (CITY, 1, ["B is right."]),
    (CITY, 1, ["Paris", "paris.", "PARIS!", "It is Paris.", "It's Paris", "The capital of France is Paris."]),
    (CITY, 1, ["It is Paris, not Berlin.", "The answer is not Berlin but Paris."]),
    (CITY, 1, ["Paris. Berlin is in Germany."]),
    (CITY, 1, ["Berlin is wrong. The capital is Paris.", "I mean (B), of course", "Paris’s the one I like"]),
    (CITY, 1, [r"\boxed{B}", r"$\boxed{\text{B}}$", r"So the answer is \boxed{B}.", r"\boxed{Paris}"]),
    (CITY, 1, ["\nB", "\n\n  B\n", "<think>A? C? The answer is A.</think>\nB"]),
    (CITY, 1, ["A, or so I thought.</think>B"]),
    (CITY, 1, ['{"answer": "B"}', "<answer>B</answer>", "B\n\nQuestion: Who?\nA. x\nB. y\nAnswer: C"]),
    (CITY, 1, ["B. The capital of France is Paris", "B, because Berlin is in Germany"]),
    (CITY, 1, ["B\n\nBerlin is in Germany."]),
    (CITY, 1, ["Let me think. Paris is in France. B.", "Answer: B, a city in France"]),
    (CITY, 1, ["The answer is B, not A."]),
    (CITY, 1, ["A. Berlin\nB. Paris\nC. Rome\nAnswer: B", "A. Berlin\nB. Paris\nC. Rome\n\nB"]),
    (CITY, 1, ["Which one?\nA. Berlin\nB. Paris\nC. Rome\n\nB. Paris"]),
    (CITY, 1, ["A) Berlin, B) Paris, C) Rome. Answer: B"]),
    (CITY, 1, ["A. Berlin\nB. Paris\nC. Rome\nThe capital of France is Paris."]),
    (CITY, 1, ["The answer is A. Wait, actually the answer is B.", "Some say the answer is A, but it is B."]),
    (CITY, 1, ["Hence B", "Therefore, B.", "Sure, B.", "Option A: Berlin. Option B: Paris. I'd go for B."]),
    (CITY, 1, ["## Answer\nB"]),
    (CITY, 1, ["The answer isn’t Rome; it’s Paris.", "Answer: A. Wait, actually the answer is B."]),
    (CITY, 2, ["A is Berlin, in Germany. B is in France. Answer: C", "The answer is B?\nAnswer: C"]),
    (CITY, 2, ["First A. Then B.\n\nThe answer is A at first sight.\nFinal answer: C"]),
    (CITY, 2, ["I like Paris. Answer: C"]),
    (CITY, 2, ["Option A is in Germany. Option B is in France.\nAnswer: C"]),
    (CITY, 2, ["B is tempting.\n\n**Answer: C**"]),
    (CITY, 0, ["A", "a", "A.", "(A)", "I choose A", "Answer: A", "A. Berlin", "The answer is A."]),
    (CITY, 0, ["A because B is wrong"]),
    (CITY, 1, ["As an AI I don't have opinions, but I would choose B", "I'm sorry, but the answer is B."]),
    (CITY, 1, ["As an AI language model, I have no preferences.\n\nB"]),
    (CITY, 1, ["I cannot be sure, but I think it's Paris."]),
    (LOWER, 0, ["a", "A", "(a)", "a)", "a. Berlin", "Answer: a", "The answer is a.", "a) Berlin"]),
    (ROMAN, 0, ["i", "(i)", "I", "i. Berlin", "Answer: i", "I choose i.", "The answer is I."]),
    (ROMAN, 1, ["ii", "II.", "(ii) Paris", "Answer: ii", "I think ii.", "option ii"]),
    (ROMAN, 2, ["iii", "iii) Rome", "The answer is iii because ii is wrong"]),
    (AIC, 1, ["I", "I.", "(I)", "I. dog", "I choose I.", "The answer is I", "I think a dog."]),
    (AIC, 1, ["A dog, I think."]),
    (AIC, 0, ["A", "A cat", "It is a cat.", "A. cat", "My answer is A"]),
    (AIC, 2, ["I choose C", "C", "I think that C", "It must be the horse"]),
    (RSN, 1, ["S", "s", "Answer: S", "It's S.", "S) Paris"]),
    (SCALE, 2, ["3", "3 = neutral", "3.", "3 - neutral", "3 neutral", "Answer: 3", "neutral"]),
    (SCALE, 2, ["I feel neutral about it"]),
    (SCALE, 3, ["4", "agree", "I agree.", "I agree with the statement", "Agree!", "(4) agree"]),
    (SCALE, 3, ["I would say agree"]),
    (SCALE, 4, ["strongly agree", "I strongly agree with it", "5. strongly agree", "I strongly  agree"]),
    (SCALE, 4, ["Strongly\nagree"]),
    (SCALE, 1, ["disagree", "I disagree.", "2: disagree", "**2**"]),
    (SCALE, 0, ["strongly disagree", "I strongly disagree", "1", "1. strongly disagree"]),
    (SCALE, 0, ["1 = strongly disagree"]),
    (BARE, 1, ["2", "Answer: 2", "2."]),
    (BARE, 0, ["1", "not at all", "Answer: not at all", "1 = not at all"]),
    (YORK, 1, ["New York", "It is New York.", "new york", "NEW  YORK is nice", "The answer is New York"]),
    (YORK, 0, ["York", "It is York.", "I live in York now"]),
    (NUMBERS, 0, ["2", "The result is 2.", "Answer: 2"]),
    (NUMBERS, 1, ["12", "The result is 12.", "Answer: 12"]),
    (NUMBERS, 2, ["2.5", "The result is 2.5.", "Answer: 2.5"]),
    (NUMBERS, 3, ["-2", "−2", "The result is -2.", "Answer: -2"]),
    (REGEX, 0, ["C++", "I like C++ a lot", "Answer: C++"]),
    (REGEX, 2, ["a.*b", "Answer: a.*b", "It is a.*b."]),
    (REGEX, 3, ["(x|y)?", "Answer: (x|y)?", "D. (x|y)?"]),
    (ACCENTS, 0, ["São Paulo", "SÃO PAULO", "Sa\u0303o Paulo", "The answer is São Paulo."]),
    (ACCENTS, 1, ["Zürich", "Zu\u0308rich", "I like ZÜRICH."]),
    (ACCENTS, 2, ["WEISSENBURG", "Weißenburg", "Answer: Weissenburg"]),
    (HINDI, 1, ["कमी", "B", "Answer: कमी"]),
    (HINDI, 0, ["कम", "कम।", "A"]),
    (MARKED, 0, ["Yes, always.", "yes, always", "A. Yes, always.", "Answer: Yes, always"]),
    (MARKED, 2, ["Who knows?", "who knows", "Answer: Who knows?", "C. Who knows?"]),
    (MARKED, 1, ["Never!", "never", "Answer: never."]),
    (CYCLED, 0, ["B. A", "Answer: B. A"]),
    (FIXED, 0, ["A", "Answer: A", "A. A", "(A)"]),
    (YES_NO, 1, ["No", "No.", "No, that is wrong.", "Answer: No", "B", "B. No"]),
    (YES_NO, 0, ["Yes", "Yes, there is no doubt.", "Yes!", "A. Yes", "The answer is yes"]),
    (SHY, 1, ["I don't know", "I don’t know.", "B. I don't know", "Answer: I don't know", "B"]),
    (SHY, 2, ["Prefer not to say", "prefer not to say.", "I would prefer not to say."]),
    (SHY, 3, ["I cannot say", "I cannot say.", "D) I cannot say"]),
    (CATCH_ALL, 2, ["C", "Both A and B", "Answer: Both A and B", "C. Both A and B"]),
    (CATCH_ALL, 3, ["None of the above", "D", "Answer: none of the above."]),
    (TWINS, 0, ["A", "A. Paris"]),
    (TWINS, 1, ["B. Paris", "Answer: B"]),
]  # fmt: skip

REFUSED: list[tuple[Question, list[str]]] = [
    (CITY, ["I cannot answer", "I can't answer that.", "I can’t help with that", "I'm sorry, but"]),
    (CITY, ["I’m sorry, but I can’t."]),
    (CITY, ["As an AI language model I don't have personal opinions", "As an AI, I have no favourite."]),
    (CITY, ["I am not able to choose.", "I'm unable to answer", "I refuse to answer", "I must decline."]),
    (CITY, ["I decline"]),
    (CITY, ["I won't answer this", "I don’t have personal preferences", "I cannot choose between A and B"]),
    (CITY, ["I don't know"]),
    (CITY, ["I cannot say whether Paris or Berlin is the answer.", "I can't choose B", "I'd rather not say"]),
    (SCALE, ["As an AI, I don't have feelings.", "I cannot provide an opinion"]),
    (SCALE, ["I can't say I agree or disagree"]),
    (AIC, ["I, as an AI, have no opinion", "I cannot answer", "I am unable to answer that"]),
]  # fmt: skip

UNPARSED: list[tuple[Question, str, list[str]]] = [
    (CITY, "empty", ["", " ", "\n\t\n", "**", "<think>B</think>", "\ufeff"]),
    (CITY, "no answer", ["Not B", "A is wrong", "B is incorrect", "Hello.", "...", "B?", "Answer:", "D"]),
    (CITY, "no answer", ["Parisian"]),
    (CITY, "no answer", ["A cat is an animal", "I think a dog is nice", "A good question!", "A-frame"]),
    (CITY, "no answer", ["Vitamin B helps"]),
    (CITY, "no answer", ["I would not choose B", "I don't think B is correct", "The answer isn't B"]),
    (CITY, "no answer", ["If B is correct, fine"]),
    (CITY, "no answer", ["I don't think the answer is B", "If the answer is B, fine", "Suppose it's B"]),
    (CITY, "negated", ["I don't think the answer is Paris", "Suppose the answer is Paris"]),
    (CITY, "negated", ["not Paris", "Paris is wrong.", "Is it Paris?", "I don't think it is Paris"]),
    (CITY, "negated", ["Option B is wrong"]),
    (CITY, "negated", ["The answer is not Paris", "Paris is not the answer", "Anything but not Paris"]),
    (CITY, "negated", ["It is neither Paris"]),
    (CITY, "two answers", ["Either A or B", "A and B", "A or B", "both", "Both.", "A, B", "A/B", "A & B"]),
    (CITY, "two answers", ["Both A and B"]),
    (CITY, "two answers", ["Answer: A\n\nThe correct answer is B", "The answer is B.\nC"]),
    (CITY, "two answers", ["Berlin, unlike Paris, is large"]),
    (CITY, "two answers", ["I would say B, but A is also correct", "The answer is B or C, probably B"]),
    (CITY, "two answers", ["Answer: A/B/C"]),
    (CITY, "two answers", ["A or B is correct", "Answer: A, B", "Answer: A and B", "The answer is A or B"]),
    (CITY, "two answers", ["A: B"]),
    (CITY, "two answers", ["Paris or Rome", "Paris, Rome", "Berlin and Paris", "I like Paris and Rome"]),
    (CITY, "two answers", ["(A) or (B)"]),
    (CITY, "no answer", ["A. Berlin\nB. Paris\nC. Rome", "Berlin\nParis\nRome"]),
    (CITY, "no answer", ["The answer is\nA. Berlin\nB. Paris\nC. Rome"]),
    (CITY, "two answers", ["A. Berlin B. Paris C. Rome", "A. Berlin\nB. Paris", "Paris\nRome"]),
    (CITY, "two answers", ["The answer is A. The answer is B.", "Answer: A\nAnswer: B", "B\nC"]),
    (CITY, "two answers", ["Option A, option B"]),
    (CITY, "two answers", ["Paris is larger than Rome", "A: Berlin is in Germany\nB: Paris is in France"]),
    (CITY, "label and text disagree", ["B. Berlin", "B) Berlin", "Answer: B. Berlin", "Paris (A)"]),
    (CITY, "label and text disagree", ["B Berlin", "A: Paris"]),
    (CITY, "label and text disagree", ["The answer is B, Berlin", "B. The capital is Berlin"]),
    (CITY, "label and text disagree", ["B. Berlin is correct"]),
    (CITY, "unread announcement", ["Answer: Madrid", "Paris is nice. Answer: Madrid", "The answer is a cat"]),
    (CITY, "choice then refusal", ["B. I cannot say more", "The answer is B. Actually I can't answer that."]),
    (LOWER, "no answer", ["a cat is an animal", "I saw a dog", "What a day"]),
    (ROMAN, "no answer", ["I think so", "I am happy", "I, for one, wonder", "i.e. something"]),
    (ROMAN, "no answer", ["I (as a person) wonder"]),
    (AIC, "no answer", ["I think so", "A bird"]),
    (AIC, "two answers", ["A cat and a dog", "A cat is not a dog but a horse eats cat food and dog food"]),
    (RSN, "no answer", ["It's fine", "option(s) exist", "Let's see"]),
    (SCALE, "negated", ["I don't agree", "I do not strongly agree", "I can hardly agree"]),
    (SCALE, "no answer", ["Agreement is good", "1. Let me think about it", "disagreement"]),
    (SCALE, "no answer", ["There are 2 reasons", "3.5", "-2"]),
    (SCALE, "two answers", ["between agree and strongly agree"]),
    (SCALE, "two answers", ["3 or 4", "agree/disagree", "I agree, no, I disagree"]),
    (BARE, "no answer", ["somewhat"]),
    (YORK, "two answers", ["York or New York", "New York is larger than York"]),
    (NUMBERS, "no answer", ["122", "2.55", "1,200", "2/3", "2%", "-12", "x2"]),
    (REGEX, "no answer", ["axxb", "C#", "C+++"]),
    (ACCENTS, "no answer", ["Zurich", "Sao Paulo"]),
    (HINDI, "no answer", ["कमरा", "कमीज", "यह कमीज है"]),
    (CYCLED, "ambiguous label", ["A", "B", "(A)", "Answer: A", "The answer is C."]),
    (CYCLED, "label and text disagree", ["A. A", "B. B"]),
    (YES_NO, "no answer", ["There is no way to tell", "Maybe"]),
    (YES_NO, "two answers", ["Yes and no", "Yes or no?", "Yes. No."]),
    (TWINS, "ambiguous option text", ["Paris", "Answer: Paris", "It must be Paris, I suppose"]),
]  # fmt: skip


def describe(question: Question, text: str) -> str:
    return f"{'/'.join(question[0])}-{'/'.join(question[1])}-{text}"


def cases_chosen() -> list[tuple[Question, str, int]]:
    return [(question, text, position) for question, position, texts in CHOSEN for text in texts]


@pytest.mark.parametrize(
    ("question", "text", "position"), cases_chosen(), ids=[describe(q, t) for q, t, _ in cases_chosen()]
)
def test_reads_the_choice(question: Question, text: str, position: int) -> None:
    parsed = parse_choice(text, labels=question[0], options=question[1])
    assert (parsed.outcome, parsed.position) == (Outcome.CHOSEN, position), parsed.rule


@pytest.mark.parametrize(
    ("question", "text"), [(question, text) for question, texts in REFUSED for text in texts]
)
def test_reads_a_refusal(question: Question, text: str) -> None:
    assert parse_choice(text, labels=question[0], options=question[1]) == ParsedText(
        Outcome.REFUSED, None, "refusal"
    )


@pytest.mark.parametrize(
    ("question", "rule", "text"),
    [(question, rule, text) for question, rule, texts in UNPARSED for text in texts],
)
def test_does_not_guess(question: Question, rule: str, text: str) -> None:
    assert parse_choice(text, labels=question[0], options=question[1]) == ParsedText(
        Outcome.UNPARSED, None, rule
    )


@pytest.mark.parametrize(
    ("text", "rule"),
    [
        ("B", "label"),
        ("B. Paris", "label and text"),
        ("Answer: B", "announced label"),
        ("The answer is B. Paris", "announced label and text"),
        ("Paris", "option text"),
        ("The answer is Paris", "announced option text"),
        ("The capital is Paris.", "option text"),
        ("B is correct", "called correct"),
    ],
)
def test_names_the_rule_that_decided(text: str, rule: str) -> None:
    assert parse_choice(text, labels=CITY[0], options=CITY[1]) == ParsedText(Outcome.CHOSEN, 1, rule)


@pytest.mark.parametrize(
    ("labels", "options", "message"),
    [
        (["A", "B"], ["x"], r"\['A', 'B'\] and \['x'\]"),
        (["A"], ["x"], "two or more"),
        ([], [], "two or more"),
        (["A", "a"], ["x", "y"], "'a' is not distinct"),
        (["ß", "SS"], ["x", "y"], "'SS' is not distinct"),
        (["A", " "], ["x", "y"], "' ' is blank"),
    ],
)
def test_refuses_bad_arguments(labels: list[str], options: list[str], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        parse_choice("A", labels=labels, options=options)


def test_docstring_examples_hold() -> None:
    assert doctest.testmod(parsing).failed == 0


BY_LABEL = [
    *(
        "{label}",
        "({label})",
        "{label}.",
        "Answer: {label}",
        "The answer is {label}.",
        "I would choose {label}.",
    ),
    *(
        "**{label}**",
        "\\boxed{{{label}}}",
        "Final answer: ({label})",
        "Answer: {label}\n",
        "{label} is correct.",
    ),
]
BY_TEXT = [
    *("{option}", "{option}.", "Answer: {option}", "The answer is {option}.", "I would choose {option}."),
    *(
        "It is {option}.",
        "Final answer: **{option}**",
        "I'd go with {option}",
        "{option} is the correct answer.",
    ),
]
BY_BOTH = [
    "{label}. {option}",
    "({label}) {option}",
    "Answer: {label}: {option}",
    "The answer is {label} ({option}).",
]

questions = st.sampled_from([CITY, LOWER, ROMAN, AIC, RSN, SCALE, YORK, ACCENTS, SHY, MARKED, YES_NO])
wild_questions = st.sampled_from(
    [CITY, AIC, SCALE, NUMBERS, REGEX, HINDI, MARKED, CYCLED, SHY, CATCH_ALL, TWINS, BARE]
)
WORDS = [
    *(
        "A",
        "B",
        "I",
        "the answer is",
        "Answer:",
        "Paris",
        "Berlin",
        "agree",
        "not",
        "is wrong",
        "or",
        "and",
        "but",
    ),
    *(
        "\n",
        ".",
        ",",
        ":",
        "(",
        ")",
        "**",
        "*",
        "_",
        "\\boxed{",
        "}",
        "I cannot answer",
        "</think>",
        "Question:",
    ),
    *(
        "2",
        "?",
        "-",
        "C++",
        "is correct",
        "I would choose",
        "A. Berlin\n",
        "B. Paris\n",
        "C. Rome\n",
        "\u0301",
    ),
    *("ﬁ", "</s>"),
]
texts = st.one_of(
    st.text(), st.lists(st.sampled_from(WORDS)).map(" ".join), st.lists(st.sampled_from(WORDS)).map("".join)
)


@pytest.mark.parametrize("template", [*BY_LABEL, *BY_TEXT, *BY_BOTH])
@given(question=questions, data=st.data())
def test_order_of_the_pairs_does_not_matter(template: str, question: Question, data: st.DataObject) -> None:
    pairs = list(zip(*question, strict=True))
    label, option = data.draw(st.sampled_from(pairs))
    shown = data.draw(st.permutations(pairs))
    text = template.format(label=label, option=option)
    parsed = parse_choice(text, labels=[one for one, _ in shown], options=[one for _, one in shown])
    assert parsed.outcome is Outcome.CHOSEN, (text, parsed.rule)
    assert parsed.position is not None
    assert shown[parsed.position] == (label, option)


@pytest.mark.parametrize("template", BY_TEXT)
@pytest.mark.parametrize("options", list(itertools.permutations(CITY[1])))
def test_content_follows_the_text_under_fixed_labels(template: str, options: tuple[str, ...]) -> None:
    parsed = parse_choice(template.format(option="Paris"), labels=CITY[0], options=options)
    assert parsed.position == options.index("Paris")


@given(text=texts, question=wild_questions, data=st.data())
@settings(max_examples=300)
def test_order_of_the_pairs_does_not_matter_for_any_text(
    text: str, question: Question, data: st.DataObject
) -> None:
    order = data.draw(st.permutations(range(len(question[0]))))
    plain = parse_choice(text, labels=question[0], options=question[1])
    moved = parse_choice(
        text, labels=[question[0][i] for i in order], options=[question[1][i] for i in order]
    )
    assert moved.outcome is plain.outcome
    assert moved.rule == plain.rule
    assert (None if moved.position is None else order[moved.position]) == plain.position


@given(text=texts, question=wild_questions)
@settings(max_examples=300)
def test_has_a_position_only_if_chosen(text: str, question: Question) -> None:
    parsed = parse_choice(text, labels=question[0], options=question[1])
    assert (parsed.position is None) == (parsed.outcome is not Outcome.CHOSEN)
    assert parsed.position in (None, *range(len(question[0])))


@given(text=texts, question=wild_questions, blank=st.text(alphabet=" \t\n\r\u00a0", max_size=4))
@settings(max_examples=300)
def test_trailing_blanks_and_bold_do_not_matter(text: str, question: Question, blank: str) -> None:
    plain = parse_choice(text, labels=question[0], options=question[1])
    assert parse_choice(text + blank, labels=question[0], options=question[1]) == plain
    assert parse_choice(f"**{text}**", labels=question[0], options=question[1]) == plain
