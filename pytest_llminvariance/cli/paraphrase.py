"""The command `llminvariance paraphrase`: propose other wordings of questions, review them, check the file."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, get_args

import typer

from pytest_llminvariance.cli.usage import OtherSettings, bad_usage
from pytest_llminvariance.models.load_settings import LoadSettings, help_of, other_settings

if TYPE_CHECKING:
    from pytest_llminvariance.paraphrases.lock import Lock
    from pytest_llminvariance.paraphrases.proposals import Proposed
    from pytest_llminvariance.paraphrases.status import Coverage
    from pytest_llminvariance.questions.question import Question

paraphrase_app = typer.Typer(
    name="paraphrase",
    help="Other wordings of questions, reviewed by a person and kept in a lock file.",
    no_args_is_help=True,
    rich_markup_mode=None,
)
File = Annotated[Path, typer.Argument(metavar="FILE", help="The lock file.")]
Questions = Annotated[
    Path | None,
    typer.Option(
        "--questions", metavar="FILE", help="The file of questions, if it is not the one named in the lock file."
    ),
]
DEFAULT = Path("paraphrases.toml")


@paraphrase_app.callback()
def _root() -> None:
    """Other wordings of questions, reviewed by a person and kept in a lock file."""
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):  # a terminal that cannot show a character gets its number
            stream.reconfigure(errors="backslashreplace")


@paraphrase_app.command("new")
def new(
    questions: Annotated[
        Path, typer.Argument(metavar="QUESTIONS", help="Questions or a questionnaire: .jsonl, .json or .csv.")
    ],
    model: Annotated[
        str | None,
        typer.Option("--with", metavar="MODEL", help="Also ask a model that can generate text: demo, a hub id, ..."),
    ] = None,
    out: Annotated[Path, typer.Option("--out", metavar="FILE", help="The lock file to write or to add to.")] = DEFAULT,
    encoder: Annotated[
        str | None,
        typer.Option(metavar="MODEL", help="Compare meanings with a sentence encoder: a folder or a hub id."),
    ] = None,
    min_similarity: Annotated[
        float, typer.Option(min=-1, max=1, help="Least cosine similarity to the stem, with --encoder.")
    ] = 0.8,
    device: Annotated[str, typer.Option(help=f"Where the model runs: {help_of('device')}.")] = LoadSettings.device,
    setting: OtherSettings = None,
) -> None:
    """Propose other wordings, by rule and with a model, screen them, and write them to be reviewed.

    What was reviewed before stays as it is. Tests never propose anything.
    """
    from pytest_llminvariance.paraphrases.lock_file import digest_of, write_lock
    from pytest_llminvariance.paraphrases.proposals import propose
    from pytest_llminvariance.questions.reading import load_bank

    with bad_usage():
        asked = load_bank(questions)
        digest = digest_of(out)
        lock = _lock_for(out, questions, exists=digest is not None)
        compare = None
        if encoder is not None:
            from pytest_llminvariance.models.local.encoder import load_encoder

            compare = load_encoder(encoder)
        offered = (
            {}
            if model is None
            else _ask_model(model, asked, {"device": device, **other_settings(setting or [], ("device",))})
        )
        proposed = propose(lock, asked, offered, encoder=compare, min_similarity=min_similarity)
        write_lock(out, proposed.lock, expected=digest)
        for line in _told(proposed, out):
            typer.echo(line)


@paraphrase_app.command("import")
def import_(
    table: Annotated[
        Path,
        typer.Argument(
            metavar="TABLE", help="Wordings with question, wording, source, audit and reviewer: .csv or .json."
        ),
    ],
    questions: Annotated[Path, typer.Argument(metavar="QUESTIONS", help="The questions that they belong to.")],
    out: Annotated[Path, typer.Option("--out", metavar="FILE", help="The lock file to write or to add to.")] = DEFAULT,
) -> None:
    """Take wordings from a table, with who made and who checked them. What only a model checked waits for review."""
    from pytest_llminvariance.paraphrases.importing import merged, read_rows
    from pytest_llminvariance.paraphrases.lock_file import digest_of, write_lock
    from pytest_llminvariance.questions.reading import load_bank

    with bad_usage():
        digest = digest_of(out)
        lock = _lock_for(out, questions, exists=digest is not None)
        made = merged(lock, load_bank(questions), read_rows(table), table.name)
        write_lock(out, made.lock, expected=digest)
        typer.echo(f"{out}: {made.accepted} accepted, {made.proposed} wait for review, {made.same} were there already")


@paraphrase_app.command("review")
def review(
    file: File = DEFAULT,
    questions: Questions = None,
    status: Annotated[
        str,
        typer.Option(
            metavar="STATUS", help="What to look at: proposed, or accepted, rejected, screened to decide again."
        ),
    ] = "proposed",
) -> None:
    """Go through proposed wordings one at a time: accept, reject, edit, skip or quit.

    Every answer is saved at once; Ctrl-C loses nothing.
    """
    from pytest_llminvariance.errors import UsageError
    from pytest_llminvariance.paraphrases.lock import ReviewStatus, stale_entries
    from pytest_llminvariance.paraphrases.review import Review
    from pytest_llminvariance.paraphrases.review import review as go_through

    with bad_usage():
        if status not in get_args(ReviewStatus):
            raise UsageError(f"--status is {status!r}, but must be one of {', '.join(get_args(ReviewStatus))}")
        under = Review.of(file)
        stale = list(stale_entries(under.lock, _questions_of(under.lock, file, questions)))
        hashes = frozenset(item.entry.question.content_hash for item in stale)
        for item in stale:
            typer.echo(f"not shown: {item}. Run `llminvariance paraphrase new`")
        stopped = False
        try:
            finished = go_through(under, _ask, typer.echo, status=status, stale=hashes)  # type: ignore[arg-type] # checked above
        except (KeyboardInterrupt, EOFError) as error:
            typer.echo("")
            finished, stopped = False, isinstance(error, KeyboardInterrupt)
        left = len(under.waiting("proposed", hashes))
        typer.echo(f"{'done' if finished else 'stopped'}: {under.decided} decided and saved, {left} wait for review")
    if stopped:
        raise typer.Exit(130)


@paraphrase_app.command("status")
def status(file: File = DEFAULT, questions: Questions = None) -> None:
    """Count wordings by status, and name stale and malformed entries."""
    with bad_usage():
        for line in _status(file, questions).lines():
            typer.echo(line)


@paraphrase_app.command("check")
def check(
    file: File = DEFAULT,
    questions: Questions = None,
    strict: Annotated[  # noqa: FBT002
        bool,
        typer.Option("--strict", help="Also fail while wordings wait for review, or a question has no accepted one."),
    ] = False,
) -> None:
    """Do what status does, and exit 1 where an entry is stale or malformed: for CI."""
    with bad_usage():
        found = _status(file, questions)
        for line in found.lines():
            typer.echo(line)
        problems = found.problems(strict=strict)
        typer.echo(f"check: FAILED: {', '.join(problems)}" if problems else "check: ok")
    raise typer.Exit(int(bool(problems)))


def _status(file: Path, questions: Path | None) -> Coverage:
    from pytest_llminvariance.paraphrases.lock_file import read_what_is_good
    from pytest_llminvariance.paraphrases.status import read_status

    lock, _ = read_what_is_good(file)
    known = lock.questions or questions is not None
    return read_status(file, _questions_of(lock, file, questions) if known else ())


def _questions_of(lock: Lock, file: Path, questions: Path | None) -> tuple[Question, ...]:
    """Return the questions that a lock file belongs to, as they are now."""
    from pytest_llminvariance.errors import UsageError
    from pytest_llminvariance.questions.reading import load_bank

    named = file.parent / lock.questions if questions is None else questions
    if not named.is_file():
        raise UsageError(
            f"{file.name} belongs to the questions in {str(named)!r}, and there is no such file. Name it with --questions, "
            f"or change the line 'questions' in {file.name}"
        )
    return load_bank(named)


def _lock_for(out: Path, questions: Path, *, exists: bool) -> Lock:
    """Return the lock file to add to, or an empty one."""
    from pytest_llminvariance.errors import UsageError
    from pytest_llminvariance.paraphrases.lock import Lock
    from pytest_llminvariance.paraphrases.lock_file import read_lock

    folder = out.resolve().parent
    if not folder.is_dir():
        raise UsageError(f"--out is {str(out)!r}, but there is no folder {str(folder)!r}. Make it first")
    try:
        named = Path(os.path.relpath(questions.resolve(), folder)).as_posix()
    except ValueError:  # on another drive
        named = questions.resolve().as_posix()
    if not exists:
        return Lock(named, ())
    lock = read_lock(out)
    if (folder / lock.questions).resolve() != questions.resolve():
        raise UsageError(
            f"{str(out)!r} belongs to {lock.questions!r}, not to {named!r}: a lock file is for one file of questions. "
            "Use another --out, or change the line 'questions' if the file was moved"
        )
    return lock


def _ask_model(
    spec: str, questions: Sequence[Question], settings: Mapping[str, Any]
) -> dict[Question, list[tuple[str, str]]]:
    from pytest_llminvariance.models.loading import load_model
    from pytest_llminvariance.models.progress import progress_bar
    from pytest_llminvariance.paraphrases.proposals import model_proposals

    found, missing = model_proposals(load_model(spec, **settings), questions, progress_bar("paraphrases"))
    for reason, n in missing.items():
        typer.echo(f"{n} replies are missing: {reason}", err=True)
    return found


def _told(proposed: Proposed, out: Path) -> Iterator[str]:
    from pytest_llminvariance.paraphrases.lock import visible

    waiting = sum(wording.status == "proposed" for _, wording in proposed.new)
    screened = [(question, wording) for question, wording in proposed.new if wording.status == "screened"]
    for item in proposed.carried:
        yield f"{item}; its accepted wordings are proposed again"
    for item in proposed.gone:
        yield f"{item}; its wordings stay in the file until you remove the entry"
    for question, wording in screened:
        yield f'screened: {visible(question.name)}: "{visible(wording.stem)}" ({visible(wording.source)}): {wording.reason}'
    yield (
        f"{out}: {len(proposed.new)} new wordings for {len(proposed.lock.entries)} questions: {waiting} proposed, "
        f"{len(screened)} screened out; {proposed.same} more were the same as others"
    )
    if waiting:
        yield f"next: llminvariance paraphrase review {out}"


def _ask(prompt: str, prefill: str = "") -> str:
    """Ask for a line, with a text to edit where the terminal can do that."""
    typer.echo(prompt, nl=False)
    sys.stdout.flush()
    if not (prefill and sys.stdin.isatty()):
        return _line()
    try:
        import readline
    except ImportError:  # Windows, and Pythons without it: the new wording is typed whole
        return _line()
    readline.set_startup_hook(lambda: readline.insert_text(prefill))
    try:
        typer.echo("")
        return input("  > ")
    finally:
        readline.set_startup_hook(None)


def _line() -> str:
    line = sys.stdin.readline()
    if not line:
        raise EOFError
    return line.rstrip("\n")
