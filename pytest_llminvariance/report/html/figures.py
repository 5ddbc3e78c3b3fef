"""Which plots a page has, and what stands in them: effects of a run, patterns of a finding, effects over runs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from pytest_llminvariance.checks.searches import SEARCH
from pytest_llminvariance.report.entries import Report, ReportEntry
from pytest_llminvariance.report.html import charts
from pytest_llminvariance.report.patterns import Patterns
from pytest_llminvariance.report.summary import amount, is_share, tolerated
from pytest_llminvariance.report.text import one_line
from pytest_llminvariance.report.words import percent, plural

MAX_FOREST = 30
MAX_LABELS = 8
MAX_HISTORIES = 12
MAX_RUNS = 60
SIZES = (("wide", 1040), ("narrow", 340))


@dataclass(frozen=True, slots=True)
class Chart:
    """A plot with the words below it."""

    plot: charts.Plot
    note: str


def measured(entries: Sequence[ReportEntry]) -> list[ReportEntry]:
    """Return the findings that have an effect to draw."""
    return [entry for entry in entries if not entry.is_lost and entry.name != SEARCH]


def forests(entries: Sequence[ReportEntry], titles: Mapping[int, str]) -> list[tuple[str, charts.Plot]]:
    """Return the forest plots for wide and for narrow windows: shares on one axis, scores and distances on another."""
    drawn = measured(entries)[:MAX_FOREST]
    return [
        (size, charts.forest(_rows(part, titles), as_percent=shares, width=width, name=f"forest-{kind}-{size}"))
        for kind, shares in (("shares", True), ("scores", False))
        if (part := [entry for entry in drawn if is_share(entry) is shares])
        for size, width in SIZES
    ]


def _rows(entries: Sequence[ReportEntry], titles: Mapping[int, str]) -> list[charts.ForestRow]:
    return [
        charts.ForestRow(
            titles[id(entry)],
            entry.low,
            entry.high,
            entry.tolerance,
            entry.verdict,
            amount(entry),
            f"{titles[id(entry)]} {entry.verdict}: {amount(entry)}, tolerated {tolerated(entry)}",
        )
        for entry in entries
    ]


def histories(reports: Sequence[Report]) -> list[tuple[str, charts.Plot]]:
    """Return one plot a check that more than one run has: its effect over the runs, oldest first."""
    runs = sorted(reports, key=lambda report: str(report.run.get("started") or ""))[-MAX_RUNS:]
    found: dict[str, list[tuple[Report, ReportEntry]]] = {}
    for report in runs:
        for entry in measured(report.entries):
            found.setdefault(f"{entry.where} {entry.name} {entry.metric}", []).append((report, entry))
    last = {id(entry) for entry in measured(runs[-1].entries)} if runs else set()
    several = [rows for rows in found.values() if len(rows) > 1]
    several.sort(key=lambda rows: (id(rows[-1][1]) not in last, -rows[-1][1].excess))
    return [
        (size, charts.history([_point(*row) for row in rows], title=_over_runs(rows), as_percent=is_share(rows[0][1]),
                              width=width, name=f"history-{n}-{size}"))
        for n, rows in enumerate(several[:MAX_HISTORIES])
        for size, width in SIZES
    ]  # fmt: skip


def _over_runs(rows: Sequence[tuple[Report, ReportEntry]]) -> str:
    entry = rows[-1][1]
    return f"{one_line(entry.title, 60)}, {name_of_test(entry)} ({one_line(entry.metric, 40)})"


def _point(report: Report, entry: ReportEntry) -> charts.ForestRow:
    started = one_line(str(report.run.get("started") or report.directory.name))
    day = started[:10]
    said = f"{started[:16].replace('T', ' ')} {entry.verdict}: {amount(entry)}, tolerated {tolerated(entry)}"
    return charts.ForestRow(day, entry.low, entry.high, entry.tolerance, entry.verdict, amount(entry), said)


def name_of_test(entry: ReportEntry) -> str:
    """Return the test that made a finding, without its file."""
    return one_line(entry.where.rpartition("::")[2] or f"by {entry.metric}", 80)


def patterns(entry: ReportEntry, found: Patterns, name: str) -> list[Chart]:
    """Return the plots of one finding."""
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
