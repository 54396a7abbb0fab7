"""What a parameters cell computes from its own parameters: `steps = epochs * 10`. Called when a notebook is read.

papermill sets the given values in a cell of its own after that cell, so a computed value keeps using the default.
Nothing is executed here. A name of a function counts as computed from all that the function reads.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from imgcls_lab.schemas import DerivedView, ParameterView

_FUNCTIONS = (ast.FunctionDef, ast.AsyncFunctionDef, ast.Lambda)
_COMPREHENSIONS = (ast.ListComp, ast.SetComp, ast.DictComp, ast.GeneratorExp)  # their names are their own
_PLAIN = (ast.Assign, ast.AnnAssign)


def derived(tree: ast.Module, parameters: Sequence[str]) -> list[DerivedView]:
    """Each name that the cell computes from parameters, with a sentence that explains it."""
    sources = {name: {name} for name in parameters}  # of each name: the parameters that it is computed from
    texts: dict[str, str] = {}
    for statement in tree.body:
        late = _is_function(statement)  # it reads its parameters when it is called, perhaps in a later cell
        read = set[str]().union(*(sources.get(name, set()) for name in _read(statement, late)))
        for name in _stored(statement):
            own = {name} & set(parameters)
            kept = set() if isinstance(statement, _PLAIN) and _is_whole(statement, name) else sources.get(name, set())
            sources[name] = read | kept | own
            if late or sources[name] == own:
                texts.pop(name, None)
            elif read - own:
                texts[name] = _shortened(statement)
    return [
        DerivedView(
            name=name,
            sources=(causes := sorted(sources[name] - {name})),
            sentence=(
                f"“{text}” stands in the parameters cell, which runs before the given values are set: it uses what "
                f"{' and '.join(causes)} {'is' if len(causes) == 1 else 'are'} by default. Move it to a later cell"
                + (f", or give {name} too." if name in parameters else ".")
            ),
        )
        for name, text in texts.items()
    ]


def unreached(found: Sequence[DerivedView], parameters: Sequence[ParameterView], given: Mapping[str, Any]) -> list[str]:
    """The sentences for these values: what is computed from a given value and is not given itself."""
    defaults = {item.name: item.default for item in parameters}
    changed = {name for name, value in given.items() if defaults.get(name) is None or value != defaults[name]}
    return [item.sentence for item in found if item.name not in given and changed & set(item.sources)]


def _stored(statement: ast.stmt) -> list[str]:
    """Names that a statement assigns or changes."""
    if isinstance(statement, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
        return [statement.name]
    found = []
    for node in _nodes(statement, (*_FUNCTIONS, *_COMPREHENSIONS)):
        if isinstance(node, ast.Name | ast.Subscript | ast.Attribute) and isinstance(node.ctx, ast.Store):
            found.append(_base(node))
        elif isinstance(node, ast.Expr) and isinstance(node.value, ast.Call):  # settings.update(steps=epochs)
            found.append(_base(node.value.func) if isinstance(node.value.func, ast.Attribute) else "")
    return [name for name in dict.fromkeys(found) if name]


def _read(statement: ast.stmt, bodies: bool) -> set[str]:
    nodes = _nodes(statement, () if bodies else _FUNCTIONS)
    return {node.id for node in nodes if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Load)}


def _is_function(statement: ast.stmt) -> bool:
    return isinstance(statement, _FUNCTIONS) or isinstance(getattr(statement, "value", None), ast.Lambda)


def _is_whole(statement: ast.Assign | ast.AnnAssign, name: str) -> bool:
    """Whether nothing of the name's old value stays: `a = 1`, not `a["b"] = 1`."""
    targets = statement.targets if isinstance(statement, ast.Assign) else [statement.target]
    nodes = [node for target in targets for node in ast.walk(target)]
    return any(isinstance(node, ast.Name) and node.id == name and isinstance(node.ctx, ast.Store) for node in nodes)


def _nodes(node: ast.AST, without: tuple[type[ast.AST], ...]) -> Iterator[ast.AST]:
    """A statement's nodes, without those inside of nodes of these types."""
    yield node
    for child in ast.iter_child_nodes(node):
        if not isinstance(child, without):
            yield from _nodes(child, without)


def _base(node: ast.expr) -> str:
    """`settings` of `settings["a"].b`."""
    while isinstance(node, ast.Subscript | ast.Attribute | ast.Call):
        node = node.func if isinstance(node, ast.Call) else node.value
    return node.id if isinstance(node, ast.Name) else ""


def _shortened(statement: ast.stmt) -> str:
    text = ast.unparse(statement).splitlines()[0]
    return text if len(text) <= 80 else text[:79] + "…"
