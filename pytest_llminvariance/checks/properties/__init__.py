"""The properties that can be checked, one table: `check`, assertions, audits, the selftest, judging and the docs read it.

To add one, write its class in a file of its own and add it to the table below (or call `register`).
"""

from __future__ import annotations

import dataclasses
import inspect
from collections.abc import Iterator, Mapping
from typing import Any

from pytest_llminvariance.checks.properties.asides import Distractors, OutputFormats, Tiers
from pytest_llminvariance.checks.properties.base import (
    Audited,
    Case,
    Plan,
    Pooled,
    Property,
    RecordedProperty,
    SelfTest,
)
from pytest_llminvariance.checks.properties.batch import BatchAgreement
from pytest_llminvariance.checks.properties.complementary import Complementary
from pytest_llminvariance.checks.properties.configurations import Configurations
from pytest_llminvariance.checks.properties.decisions import (
    Isolation,
    LevelDirection,
    OptionNames,
    QuestionOrder,
    StateField,
)
from pytest_llminvariance.checks.properties.embeddings import EmbeddingOrder
from pytest_llminvariance.checks.properties.evidence_order import EvidenceOrder
from pytest_llminvariance.checks.properties.firm import Firmness
from pytest_llminvariance.checks.properties.forms import FormConsistency
from pytest_llminvariance.checks.properties.groups import GroupSwap
from pytest_llminvariance.checks.properties.instances import InstancesEqual
from pytest_llminvariance.checks.properties.instruments import InstrumentStability
from pytest_llminvariance.checks.properties.invariance import Invariance, Labels, LayoutKept, OptionOrder, Prompt
from pytest_llminvariance.checks.properties.judging import JudgeSymmetry
from pytest_llminvariance.checks.properties.paraphrase import ParaphraseConsistency
from pytest_llminvariance.checks.properties.places import PlaceBias
from pytest_llminvariance.checks.properties.readouts import ReadoutAgreement
from pytest_llminvariance.checks.properties.refusing import Refusals
from pytest_llminvariance.checks.properties.stances import Languages, OpenAndClosed
from pytest_llminvariance.checks.properties.tracks import Tracking
from pytest_llminvariance.errors import UsageError, as_name, did_you_mean
from pytest_llminvariance.measures.metrics import add_metric, own_metric
from pytest_llminvariance.models.probes import Probe
from pytest_llminvariance.transforms.base import Transform

__all__ = ["Audited", "Case", "Plan", "Pooled", "Probe", "Property", "SelfTest", "own_metric"]

PROPERTIES: dict[str, type[Property]] = {}
"""By name."""
OTHER_PROPERTIES = ("search", "negative_flips")
"""Properties of findings that no audit makes."""


def register(kind: type[Property]) -> type[Property]:
    """Add a property to the table; works as a decorator.

    Raises:
        UsageError: if it lacks what a property must say, or one of its names is taken.
    """
    for need in ("name", "says"):
        if not getattr(kind, need, ""):
            raise UsageError(f"property {kind.__name__} has no {need!r}, which every property must say")
    if kind.name in OTHER_PROPERTIES:
        raise UsageError(
            f"property {kind.__name__} uses {kind.name!r}, which is taken by findings of this package. Use another"
        )
    for other in PROPERTIES.values():
        taken = ({kind.name, kind.short} & {other.name, other.short} - {""}) | (
            kind.audits.keys() & other.audits.keys()
        )
        taken |= kind.selftests.keys() & other.selftests.keys()
        if taken:
            raise UsageError(
                f"property {kind.__name__} uses {min(taken)!r}, which is taken by {other.__name__}. Use another"
            )
    PROPERTIES[kind.name] = kind
    if kind.own is not None:
        add_metric(kind.own)
    return kind


_OURS: tuple[type[Property], ...] = (
    OptionOrder, Prompt, Labels, LayoutKept, ReadoutAgreement, Tracking, BatchAgreement,
    Refusals, JudgeSymmetry, Firmness, GroupSwap, InstancesEqual, EvidenceOrder,
    Distractors, Tiers, OutputFormats, Languages, OpenAndClosed, EmbeddingOrder,
    PlaceBias, Complementary, ParaphraseConsistency,
    InstrumentStability, FormConsistency, Configurations,
    Isolation, QuestionOrder, StateField, OptionNames, LevelDirection,
)  # fmt: skip
for _kind in _OURS:
    register(_kind)


def audits() -> dict[str, tuple[type[Property], Audited]]:
    """Return what an audit can check, by name in the audit; what it checks by default first."""
    found = {name: (kind, how) for kind in PROPERTIES.values() for name, how in kind.audits.items()}
    return dict(sorted(found.items(), key=lambda item: not item[1][1].by_default))


