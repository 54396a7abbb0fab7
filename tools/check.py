"""`make check`: style, types, layers, and the tests nearest to what has changed, in less than four minutes.

A test file is near where it imports a changed module directly, farther where the module is reached through others.
The nearest run first, as many as fit into the time; what is left out is said. `make test` runs everything.
"""

from __future__ import annotations

import argparse
import ast
import json
import subprocess
import sys
from collections import deque
from pathlib import Path

import grimp

sys.path.insert(0, str(Path(__file__).parent))
from timed import Stage, table, timed

ROOT = Path(__file__).parents[1]
BIN = Path(sys.executable).parent
FRONT = ROOT / "labextension"
DURATIONS = ROOT / ".make" / "durations.json"  # seconds of each test file, kept by tests/conftest.py
PACKAGE = "imgcls_lab"
NOT_TIMED = 8.0  # seconds assumed for a test file that never ran here
WORKERS = 2
FAR = 99


def git(*words: str) -> list[str]:
    """The lines that a git command prints."""
    done = subprocess.run(["git", *words], cwd=ROOT, capture_output=True, text=True, check=True)
    return done.stdout.splitlines()


def changed_files(since: str | None) -> list[str]:
    """Paths that differ from `since`; without it: what is not committed, or else what the last commit changed."""
    new = git("ls-files", "--others", "--exclude-standard")
    found = [*git("diff", "--name-only", since or "HEAD"), *new]
    return sorted(set(found or git("diff", "--name-only", "HEAD~1")))


def module_of(path: str) -> str | None:
    """The module of a file of the package."""
    if not path.startswith(f"{PACKAGE}/") or not path.endswith(".py"):
        return None
    return path.removesuffix(".py").removesuffix("/__init__").replace("/", ".")


def hops_to(changed: set[str]) -> dict[str, int]:
    """How many imports lie between each module and the nearest changed one."""
    graph = grimp.build_graph(PACKAGE, cache_dir=str(ROOT / ".import_linter_cache"))
    hops = dict.fromkeys(changed & graph.modules, 0)
    todo = deque(hops)
    while todo:
        module = todo.popleft()
        for importer in graph.find_modules_that_directly_import(module):
            if importer not in hops:
                hops[importer] = hops[module] + 1
                todo.append(importer)
    return hops


def imports_of(path: Path) -> set[str]:
    """The package's modules that a test file names in its imports."""
    found = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.ImportFrom) and (node.module or "").startswith(PACKAGE):
            found |= {str(node.module), *(f"{node.module}.{name.name}" for name in node.names)}
        elif isinstance(node, ast.Import):
            found |= {name.name for name in node.names if name.name.startswith(PACKAGE)}
    return found


def distance(path: Path, changed: list[str], hops: dict[str, int]) -> int:
    """0: changed itself; 1: imports what changed or names the file; more: through so many imports; FAR: not at all."""
    name = str(path.relative_to(ROOT))
    if name in changed:
        return 0
    text = path.read_text()
    if any(Path(other).name in text for other in changed if not other.endswith(".py")):
        return 1
    helpers = [path, *(ROOT / other for other in changed if Path(other).parent == path.parent.relative_to(ROOT))]
    if len(helpers) > 1 and any(helper.name == "conftest.py" or helper.stem in text for helper in helpers[1:]):
        return 1
    return min((1 + hops[module] for module in imports_of(path) if module in hops), default=FAR)


def nearest(changed: list[str], seconds: float) -> tuple[list[str], int]:
    """The test files to run, nearest first, and how many more what has changed reaches."""
    hops = hops_to({module for path in changed if (module := module_of(path))})
    durations = json.loads(DURATIONS.read_text()) if DURATIONS.exists() else {}
    files = [path for path in (ROOT / "tests").rglob("test_*.py") if "acceptance" not in path.parts]
    reached = sorted((near, path) for path in files if (near := distance(path, changed, hops)) < FAR)
    chosen, left = [], seconds * WORKERS
    for _, path in reached:
        cost = durations.get(name := str(path.relative_to(ROOT)), NOT_TIMED)
        if cost <= left:
            chosen.append(name)
            left -= cost
    return chosen, len(reached) - len(chosen)


def commands(changed: list[str], seconds: float) -> list[tuple[str, list[str], Path]]:
    """What is to be run: name, command, folder."""
    chosen, left_out = nearest(changed, seconds)
    todo = [
        ("ruff", [str(BIN / "ruff"), "check", "."], ROOT),
        ("format", [str(BIN / "ruff"), "format", "--check", "."], ROOT),
        ("layers", [str(BIN / "lint-imports")], ROOT),
        ("mypy", [str(BIN / "mypy")], ROOT),
    ]
    if any(path.startswith("labextension/") for path in changed):
        npx = ["npx", "--no-install"]
        todo += [
            ("eslint", [*npx, "eslint", "--cache", "."], FRONT),
            ("prettier", [*npx, "prettier", "--cache", "--check", "."], FRONT),
            ("tsc", ["npm", "run", "--silent", "check"], FRONT),
            ("vitest", ["npm", "test", "--silent"], FRONT),
        ]
    if chosen:
        print(f"{len(chosen)} test files are near to what has changed; `make test` runs {left_out} farther ones, too.")
        options = ["-q", "-n", str(WORKERS), "--dist", "loadfile", "-m", "not browser and not slow and not cuda"]
        todo.append(("tests", [str(BIN / "pytest"), *options, *chosen], ROOT))
    return todo


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--since", help="a commit: check what has changed since then")
    parser.add_argument("--seconds", type=float, default=140, help="how long the tests may take")
    chosen = parser.parse_args()
    changed = changed_files(chosen.since)
    stages: list[Stage] = []
    failed = []
    for name, command, folder in commands(changed, chosen.seconds):
        stage, status = timed(name, command, folder)
        stages.append(stage)
        if status not in (0, 5) or (status == 5 and name != "tests"):  # 5: pytest found no quick test in these files
            failed.append(name)
    print("\nWhere the time went:\n" + table(stages))
    if failed:
        print(f"\nNot right: {', '.join(failed)}.")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
