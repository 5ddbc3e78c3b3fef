"""The HTML page: one file, no network, no scripts, whatever the questions and answers hold.

What is long is bounded and says so: a page of 2,000 questions shows the worst ones of each finding.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from pytest_llminvariance.checks.verdict import NO_LIMIT, QuestionEffect
from pytest_llminvariance.gate.decision import BLOCKED, NO_POLICY, PASSED
from pytest_llminvariance.records.answers import RecordedAnswer
from pytest_llminvariance.report.cells import MAX_ROWS, tables_of
from pytest_llminvariance.report.entries import Report, ReportEntry
from pytest_llminvariance.report.html.cases import change_of, sides_of
from pytest_llminvariance.report.html.figures import MAX_FOREST, forests, histories, measured, name_of_test, patterns
from pytest_llminvariance.report.html.orbit_tables import Changes, OrbitTable, orbit_table
from pytest_llminvariance.report.meaning import accuracy, meaning
from pytest_llminvariance.report.patterns import AnsweredOrbit, Index, Patterns, context_of, index_answers, orbits
from pytest_llminvariance.report.summary import (
    MARKS,
    amount,
    certainty,
    headline,
    is_share,
    level_words,
    place,
    sentence,
    tolerated,
)
from pytest_llminvariance.report.text import capital, cut, one_line, visible
from pytest_llminvariance.report.words import kept_words, plural, table_value

MAX_LISTED = 400
MAX_DETAILED = 20
MAX_QUESTIONS = 12
MAX_QUESTIONS_HELD = 3
MAX_CONTEXT = 4_000
MAX_PROPERTIES = 20
"""That the filter offers."""


def _template(name: str) -> Any:
    import jinja2

    environment = jinja2.Environment(
        loader=jinja2.PackageLoader(__package__),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    return environment.get_template(name)


def instrument_page(
    headline: str, verdict: str, tables: Sequence[tuple[str, Sequence[Mapping[str, Any]]]], warnings: Sequence[str]
) -> str:
    """Return the page of an instrument: what is not known stands as a question mark."""
    text: str = _template("instrument.html.j2").render(
        headline=visible(headline),
        verdict=verdict,
        tables=tables,
        warnings=[*map(visible, warnings)],
        marks=MARKS,
        said=table_value,
    )
    return text


def page(
    record: Report,
    answers: Sequence[RecordedAnswer],
    notes: Sequence[str] = (),
    history: Sequence[Report] = (),
) -> str:
    """Return the page of a run; `history` are the runs before it."""
    index, titles = index_answers(answers), _titles(record.entries)
    names = list(dict.fromkeys(entry.name for entry in record.entries[:MAX_LISTED]))[:MAX_PROPERTIES]
    details = [
        _detail(entry, number, index, titles, names)
        for number, entry in enumerate(record.entries[:MAX_DETAILED], start=1)
    ]
    listed = [
        _listed(entry, number, titles, names) for number, entry in enumerate(record.entries[:MAX_LISTED], start=1)
    ]
    text: str = _template("page.html.j2").render(
        headline=headline(record),
        marks=MARKS,
        decision=_decision(record),
        tested=list(_tested(record)),
        model=cut(_models(record), 200),
        has_models=len({entry.text("model") for entry in record.entries if not entry.is_lost}) > 1,
        listed=listed,
        verdicts=list(dict.fromkeys(row["verdict"] for row in listed)),
        properties=[cut(one_line(name).replace("_", " "), 60) for name in names],
        n_unlisted=max(0, len(record.entries) - MAX_LISTED),
        forest=forests(record.entries, titles),
        n_drawn=MAX_FOREST,
        n_outside_forest=max(0, len(measured(record.entries)) - MAX_FOREST),
        histories=histories([*history, record]) if history else [],
        details=details,
        questions=_questions(details),
        n_undetailed=max(0, len(record.entries) - MAX_DETAILED),
        facts=_facts(record),
        cost=_cost(record),
        notes=[*record.notes, *notes],
        said=table_value,
    )
    return text


def _titles(entries: Sequence[ReportEntry]) -> Mapping[int, str]:
    """Return what each finding is called: its title, with its test, metric or model where the title alone is another's too."""
    names = {id(entry): _names(entry) for entry in entries}
    counts = Counter(name for row in names.values() for name in row)
    return {key: cut(next((name for name in row if counts[name] == 1), row[1]), 160) for key, row in names.items()}


