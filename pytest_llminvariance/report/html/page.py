"""The HTML page: one file, no network, no scripts, whatever the questions and answers hold.

What is long is bounded and says so: a page of 2,000 questions shows the worst ones of each finding.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from pytest_llminvariance.checks.verdict import NO_LIMIT, QuestionEffect
from pytest_llminvariance.records.answers import RecordedAnswer
from pytest_llminvariance.report.entries import Report, ReportEntry
from pytest_llminvariance.report.html import charts
from pytest_llminvariance.report.html.orbit_tables import OrbitTable, orbit_table
from pytest_llminvariance.report.patterns import (
    AnsweredOrbit,
    Index,
    Patterns,
    index_answers,
    orbits,
)
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
from pytest_llminvariance.report.text import cut, one_line, visible
from pytest_llminvariance.report.words import percent, plural

MAX_LISTED = 400
MAX_FOREST = 30
MAX_DETAILED = 20
MAX_QUESTIONS = 12
MAX_QUESTIONS_HELD = 3
MAX_LABELS = 8
MAX_PROMPT = 4_000


@dataclass(frozen=True, slots=True)
class Chart:
    """A plot with the words below it."""

    plot: charts.Plot
    note: str


@dataclass(frozen=True, slots=True)
class Side:
    """One presentation of the counter-example."""

    title: str
    stem: str
    options: str
    answer: str
    label: str
    prompt: str


def page(record: Report, answers: Sequence[RecordedAnswer], notes: Sequence[str] = ()) -> str:
    """Return the page of a run."""
    import jinja2

    environment = jinja2.Environment(
        loader=jinja2.PackageLoader(__package__),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    index = index_answers(answers)
    return environment.get_template("page.html.j2").render(
        headline=headline(record),
        marks=MARKS,
        model=cut(_models(record), 200),
        has_models=len({entry.text("model") for entry in record.entries if not entry.is_lost}) > 1,
        listed=[_listed(entry, number) for number, entry in enumerate(record.entries[:MAX_LISTED], start=1)],
        n_unlisted=max(0, len(record.entries) - MAX_LISTED),
        forest=_forest(record.entries),
        n_drawn=MAX_FOREST,
        n_outside_forest=max(0, sum(not entry.is_lost for entry in record.entries) - MAX_FOREST),
        details=[_detail(entry, number, index) for number, entry in enumerate(record.entries[:MAX_DETAILED], start=1)],
        n_undetailed=max(0, len(record.entries) - MAX_DETAILED),
        facts=_facts(record),
        cost=_cost(record),
        notes=[*record.notes, *notes],
    )


def _models(record: Report) -> str:
    names = dict.fromkeys(one_line(entry.text("model")) for entry in record.entries if entry.text("model"))
    return ", ".join(names) or one_line(record.run.get("model") or "unknown model")


def _listed(entry: ReportEntry, number: int) -> Mapping[str, Any]:
    return {
        "number": number if number <= MAX_DETAILED else None,
        "verdict": entry.verdict,
        "title": cut(one_line(entry.title), 120),
        "sentence": sentence(entry),
        "because": cut(one_line("; ".join(entry.reasons)), 300) if entry.verdict == "UNDECIDED" else "",
        "amount": amount(entry),
        "tolerated": tolerated(entry),
        "place": cut(place(entry), 200),
        "model": cut(one_line(entry.text("model")), 100),
        "level": level_words(entry),
        "waived": cut(one_line(entry.waived), 300),
    }


def _forest(entries: Sequence[ReportEntry]) -> list[tuple[str, charts.Plot]]:
    """Return the forest plot twice: for wide and for narrow windows."""
    drawn = [entry for entry in entries if not entry.is_lost][:MAX_FOREST]
    titles = [one_line(entry.title) for entry in drawn]
    rows = [
        charts.ForestRow(
            title if titles.count(title) == 1 else f"{title}, {_test_name(entry)}",
            entry.low,
            entry.high,
            entry.tolerance,
            entry.verdict,
            amount(entry),
            f"{title} {entry.verdict}: {amount(entry)}, tolerated {tolerated(entry)}",
        )
        for entry, title in zip(drawn, titles, strict=True)
    ]
    if not rows:
        return []
    as_percent = all(is_share(entry) for entry in drawn)
    return [
        (size, charts.forest(rows, as_percent=as_percent, width=width, name=f"forest-{size}"))
        for size, width in (("wide", 1040), ("narrow", 340))
    ]


def _test_name(entry: ReportEntry) -> str:
    return one_line(entry.where.rpartition("::")[2] or place(entry) or f"by {entry.metric}")


def _detail(entry: ReportEntry, number: int, index: Index) -> Mapping[str, Any]:
    limit = MAX_QUESTIONS_HELD if entry.verdict == "HOLDS" else MAX_QUESTIONS
    shown: list[tuple[QuestionEffect, AnsweredOrbit]] = []
    gathered = Patterns()
    for effect, orbit in zip(entry.effects, orbits(entry, index), strict=True):
        if orbit is not None:
            gathered.add(orbit)
            shown = sorted([*shown, (effect, orbit)], key=lambda pair: (-pair[0].low, -pair[0].high))[:limit]
    worst = [pair for place, pair in enumerate(shown) if place < MAX_QUESTIONS_HELD or pair[0].high > 0]
    tables: list[OrbitTable] = [orbit_table(orbit, effect, is_share=is_share(entry)) for effect, orbit in worst]
    return {
        **_listed(entry, number),
        "model": one_line(entry.text("model")),
        "readout": one_line(entry.text("readout")),
        "certainty": certainty(entry),
        "reasons": [cut(one_line(reason), 600) for reason in entry.reasons],
        "note": cut(_as_sentence(one_line(entry.part("decision").get("note") or "")), 300),
        "sides": _sides(entry.part("example")),
        "example": _example(entry.part("example")),
        "charts": _charts(entry, gathered, f"f{number}"),
        "tables": tables,
        "n_questions": len(entry.effects),
        "n_affected": sum(effect.low > 0 for effect in entry.effects),
        "guards": _guards(entry),
        "kept": entry.part("details").get("kept_under_reversal"),
        "replay": entry.replay,
    }


def _example(example: Mapping[str, Any]) -> Mapping[str, str]:
    short = {name: cut(one_line(example.get(name, "")), 200) for name in ("question", "change")}
    return {**short, "context": cut(visible(example.get("context", "")), MAX_PROMPT)}


def _sides(example: Mapping[str, Any]) -> list[Side]:
    sides = []
    for name, title in (("before", "As written"), ("after", "Changed")):
        shown = example.get(name)
        if not isinstance(shown, Mapping):
            return []
        sides.append(
            Side(
                title=title,
                stem=cut(visible(shown.get("stem") or ""), MAX_PROMPT),
                options=cut(visible(shown.get("options") or ""), MAX_PROMPT),
                answer=cut(one_line(shown.get("answer") or ""), 300),
                label=cut(one_line(shown.get("answer_label") or ""), 40),
                prompt=cut(visible(shown.get("prompt") or ""), MAX_PROMPT),
            )
        )
    return sides


def _guards(entry: ReportEntry) -> list[Mapping[str, Any]]:
    said = {True: "passed", False: "failed"}
    return [
        {
            "name": cut(one_line(guard.get("name", "")), 80),
            "text": cut(one_line(guard.get("text", "")), 500),
            "state": said[bool(guard["passed"])] if guard.get("passed") is not None else "not checked",
        }
        for guard in entry.rows("guards")
        if isinstance(guard, Mapping)
    ]


def _charts(entry: ReportEntry, found: Patterns, name: str) -> list[Chart]:
    made = (_positions(entry, found, name), _labels(found, name), _directions(found, name), _spread(found, name))
    return [chart for chart in made if chart is not None]


def _positions(entry: ReportEntry, found: Patterns, name: str) -> Chart | None:
    stored = entry.part("details").get("position_shares")
    if isinstance(stored, list) and stored and all(isinstance(value, int | float) for value in stored):
        values, even, balanced = [float(value) for value in stored], [1 / len(stored)] * len(stored), True
    else:
        shares = found.position_shares() if found.orders_vary else None
        if shares is None or shares.even is None:
            return None
        values, even, balanced = list(shares.values), list(shares.even), shares.is_balanced
    rows = [
        charts.Bar(f"shown {_ordinal(n)}", value, percent(value), fair)
        for n, (value, fair) in enumerate(zip(values, even, strict=True), start=1)
    ]
    note = "Every option stood equally often at every position, so an uneven share is a matter of position."
    if not balanced:
        note = "Options did not stand equally often at every position, so an uneven share may be a matter of content."
    return Chart(charts.bars(rows, title="Choices by position", name=f"{name}-position"), f"Upright mark: even. {note}")


def _ordinal(number: int) -> str:
    return f"{number}{'th' if number in (11, 12, 13) else {1: 'st', 2: 'nd', 3: 'rd'}.get(number % 10, 'th')}"


def _labels(found: Patterns, name: str) -> Chart | None:
    shares = found.label_shares()
    if shares is None:
        return None
    chosen = sorted(((value, label) for label, value in zip(shares.names, shares.values, strict=True)), reverse=True)
    shown = [(value, label) for value, label in chosen if value > 0 or len(chosen) <= MAX_LABELS][:MAX_LABELS]
    rows = [charts.Bar(label, value, percent(value)) for value, label in shown]
    left_out = len(chosen) - len(shown)
    note = f"{plural(shares.n, 'answer')}." + (
        f" {plural(left_out, 'other label')} chosen less, or never." if left_out else ""
    )
    return Chart(charts.bars(rows, title="Choices by label", name=f"{name}-label"), note)


def _directions(found: Patterns, name: str) -> Chart | None:
    counted = found.directions()
    if counted is None:
        return None
    pairs = [("to earlier", counted.earlier), ("to later", counted.later)]
    if counted.to_right is not None and counted.to_wrong is not None:
        pairs += [("wrong to right", counted.to_right), ("right to wrong", counted.to_wrong)]
    rows = [charts.Bar(label, float(n), f"{n:,}") for label, n in pairs]
    note = "Earlier: the new answer is shown before the one that was given to the question as written."
    return Chart(charts.bars(rows, title="Where changed answers went", name=f"{name}-direction"), note)


def _spread(found: Patterns, name: str) -> Chart | None:
    shares = found.spread()
    if shares is None:
        return None
    parts = {"question": shares.question, "form": shares.form, "order": shares.order, "replicate": shares.replicate}
    rows = [charts.Bar(part, value or 0.0, _share(value)) for part, value in parts.items()]
    note = (
        "Shares of the variance of the probability of each question's favourite option. Form: template, labels and layout; "
        "order: within a form; replicate: the same prompt again."
    )
    return Chart(charts.stacked(rows, title="What the answers vary with", name=f"{name}-spread"), note)


def _share(value: float | None) -> str:
    return "not varied" if value is None else percent(value) if value >= 0.001 else "below 0.1%" if value else "0%"


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
    return note[0].upper() + note[1:] + ("" if note.endswith(".") else ".")
