"""The public names: they resolve, lazily, and nothing that a typo could reach is silently there."""

from __future__ import annotations

import ast
import importlib
import inspect
import subprocess
import sys
from importlib.resources import files

import pytest

import pytest_llminvariance
from pytest_llminvariance import LLMInvarianceError
from pytest_llminvariance import errors as errors_module
from tests.stub import STUB, made, stub_text

ASSERTIONS = sorted(name for name in pytest_llminvariance.__all__ if name.startswith("assert_"))
STUB_TREE = ast.parse(STUB.read_text())
ERRORS = [getattr(errors_module, name) for name in errors_module.__all__ if name != "missing_extra"]


@pytest.mark.parametrize("name", pytest_llminvariance.__all__)
def test_every_name_resolves(name: str) -> None:
    value = getattr(pytest_llminvariance, name)
    assert value is getattr(pytest_llminvariance, name)
    assert inspect.getdoc(value)


def test_names_are_sorted_and_unique() -> None:
    names = pytest_llminvariance.__all__
    assert list(names) == sorted(set(names))


def test_the_stub_names_what_the_package_has() -> None:
    assert STUB.read_text() == stub_text(), "write it again: python -m tests.stub"


@pytest.mark.parametrize("name", made())
def test_an_editor_sees_what_a_made_assertion_takes(name: str) -> None:
    """Read from the stub as an editor does, and held against what the function itself takes and refuses."""
    (told,) = (node for node in STUB_TREE.body if isinstance(node, ast.FunctionDef) and node.name == name)
    assertion = getattr(pytest_llminvariance, name)
    taken = inspect.signature(assertion).parameters
    assert [arg.arg for arg in (*told.args.args, *told.args.kwonlyargs)] == list(taken)
    assert all(arg.annotation is not None for arg in (*told.args.args, *told.args.kwonlyargs))
    needed = {
        arg.arg for arg, default in zip(told.args.kwonlyargs, told.args.kw_defaults, strict=True) if default is None
    }
    assert needed == {p.name for p in taken.values() if p.kind is p.KEYWORD_ONLY and p.default is p.empty}
    assert told.returns is not None
    assert ast.unparse(told.returns) == "Finding"
    assert (ast.get_docstring(told) or "").startswith("Assert that ")
    with pytest.raises(TypeError, match="tolerence"):
        assertion(None, (), **dict.fromkeys(needed), tolerence=0.1)


def test_dir_lists_every_name() -> None:
    assert set(pytest_llminvariance.__all__) <= set(dir(pytest_llminvariance))


def test_star_import_gives_every_name() -> None:
    namespace: dict[str, object] = {}
    exec("from pytest_llminvariance import *", namespace)
    assert set(pytest_llminvariance.__all__) <= set(namespace)


@pytest.mark.parametrize("name", sorted(set(pytest_llminvariance.__all__) - {"controls", "strategies"}))
def test_no_submodule_hides_a_name(name: str) -> None:
    with pytest.raises(ModuleNotFoundError):
        importlib.import_module(f"pytest_llminvariance.{name}")


def test_check_is_the_function_even_after_its_module_was_imported() -> None:
    code = "import pytest_llminvariance.checks.check; from pytest_llminvariance import check; print(check.__module__)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "pytest_llminvariance.checks.check"


def test_importing_the_package_loads_nothing_heavy() -> None:
    code = (
        "import sys; import pytest_llminvariance; "
        "print([n for n in ('torch', 'transformers', 'numpy', 'scipy', 'hypothesis') if n in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_unknown_name_says_so() -> None:
    with pytest.raises(AttributeError, match=r"^module 'pytest_llminvariance' has no attribute 'assert_fair'$"):
        pytest_llminvariance.assert_fair  # type: ignore[attr-defined]  # noqa: B018
    with pytest.raises(ImportError, match="cannot import name 'assert_fair'"):
        exec("from pytest_llminvariance import assert_fair")


@pytest.mark.parametrize("name", ASSERTIONS)
def test_assertions_take_the_rest_by_keyword(name: str) -> None:
    parameters = list(inspect.signature(getattr(pytest_llminvariance, name)).parameters.values())
    n_positional = 3 if name in ("assert_same_answer", "assert_backends_agree") else 2
    by_position = [p.name for p in parameters if p.kind is inspect.Parameter.POSITIONAL_OR_KEYWORD]
    assert len(by_position) == n_positional
    assert by_position[0] == "model"
    assert all(p.kind is inspect.Parameter.KEYWORD_ONLY for p in parameters[n_positional:])


def test_check_takes_property_model_and_questions_by_position() -> None:
    parameters = inspect.signature(pytest_llminvariance.check).parameters
    by_position = [name for name, p in parameters.items() if p.kind is inspect.Parameter.POSITIONAL_OR_KEYWORD]
    assert by_position == ["property", "model", "questions"]
    assert parameters["tolerance"].default is inspect.Parameter.empty


@pytest.mark.parametrize(
    "name", sorted(set(ASSERTIONS) - {"assert_same_answer", "assert_no_negative_flips", "assert_backends_agree"})
)
def test_assertions_share_their_defaults(name: str) -> None:
    parameters = inspect.signature(getattr(pytest_llminvariance, name)).parameters
    assert parameters["tolerance"].default == 0.05


@pytest.mark.parametrize("error", ERRORS, ids=lambda error: error.__name__)
def test_errors_are_one_tree(error: type[Exception]) -> None:
    assert issubclass(error, LLMInvarianceError)


def test_errors_are_also_what_python_calls_them() -> None:
    assert issubclass(pytest_llminvariance.UsageError, ValueError)
    assert issubclass(pytest_llminvariance.ModelError, RuntimeError)
    assert issubclass(pytest_llminvariance.InvarianceError, AssertionError)
    assert issubclass(pytest_llminvariance.UndecidedError, pytest_llminvariance.InvarianceError)
    assert issubclass(errors_module.MissingExtraError, ImportError)


def test_missing_extra_says_how_to_install_it() -> None:
    error = errors_module.missing_extra("demo", "gguf", "the demo model")
    assert str(error) == (
        "the demo model needs the package 'gguf', which is not installed. "
        "Install it with: pip install 'pytest-llminvariance[demo]'"
    )


def test_types_are_shipped() -> None:
    assert files("pytest_llminvariance").joinpath("py.typed").is_file()
