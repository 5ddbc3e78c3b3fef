"""Right and wrong answers of two recorded runs, check by check: a report, which decides nothing."""

from __future__ import annotations

from collections.abc import Iterator

from pytest_llminvariance.gate.comparison import keyed
from pytest_llminvariance.measures.flips import Flips, Pair, count_flips
from pytest_llminvariance.records.answers import as_written, read_answers
from pytest_llminvariance.records.findings import RunRecord


def flips_between(old: RunRecord, new: RunRecord) -> Iterator[tuple[str, Flips]]:
    """Yield (check, flips) for checks whose answers and correct contents both runs hold.

    Only questions with the same content and the same correct answer are counted.

    Raises:
        RecordError: where answers are there and damaged.
    """
    places = [run.directory for run in (old, new)]
    if any(place is None or not (place / "answers.jsonl").is_file() for place in places):
        return
    known = [read_answers(place) for place in places if place is not None]
    before, now = keyed(old.findings), keyed(new.findings)
    for key in now:
        if key not in before:
            continue
        first, second = as_written(known[0], before[key].id), as_written(known[1], now[key].id)
        pairs = [
            Pair(
                answer.question_id or digest[:12],
                frozenset(first[digest].outcomes),
                frozenset(answer.outcomes),
                answer.correct,
            )
            for digest, answer in second.items()
            if digest in first and answer.correct is not None and first[digest].correct == answer.correct
        ]
        if pairs:
            yield key, count_flips(pairs)
