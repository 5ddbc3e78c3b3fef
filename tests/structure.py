"""How the package is built, in numbers: `python -m tests.structure [PACKAGE_DIR]`.

Reads the source for modules, rooms, imports and lengths, and follows one check of a control model from
`assert_order_symmetric` to its finding. Works on every layout of the package, so that before and after are measured
by the same rule. The package that is followed is the one in PACKAGE_DIR, so nothing else is imported from it.

The walk is what a reader walks: each function counts once, where the check first enters it. Every step from
one module to another is a change; a change into a module that was left before is a return. Two walks are
counted: through all modules, and through the check's own story, which leaves out what a check only uses (data,
transforms, models, measures) and counts what lies between the assertion and the finding.
"""

from __future__ import annotations

import ast
import dataclasses
import statistics
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import FrameType
from typing import Any

HERE = Path(__file__).parents[1] / "pytest_llminvariance"
USED = ("errors", "files", "questions", "transforms", "models", "measures")
"""Rooms whose modules a check uses and that know nothing of checks."""
USED_WHEN_FLAT = (
    "audit", "conversation", "designs", "differences", "edits", "engine", "errors", "labels", "models", "presentation",
    "progress", "questions", "source", "stats", "transforms", "transforms_text",
)  # fmt: skip
"""The same, by name, where all modules lie in one folder."""


@dataclass(frozen=True, slots=True)
class Source:
    """The modules of a package, parsed."""

    folder: Path
    texts: dict[str, str]
    trees: dict[str, ast.Module]

    @property
    def is_flat(self) -> bool:
        """Whether checks have no room of their own."""
        return not any(name.startswith("checks.") for name in self.texts)


@dataclass(slots=True)
class Walk:
    """The modules that a check enters, function by function, and the data that it makes."""

    folder: Path
    steps: list[str] = field(default_factory=list)
    types: set[str] = field(default_factory=set)
    _seen: set[object] = field(default_factory=set)

    def note(self, frame: FrameType, event: str, arg: object) -> None:
        """Take one event of `sys.setprofile`."""
        del arg
        code = frame.f_code
        if event != "call":
            return
        if code.co_name == "__init__" and code.co_filename == "<string>":
            self._made(type(frame.f_locals.get("self")))
        elif code not in self._seen and code.co_filename.startswith(f"{self.folder}/"):
            self._seen.add(code)
            if not code.co_name.startswith("<"):  # a comprehension belongs to its function
                self.steps.append(name_of(Path(code.co_filename), self.folder))

    def _made(self, kind: type) -> None:
        if dataclasses.is_dataclass(kind) and kind.__module__.startswith("pytest_llminvariance"):
            self.types.add(f"{kind.__module__.partition('.')[2]}.{kind.__qualname__}")

    def through(self, skipped: Sequence[str]) -> list[str]:
        """Return the modules in the order entered, each stay once, without those that are `skipped`."""
        stays: list[str] = []
        for name in self.steps:
            if not is_in(name, skipped) and stays[-1:] != [name]:
                stays.append(name)
        return stays


def name_of(path: Path, folder: Path) -> str:
    """Return a module's name without the package's."""
    parts = path.relative_to(folder).with_suffix("").parts
    return ".".join(part for part in parts if part != "__init__")


def is_in(name: str, homes: Sequence[str]) -> bool:
    """Return whether a module is one of these, or lies in one of them."""
    return any(name == home or name.startswith(f"{home}.") for home in homes)


def read(folder: Path) -> Source:
    """Parse every module."""
    texts = {name_of(path, folder): path.read_text(encoding="utf-8") for path in sorted(folder.rglob("*.py"))}
    return Source(folder, texts, {name: ast.parse(text) for name, text in texts.items()})


def order_of(folder: Path) -> list[set[str]]:
    """Return the rooms from the lowest up, as the layer test beside the package lists them; nothing where it has no list."""
    places = (folder.parent / "tests" / room / "test_layers.py" for room in ("house", "unit"))
    test = next((place for place in places if place.is_file()), None)
    for node in ast.parse(test.read_text(encoding="utf-8")).body if test is not None else ():
        if isinstance(node, ast.Assign) and isinstance(node.targets[0], ast.Name):
            if node.targets[0].id == "ROOMS":
                return [{name} for name in ast.literal_eval(node.value)]
            if node.targets[0].id == "ROWS":
                return [set(row) for row in ast.literal_eval(node.value)]
    return []


