"""Who writes findings down: the protocol, and a recorder that keeps them in a list."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Protocol

from pytest_llminvariance.checks.responses import Stem
from pytest_llminvariance.checks.searches import SEARCH, of_pairs
from pytest_llminvariance.checks.sheet import Sheet
from pytest_llminvariance.checks.verdict import Finding
from pytest_llminvariance.models.protocol import Model, Reply, Request


class AnswerSink(Protocol):
    """Writes down what checks ask, and every answer as it comes."""

    @property
    def continues(self) -> bool:
        """True where an interrupted run has asked something for this check."""
        ...

    def begin(self, check: str) -> None:
        """Attribute what follows to the check with this id."""
        ...

    def end(self) -> None:
        """Attribute what follows to no check."""
        ...

    def expect(self, sheet: Sheet, model: Model) -> None:
        """Note what the check is about to ask."""
        ...

    def entered(self, first: int, rows: Sequence[Sequence[Reply]], *, remembered: bool) -> None:
        """Note the replies to each question's presentations, in the order of the sheet from the question `first` on."""
        ...

    def responded(self, stems: Sequence[Stem], rows: Sequence[Sequence[Reply]]) -> None:
        """Note the replies under foreign stems of the sheet."""
        ...

    def again(self, requests: Sequence[Request], replies: Sequence[Reply]) -> None:
        """Note prompts that were asked again at the end."""
        ...


class Recorder(Protocol):
    """Writes down that checks start, what they find, and pairs compared by a search."""

    def started(self, title: str) -> str:
        """Note that a check starts; return the id of its finding."""
        ...

    def finished(self, finding_id: str, finding: Finding) -> Finding:
        """Store a finding and return it with its id."""
        ...

    def let_pass(self, finding: Finding) -> None:
        """Note that an assertion did not raise although it does not hold, by the policy or the test's level."""
        ...

    def failed(self, finding_id: str, reason: str) -> None:
        """Note that a check ended in an error of its own, without a finding."""
        ...

    def searched(self, counter_example: Finding | None = None) -> Finding | None:
        """Note that a pair of presentations was compared inside a search; store and return what it found."""
        ...


class Place(Recorder, Protocol):
    """The recorder of a test, which is told of what goes elsewhere."""

    def apart(self, finding: Finding) -> None:
        """Note that a check of the test gave its finding to a recorder of its own."""
        ...


class Slot:
    """Where the finding of one check goes, once it has started; without a recorder nowhere."""

    def __init__(self, recorder: Recorder | None, title: str, noted: Callable[..., Finding] | None) -> None:
        self.recorder, self.is_done, self._noted = recorder, False, noted
        self.id = recorder.started(title) if recorder else ""

    def store(self, finding: Finding, *model: object) -> Finding:
        """Store the finding on a model, what was given and what was made of it; return it with its id."""
        self.is_done = True
        if self._noted is not None:
            finding = self._noted(finding, *model)
        return self.recorder.finished(self.id, finding) if self.recorder else finding


@dataclass(slots=True)
class FindingList:
    """A recorder that keeps findings in a list."""

    findings: list[Finding] = field(default_factory=list)
    searched_pairs: int = 0
    _count: int = 0

    def started(self, title: str) -> str:
        """Return a running number."""
        self._count += 1
        return f"{self._count}:{title}"

    def finished(self, finding_id: str, finding: Finding) -> Finding:
        """Keep the finding."""
        finding = dataclasses.replace(finding, id=finding_id)
        self.findings.append(finding)
        return finding

    def let_pass(self, finding: Finding) -> None:
        """Keep nothing: the finding is in the list."""

    def failed(self, finding_id: str, reason: str) -> None:
        """Keep nothing: the error itself reaches the caller."""

    def searched(self, counter_example: Finding | None = None) -> Finding | None:
        """Count the pair; of a search keep the last counter-example, which is the smallest."""
        self.searched_pairs += 1
        if counter_example is None:
            return None
        same = (SEARCH, counter_example.title, counter_example.fingerprint)
        self.findings[:] = [one for one in self.findings if (one.property, one.title, one.fingerprint) != same]
        return self.finished(":".join(same), of_pairs(counter_example, self.searched_pairs))


class KeptFindings(FindingList):
    """The recorder of a `with run()` that was given none: it changes no finding."""

    def finished(self, finding_id: str, finding: Finding) -> Finding:  # noqa: ARG002 - nothing else is recorded
        """Keep the finding as it is."""
        self.findings.append(finding)
        return finding