def default_audits(*, of_decisions: bool = False) -> tuple[str, ...]:
    """Return what an audit checks unless told otherwise, by name in the audit; `of_decisions`: of a decision model."""
    return tuple(n for n, (_, how) in audits().items() if (how.of_decisions if of_decisions else how.by_default))


def by_assertion() -> dict[str, type[Property]]:
    """Return properties by the name of the assertion that is made of them; several may share one that is written out."""
    return {kind.assertion: kind for kind in PROPERTIES.values() if kind.assertion}


def full_name(name: str) -> str:
    """Return the property that a name stands for: its name, short name, title or name in an audit; else the name itself.

    `option order`, `option-order` and `order` are `option_order`, and `prompt wording` is `prompt`.
    """
    wanted = as_name(name)
    return next((kind.name for kind in PROPERTIES.values() if wanted in _names(kind)), name)


def _names(kind: type[Property]) -> set[str]:
    made_of: Any = kind.made_of
    shown = [field.default for field in dataclasses.fields(made_of) if field.name == "title"] if made_of else []
    audits = [audit for audit, how in kind.audits.items() if how.metric is None]  # another metric is another check
    return {as_name(name) for name in (kind.name, kind.short, getattr(kind, "title", ""), *shown, *audits) if name}


def table_lines() -> Iterator[str]:
    """Yield the table of the docs, in Markdown."""
    yield "| name | in an audit | assertion | what must be so | metric | published in |"
    yield "|---|---|---|---|---|---|"
    for name, kind in PROPERTIES.items():
        audits = ", ".join(f"`{audit}`" for audit in kind.audits)
        assertion = f"`{kind.assertion}`" if kind.assertion else ""
        yield f"| `{name}` | {audits} | {assertion} | {kind.says} | `{kind.metric}` | {kind.source} |"


def recorded(row: Mapping[str, Any]) -> Property:
    """Return the property that `Property.to_record` wrote down.

    Raises:
        KeyError, TypeError: where it is no such data.
    """
    return RecordedProperty(PROPERTIES.get(row["name"], Invariance), row)


def as_property(given: str | Property | Transform, options: Mapping[str, Any]) -> Property:
    """Return the property called `given`, made with `options`; a transform becomes its invariance.

    Raises:
        UsageError: for an unknown name, or options that the property does not take.
    """
    if isinstance(given, str):
        return _named(given, options)
    if isinstance(given, Transform):
        given = Invariance(given, _name_of(given))
    if not isinstance(given, Property):
        raise UsageError(
            f"property is {given!r}, but must be a name ({', '.join(PROPERTIES)}), a transform or a property"
        )
    if options:
        raise UsageError(f"{', '.join(options)} cannot be given together with a property object")
    if not _may_be_called(given):
        raise UsageError(
            f"{type(given).__name__} is called {given.name!r}, which is the name of another property. Give it a name of its own"
        )
    return given


def _name_of(transform: Transform) -> str:
    """Return the name of a transform's invariance; only what a property is made of has that property's name, whatever the title says."""
    named = (kind.name for kind in PROPERTIES.values() if kind.made_of is type(transform))
    by_title = transform.title.replace(" ", "_")
    return next(named, f"{by_title}_by_{type(transform).__name__}" if is_known(by_title) else by_title)


def _may_be_called(given: Property) -> bool:
    """Return whether a property is the one that its name stands for, or no other has that name."""
    if type(given) is Invariance:
        return given.name == _name_of(given.transform)
    return not is_known(given.name) or PROPERTIES.get(given.name) is type(given)


def is_known(name: str) -> bool:
    """Return whether a name is that of a finding which this package makes, or of a property that was registered."""
    return name in PROPERTIES or name in OTHER_PROPERTIES


def _named(given: str, options: Mapping[str, Any]) -> Property:
    name = full_name(given)
    if name not in PROPERTIES:
        hint = did_you_mean(given, PROPERTIES)
        raise UsageError(f"there is no property {given!r}; the properties are {', '.join(PROPERTIES)}{hint}")
    takes = inspect.signature(PROPERTIES[name]).parameters
    unknown = [option for option in options if option not in takes]
    missing = [option for option, p in takes.items() if p.default is p.empty and option not in options]
    if unknown or missing:
        wrong = f"does not take {unknown[0]!r}" if unknown else f"needs {missing[0]!r}"
        raise UsageError(f"property {name!r} {wrong}; its options are {', '.join(takes)}")
    return PROPERTIES[name](**options)
