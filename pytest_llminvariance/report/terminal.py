"""The terminal section: one line a finding, whatever ran it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from pytest_llminvariance.checks.searches import SEARCH
from pytest_llminvariance.checks.verdict import CONTRADICTIONS
from pytest_llminvariance.records.events import unfinished
from pytest_llminvariance.report.cells import cell_lines
from pytest_llminvariance.report.text import cut, visible
from pytest_llminvariance.report.words import COLOURS, COUNTER_EXAMPLE, counted, low_to_high, plural, unit_words


def finding_line(summary: Mapping[str, Any]) -> str:
    """Return one line: verdict, property, what was counted, tolerance, questions; the reason where undecided."""
    if summary["property"] == SEARCH:
        return visible(f"{summary['verdict']:<9} {summary['title']}: {COUNTER_EXAMPLE}, {summary['design']}")
    say, count = unit_words(is_share=bool(summary["count"])), summary["count"]
    low, high = summary["effect"]["low"], summary["effect"]["high"]
    effect = counted(count, low, high, summary["questions_asked"]) if count else low_to_high(low, high, say)
    tolerance = say(summary["tolerance"])
    n, planned = summary["questions_asked"], summary["questions_planned"]
    asked = f"{n:,}" if n == planned else f"{n:,} of {planned:,}"
    line = (
        f"{summary['verdict']:<9} {summary['title']}: {summary['metric']} {effect}, tolerance {tolerance}, "
        f"{asked} question{'s' if planned != 1 else ''}, {summary['design']}"
    )
    decision = summary.get("decision")
    if decision and decision["method"] == "sequential":
        line += f", risk {decision['alpha']:.2g}"
    notes = [guard["text"] for guard in summary.get("guards", ()) if guard["name"] == CONTRADICTIONS]
    return visible(" - ".join([line, *summary["reasons"][:1], *notes]))


def section_lines(records: Sequence[Mapping[str, Any]], undecided: str) -> Iterator[tuple[str, str]]:
    """Yield (line, colour) for the section: models, findings, searches, what did not finish, cache, a count."""
    yield from ((visible(line), colour) for line, colour in _section_lines(records, undecided))


def _section_lines(records: Sequence[Mapping[str, Any]], undecided: str) -> Iterator[tuple[str, str]]:
    for model in _of_kind(records, "model"):
        parts = [
            f"model {model['name']}",
            *([f"fingerprint {model['fingerprint'][:16]}"] if model["fingerprint"] else []),
        ]
        parts += [f"{key} {model[key]}" for key in ("device", "dtype") if model.get(key)]
        yield ", ".join(parts), ""
    yield from ((line, "") for line in engine_lines(_of_kind(records, "engine")))
    yield from ((record["line"], "") for record in _of_kind(records, "note"))
    findings = _of_kind(records, "finding")
    for record in findings:
        summary = record["finding"]
        level, colour = record.get("level", "block"), COLOURS[summary["verdict"]]
        told = "" if level == "block" or summary["verdict"] == "HOLDS" else f" (level {level}: let pass)"
        yield f"{finding_line(summary)}{told}  [{record['where']}]", "yellow" if told else colour
        yield from ((f"  {line}", "") for line in cell_lines(summary))
    if n := sum(_leaves_out(record["finding"]) for record in findings):
        yield f"not needed in {plural(n, 'check')} that could not hold anyway: whether the model reads the question", ""
    yield from ((line, "") for line in plan_lines(_of_kind(records, "planned")))
    if spent := risk_line(findings):
        yield spent, ""
    for record in _of_kind(records, "search"):
        end = "no counter-example (a search is no evidence for HOLDS)"
        yield f"SEARCHED  same answer: {plural(record['pairs'], 'pair')} compared, {end}  [{record['where']}]", ""
    yield from ((line, "yellow") for line in _not_on_record(records))
    for record in unfinished(records):
        yield f"UNDECIDED {record['title']}: started and did not finish: worker died  [{record['where']}]", "red"
    for record in _of_kind(records, "failed"):
        yield f"ERROR     {record['title']}: {record['reason'].splitlines()[0][:200]}  [{record['where']}]", "red"
    if cached := _of_kind(records, "cache"):
        yield _cache_line(cached), ""
    open_ones = sum(record["finding"]["verdict"] == "UNDECIDED" for record in findings)
    if open_ones and undecided != "fail":
        yield (
            f"{open_ones} of {len(findings)} checks UNDECIDED and let pass (--invariance-undecided={undecided})",
            "yellow",
        )


def _not_on_record(records: Sequence[Mapping[str, Any]]) -> Iterator[str]:
    """Yield what tests of the model did not check, or not for the record."""
    for record in _of_kind(records, "unchecked"):
        yield f"UNCHECKED asks for the model and checks nothing  [{record['where']}]"
    for record in _of_kind(records, "apart"):
        said = "told to a recorder of its own (run(recorder=...)), so not in the record"
        yield f"APART     {record['title']}: {said}  [{record['where']}]"


def _leaves_out(summary: Mapping[str, Any]) -> bool:
    return any(guard.get("needed") is False and guard["blocks"] == "HOLDS" for guard in summary.get("guards", ()))


def engine_lines(records: Sequence[Mapping[str, Any]]) -> Iterator[str]:
    """Yield how prompts were sent, and how many of their tokens, summed over workers."""
    asked, sent = (sum(record[name] for record in records) for name in ("asked_tokens", "sent_tokens"))
    for path in dict.fromkeys(record["path"] for record in records if record["asked_tokens"]):
        yield f"engine: {path}"
    if asked:
        yield f"tokens: {sent:,} sent for prompts of {asked:,} ({1 - sent / asked:.0%} saved)"


DECIDES = {"search": "only BROKEN", "comparison": "yes", "description": "only numbers"}
"""What comes of what is planned and is no check of a property."""


def plan_lines(records: Sequence[Mapping[str, Any]]) -> Iterator[str]:
    """Yield a table of what each check would cost and whether it can decide, and the sum; a test shows its first check only."""
    if not records:
        return
    yield _plan_row("PLANNED", ("questions", "prompts", "tokens", "minutes"), "can decide")
    for record in records:
        numbers = (record["questions"], record["presentations"], record["sent_tokens"])
        decides = "no" if record["trouble"] else DECIDES.get(record["method"], "yes")
        cells = (*(f"{n:,}" for n in numbers), _minutes([record]))
        yield f"{_plan_row(record['title'], cells, decides)}  [{record['where']}]"
        if record["method"] not in DECIDES:
            yield f"  {record['metric']}, tolerance {record['tolerance']:.2g}{_expected(record)}"
        if record["trouble"]:
            yield f"  {record['trouble']}"
    sums = [sum(record[name] for record in records) for name in ("questions", "presentations", "sent_tokens")]
    cells = (*(f"{n:,}" for n in sums), _minutes(records))
    yield _plan_row(f"at most, {plural(len(records), 'check')}", cells, "nothing was asked")
    speeds = [record["sent_tokens"] / record["seconds"] for record in records if record["seconds"]]
    yield (
        f"minutes are a guess: about {min(speeds):,.0f} tokens/s on this machine; what is remembered costs nothing"
        if speeds
        else "minutes are not known: this model does not say how fast it is"
    )


def _plan_row(title: str, cells: Sequence[str], decides: str) -> str:
    widths = (10, 9, 12, 8)
    return f"{cut(title, 36):<36}{''.join(f'{cell:>{width}}' for cell, width in zip(cells, widths, strict=True))}  {decides}"


def _minutes(records: Sequence[Mapping[str, Any]]) -> str:
    known = [record["seconds"] for record in records]
    return "-" if None in known else f"{sum(known) / 60:.1f}"


def _expected(record: Mapping[str, Any]) -> str:
    if record["method"] == "exhaustive":
        return ""
    said = ", ".join(f"{n:,} if the effect is {name}" for name, n in record["expected_tokens"].items())
    return f", risk {record['alpha']:.2g}; tokens on average: {said}"


def risk_line(findings: Sequence[Mapping[str, Any]]) -> str | None:
    """Return the risk that verdicts have spent, or `None` where everything was asked."""
    spent = [record["finding"]["decision"]["alpha"] for record in findings if record["finding"].get("decision")]
    limits = [record["finding"]["risk_limit"] for record in findings if record["finding"].get("risk_limit")]
    if not any(spent):
        return None
    of = f" of the limit {max(limits):g}" if limits else ""
    return f"risk: {sum(spent):.2g}{of} spent by {sum(alpha > 0 for alpha in spent)} checks that could stop early"


def _cache_line(records: Sequence[Mapping[str, Any]]) -> str:
    recalled, asked = (sum(record[name] for record in records) for name in ("recalled", "asked"))
    trouble = next((f", not kept: {record['trouble']}" for record in records if record["trouble"]), "")
    answers = f"{recalled:,} answer{'s' if recalled != 1 else ''} remembered, {asked:,} asked"
    return f"cache: {answers}, {records[0]['place']}{trouble}"


def _of_kind(records: Sequence[Mapping[str, Any]], kind: str) -> list[Mapping[str, Any]]:
    return [record for record in records if record["kind"] == kind]
