"""Right and wrong answers of two recorded runs, check by check: a report, which decides nothing."""

from __future__ import annotations

from collections.abc import Iterator

from pytest_llminvariance.gate.comparison import keyed
from pytest_llminvariance.measures.flips import Flips, Pair, count_flips
from pytest_llminvariance.records.answers import as_written
from pytest_llminvariance.records.record import Record


def flips_between(old: Record, new: Record) -> Iterator[tuple[str, Flips]]:
    """Yield (check, flips) for checks whose answers and correct contents both runs hold.

    Only questions with the same content and the same correct answer are counted.

    Raises:
        RecordError: where answers are there and damaged.
    """
    before, now = keyed(old.findings), keyed(new.findings)
    for key in now:
        if key not in before:
            continue
        first, second = as_written(old.answers(before[key].id)), as_written(new.answers(now[key].id))
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
