"""How small the example of a failing `@given` test is, for models with planted faults.

    python -m benchmarks.shrinking [--seeds 100] [--invariant-seeds 200] [--json FILE]

Each seed of Hypothesis is run twice: as the test that a user writes (`assert_same_answer` inside `@given`),
where a breadth-first search gives the example of the message, and with a plain assertion, where the example
is what Hypothesis shrinks to. Counted are distinct presentations that reach the model.
"""

from __future__ import annotations

import argparse
import json
import statistics
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from hypothesis import HealthCheck, given, seed, settings
from hypothesis import strategies as st

from pytest_llminvariance import InvarianceError, Presentation, assert_same_answer, find_counterexample, run
from pytest_llminvariance import strategies as inv
from pytest_llminvariance.models.engine import Memo, ask
from pytest_llminvariance.models.protocol import LabelReply, LabelRequest
from pytest_llminvariance.transforms.differences import distance
from tests.planted import FAULTS, INVARIANT, LABELS, LAYOUTS, QUESTION, SPACE, TEMPLATES, WRITTEN, Counting, Fault

MAX_EXAMPLES = 300
Smallest = tuple[int, int]


@dataclass(frozen=True)
class Outcome:
    """What one seed ended with."""

    smallest: Smallest | None
    """(changed parts, adjacent swaps) of the example; `None` where nothing failed."""
    asked: int


@dataclass(frozen=True)
class Row:
    """One fault over all seeds."""

    fault: str
    smallest: Smallest
    seeds: int
    found: int
    minimal: int
    minimal_plain: int
    asked: tuple[int, int, int]
    """Smallest, median and largest number of presentations of a run."""
    asked_plain: tuple[int, int, int]
    added: tuple[int, int, int]
    """What the search for the message added to the run of the same seed."""
    direct: int
    """Presentations that `find_counterexample` asks in the whole space, without Hypothesis."""
    direct_is_minimal: bool
    misses: dict[str, int]
    """Examples of plain shrinking that are not the smallest, by distance."""


def outcome(model: Counting, number: int, is_broken: Callable[[Presentation], Smallest | None]) -> Outcome:
    """Run Hypothesis with a seed; the last failing example is the one that it shows."""
    last: list[Smallest] = []

    @seed(number)
    @settings(max_examples=MAX_EXAMPLES, database=None, deadline=None, suppress_health_check=list(HealthCheck))
    @given(shown=strategy())
    def test(shown: Presentation) -> None:
        smallest = is_broken(shown)
        if smallest is not None:
            last[:] = [smallest]
            raise AssertionError

    with run():
        try:
            test()
        except AssertionError:
            return Outcome(last[0], len(set(model.asked)))
    return Outcome(None, len(set(model.asked)))


def strategy() -> st.SearchStrategy[Presentation]:
    labels, layouts = st.sampled_from(LABELS), st.sampled_from(LAYOUTS)
    return inv.presentations(QUESTION, labels=labels, layouts=layouts, templates=TEMPLATES)


def with_our_message(model: Counting, number: int) -> Outcome:
    """Return the example that the message of `assert_same_answer` shows."""

    def is_broken(shown: Presentation) -> Smallest | None:
        try:
            assert_same_answer(model, WRITTEN, shown, readout="label")
        except InvarianceError as error:
            return shown_in(error)
        return None

    return outcome(model, number, is_broken)


def shown_in(error: InvarianceError) -> Smallest:
    """Return the distance of the example that a message shows."""
    example = error.example
    assert example is not None
    assert f" - {example.change}:" in str(error), "the message shows another example"
    return (example.distance[0], example.distance[1])


def with_plain_shrinking(model: Counting, number: int) -> Outcome:
    """Return the example that Hypothesis ends with."""
    memo: Memo = {}

    def answer(shown: Presentation) -> int:
        (reply,) = ask(model, [LabelRequest(shown)], memo).replies
        assert isinstance(reply, LabelReply)
        return shown.order[reply.logprobs_nats.index(max(reply.logprobs_nats))]

    def is_broken(shown: Presentation) -> Smallest | None:
        if answer(shown) == answer(WRITTEN):
            return None
        far = distance(WRITTEN, shown)
        return (far.changed_parts, far.adjacent_swaps)

    return outcome(model, number, is_broken)


def measure(fault: Fault, seeds: Sequence[int]) -> Row:
    ours = [with_our_message(fault.model(), number) for number in seeds]
    plain = [with_plain_shrinking(fault.model(), number) for number in seeds]
    with run():
        model = fault.model()
        direct = find_counterexample(model, QUESTION, under=SPACE, template=WRITTEN.template)
    return Row(
        fault=fault.name,
        smallest=fault.smallest,
        seeds=len(seeds),
        found=sum(one.smallest is not None for one in ours),
        minimal=sum(one.smallest == fault.smallest for one in ours),
        minimal_plain=sum(one.smallest == fault.smallest for one in plain),
        asked=spread([one.asked for one in ours]),
        asked_plain=spread([one.asked for one in plain]),
        added=spread([one.asked - other.asked for one, other in zip(ours, plain, strict=True)]),
        direct=direct.presentations_asked,
        direct_is_minimal=direct.example is not None and direct.example.distance == fault.smallest,
        misses=dict(Counter(str(one.smallest) for one in plain if one.smallest != fault.smallest)),
    )


def spread(counts: Sequence[int]) -> tuple[int, int, int]:
    return min(counts), int(statistics.median(counts)), max(counts)


def line(row: Row) -> str:
    shares = f"{row.minimal:>4} of {row.seeds:<4} {row.minimal_plain:>4} of {row.seeds:<4}"
    counts = "".join(f"{low:>5}/{middle}/{high:<6}" for low, middle, high in (row.asked, row.asked_plain, row.added))
    return f"{row.fault:<48} {row.smallest!s:<8} {shares} {counts} {row.direct:>5}"


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=int, default=100)
    parser.add_argument("--invariant-seeds", type=int, default=200)
    parser.add_argument("--json", type=Path, help="write everything here too")
    arguments = parser.parse_args()
    print("Smallest example in how many seeds: in our message, and by plain shrinking. Presentations asked, smallest/")
    print("median/largest: our test, a plain test, what the search added; and by find_counterexample alone.\n")
    print(
        f"{'flips only when':<48} {'smallest':<8} {'message':>12} {'plain':>12}   ours      plain     added     alone"
    )
    rows = []
    for fault in FAULTS:
        rows.append(measure(fault, range(arguments.seeds)))
        print(line(rows[-1]), flush=True)
    alarms = [n for n in range(arguments.invariant_seeds) if with_our_message(INVARIANT, n).smallest is not None]
    print(f"\ninvariant control: a counter-example in {len(alarms)} of {arguments.invariant_seeds} seeds")
    if arguments.json:
        data = {"rows": [asdict(row) for row in rows], "invariant_seeds": arguments.invariant_seeds, "alarms": alarms}
        arguments.json.write_text(json.dumps(data, indent=1) + "\n")
    is_good = not alarms and all(row.minimal == row.seeds and row.direct_is_minimal for row in rows)
    print("every example in a message is the smallest" if is_good else "NOT every example in a message is the smallest")
    return 0 if is_good else 1


if __name__ == "__main__":
    raise SystemExit(main())
