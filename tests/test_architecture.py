"""The shape of the package: no circle of imports, nothing too long, and no module named by a string from below.

import-linter holds the layers (pyproject.toml); this holds what it cannot say.
"""

from __future__ import annotations

import ast
import re
import tomllib
from collections.abc import Iterator
from functools import cache
from graphlib import CycleError, TopologicalSorter
from importlib.util import find_spec
from pathlib import Path

import grimp
import pytest

import imgcls_lab
from imgcls_lab import entry_points
from imgcls_lab.entry_points import EntryPoint

ROOT = Path(imgcls_lab.__file__).parents[1]
LONGEST_FUNCTION, LONGEST_FILE, MOST_ARGUMENTS = 60, 450, 8
GENERATED = "imgcls_lab/store/migrations/versions/"  # each revision is a record, in the form that Alembic gives it
ENTRY_POINTS = "imgcls_lab/entry_points.py"  # the one place where modules are named to be run


@cache
def _files() -> dict[str, ast.Module]:
    """Every file of the package by its path, parsed."""
    paths = sorted((ROOT / "imgcls_lab").rglob("*.py"))
    return {str(path.relative_to(ROOT)): ast.parse(path.read_text(encoding="utf-8")) for path in paths}


@cache
def _imports() -> dict[str, set[str]]:
    graph = grimp.build_graph("imgcls_lab", cache_dir=None, exclude_type_checking_imports=False)
    return {module: set(graph.find_modules_directly_imported_by(module)) for module in graph.modules}


def test_no_modules_import_each_other_in_a_circle() -> None:
    """Late imports and those for type checking count: a circle of them is a circle in a reader's head."""
    imports = _imports()
    assert len(imports) > 100
    try:
        TopologicalSorter(imports).prepare()
    except CycleError as error:
        pytest.fail(f"These import each other: {' <- '.join(error.args[1])}")


def test_a_circle_would_be_found() -> None:
    with pytest.raises(CycleError):
        TopologicalSorter({**_imports(), "imgcls_lab.errors": {"imgcls_lab.cli"}}).prepare()


def test_no_function_is_longer_than_a_screen() -> None:
    found = {
        f"{path} {node.name}"
        for path, tree in _files().items()
        for node in ast.walk(tree)
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
        and (node.end_lineno or 0) - node.lineno + 1 > LONGEST_FUNCTION
        and not path.startswith(GENERATED)
    }
    assert not found


def test_no_call_passes_more_than_eight_arguments() -> None:
    found = {
        f"{path} {ast.unparse(node.func)}"
        for path, tree in _files().items()
        for node in ast.walk(tree)
        if isinstance(node, ast.Call)
        and len(node.args) + len(node.keywords) > MOST_ARGUMENTS
        and not path.startswith(GENERATED)
    }
    assert not found


def test_no_file_is_too_long() -> None:
    lengths = {path: len((ROOT / path).read_text(encoding="utf-8").splitlines()) for path in _files()}
    assert {path: length for path, length in lengths.items() if length > LONGEST_FILE} == {}


# ── names of modules in strings ─────────────────────────────────────────────────────────────────────────────────
def _layers() -> list[list[str]]:
    """The layers of import-linter's contract, the highest first."""
    contracts = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["importlinter"]["contracts"]
    layers = next(each["layers"] for each in contracts if each["type"] == "layers" and "containers" not in each)
    return [[name.strip() for name in re.split(r"[|:]", layer)] for layer in layers]


def _height(module: str) -> int:
    """How high a module's layer is; the package itself, which names what it exports, is the highest."""
    for number, layer in enumerate(reversed(_layers())):
        if any(module == name or module.startswith(f"{name}.") for name in layer):
            return number
    return len(_layers())


def _strings(tree: ast.Module) -> Iterator[str]:
    """Text in the code; docstrings are for readers."""
    docstrings = {
        id(node.body[0].value)
        for node in ast.walk(tree)
        if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef)
        and node.body
        and isinstance(node.body[0], ast.Expr)
    }
    for node in ast.walk(tree):
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and id(node) not in docstrings:
            yield node.value


def _prefixes(words: str) -> Iterator[str]:
    """`a.b.c`, `a.b`, `a`: the last words may be an attribute of a module."""
    parts = words.split(".")
    return (".".join(parts[:count]) for count in range(len(parts), 0, -1))


def test_no_string_names_a_module_of_a_higher_layer() -> None:
    """import-linter cannot see such a dependency. What is started as a process is named in one place."""
    modules = _imports().keys()
    found = set()
    for path, tree in _files().items():
        own = path.removesuffix(".py").removesuffix("/__init__").replace("/", ".")
        if path == ENTRY_POINTS:
            continue
        for text in _strings(tree):
            for words in re.findall(r"imgcls_lab(?:\.\w+)+", text):
                name = next(name for name in _prefixes(words) if name in modules)
                if name != "imgcls_lab" and _height(name) > _height(own):
                    found.add(f"{path} {name}")
    assert not found


def test_what_is_started_as_a_process_exists() -> None:
    entries = [each for each in vars(entry_points).values() if isinstance(each, EntryPoint)]
    assert len(entries) >= 9
    for entry in entries:
        assert find_spec(entry.module) is not None, entry
        assert entry.preload is None or entry.preload in _imports(), entry
    assert {entry.preload for entry in entries} - {None} == {entry.preload for entry in entry_points.FORKED}