def imports(source: Source) -> dict[str, set[str]]:
    """Return which module imports which, lazy imports and those for types too."""
    found: dict[str, set[str]] = {}
    for module, tree in source.trees.items():
        names = set()
        for node in ast.walk(tree):
            if isinstance(node, ast.Import):
                names |= {alias.name for alias in node.names}
            elif isinstance(node, ast.ImportFrom) and node.module:
                names |= {node.module, *(f"{node.module}.{alias.name}" for alias in node.names)}
        own = {name.removeprefix("pytest_llminvariance.") for name in names if name.startswith("pytest_llminvariance.")}
        found[module] = (own & source.texts.keys()) - {module, ""}
    return {module: needs for module, needs in found.items() if module}


def against(arrows: dict[str, set[str]], order: Sequence[set[str]]) -> list[str]:
    """Return the imports that run up."""
    height = {room: place for place, row in enumerate(order) for room in row}

    def place(module: str) -> int:
        return height.get(module.partition(".")[0], len(order))

    return [f"{one} -> {other}" for one, needs in arrows.items() for other in needs if place(other) > place(one)]


def cycles(arrows: dict[str, set[str]]) -> list[str]:
    """Return the modules that take part in a cycle of imports, or only import some that do."""
    left = dict(arrows)
    while ready := {module for module, needs in left.items() if not needs & left.keys()}:
        left = {module: needs for module, needs in left.items() if module not in ready}
    return sorted(left)


def functions(source: Source) -> Iterator[tuple[int, str]]:
    """Yield the lines of each function without its docstring, and its name."""
    for module, tree in source.trees.items():
        for node in ast.walk(tree):
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
                first = node.body[1] if ast.get_docstring(node) and len(node.body) > 1 else node.body[0]
                yield (node.end_lineno or 0) - first.lineno + 1, f"{module}.{node.name}"


def walk(folder: Path, *, stops_early: bool) -> Walk:
    """Follow one check that holds. A first check is not followed, so that what is imported late is there."""
    from pytest_llminvariance import Question, assert_order_symmetric, controls, run

    def once() -> None:
        questions = [Question(f"Which is number {i}?", [f"a{i}", f"b{i}", f"c{i}"], answer=i % 3) for i in range(40)]
        with run(seed=0, risk_limit=0.1 if stops_early else None):
            model: Any = controls.oracle()
            if followed is not None:
                sys.setprofile(followed.note)
            try:
                assert_order_symmetric(model, questions)
            finally:
                sys.setprofile(None)

    followed: Walk | None = None
    once()
    followed = Walk(folder)
    once()
    return followed


def built(source: Source) -> Iterator[str]:
    """Yield what the source alone says."""
    arrows, order = imports(source), order_of(source.folder)
    root = [name for name in source.texts if "." not in name and (source.folder / f"{name}.py").is_file()]
    rooms = sorted(path.parent.name for path in source.folder.glob("*/__init__.py"))
    lengths = sorted(functions(source))
    longest = max(source.texts, key=lambda name: source.texts[name].count("\n"))
    yield f"modules in the root: {len(root) + 1}"
    yield f"rooms: {len(rooms)} ({', '.join(rooms)})"
    up = against(arrows, order)
    yield f"imports against the order: {len(up)} of {sum(map(len, arrows.values()))}{''.join(f'; {one}' for one in up)}"
    yield f"modules in cycles: {len(cycles(arrows))}"
    yield f"longest file: {source.texts[longest].count(chr(10))} lines, {longest or '__init__'}"
    yield f"longest function: {lengths[-1][0]} lines, {lengths[-1][1]}"
    yield f"median function: {statistics.median(n for n, _ in lengths):g} lines"
    yield f"lines: {sum(text.count(chr(10)) for text in source.texts.values())}"


def walked(source: Source, *, stops_early: bool) -> Iterator[str]:
    """Yield what one check says."""
    found = walk(source.folder, stops_early=stops_early)
    used = USED_WHEN_FLAT if source.is_flat else USED
    ends = {kind for kind in found.types if kind.endswith((".Question", ".Finding"))}
    between = {kind for kind in found.types - ends if not is_in(kind, used)}
    yield f"one check {'that stops early' if stops_early else 'that asks everything'}:"
    for title, skipped in (("its own story", used), ("all modules", ())):
        stays = found.through(skipped)
        changes = len(stays) - 1
        yield f"  {title}: {changes} changes of module, {changes + 1 - len(set(stays))} returns, {len(set(stays))} modules"
    yield f"  story: {' '.join(found.through(used))}"
    yield f"  types between question and finding: {len(between)} ({', '.join(sorted(kind.rpartition('.')[2] for kind in between))})"
    yield f"  types in all: {len(found.types)}"


def main(arguments: Sequence[str]) -> None:
    """Print it."""
    source = read(Path(arguments[0]).resolve() if arguments else HERE)
    sys.path.insert(0, str(source.folder.parent))
    print(*built(source), sep="\n")
    for stops_early in (False, True):
        print(*walked(source, stops_early=stops_early), sep="\n")


if __name__ == "__main__":
    main(sys.argv[1:])
