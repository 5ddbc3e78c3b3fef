"""`llminvariance audit`: the usual properties of a model, with no test code."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from pytest_llminvariance.checks.properties import audits, default_audits
from pytest_llminvariance.cli.usage import OtherSettings, bad_usage
from pytest_llminvariance.models.load_settings import LoadSettings, help_of, other_settings
from pytest_llminvariance.models.spec import DECISIONS, parse_spec

if TYPE_CHECKING:
    from pytest_llminvariance.cli.auditing import AuditPlan
    from pytest_llminvariance.records.record import Record, StoredFinding


COLUMNS = ("verdict", "property", "effect", "tolerance", "asked")
INTERRUPTED = 130


def audit_command(
    spec: Annotated[str, typer.Argument(help="The model: demo, a hub id, a folder, replay:FILE, control:NAME, ...")],
    questions: Annotated[
        str | None, typer.Option(metavar="FILE", help="Your questions, or hf:NAME:SPLIT; else the packaged ones.")
    ] = None,
    preset: Annotated[
        str | None, typer.Option(metavar="NAME", help="The form of the file: mmlu, arc, lm_eval_samples, ...")
    ] = None,
    fields: Annotated[
        list[str] | None, typer.Option(metavar="FIELD=COLUMN", help="Which column of the file is which field.")
    ] = None,
    answers: Annotated[
        str | None, typer.Option(metavar="STYLE", help="How keys are written: index, one_based, letter, text, scores.")
    ] = None,
    bad_rows: Annotated[
        str, typer.Option(metavar="error|skip", help="What a bad row of the file does: stop the audit, or be left out.")
    ] = "error",
    encoding: Annotated[str | None, typer.Option(metavar="NAME", help="Encoding of the file, such as cp1252.")] = None,
    properties: Annotated[
        str | None,
        typer.Option(
            help=f"Which properties, separated by commas, of: {', '.join(audits())}. By default {', '.join(default_audits())}; "
            f"of a decision model {', '.join(default_audits(of_decisions=True))}."
        ),
    ] = None,
    out: Annotated[
        str | None,
        typer.Option(metavar="DIR", help="Directory of the record. An audit that was stopped goes on there."),
    ] = None,
    tolerance: Annotated[
        list[str] | None,
        typer.Option(metavar="NAME=VALUE", help="Tolerance of a property, or a number for all (0.05)."),
    ] = None,
    readout: Annotated[
        str, typer.Option(help="How answers are read: auto, label, option, option_sum, text, decision.")
    ] = "auto",
    template: Annotated[
        str | None, typer.Option(metavar="TEXT", help="How questions are asked: text with {stem} and {options}.")
    ] = None,
    on_reference: Annotated[
        str,
        typer.Option(
            metavar="leave_out|error|ask_anyway",
            help="What to do with questions such as 'Both A and B' where orders or labels change.",
        ),
    ] = "leave_out",
    seed: Annotated[int, typer.Option(help="Seed of the audit.")] = 0,
    device: Annotated[str, typer.Option(help=f"{help_of('device')}.")] = LoadSettings.device,
    dtype: Annotated[str, typer.Option(help=f"{help_of('dtype')}.")] = LoadSettings.dtype,
    revision: Annotated[
        str | None, typer.Option(metavar="REV", help=f"{help_of('revision')}.")
    ] = LoadSettings.revision,
    setting: OtherSettings = None,
) -> None:
    r"""Check the usual properties of a model on a bank of questions, with no test code.

    Every answer is written to the directory at once. After a stop, by Ctrl-C or otherwise, the same command asks only
    what is missing. Exits 0 if everything holds, 1 if something is BROKEN or UNDECIDED, 2 for bad usage.
    """
    from pytest_llminvariance.cli.auditing import AuditPlan, read_bank, run_audit
    from pytest_llminvariance.questions.references import check_on_reference

    directory = Path(out or default_directory(spec))
    try:
        with bad_usage():
            usual = default_audits(of_decisions=parse_spec(spec).scheme in DECISIONS)
            names = (
                usual if properties is None else tuple(name.strip() for name in properties.split(",") if name.strip())
            )
            bank = read_bank(
                questions, fields=fields or (), answers=answers, preset=preset, bad_rows=bad_rows, encoding=encoding
            )
            plan = AuditPlan(
                spec=spec, questions=bank, properties=names, tolerances=_tolerances(tolerance or [], names),
                readout=readout, template=template, on_reference=check_on_reference(on_reference), seed=seed, device=device, dtype=dtype, revision=revision,
                loading=other_settings(setting or [], ("device", "dtype", "revision")),
            )  # fmt: skip
            record = run_audit(plan, directory, lambda text: typer.echo(text, err=True))
    except KeyboardInterrupt:
        typer.echo(_stopped(directory), err=True)
        raise typer.Exit(INTERRUPTED) from None
    _show(record, plan, directory)
    raise typer.Exit(int(record.fact("exit") or 0))


def default_directory(spec: str) -> str:
    """Return a name for the record of a model, without what a URL may hold."""
    from pytest_llminvariance.records.redaction import redacted

    return "audit-" + (re.sub(r"[^A-Za-z0-9._=]+", "-", redacted(spec)).strip("-.")[-60:] or "model")


def _tolerances(texts: list[str], names: tuple[str, ...]) -> dict[str, float]:
    from pytest_llminvariance.checks.refusals import as_tolerance
    from pytest_llminvariance.errors import UsageError

    found: dict[str, float] = {}
    for text in texts:
        name, equals, value = text.rpartition("=")
        try:
            number = float(value)
        except ValueError as error:
            raise UsageError(
                f"--tolerance is {text!r}, but must be NAME=VALUE, such as order=0.1, or a number"
            ) from error
        as_tolerance(number)
        for one in (name,) if equals else names:
            found[one] = number
    return found


def _stopped(directory: Path) -> str:
    """Put together what there is, and say how to go on."""
    from pytest_llminvariance.errors import LLMInvarianceError
    from pytest_llminvariance.records.directory import repair
    from pytest_llminvariance.records.record import load

    try:
        repair(directory)
        record = load(directory)
    except LLMInvarianceError:
        return "stopped before anything was asked"
    return f"stopped: {record.n_answers():,} answers and {len(record.findings)} findings are in {directory}; the same command goes on there"


def _show(record: Record, plan: AuditPlan, directory: Path) -> None:
    """Print the table of verdicts, the nearest counter-examples, and where everything is."""
    from pytest_llminvariance.report.text import one_line
    from pytest_llminvariance.report.words import COLOURS

    rows = [found for found in record.findings if found.where in {f"audit::{name}" for name in plan.properties}]
    typer.echo(f"model {one_line(str(record.fact('model')))}, fingerprint {str(record.fact('fingerprint'))[:16]}")
    cells = [COLUMNS, *map(_cells, rows)]
    widths = [max(len(cell[n]) for cell in cells) for n in range(len(COLUMNS))]
    for cell, row in zip(cells, (None, *rows), strict=True):
        line = "  ".join(text.ljust(width) for text, width in zip(cell, widths, strict=True)).rstrip()
        typer.secho(line, fg=COLOURS[row.verdict] if row else None, bold=row is None)
        for note in _notes(row) if row else ():
            typer.echo(f"           {note}")
    typer.echo(f"record: {directory} ({record.n_answers():,} answers)")
    typer.echo(f"page: {_page(directory)}")


def _cells(row: StoredFinding) -> tuple[str, ...]:
    from pytest_llminvariance.report.words import low_to_high, unit_words

    say = unit_words(is_share=bool(row.count))
    effect = low_to_high(float(row.effect.low), float(row.effect.high), say)
    asked = f"{row.presentations_asked:,} presentations of {row.questions_asked:,} questions"
    named = row.where.removeprefix("audit::")
    return row.verdict, named, f"{row.metric} {effect}", say(float(row.tolerance)), asked


def _notes(row: StoredFinding) -> Iterator[str]:
    from pytest_llminvariance.checks.verdict import CONTRADICTIONS
    from pytest_llminvariance.report.text import one_line

    yield from (f"because: {one_line(reason)}" for reason in row.reasons)
    yield from (f"unread: {one_line(guard.text)}" for guard in row.guards if guard.name == CONTRADICTIONS)
    example = row.example
    if row.verdict == "BROKEN" and example is not None:
        before, after = (
            side.answer + (f" ({side.answer_label})" if side.answer_label else "")
            for side in (example.before, example.after)
        )
        yield one_line(f"example: {example.question}, {example.change}: {before} -> {after}")


def _page(directory: Path) -> Path:
    """Write the page and return where it is."""
    from pytest_llminvariance.files import encoded, write_whole
    from pytest_llminvariance.report.formats import FORMATS, report_text

    html = FORMATS["html"]
    file = Path(html.place(directory))
    write_whole(file, encoded(report_text(html, directory)))
    return file
