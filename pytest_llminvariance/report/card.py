"""A section for a model card: text between two marks, and the numbers in the card's `model-index`.

Written again, the section and the numbers are replaced, and everything else stays as it is.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any, cast

from pytest_llminvariance.errors import UsageError
from pytest_llminvariance.report.entries import Report, ReportEntry
from pytest_llminvariance.report.markdown import as_text, table_lines
from pytest_llminvariance.report.summary import amount, headline, tolerated
from pytest_llminvariance.report.text import cut, one_line
from pytest_llminvariance.report.words import low_to_high

if TYPE_CHECKING:
    from huggingface_hub import EvalResult, ModelCard, ModelCardData


BEGIN = "<!-- llminvariance: begin; written by `llminvariance report`, changes in here are lost -->"
END = "<!-- llminvariance: end -->"
DATASET_TYPE = "llminvariance"
"""By this our results are known among others in a card."""
SECTION_BYTES = 20_000
MAX_REASONS = 20


def card(record: Report, existing: str | None) -> str:
    """Return a card with this run's section and numbers: a new one, or `existing` with them put in its place.

    Raises:
        UsageError: where the existing card cannot be changed without loss.
    """
    from huggingface_hub import ModelCardData

    results = [_result(entry) for entry in record.entries if not entry.is_lost]
    if existing is None:
        fresh = ModelCardData(model_name=_model(record), eval_results=results or None)
        return f"---\n{fresh.to_yaml()}\n---\n\n{section(record)}"
    made = _read(existing)
    data = cast("ModelCardData", made.data)
    kept = [item for item in data.eval_results or [] if item.dataset_type != DATASET_TYPE]
    data.model_name = data.model_name or _model(record)
    data.eval_results = [*kept, *results] or None
    made.text = _placed(made.text, section(record))
    return str(made.content)


def _read(existing: str) -> ModelCard:
    from huggingface_hub import ModelCard

    has_data = existing.lstrip().startswith("---")
    try:
        made = ModelCard(existing if has_data else f"---\n{{}}\n---\n{existing}")
    except Exception as error:  # yaml and the card classes raise errors of many kinds
        raise UsageError(f"the model card's metadata cannot be read: {one_line(error)}. Repair it first") from error
    if len(re.findall(r"^model-index:", existing, flags=re.MULTILINE)) and len(_models(existing)) > 1:
        raise UsageError(
            "the model card's model-index has several models, which would be made one. Write the section to a file of "
            "its own with --out, and put it in by hand"
        )
    return made


def _models(existing: str) -> Sequence[Any]:
    import yaml

    block = existing.lstrip().split("---", 2)[1]
    index = (yaml.safe_load(block) or {}).get("model-index")
    return index if isinstance(index, list) else ()


def _placed(text: str, new: str) -> str:
    """Return the card's text with the section where it was, or at its end."""
    begins, ends = text.count(BEGIN), text.count(END)
    if (begins, ends) == (0, 0):
        return f"{text.rstrip()}\n\n{new}" if text.strip() else f"\n{new}"
    start, end = text.find(BEGIN), text.find(END)
    if (begins, ends) != (1, 1) or end < start:
        raise UsageError(
            f"the model card holds {begins} begin marks and {ends} end marks of our section, but must hold one of each. "
            "Remove what is left of the old section, marks included"
        )
    return text[:start] + new.rstrip("\n") + text[end + len(END) :]


def section(record: Report) -> str:
    """Return the section as Markdown, between its marks."""
    said = headline(record)
    lines = [BEGIN, "## Invariance", "", f"{as_text(said.text)}. {as_text(said.rest)}".strip(), ""]
    lines += [f"{as_text(note)}\n" for note in record.notes]
    lines += table_lines(record.entries, SECTION_BYTES)
    if why := list(_why(record.entries)):
        lines += [*why, ""]
    lines += [
        "Checked with pytest-llminvariance: a change that keeps the meaning of a question must keep the answer. "
        "HOLDS and BROKEN are about these questions and presentations; UNDECIDED means that neither was shown.",
        END,
        "",
    ]
    return "\n".join(lines)


def _why(entries: Sequence[ReportEntry]) -> Iterator[str]:
    """Yield a line for what was waived or does not hold: by whom and until when, or the first reason."""
    told = [(entry, entry.waived or next(iter(entry.reasons), "")) for entry in entries if entry.verdict != "HOLDS"]
    for entry, why in [row for row in told if row[1]][:MAX_REASONS]:
        yield f"- {as_text(entry.title, 120)}: {as_text(why, 300)}"


def _model(record: Report) -> str:
    known = next((entry.text("model") for entry in record.entries if entry.text("model")), None)
    return cut(one_line(known or record.run.get("model") or "model"), 200)


def _result(entry: ReportEntry) -> EvalResult:
    from huggingface_hub import EvalResult

    title = cut(one_line(entry.title), 120)
    return EvalResult(
        task_type="text-generation",
        dataset_type=DATASET_TYPE,
        dataset_name="invariance checks",
        dataset_config=cut(one_line(entry.where or entry.name), 200),
        metric_type=one_line(entry.metric),
        metric_value=entry.low if entry.low == entry.high else low_to_high(entry.low, entry.high, "{:.4g}".format),
        metric_name=f"{title}: {entry.verdict}, {amount(entry)}, tolerated {tolerated(entry)}",
    )
