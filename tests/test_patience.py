"""Tests in a browser pass on a slow machine, too: the kinds of race that have failed before are refused.

What a page shows is read by `expect`, which looks until it is so; a key goes where an `expect` has just found
something, or to an element by its `press`; a fixed wait says what must not happen meanwhile; a run that is to be seen
while it trains has many epochs.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

TESTS = Path(__file__).parent
# what is read of a page at one moment
ONCE = {
    "all", "all_inner_texts", "all_text_contents", "bounding_box", "count", "evaluate", "get_attribute", "inner_text",
    "input_value", "is_checked", "is_disabled", "is_enabled", "is_hidden", "is_visible", "text_content",
}  # fmt: skip
HANDS = TESTS / "acceptance" / "hands.py"  # presses what its callers say, and counts it
LIVE = {"starting", "running"}
LONG = 10  # epochs of the demo's digits: some seconds


def sources() -> list[Path]:
    return [
        file
        for file in sorted(TESTS.rglob("*.py"))
        if "playwright" in file.read_text() and file not in (HANDS, Path(__file__))
    ]


def called(node: ast.AST) -> str:
    """The method or function that a node calls; an empty text for any other node."""
    if not isinstance(node, ast.Call):
        return ""
    function = node.func
    return function.attr if isinstance(function, ast.Attribute) else getattr(function, "id", "")


def at_one_moment(node: ast.AST) -> Iterator[ast.Call]:
    """The calls within a node, without those that are made later or again and again."""
    if isinstance(node, ast.Call):
        yield node
    for child in ast.iter_child_nodes(node):
        if not isinstance(child, ast.Lambda):
            yield from at_one_moment(child)


def read_once(tree: ast.AST) -> Iterator[tuple[int, str]]:
    """What is asserted of one look at the page."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Assert):
            for call in at_one_moment(node.test):
                if called(call) in ONCE and isinstance(call.func, ast.Attribute) and shows_page(call.func.value):
                    yield node.lineno, f"asserts {called(call)}() of one moment: use expect, or until"


def shows_page(node: ast.AST) -> bool:
    """Whether a method is that of a page or of an element, by how tests call them."""
    return not any(isinstance(part, ast.Name) and part.id in {"store", "text", "calls"} for part in ast.walk(node))


def blocks(tree: ast.AST) -> Iterator[list[ast.stmt]]:
    for node in ast.walk(tree):
        for name in ("body", "orelse", "finalbody"):
            block = getattr(node, name, None)
            if isinstance(block, list):
                yield block


def is_key(statement: ast.stmt) -> bool:
    """A key that goes to whatever has the focus."""
    if not isinstance(statement, ast.Expr) or called(statement.value) not in {"press", "type"}:
        return False
    function = statement.value.func  # type: ignore[attr-defined]
    return ast.unparse(function.value).split(".")[-1] in {"keyboard", "keys"}


def blind_keys(tree: ast.AST) -> Iterator[tuple[int, str]]:
    """Keys that are pressed before the page is known to be ready for them."""
    for block in blocks(tree):
        for before, statement in zip([None, *block], block, strict=False):
            if is_key(statement):
                ready = before is not None and (
                    is_key(before) or any(called(node) in {"expect", "focus", "quiet"} for node in ast.walk(before))
                )
                if not ready:
                    yield statement.lineno, "presses a key after nothing that says where it goes"


def fixed_waits(text: str) -> Iterator[tuple[int, str]]:
    for number, line in enumerate(text.splitlines(), 1):
        if "wait_for_timeout(" in line and "#" not in line:
            yield number, "waits for a time: wait for what is to be there, or say what must not happen meanwhile"


def short_runs(tree: ast.AST) -> Iterator[tuple[int, str]]:
    """Runs of few epochs that are to be seen while they train: a page that is busy meanwhile sees their end."""
    for function in ast.walk(tree):
        if not isinstance(function, ast.FunctionDef):
            continue
        epochs = LONG
        calls = sorted((node for node in ast.walk(function) if called(node)), key=lambda node: node.lineno)  # type: ignore[attr-defined]
        for call in calls:
            if called(call) == "launch":
                epochs = next((number_of(word.value) for word in keywords(call) if word.arg == "epochs"), LONG)
            live = [arg.value for arg in call.args if isinstance(arg, ast.Constant)]  # type: ignore[attr-defined]
            if called(call) == "run_page" and LIVE & set(live) and epochs < LONG:
                yield call.lineno, f"wants to see a run of {epochs} epochs while it trains: give it {LONG} or more"  # type: ignore[attr-defined]


def keywords(call: ast.AST) -> list[ast.keyword]:
    """Those of a call, with those of a dictionary that is given as `**{...}`."""
    assert isinstance(call, ast.Call)
    found = list(call.keywords)
    for word in call.keywords:
        if word.arg is None and isinstance(word.value, ast.Dict):
            pairs = zip(word.value.keys, word.value.values, strict=True)
            found += [ast.keyword(arg=key.value, value=value) for key, value in pairs if isinstance(key, ast.Constant)]
    return found


def number_of(node: ast.expr) -> int:
    return int(node.value) if isinstance(node, ast.Constant) else LONG


def races(text: str) -> list[str]:
    tree = ast.parse(text)
    found = [*read_once(tree), *blind_keys(tree), *fixed_waits(text), *short_runs(tree)]
    return [f"line {line} {what}" for line, what in sorted(found)]


@pytest.mark.parametrize("file", sources(), ids=lambda file: str(file.relative_to(TESTS)))
def test_a_test_in_a_browser_waits_for_what_it_claims(file: Path) -> None:
    assert races(file.read_text()) == []


@pytest.mark.parametrize(
    ("line", "wrong"),
    [
        ("assert page.locator('p').count() == 2", True),
        ("assert desk.page.get_by_text('x').is_visible()", True),
        ("until(lambda: page.locator('p').count() == 2)", False),
        ("expect(page.locator('p')).to_have_count(2)", False),
        ("page.keyboard.press('Enter')", True),
        ("expect(box).to_be_focused()\npage.keyboard.press('Enter')", False),
        ("box.press('Enter')", False),
        ("page.wait_for_timeout(500)", True),
        ("page.wait_for_timeout(500)  # nothing must come meanwhile", False),
        ("def test():\n launch(desk, epochs='2')\n desk.run_page('running')", True),
        ("def test():\n launch(desk, **{'epochs': '2'})\n desk.run_page('running')", True),
        ("def test():\n launch(desk, epochs='2')\n desk.run_page('succeeded')", False),
        ("def test():\n launch(desk, epochs='300')\n desk.run_page('running')", False),
    ],
)
def test_each_kind_is_told_from_its_mend(line: str, wrong: bool) -> None:
    assert bool(races(line)) == wrong
