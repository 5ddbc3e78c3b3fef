"""What is missing in a wheel or an sdist is seen, and so is what does not belong there."""

from __future__ import annotations

from tests import package_contents
from tests.package_contents import MUST, ROOT, of_package, sdist_problems, wheel_problems

PACKAGE = of_package(ROOT)
WHEEL = {*PACKAGE, "x-1.dist-info/METADATA"}
SDIST = {f"x-1/{name}" for name in PACKAGE | MUST | {"PKG-INFO", ".gitignore", "changes/a.bugfix.md"}}


def test_whole_ones_pass() -> None:
    assert {"pytest_llminvariance/py.typed", "pytest_llminvariance/schemas/run.schema.json"} <= PACKAGE
    assert "pytest_llminvariance/report/html/templates/page.html.j2" in PACKAGE
    assert not wheel_problems(WHEEL, PACKAGE)
    assert not sdist_problems(SDIST, PACKAGE)


def test_what_is_missing_is_named() -> None:
    assert wheel_problems(WHEEL - {"pytest_llminvariance/py.typed"}, PACKAGE) == [
        "wheel lacks pytest_llminvariance/py.typed"
    ]
    assert sdist_problems(SDIST - {"x-1/mkdocs.yml"}, PACKAGE) == ["sdist lacks mkdocs.yml"]


def test_what_does_not_belong_there_is_named() -> None:
    assert wheel_problems({*WHEEL, "tests/pins.py"}, PACKAGE) == ["wheel holds tests/pins.py"]
    for name in ("notes.txt", ".tox/a", "tests/__pycache__/a.pyc", "build/site/index.html"):
        assert sdist_problems({*SDIST, f"x-1/{name}"}, PACKAGE) == [f"sdist holds {name}"]


def test_every_file_that_must_be_there_exists() -> None:
    assert all((package_contents.ROOT / name).is_file() for name in MUST)