def _names(entry: ReportEntry) -> tuple[str, ...]:
    """Return what a finding may be called, shortest first."""
    title = one_line(entry.title)
    longer = f"{title}, {name_of_test(entry)}"
    return title, longer, f"{longer} ({one_line(entry.metric, 40)})", f"{longer} on {one_line(entry.text('model'), 60)}"


def _decision(record: Report) -> str:
    """Return what becomes of the release, and who says so."""
    said = {BLOCKED: "The gate blocks this release", PASSED: "The gate lets this release pass"}
    word = said.get(record.decision.exit_code, "The gate has too little evidence and does not let this release pass")
    source = record.decision.source
    by = (
        "by the levels of the tests, without a policy"
        if source == NO_POLICY
        else f"by the policy in {one_line(source, 120)}"
    )
    return f"{word}, {by}."


def _tested(record: Report) -> Iterator[tuple[str, str]]:
    """Yield what was tested: model, commit, day, suite."""
    yield "model", cut(_models(record), 200)
    if commit := one_line(record.run.get("commit") or ""):
        head, plus, _ = commit.partition("+")
        yield "commit", f"{head[:12]}{' with changes' if plus else ''}"
    if started := one_line(record.run.get("started") or ""):
        yield "date", started[:16].replace("T", " ")
    places = dict.fromkeys(one_line(entry.file or entry.where.partition("::")[0], 80) for entry in record.entries)
    files = [name for name in places if name]
    more = f" and {len(files) - 2} more" if len(files) > 2 else ""
    questions = max((entry.number("questions_asked") for entry in measured(record.entries)), default=0)
    asked = f", up to {plural(questions, 'question')} each" if questions else ""
    yield "suite", f"{', '.join(files[:2])}{more}: {plural(len(record.entries), 'check')}{asked}".lstrip(": ")


def _questions(details: Sequence[Mapping[str, Any]]) -> list[tuple[str, list[tuple[str, str]]]]:
    """Return every question that is shown below, with the places where it stands."""
    found: dict[str, list[tuple[str, str]]] = {}
    for detail in details:
        for number, table in enumerate(detail["tables"], start=1):
            found.setdefault(table.question, []).append((f"f{detail['number']}-q{number}", detail["title"]))
    return sorted(found.items())


def _models(record: Report) -> str:
    names = dict.fromkeys(one_line(entry.text("model")) for entry in record.entries if entry.text("model"))
    return ", ".join(names) or one_line(record.run.get("model") or "unknown model")


def _listed(entry: ReportEntry, number: int, titles: Mapping[int, str], names: Sequence[str]) -> Mapping[str, Any]:
    means = meaning(entry)
    return {
        "number": number if number <= MAX_DETAILED else None,
        "verdict": entry.verdict,
        "kind": names.index(entry.name) if entry.name in names else None,
        "title": titles[id(entry)],
        "word": means.word,
        "means": means.text,
        "todo": means.todo,
        "accuracy": "" if any(reason in accuracy(entry) for reason in entry.reasons) else accuracy(entry),
        "sentence": sentence(entry),
        "because": cut(one_line("; ".join(entry.reasons)), 300) if entry.verdict == "UNDECIDED" else "",
        "amount": amount(entry),
        "tolerated": tolerated(entry),
        "place": cut(place(entry), 200),
        "model": cut(one_line(entry.text("model")), 100),
        "level": level_words(entry),
        "waived": cut(one_line(entry.waived), 300),
    }


@dataclass(slots=True)
class _Seen:
    """What is shown of a finding's orbits, gathered while they come one after the other: whatever the suite, few are kept."""

    patterns: Patterns = field(default_factory=Patterns)
    changes: Changes = field(default_factory=Changes)
    of_example: AnsweredOrbit | None = None
    worst: list[tuple[QuestionEffect, AnsweredOrbit, int]] = field(default_factory=list)
    """The questions with the largest effects, and their places."""

    @classmethod
    def of(cls, entry: ReportEntry, index: Index) -> _Seen:
        """Go through the orbits of a finding."""
        seen, example = cls(), entry.part("example").get("question")
        limit = MAX_QUESTIONS_HELD if entry.verdict == "HOLDS" else MAX_QUESTIONS
        for number, (effect, orbit) in enumerate(zip(entry.effects, orbits(entry, index), strict=True)):
            if orbit is None:
                continue
            seen.patterns.add(orbit)
            seen.changes.add(orbit)
            if seen.of_example is None and orbit.name == example:
                seen.of_example = orbit
            rows = [*seen.worst, (effect, orbit, number)]
            seen.worst = sorted(rows, key=lambda row: (-row[0].low, -row[0].high))[:limit]
        seen.worst = [row for rank, row in enumerate(seen.worst) if rank < MAX_QUESTIONS_HELD or row[0].high > 0]
        return seen


