"""`llminvariance holdout`: set questions aside, in a file to be committed."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from pytest_llminvariance.cli.usage import bad_usage


def holdout(
    share: Annotated[float, typer.Option(help="Share of the questions that is set aside.")] = 0.2,
    out: Annotated[Path, typer.Option("--out", metavar="FILE", help="The file, to be committed.")] = Path(
        "invariance-holdout.json"
    ),
) -> None:
    """Set a share of the questions aside: checks leave them out until --invariance-holdout opens them.

    The file lies beside pytest's ini file. Which questions, and whole clusters, are in the slice follows from its
    random salt and their content; every session that opens it is written into the file. Checks of fewer than 20
    questions are never split. Exits 2 if the file is there already.
    """
    from secrets import token_hex

    from pytest_llminvariance.checks.holdout import new_holdout

    with bad_usage():
        made = new_holdout(out, share, token_hex(16))
    typer.echo(f"{made.path}: {made.share:.0%} of questions are set aside; commit this file")
