"""Guards: conditions without which a number means nothing. Each prints its number.

A guard never touches BROKEN unless the answers themselves are worthless; most of them withhold HOLDS.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from fractions import Fraction

from pytest_llminvariance.checks.evidence import Answers, Evidence
from pytest_llminvariance.checks.properties.base import Property
from pytest_llminvariance.checks.verdict import CONTRADICTIONS, Guard
from pytest_llminvariance.measures.distribution import AnswerDistribution, masses_of, mean_mass
from pytest_llminvariance.measures.metrics import Number, mean_interval
from pytest_llminvariance.measures.movement import bound_of_movement, needed_movement
from pytest_llminvariance.measures.noise import MIN_PAIRS
from pytest_llminvariance.questions.foreign_stems import Kinds, kinds
from pytest_llminvariance.questions.question import MIN_KNOWN, Question, SkippedRows, cluster_of, name_of_unit

MIN_MASS = 0.5
MIN_TELLING = 4
"""Different questions of the suite that show a model to be blind: one alone may just be too hard."""
MAX_COPIES = Fraction(1, 5)
"""Share of near copies in a suite of which nothing is said."""
GUESSING_RISK = 0.05
"""Chance that a model which guesses passes for one that knows; above the mean alone it would be a half."""


def guards_of(answers: Answers, property: Property, limit: Fraction) -> list[Guard]:
    """Return all guards with their numbers."""
    replies = reply_guards(answers.evidence, needs_accuracy=property.needs_accuracy, by_cluster=answers.by_cluster)
    asked = [item.plan.question for item in answers.evidence]
    found = [*replies, *answers.runtime, *copies_guards(asked, by_cluster=answers.by_cluster)]
    if property.batches:
        found.append(replicates_guard(len(answers.evidence) * property.batches))
    effect = answers.effect.high if answers.effect is not None and answers.verdict is None else None
    if (bound := bound_of_movement(limit, effect, answers.held_under, needed=property.needs_response)) is not None:
        found.append(_responsive(answers, bound, limit))
    return found


def _responsive(answers: Answers, most: Fraction, limit: Fraction) -> Guard:
    evidence, n = answers.evidence, len(answers.could)
    if answers.lacking:
        text = f"that the model reads the question was not asked as far as tolerance {float(limit):g} needs it. Run it again with that"
        return Guard(name="responsive", passed=False, text=text)
    if not n:
        text = f"whether the model reads the question was not asked, as it could not hold at tolerance {float(limit):g} anyway"
        return Guard(name="responsive", passed=None, text=text, needed=False)
    need = sum(needed_movement(most, amount) for amount in answers.could) / n
    found = kinds([(item.plan.question, item.stems) for item in evidence])
    if answers.responsive is not None:
        lower = max(0.0, answers.responsive.lower - (most - need))
        return responsiveness(lower, need, passed=answers.answered_for, found=found, at_least=True)
    moved = mean_interval(answers.moves)
    is_shown = moved.high <= need and found.telling >= MIN_TELLING
    part = f"{answers.n_stems:,} of {found.stems:,}" if answers.n_stems < found.stems else ""
    return responsiveness(
        moved.low, need, passed=moved.low > need, found=found, at_least=bool(part), is_blind=is_shown, asked=part
    )


def responsiveness(
    moved: Number,
    need: Number,
    *,
    passed: bool,
    found: Kinds,
    at_least: bool = False,
    is_blind: bool = False,
    asked: str = "",
) -> Guard:
    """Require that another stem moves the answer by more than is needed. Ties do not count as movement.

    `moved` is the mean over all questions, or with `at_least` its lower bound where not all were asked. `is_blind`:
    that it moves by more is ruled out, under stems that ask for another answer. `asked`: how many stems were enough.
    """
    amount = f"{'at least ' if at_least else ''}{float(moved):.2g}"
    says = f"under another question's stem the answer moves by {amount} (must exceed {float(need):.2g}{asked and f'; {asked} stems asked'})"
    if passed:
        return Guard(name="responsive", passed=True, text=says)
    not_shown = f"that the model reads the question is not shown: {says}; {found}"
    return Guard(
        name="responsive", passed=False, text=f"the model hardly reads the question: {says}" if is_blind else not_shown
    )


def reply_guards(evidence: Sequence[Evidence], *, needs_accuracy: bool = True, by_cluster: bool = False) -> list[Guard]:
    """Return the guards that the check's own answers decide: something to compare, mass, preference, accuracy.

    A property of the engine alone says nothing of what the model knows, so it needs no accuracy.
    """
    planned = Guard(
        name="planned",
        passed=all(len(item.answers) > 1 for item in evidence),
        text="every question has something to compare"
        if all(len(item.answers) > 1 for item in evidence)
        else "nothing to compare: a question has fewer than two presentations",
        blocks="both",
    )
    known = [_accuracy(evidence, by_cluster=by_cluster)] if needs_accuracy else []
    answers = [answer for item in evidence for answer in item.answers]
    masses = [mass for item in evidence for mass in item.masses]
    return [
        planned, *missing_guards(answers), *_reached(evidence), mass_guard(answers, masses), _preference(evidence), *known, *_contradictions(answers),
    ]  # fmt: skip


def _contradictions(answers: Sequence[AnswerDistribution]) -> Iterator[Guard]:
    """Say how many texts contradict themselves, such as `3 - Not like me` where 5 means that."""
    for rule, count in sorted(Counter(answer.contradiction for answer in answers).items()):
        if rule:
            text = f"{rule} in {count:,} of {len(answers):,} answers ({count / len(answers):.0%}), which are unparsed"
            yield Guard(name=CONTRADICTIONS, passed=None, text=text, blocks="nothing")


def _reached(evidence: Sequence[Evidence]) -> list[Guard]:
    """Require that each part of the transform reached the model, and say what was not counted."""
    guards = [_part_guard(evidence, number, part) for number, part in _parts(evidence)]
    found = [guard for guard in guards if guard is not None] or _told(evidence)
    repeats = sum(len(item.repeats) for item in evidence)
    if repeats:
        n_answers = sum(len(item.answers) for item in evidence)
        says = f"{repeats:,} of {n_answers:,} answers are not counted: their prompts were sent as the bytes of another presentation"
        found.append(Guard(name="repeats", passed=None, text=says, blocks="nothing"))
    return found


def _parts(evidence: Sequence[Evidence]) -> list[tuple[int, str]]:
    return list(dict.fromkeys(part for item in evidence for part in enumerate(item.plan.parts)))


def _part_guard(evidence: Sequence[Evidence], number: int, part: str) -> Guard | None:
    """Return why it is not known that a part reached the model; `None` where it did for every question."""
    places = ((item, item.plan.parts[number : number + 1]) for item in evidence)
    counts = Counter(item.reach[number] for item, here in places if here == (part,))
    n = counts.total() - counts["unplanned"]
    if counts["same"]:
        never = counts["same"] == n
        says = (
            f"{part} did not reach the model for {counts['same']} of {n} questions: the same prompt was sent each time"
        )
        nothing = never and not any(item.reached for item in evidence)
        text = f"not applicable: {says}" if never else says
        return Guard(name="reached", passed=False, text=text, blocks="both" if nothing else "HOLDS")
    if not n:
        says = f"not applicable: no two presentations of a question differ in {part} alone"
        return Guard(name="reached", passed=False, text=says)
    if not counts["sent"]:
        says = f"whether {part} reached the model is not checked: no two answers that differ in it alone say what was sent (sent_sha256)"
        return Guard(name="reached", passed=False, text=says)
    return None


def _told(evidence: Sequence[Evidence]) -> list[Guard]:
    """Require that every answer says what was sent for it."""
    if all(all(item.sent) for item in evidence):
        return []
    known = [
        digest
        for item in evidence
        for digest, answer in zip(item.sent, item.answers, strict=True)
        if answer.status != "missing"
    ]
    silent = sum(not digest for digest in known)
    if not silent:
        return []
    says = f"whether the transform reached the model is not checked: {silent:,} of {len(known):,} answers do not say what was sent (sent_sha256)"
    return [Guard(name="reached", passed=False, text=says)]


def missing_guards(answers: Sequence[AnswerDistribution]) -> list[Guard]:
    """Say how many prompts got no answer and why the first did not; where none got one, nothing else is worth saying."""
    lost = [answer for answer in answers if answer.status == "missing"]
    if not lost:
        return []
    every = len(lost) == len(answers)
    why = _short(next((answer.said for answer in lost if answer.said), "the reason is not known"), 200)
    says = (
        f"{'all ' if every else ''}{len(lost):,}{'' if every else f' of {len(answers):,}'} prompts failed; first: {why}"
    )
    return [Guard(name="answered", passed=False if every else None, text=says, blocks="both" if every else "nothing")]


def _short(text: str, width: int) -> str:
    line = " ".join(text.split())
    return line if len(line) <= width else line[: width - 1] + "…"


def mass_guard(answers: Iterable[AnswerDistribution], told: Sequence[float] | None = None) -> Guard:
    """Require that answers name options, where the readout measures it; `told` is their mass where they do not say it."""
    all_of_them = list(answers)
    told = masses_of(all_of_them) if told is None else told
    mean = mean_mass(told)
    if mean is None:
        came = any(answer.status != "missing" for answer in all_of_them)
        why = "this readout does not measure it" if came else "no answer came"
        return Guard(name="mass on options", passed=None, text=f"mass on options not checked: {why}")
    n = sum(not math.isnan(mass) for mass in told)
    over = "" if n == len(all_of_them) else f", over {n:,} of {len(all_of_them):,} answers"
    says = f"mean mass on the options {mean:.3f} (at least {MIN_MASS:g}{over})"
    pairs = zip(all_of_them, told, strict=True)
    first = next((answer.said for answer, mass in pairs if mass == 0 and answer.said.strip()), "")
    quoted = f", such as {_short(first, 80)!r}" if first else ""
    bad = f"{says}: most answers name no option{quoted}. Use another template, labels or readout"
    return Guard(name="mass on options", passed=mean >= MIN_MASS, text=says if mean >= MIN_MASS else bad, blocks="both")


def _preference(evidence: Sequence[Evidence]) -> Guard:
    n = sum(len(item.answers) for item in evidence)
    decided = sum(len(answer.outcomes(item.delta_nats)) == 1 for item in evidence for answer in item.answers)
    says = f"{decided:,} of {n:,} answers prefer one option"
    return Guard(name="preference", passed=decided > 0, text=says if decided else f"no preference at all: {says}")


def _accuracy(evidence: Sequence[Evidence], *, by_cluster: bool) -> Guard:
    """Require more right answers than guessing gives in 19 of 20 suites, where at least 8 answers are known.

    One answer a question, as written: its other answers say the same again, as an order-blind guesser is right in all
    orders or in none. With `by_cluster` one a cluster, that to the first of its questions. Near copies, and questions of one
    cluster, may all be right by one guess: so the same is required of kinds too, each counted once by its share of right answers.
    """
    hits: dict[str, tuple[Fraction, Fraction]] = {}
    alike: dict[object, list[tuple[Fraction, Fraction]]] = {}
    for item in evidence:
        question, answer = item.plan.probes[0].presentation.question, item.answers[0]
        name = name_of_unit(item.plan.question, by_cluster=by_cluster)
        if question.answer is not None and name not in hits:
            right = answer.outcomes(item.delta_nats) == {question.answer}
            hits[name] = Fraction(right), Fraction(1, answer.k)
            kind = cluster_of(item.plan.question) if "cluster" in question.attributes else near_form(question)
            alike.setdefault(kind, []).append(hits[name])
    n, unit = len(hits), "clusters" if by_cluster else "questions"
    if n < MIN_KNOWN:
        why = (
            f"correct answers are known for {n} {unit} (at least {MIN_KNOWN})" if n else "no correct answers are known"
        )
        return Guard(name="accuracy", passed=None, text=f"accuracy not checked: {why}")
    found = _beats_guessing(list(hits.values()), f"{unit} as written")
    if not found.passed or len(alike) == n:
        return found
    if len(alike) < MIN_KNOWN:
        why = f"the {n} {unit} with a known answer are of {len(alike)} kinds (near copies, or of one cluster; at least {MIN_KNOWN})"
        return Guard(name="accuracy", passed=None, text=f"accuracy not checked: {why}")
    by_kind = _beats_guessing([_mean_of(rows) for rows in alike.values()], f"kinds of {n} {unit}")
    return by_kind if by_kind.passed is False else found


def _mean_of(rows: Sequence[tuple[Fraction, Fraction]]) -> tuple[Fraction, Fraction]:
    """Return the share of right answers of a kind, and the chance of a guesser that answers all of it alike."""
    return sum((right for right, _ in rows), Fraction()) / len(rows), max(chance for _, chance in rows)


def _beats_guessing(rows: Sequence[tuple[Fraction, Fraction]], what: str) -> Guard:
    """Test the number of right answers against guessing; a row is what is right of a unit, and its chance."""
    from scipy.stats import binom

    n, right = len(rows), sum((share for share, _ in rows), Fraction())
    rate = float(sum((chance for _, chance in rows), Fraction()) / n)
    needed = int(binom.isf(GUESSING_RISK, n, rate)) + 1
    says = f"accuracy {float(right / n):.2g}: {float(right):.4g} of {n} {what} (chance {rate:.2g}, at least {needed})"
    passed = right >= needed
    return Guard(name="accuracy", passed=passed, text=says if passed else f"{says}: no better than guessing")


def rows_guards(files: Iterable[SkippedRows]) -> list[Guard]:
    """Say how many rows of the questions' files were left out, and why the first was."""
    files = tuple(files)
    says = "; ".join(
        f"{len(file.rows)} of {file.n_rows} rows were left out (bad_rows='skip'), first {file.rows[0]}"
        for file in files
    )
    return [Guard(name="rows left out", passed=None, text=says, blocks="nothing")] if files else []


