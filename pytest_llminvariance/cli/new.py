"""`llminvariance new`: a test folder that runs at once, to be changed by hand."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

SCAFFOLD = Path(__file__).parent / "scaffold"


def new_command(
    folder: Annotated[Path, typer.Argument(metavar="DIR", help="Where the files go.")] = Path("invariance"),
) -> None:
    """Write a folder of tests, questions, a gate policy and a CI file that run at once. Nothing is overwritten.

    Exits 2, and writes nothing, where one of the files is there already.
    """
    from pytest_llminvariance.cli.usage import bad_usage

    with bad_usage():
        names = write_scaffold(folder)
    for name in names:
        typer.echo(f"wrote {folder / name}")
    typer.echo(
        f"\nrun:  pytest {folder} --invariance-model=demo --invariance-report=run\n"
        f"then: llminvariance gate run --policy {folder / 'gate.toml'}\n"
        "demo is a small model from PyPI (extra `demo`); name your own folder or hub id instead."
    )


def write_scaffold(folder: Path) -> list[str]:
    """Write the files and return their names.

    Raises:
        UsageError: where one is there already, or the folder cannot be written.
    """
    from pytest_llminvariance.errors import UsageError

    texts = {
        source.name.removesuffix(".txt"): source.read_text(encoding="utf-8") for source in sorted(SCAFFOLD.iterdir())
    }
    there = [name for name in texts if (folder / name).exists()]
    if there:
        raise UsageError(f"{folder} holds {', '.join(there)} already, and nothing is overwritten. Name another folder")
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for name, text in texts.items():
            written = text.replace("{folder}", folder.as_posix()) if name.endswith(".yml") else text
            with (folder / name).open("x", encoding="utf-8") as file:
                file.write(written)
    except OSError as error:
        raise UsageError(f"{folder} cannot be written: {error}. Name another folder") from error
    return list(texts)
