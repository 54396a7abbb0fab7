"""Notebooks and sweeps over REST: what is taken, and what is refused before anything is queued."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import nbformat
import pytest
from serving import Api

from imgcls_lab import TrainConfig, demo_data, run_layout
from imgcls_lab.events import RunState
from imgcls_lab.settings import Settings
from imgcls_lab.store import Store


@pytest.fixture
def notebook(jp_root_dir: Path) -> Path:
    made = nbformat.v4.new_notebook()
    cell = nbformat.v4.new_code_cell("epochs = 1  # type: int passes\nlr = None  # type: float")
    cell.metadata["tags"] = ["parameters"]
    made.cells = [cell]
    (jp_root_dir / "deep").mkdir()
    nbformat.write(made, jp_root_dir / "deep" / "a b.ipynb")
    return jp_root_dir / "deep" / "a b.ipynb"


async def test_a_form_is_made_from_the_parameters_and_queues_the_notebook(
    api: Api, store: Store, notebook: Path
) -> None:
    found = await api("GET", "notebooks?path=deep/a%20b.ipynb")
    assert [(p["name"], p["kind"], p["default"], p["help"]) for p in found.json["parameters"]] == [
        ("epochs", "int", 1, "passes"),
        ("lr", "float", None, ""),
    ]
    made = await api("POST", "notebooks", {"path": "deep/a b.ipynb", "parameters": {"lr": 1e-3}, "name": "mine"})
    assert made.status == 201
    run = store.runs.get(made.json["id"])
    assert (run.state, run.name, run.payload["parameters"]) == (RunState.QUEUED, "mine", {"lr": 1e-3})
    assert run.payload["notebook"] == str(notebook)

    assert (await api("GET", f"runs/{run.id}/notebook")).status == 404
    folder = store.settings.run_dir(run.id)
    folder.mkdir(parents=True, exist_ok=True)
    (folder / run_layout.NOTEBOOK).symlink_to(notebook)
    assert (await api("GET", f"runs/{run.id}/notebook")).status == 404  # a link may lead anywhere
    (folder / run_layout.NOTEBOOK).unlink()
    (folder / run_layout.NOTEBOOK).write_text(notebook.read_text())
    assert (await api("GET", f"runs/{run.id}/notebook")).json["nbformat"] == 4


@pytest.mark.parametrize(
    ("path", "status"),
    [
        ("../secret.ipynb", 403),
        ("/etc/passwd", 400),  # a name under the root, like any other, but of no notebook
        ("deep/../../x.ipynb", 403),
        ("", 400),
        ("link.ipynb", 403),
        ("a\x00b", 400),
    ],
)
async def test_a_notebook_outside_the_root_is_refused(
    api: Api, notebook: Path, path: str, status: int, tmp_path: Path
) -> None:
    outside = tmp_path / "outside.ipynb"
    outside.write_text(notebook.read_text())
    (notebook.parents[1] / "link.ipynb").symlink_to(outside)
    assert (await api("POST", "notebooks", {"path": path})).status == status


async def test_wrong_parameters_are_named_field_by_field(api: Api, store: Store, notebook: Path) -> None:
    wrong = {"path": "deep/a b.ipynb", "parameters": {"epoch": 1, "lr": "fast"}}
    reply = await api("POST", "notebooks", wrong)
    assert reply.status == 400
    assert [problem["field"] for problem in reply.json["problems"]] == ["epoch", "lr"]
    assert "It declares epochs, lr." in reply.json["message"]
    assert store.runs.list().total == 0


async def test_a_sweep_is_queued_shown_as_a_matrix_and_refused_as_a_whole(
    api: Api, store: Store, settings: Settings
) -> None:
    files = demo_data.prepare(settings)
    base = files.config.model_dump(mode="json")
    body: dict[str, Any] = {"base": base, "space": {"lr": {"values": [1e-3, 1e-2]}, "seed": {"values": [0, 1]}}}
    made = await api("POST", "sweeps", body)
    assert made.status == 201, made.json
    assert (made.json["kind"], made.json["state"]) == ("sweep", "queued")
    shown = await api("GET", f"sweeps/{made.json['id']}")
    assert [trial["params"] for trial in shown.json["trials"]][:2] == [{"lr": 1e-3, "seed": 0}, {"lr": 1e-3, "seed": 1}]
    assert {trial["state"] for trial in shown.json["trials"]} == {"waiting"}
    assert (shown.json["planned"], set(shown.json["titles"])) == (4, set(shown.json["space"]))
    threads = TrainConfig.parse(store.runs.get(made.json["id"]).payload["request"]["base"]).threads
    assert threads is not None  # or the trials of two slots would differ in their bits

    for wrong, status in (
        ({**body, "base": {**base, "root": "/etc"}}, 403),
        ({**body, "space": {"lr": {"values": [1e3]}}}, 400),
        ({**body, "space": {"lr": {"low": 1, "high": 0}}, "strategy": "tpe"}, 400),
        ({**body, "notebook": "../x.ipynb"}, 403),
        ({**body, "replicates": 3}, 400),  # with seeds in its space
        ({**body, "space": {"lr": {"values": [1e-3]}}, "replicates": 1000}, 400),
    ):
        assert (await api("POST", "sweeps", wrong)).status == status
    assert store.runs.list().total == 1
    run = store.runs.list().items[0]
    other = await api("GET", "sweeps/20260101-000000-abcdef")
    assert other.status == 404
    assert run.kind == "sweep"


async def test_a_sweep_is_checked_as_it_is_typed(api: Api, store: Store, settings: Settings) -> None:
    base = demo_data.prepare(settings).config.model_dump(mode="json")

    async def check(space: dict[str, Any], **rest: Any) -> tuple[dict[str, str], int | None]:
        reply = await api("POST", "sweeps/check", {"base": base, "space": space, **rest})
        assert reply.status == 200, reply.body
        return {item["field"]: item["message"] for item in reply.json["problems"]}, reply.json["trials"]

    assert await check({"lr": {"values": [1e-3, 1e-2]}, "seed": {"values": [0, 1, 2]}}) == ({}, 6)
    assert (await check({"lr": {"low": 1e-5, "high": 1e-2, "log": True}}, strategy="tpe", trials=7))[1] == 7
    problems, trials = await check({"lr": {"values": [1e-3, 50.0, 60.0]}, "loss": {"values": ["focal", "focel"]}})
    assert (set(problems), trials) == ({"lr", "loss"}, None)
    assert problems["lr"].startswith("50:")  # the value that is wrong, not the setting alone
    assert "focel" in problems["loss"]
    assert set((await check({"lr": {"low": 1e-3, "high": 1e-2}}))[0]) == {"lr"}  # a grid needs a step
    assert set((await check({"nolr": {"values": [1]}}))[0]) == {"nolr"}
    assert await check({"lr": {"values": [1e-3, 1e-2]}}, replicates=3) == ({}, 2)
    assert set((await check({"seed": {"values": [0, 1]}}, replicates=3))[0]) == {"seed"}
    assert set((await check({"lr": {"values": [1e-3]}}, strategy="asha", replicates=3))[0]) == {"replicates"}
    assert store.runs.list().total == 0


@pytest.mark.parametrize("text", ['{"cells": 5}', "[" * 100_000, "null"])
async def test_a_file_that_is_no_notebook_is_refused(api: Api, jp_root_dir: Path, text: str) -> None:
    (jp_root_dir / "bad.ipynb").write_text(text)
    reply = await api("GET", "notebooks?path=bad.ipynb")
    assert (reply.status, "is no notebook" in reply.json["message"]) == (400, True)


@pytest.mark.parametrize("field", ["root", "model_flavour", "ckpt_dir", "tb_root", "plugins"])
async def test_a_sweep_reaches_no_path_that_its_base_could_not_name(
    api: Api, store: Store, tmp_path: Path, field: str
) -> None:
    outside = tmp_path / "outside.py"
    outside.write_text("raise SystemExit")
    files = demo_data.prepare(store.settings)
    base = files.config.model_dump(mode="json")
    request = {"base": base, "strategy": "grid", "space": {field: {"values": [str(outside)]}}}
    assert (await api("POST", "sweeps", request)).status == 403
    assert store.runs.list().total == 0