def copies_guards(questions: Iterable[Question], *, by_cluster: bool = False) -> list[Guard]:
    """Say where more than a fifth of what is counted are near copies: a mean over them says little about the rest.

    Copies inside one cluster are one already, with `by_cluster`.
    """
    units = {(name_of_unit(one, by_cluster=by_cluster), near_form(one)) for one in questions}
    kinds = Counter(form for _, form in units)
    copies = sum(count for count in kinds.values() if count > 1)
    if copies <= MAX_COPIES * len(units):
        return []
    says = (
        f"{copies:,} of {len(units):,} questions are near copies of others (the same options and answer, and stems that differ in case, "
        f"digits or punctuation only), of {len(kinds):,} kinds in all, and each counts by itself. Leave copies out, or give those of a kind "
        "one attributes['cluster'] and use claim='population'"
    )
    return [Guard(name="near copies", passed=None, text=says, blocks="nothing")]


def near_form(question: Question) -> tuple[object, ...]:
    """Return what near copies have in common: letters of stem and context, letters and digits of options and answer."""
    asked = f"{question.context or ''} {question.stem}".casefold()
    letters = "".join(filter(str.isalpha, asked)) or asked
    options = ["".join(filter(str.isalnum, option.casefold())) or option for option in question.options]
    return letters, frozenset(options), None if question.answer is None else options[question.answer]


def replicates_guard(n_pairs: int) -> Guard:
    """Require enough pairs to know the largest change between batches."""
    says = f"{n_pairs} replicate pairs (at least {MIN_PAIRS})"
    passed = n_pairs >= MIN_PAIRS
    return Guard(name="replicates", passed=passed, text=says if passed else f"{says}: give more questions or batches")