def _detail(
    entry: ReportEntry, number: int, index: Index, titles: Mapping[int, str], names: Sequence[str]
) -> Mapping[str, Any]:
    seen = _Seen.of(entry, index)
    tables: list[OrbitTable] = [
        orbit_table(
            orbit, effect, is_share=is_share(entry), context=cut(visible(context_of(entry, index, at)), MAX_CONTEXT)
        )
        for effect, orbit, at in seen.worst
    ]
    return {
        **_listed(entry, number, titles, names),
        "model": one_line(entry.text("model")),
        "readout": one_line(entry.text("readout")),
        "certainty": certainty(entry),
        "reasons": [cut(one_line(reason), 600) for reason in entry.reasons],
        "note": cut(_as_sentence(one_line(entry.part("decision").get("note") or "")), 300),
        "sides": sides_of(entry.part("example"), seen.of_example),
        "example": change_of(entry.part("example")),
        "charts": patterns(entry, seen.patterns, f"f{number}"),
        "matrix": seen.changes.matrix(),
        "tables": tables,
        "n_questions": len(entry.effects),
        "n_affected": sum(effect.low > 0 for effect in entry.effects),
        "parts": [(title, rows[:MAX_ROWS], max(0, len(rows) - MAX_ROWS)) for title, rows in tables_of(entry.raw)],
        "guards": _guards(entry),
        "kept": _kept(entry.part("details").get("kept_under_reversal")),
        "replay": entry.replay,
    }


def _kept(counts: object) -> str:
    known = isinstance(counts, Mapping) and all(isinstance(n, int) for n in counts.values()) and any(counts.values())
    return kept_words(counts) if known and isinstance(counts, Mapping) else ""


def _guards(entry: ReportEntry) -> list[Mapping[str, Any]]:
    said = {True: "passed", False: "failed"}
    return [
        {
            "name": cut(one_line(guard.get("name", "")), 80),
            "text": cut(one_line(guard.get("text", "")), 500),
            "state": "not needed"
            if guard.get("needed") is False
            else said[bool(guard["passed"])]
            if guard.get("passed") is not None
            else "not checked",
        }
        for guard in entry.rows("guards")
        if isinstance(guard, Mapping)
    ]


def _cost(record: Report) -> list[tuple[str, str]]:
    asked = sum(entry.number("presentations_asked") for entry in record.entries)
    tokens = record.run.get("tokens")
    if not isinstance(tokens, Mapping):
        tokens = {
            "tokens": tokens if isinstance(tokens, int) else sum(entry.number("tokens") for entry in record.entries)
        }
    rows = [("answers judged", f"{asked:,}")]
    rows += [(cut(one_line(name).replace("_", " "), 40), _said(value)) for name, value in tokens.items()]
    duration = record.run.get("duration_s")
    return rows + ([("duration", _duration(float(duration)))] if isinstance(duration, int | float) else [])


def _duration(seconds: float) -> str:
    if seconds < 60:
        return f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes} min {rest} s" if minutes < 60 else f"{minutes // 60} h {minutes % 60} min"


def _facts(record: Report) -> list[tuple[str, str]]:
    """Return where the numbers come from."""
    first = record.entries[0].raw if record.entries else {}
    rows = []
    for name in ("model", "fingerprint", "started", "seed", "device", "dtype", "commit", "versions", "settings"):
        value = record.run.get(name, first.get(name))
        if value not in (None, "", {}):
            rows.append((name, cut(_said(value), 600)))
    return rows


def _said(value: Any) -> str:
    if isinstance(value, Mapping):
        return ", ".join(f"{one_line(name)} {_said(part)}" for name, part in value.items())
    if isinstance(value, list):
        return ", ".join(map(_said, value))
    return f"{value:,}" if isinstance(value, int) and not isinstance(value, bool) else one_line(value)


def _as_sentence(note: str) -> str:
    """Return why a check asked everything, or what would decide; nothing where it was never meant to stop."""
    if note in ("", NO_LIMIT):
        return ""
    return capital(note) + ("" if note.endswith(".") else ".")
