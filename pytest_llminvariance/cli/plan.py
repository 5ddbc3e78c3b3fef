"""`llminvariance plan`: write down how the risk limit is shared, so that smaller selections keep their shares."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer


def plan(
    pytest_arguments: Annotated[
        list[str] | None, typer.Argument(help="What to collect, as pytest takes it (default: what pytest collects).")
    ] = None,
    out: Annotated[
        Path | None, typer.Option("--out", metavar="FILE", help="Default: invariance-plan.json beside the ini file.")
    ] = None,
) -> None:
    """Write the weights of all tests into a manifest, to be committed.

    With it, `-k`, `--lf` and shards keep the shares of the risk limit that the whole suite has.
    Exits 2 where nothing can be collected or the file cannot be written.
    """
    from pytest_llminvariance.errors import UsageError
    from pytest_llminvariance.plugin.collecting import collect_tests

    found = collect_tests(pytest_arguments or [])
    if found is None:
        typer.echo("error: the tests cannot be collected; see above", err=True)
        raise typer.Exit(2)
    try:
        file = found.write(out)
    except UsageError as error:
        typer.echo(f"error: {error}", err=True)
        raise typer.Exit(2) from error
    typer.echo(f"{file}: {len(found.tests):,} tests, {found.n_with_model:,} of them ask for the model")
