"""Every public function and method of `import imgcls_lab as lab` has an example in its docstring. It is executed here.

Examples know `lab`, `config` (a few digits, two epochs), `run` (which trained so), `data` (their data set), `sweep` and
`folder` (an empty one).
"""

from __future__ import annotations

import contextlib
import doctest
import inspect
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import imgcls_lab as lab
from imgcls_lab import TrainConfig, api
from imgcls_lab.api import context
from imgcls_lab.api.audits import Audit
from imgcls_lab.api.comparison import Comparison
from imgcls_lab.api.datasets import Dataset
from imgcls_lab.api.project_list import Projects
from imgcls_lab.api.registered_models import Models
from imgcls_lab.api.run_diff import RunDiff
from imgcls_lab.api.run_list import Runs
from imgcls_lab.api.saved_configs import SavedConfig, SavedConfigs
from imgcls_lab.executor import client
from imgcls_lab.settings import Settings

CLASSES = (
    lab.Run, lab.Sweep, Runs, Dataset, Audit, Comparison, Models, Projects, RunDiff, SavedConfigs, SavedConfig,
    TrainConfig,
)  # fmt: skip
NOT_OURS = set(dir(__import__("pydantic").BaseModel))
FLAGS = doctest.ELLIPSIS | doctest.NORMALIZE_WHITESPACE


def public() -> dict[str, Any]:
    """Name -> function: those of the package, and the methods of what they return."""
    found = {name: getattr(lab, name) for name in lab.__all__ if inspect.isroutine(getattr(lab, name))}
    found |= {"demo": type(lab.demo).__call__, "demo.prepare": lab.demo.prepare, "demo.launch": lab.demo.launch}
    for kind in CLASSES:
        for name, value in inspect.getmembers(kind):
            hook = name in {"picture", "table", "gallery"}  # by which a notebook shows it
            if name.startswith("_") or hook or (name in NOT_OURS and kind is TrainConfig):
                continue
            inner = value.__func__ if inspect.ismethod(value) else value
            if inspect.isfunction(inner) and (inner.__module__ or "").startswith("imgcls_lab"):
                found[f"{kind.__name__}.{name}"] = inner
    return found


PUBLIC = public()


def test_the_walker_walks() -> None:
    assert {"launch", "runs", "Run.metrics", "Run.mistakes", "Dataset.samples", "Sweep.results"} <= set(PUBLIC)
    assert len(PUBLIC) > 70
    assert set(api.__all__) >= {kind.__name__ for kind in CLASSES} - {
        "TrainConfig",
        "Runs",
        "RunDiff",
        "SavedConfigs",
        "Audit",
    }


@pytest.mark.parametrize("name", sorted(PUBLIC))
def test_it_has_an_example(name: str) -> None:
    assert ">>> " in (PUBLIC[name].__doc__ or ""), f"{name} has no example in its docstring"


@pytest.mark.parametrize("name", sorted(PUBLIC))
def test_tab_knows_all_of_its_arguments(name: str) -> None:
    kinds = {each.kind for each in inspect.signature(PUBLIC[name]).parameters.values()}
    assert inspect.Parameter.VAR_KEYWORD not in kinds, f"{name} does not say what its keywords are"


@pytest.fixture(scope="module")
def names(few: TrainConfig, tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, Any]]:
    """A home with an executor, in which a run and a sweep have trained."""
    home = tmp_path_factory.mktemp("examples")
    environment = {
        "IMGCLS_HOME": str(home / "home"), "DATASETS_DIR": str(home / "datasets"), "IMGCLS_CPU_SLOTS": "2",
        "IMGCLS_STOP_GRACE": "5",
    }  # fmt: skip
    with pytest.MonkeyPatch.context() as patch:
        for key, value in environment.items():
            patch.setenv(key, value)
        settings = Settings()
        try:
            lab.demo.prepare()
            data = lab.dataset(few.root)
            run = lab.launch(few, name="first digits", project="flowers").wait(timeout=300)
            sweep = lab.sweep(few, {"lr": [2e-3, 3e-3]}, name="rates").wait(timeout=300)
            yield {"lab": lab, "config": few, "run": run, "data": data, "sweep": sweep, "environment": environment}
        finally:
            client.stop(settings, stop_runs=True)
            context.close()


@pytest.mark.parametrize("name", sorted(PUBLIC))
def test_its_example_is_true(
    name: str, names: dict[str, Any], home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for key, value in names["environment"].items():
        monkeypatch.setenv(key, value)
    function = PUBLIC[name]
    parser, runner = doctest.DocTestParser(), doctest.DocTestRunner(optionflags=FLAGS, verbose=False)
    test = parser.get_doctest(inspect.cleandoc(function.__doc__ or ""), {**names, "folder": tmp_path}, name, None, 0)
    said: list[str] = []
    with contextlib.chdir(tmp_path):
        runner.run(test, out=said.append, clear_globs=False)
    assert not runner.summarize(verbose=False).failed, "".join(said)
