"""What a wording says besides its plain words: numbers, names, negations, scope, and what it is about.

The word lists are English. In other languages digits, signs, quotations, options and names written with a
capital are still seen; negations and number words are not.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator


def lexicon(text: str) -> frozenset[str]:
    """Return the words of a list."""
    return frozenset(text.split())


WORD = re.compile(r"[^\W\d_]+(?:['’][^\W\d_]+)*")
NUMBER = re.compile(r"\d+(?:[.,]\d+)*")
QUOTED = re.compile(r"\"([^\"]+)\"|“([^”]+)”|«([^»]+)»|(?<!\w)'([^']+)'(?!\w)|(?<!\w)‘([^’]+)’(?!\w)|`([^`]+)`")
SIGNS = frozenset("%$€£¥°=<>+×÷^±≤≥≠√&@#/*")
UP_TO_NINETEEN = (
    "one two three four five six seven eight nine ten eleven twelve thirteen fourteen fifteen sixteen seventeen "
    "eighteen nineteen"
)
TENS = "ten twenty thirty forty fifty sixty seventy eighty ninety"
VALUES = {word: str(value) for value, word in enumerate(UP_TO_NINETEEN.split(), start=1)}
VALUES |= {word: str(10 * value) for value, word in enumerate(TENS.split(), start=1)}
VALUES["zero"] = "0"
NUMBER_WORDS = VALUES.keys() | lexicon(
    "hundred thousand million billion trillion dozen first second third fourth fifth sixth seventh eighth ninth "
    "tenth half quarter once twice double triple single pair couple percent"
)
NEGATIONS = lexicon(
    "not no never none nobody nothing nowhere neither nor without except unless cannot hardly barely scarcely rarely "
    "seldom lack lacks lacking exclude excludes excluding avoid avoids fail fails false untrue incorrect wrong isn "
    "non instead"
)
SCOPE = lexicon(
    "all every each any some most least more less fewer only always usually often sometimes before after until since "
    "than both either between during best worst better worse if because although while and or but first last next "
    "must may might largest smallest biggest highest lowest maximum minimum about approximately exactly"
)
FIRST_PERSON = lexicon("i me my mine myself we us our ours ourselves")
SECOND_PERSON = lexicon("you your yours yourself yourselves")
THIRD_PERSON = lexicon("he him his himself she her hers herself they them their theirs themselves")
STARTERS = lexicon(
    "what which who whom whose where when why how is are was were am be do does did can could would should will shall "
    "may might must has have had the a an this that these those of in on at by for from to with among between out "
    "according given if suppose imagine consider please select choose pick name identify tell say state answer "
    "determine decide find give think here there it its you your i my we our and or but not no each every all some "
    "any one as about into under over after before during within your question"
)
FUNCTION_WORDS = STARTERS | lexicon(
    "me us them they he she his her their than then so such too very just also been being done get got let following "
    "options option listed below above choice choices question questions respond response correct answers "
    "following kindly ask asked asking"
)
POLES = tuple(
    lexicon(pair)
    for pair in (
        "hot cold", "true false", "right wrong", "correct incorrect", "large small", "big small", "high low", "tall short",
        "long short", "up down", "left right", "early late", "old young", "old new", "open closed", "good bad", "fast slow",
        "increase decrease", "rise fall", "more less", "most least", "before after", "first last", "begin end", "start stop",
        "win lose", "buy sell", "strong weak", "heavy light", "light dark", "rich poor", "dry wet", "easy hard", "hard soft",
        "opposite same", "agree disagree", "accept reject", "include exclude", "like dislike", "above below", "north south",
        "east west", "male female", "man woman", "boy girl", "day night", "summer winter", "give take", "push pull",
        "largest smallest", "biggest smallest", "highest lowest", "longest shortest", "oldest youngest", "best worst",
        "similar different", "synonym antonym", "cause prevent", "allow forbid", "inside outside", "input output",
    )
)  # fmt: skip
NEGATING_PREFIXES = ("un", "in", "im", "il", "ir", "dis", "non", "mis", "anti")
ENDINGS = ("ingly", "edly", "ing", "ies", "ied", "ed", "es", "ly", "s")
AMERICAN = {
    "colour": "color", "colours": "colors", "favourite": "favorite", "grey": "gray", "neighbour": "neighbor",
    "neighbours": "neighbors", "behaviour": "behavior", "travelled": "traveled", "travelling": "traveling",
    "litre": "liter", "litres": "liters", "kilometre": "kilometer",
    "kilometres": "kilometers", "flavour": "flavor", "flavours": "flavors", "aluminium": "aluminum",
}  # fmt: skip
"""American spellings of British words."""
SPELLINGS = (("our", "or"), ("ise", "ize"), ("isation", "ization"), ("tre", "ter"), ("grey", "gray"), ("ogue", "og"))
SELF_WORDS = lexicon(
    "spell spelled spelt spelling word words letter letters rhyme rhymes syllable syllables vowel vowels consonant "
    "consonants sentence phrase grammar grammatical noun verb adjective pronounce pronounced pronunciation language "
    "translate translation english british american capitalised capitalized uppercase lowercase character characters "
    "text passage quote anagram palindrome prefix suffix synonym antonym"
)


def words(text: str) -> list[str]:
    """Return the words in lower case, with n't taken apart: `isn't` is `is`, `not`."""
    found: list[str] = []
    for match in WORD.finditer(text):
        word = match[0].lower().replace("’", "'")
        if word.endswith("n't"):
            stem = word[:-3]
            found += [{"ca": "can", "wo": "will", "sha": "shall"}.get(stem, stem), "not"]
        elif word == "cannot":
            found += ["can", "not"]
        else:
            found += word.split("'") if "'" in word else [word]
    return found


def numbers(text: str) -> Counter[str]:
    """Count numbers, in digits or words: `1,000` is `1000`, `five` is `5`; `which one` and `one who` count nothing."""
    found = Counter(re.sub(r",(?=\d{3}(?!\d))", "", match[0]) for match in NUMBER.finditer(text))
    listed = words(text)
    for before, word, after in zip(["", *listed], listed, [*listed[1:], ""], strict=False):
        pronoun = word == "one" and (before in ("which", "this", "that") or after in ("who", "that", "which"))
        if word in NUMBER_WORDS and not pronoun:
            found[VALUES.get(word, word)] += 1
    return found


def signs(text: str) -> Counter[str]:
    """Count signs that mean something: `%`, `$`, `=`, `<`; a minus or slash between digits too."""
    found = Counter(character for character in text if character in SIGNS)
    found["-"] += len(re.findall(r"(?<!\w)[-−]\s?\d|\d\s?[-−–]\s?\d", text))
    return +found


def negations(text: str) -> Counter[str]:
    """Count words that negate."""
    return Counter(word for word in words(text) if word in NEGATIONS)


def scope(text: str) -> Counter[str]:
    """Count words that say how many, how much, when, or under which condition."""
    return Counter(word for word in words(text) if word in SCOPE)


def persons(text: str) -> frozenset[str]:
    """Return who is spoken of or to: first, second, third person."""
    held = set(words(text))
    groups = (("first", FIRST_PERSON), ("second", SECOND_PERSON), ("third", THIRD_PERSON))
    return frozenset(name for name, group in groups if held & group)


def quotations(text: str) -> Counter[str]:
    """Count texts in quotation marks."""
    return Counter(next(part for part in match.groups() if part is not None) for match in QUOTED.finditer(text))


def names(text: str) -> frozenset[str]:
    """Return words that may be names: capitals that the beginning of a sentence does not explain."""
    return frozenset(_capitals(text))


def _capitals(text: str) -> Iterator[str]:
    """Yield words with a capital; ordinary beginnings of sentences and `I` are left out."""
    for match in re.finditer(r"[^\W_]+(?:[-'’][^\W_]+)*", text):
        word = re.sub(r"['’]s$", "", match[0])
        if not any(character.isupper() for character in word) or word == "I" or word.startswith(("I'", "I’")):
            continue
        begins = not re.search(r"[\w,;)\]]\s*[\"'“‘(]*$", text[: match.start()])
        ordinary = word.split("'")[0].lower() in STARTERS and (len(word) == 1 or word[1:].islower())
        if begins and ordinary:
            continue
        yield word


def family(word: str) -> str:
    """Return a rough stem, the same for `colour` and `colors`, `bark` and `barking`."""
    word = AMERICAN.get(word, word)
    for ending in ENDINGS:
        if word.endswith(ending) and len(word) - len(ending) >= 3:
            word = word[: -len(ending)]
            break
    for british, american in SPELLINGS:
        if word.endswith(british):
            word = word[: -len(british)] + american
    if len(word) > 3 and word[-1] == word[-2]:
        word = word[:-1]
    return word.rstrip("eiy") if len(word) > 3 else word


def content_words(text: str) -> Counter[str]:
    """Count what a text is about: rough stems of its words, without numbers and what only holds it together."""
    plain = (word for word in words(text) if len(word) > 1 and word not in FUNCTION_WORDS | NUMBER_WORDS)
    return Counter(map(family, plain))


def mentions_words(text: str) -> bool:
    """Return whether a question is about words as words, so that another spelling could change its answer."""
    return bool(SELF_WORDS & set(words(text)) or quotations(text))
