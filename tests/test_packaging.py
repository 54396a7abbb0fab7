"""What a user installs: light imports, the same packages everywhere, types in step."""

from __future__ import annotations

import ast
import re
import shutil
import subprocess
import sys
import tomllib
from importlib.metadata import packages_distributions
from pathlib import Path

ROOT = Path(__file__).parents[1]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
UNIMPORTED = {"jupyterlab": "it runs the panel", "psycopg": "SQLAlchemy's driver for PostgreSQL"}
CONDA_NAMES = {"torch": "pytorch", "jupyter-client": "jupyter_client"}


def split(requirement: str) -> tuple[str, str]:
    match = re.match(r"([A-Za-z0-9_.-]+)(?:\[[^]]*\])?\s*(.*)", requirement)
    assert match
    return match[1], match[2]


def test_the_conda_environment_asks_for_the_same_packages() -> None:
    lines = (ROOT / "environment.yml").read_text().splitlines()
    conda = dict(
        split(line.split("#")[0].strip(" -")) for line in lines if line.startswith("  - ") and "forge" not in line
    )
    wanted = {CONDA_NAMES.get(name, name): limits for name, limits in map(split, PROJECT["dependencies"])}
    assert conda.pop("python") == PROJECT["requires-python"]
    conda.pop("nodejs")
    assert conda == wanted


def test_what_is_required_is_imported() -> None:
    imported: set[str] = set()
    for file in (ROOT / "imgcls_lab").rglob("*.py"):
        for node in ast.walk(ast.parse(file.read_bytes())):
            names = [item.name for item in node.names] if isinstance(node, ast.Import) else []
            names += [node.module] if isinstance(node, ast.ImportFrom) and node.module else []
            imported |= {name.split(".")[0] for name in names}
    homes = packages_distributions()
    used = {home.lower().replace("_", "-") for name in imported for home in homes.get(name, [])}
    assert {split(requirement)[0] for requirement in PROJECT["dependencies"]} - used == set(UNIMPORTED)


def brought_along(modules: str, unwanted: set[str]) -> list[str]:
    """Which of the unwanted packages are imported with these modules, in a process of its own."""
    code = f"import {modules}, sys; print(*({unwanted} & set(sys.modules)))"
    return subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.split()


def test_importing_does_not_bring_torch_along() -> None:
    modules = (
        "imgcls_lab, imgcls_lab.api, imgcls_lab.cli, imgcls_lab.server.app, imgcls_lab.executor.daemon, "
        "imgcls_lab.demo, imgcls_lab.demo_data"
    )
    unwanted = {"torch", "torchvision", "transformers", "timm"}
    assert brought_along(modules, unwanted) == []


def test_who_lives_long_does_not_carry_what_migrates() -> None:
    modules = "imgcls_lab.server.app, imgcls_lab.executor.daemon, imgcls_lab.store"
    assert brought_along(modules, {"alembic", "mako", "optuna", "pandas"}) == []


def test_the_supervisor_is_standard_library_only() -> None:
    code = (
        "import sys; before = set(sys.modules); import imgcls_lab.executor.supervisor; "
        "tops = {m.split('.')[0] for m in set(sys.modules) - before}; "
        "print(*sorted(tops - set(sys.stdlib_module_names) - {'imgcls_lab'}))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split() == []


def test_every_public_name_exists() -> None:
    import imgcls_lab

    for name in imgcls_lab.__all__:
        assert getattr(imgcls_lab, name) is not None


def test_the_typescript_types_are_those_of_the_schemas(tmp_path: Path) -> None:
    """`npm run schemas` would change nothing."""
    done = subprocess.run(
        ["npm", "run", "--silent", "schemas", "--", str(tmp_path / "schemas.ts")],
        cwd=ROOT / "labextension", capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    kept = ROOT / "labextension" / "src" / "views" / "data" / "schemas.ts"
    assert (tmp_path / "schemas.ts").read_text() == kept.read_text()


def test_the_lab_opens_a_copy_of_the_quickstart_that_is_never_written_over(tmp_path: Path) -> None:
    shutil.copy(ROOT / "Makefile", tmp_path)
    shutil.copytree(ROOT / "notebooks", tmp_path / "notebooks")
    make = ["make", "--no-print-directory", "-C", str(tmp_path)]
    words = ["make", "-C", str(ROOT), "--dry-run", "--always-make", "lab"]
    asked = subprocess.run(words, capture_output=True, text=True, check=True).stdout
    for path in (tmp_path / "notebooks").iterdir():
        assert f"cp notebooks/{path.name} work/{path.name}" in asked
    assert "default_url=/lab/tree/work/quickstart.ipynb" in asked
    subprocess.run([*make, "work/quickstart.ipynb"], check=True, capture_output=True)
    copy = tmp_path / "work" / "quickstart.ipynb"
    assert copy.read_bytes() == (ROOT / "notebooks" / "quickstart.ipynb").read_bytes()
    copy.write_text("mine")
    (tmp_path / "notebooks" / "quickstart.ipynb").touch()
    subprocess.run([*make, "work/quickstart.ipynb"], check=True, capture_output=True)
    assert copy.read_text() == "mine"
    assert "work/" in (ROOT / ".gitignore").read_text().splitlines()
