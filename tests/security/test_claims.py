"""A claim shows all that the claimed run would execute, and the run then executes nothing else."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import nbformat
import pytest
from planting import Trap

from imgcls_lab.api import forms
from imgcls_lab.api.inference import Model, TrainedBy, export
from imgcls_lab.batch.notebook_runner import NotebookRun
from imgcls_lab.cli.output import read_config
from imgcls_lab.config import TrainConfig
from imgcls_lab.errors import ConfigError, ConflictError, ImgclsError, InputError
from imgcls_lab.identity import ProcessIdentity
from imgcls_lab.schemas import SubmitRequest
from imgcls_lab.server import config_form
from imgcls_lab.settings import Settings
from imgcls_lab.store import Store, rebuild

CONFIG = {"root": "/data/digits", "model_flavour": "tiny", "device": "cpu"}


@pytest.fixture
def local(home: Path) -> Iterator[Store]:
    with Store.open(Settings(home=str(home), autostart=False), migrate=True) as store:
        yield store


@pytest.fixture
def trap(local: Store, tmp_path: Path) -> Trap:
    return Trap(local.settings, tmp_path, CONFIG, ProcessIdentity.current())


def change_request(folder: Path, base: dict[str, Any], space: dict[str, Any]) -> None:
    """Change what a planted sweep asks for."""
    info = json.loads((folder / "run.json").read_text())
    request = info["payload"]["request"]
    request["base"] = {**{k: v for k, v in request["base"].items() if k != "plugins"}, **base}
    request["space"] |= space
    (folder / "run.json").write_text(json.dumps(info))


@pytest.mark.parametrize("how", ["list", "text", "space"])
def test_a_claim_of_a_sweep_shows_the_plugins_of_every_trial(local: Store, trap: Trap, how: str) -> None:
    """Whatever plugins its folder holds besides: a sweep executes none of those."""
    run_id = trap.plant("sweep")
    named = [str(trap.base / name) for name in ("evil.py", "other.py")]
    for path in named:
        Path(path).write_text(trap.code("named plugin"))
    base = {"list": {"plugins": named}, "text": {"plugins": ", ".join(named)}}.get(how, {})
    space = {"plugins": {"values": [*named, None]}} if how == "space" else {}
    change_request(local.settings.run_dir(run_id), base, space)
    rebuild(local.settings)
    before = local.runs.claim_view(run_id)
    shown = {file.path: file.sha256 for file in before.plugins}
    for path in named:
        assert shown[path] == hashlib.sha256(Path(path).read_bytes()).hexdigest()
    Path(named[1]).write_text("changed")
    assert local.runs.claim_view(run_id).digest != before.digest
    assert trap.executed == []


@pytest.mark.parametrize("request_", [None, 5, [], {"base": 5, "space": []}, {"space": {"plugins": 5}}])
def test_a_claim_of_a_sweep_without_a_request_is_shown(local: Store, trap: Trap, request_: Any) -> None:
    run_id = trap.plant("sweep")
    path = local.settings.run_dir(run_id) / "run.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {"payload": {"request": request_, "notebook": 5}}))
    rebuild(local.settings)
    assert local.runs.claim_view(run_id).run_id == run_id


def plant_notebook(local: Store, trap: Trap, parameters: Any, language: str = "python") -> str:
    run_id = trap.plant("notebook")
    folder = local.settings.run_dir(run_id)
    cells = [nbformat.v4.new_code_cell("x = 1", metadata={"tags": ["parameters"]}), nbformat.v4.new_code_cell("x")]
    spec = {"name": "python3", "display_name": "Python 3", "language": language}
    notebook = nbformat.v4.new_notebook(cells=cells, metadata={"kernelspec": spec})
    (folder / "source.ipynb").write_text(nbformat.writes(notebook))
    info = json.loads((folder / "run.json").read_text())
    digest = hashlib.sha256((folder / "source.ipynb").read_bytes()).hexdigest()
    info["payload"] |= {"digest": digest, "parameters": parameters}
    (folder / "run.json").write_text(json.dumps(info))
    rebuild(local.settings)
    return run_id


@pytest.mark.parametrize("how", ["name", "undeclared", "language", "kind"])
def test_parameters_of_a_claimed_notebook_are_no_code(local: Store, trap: Trap, how: str) -> None:
    """papermill writes a name as it is, and quotes a value as the language that the notebook names."""
    code = trap.code("parameter").strip()
    given: dict[str, Any] = {
        "name": {f"x = 1; {code} #": 1},
        "undeclared": {"__builtins__": {}},
        "language": {"x": "\\'\";" + code + "#"},
        "kind": ["x"],
    }
    run_id = plant_notebook(local, trap, given[how], "bash" if how == "language" else "python")
    shown = local.runs.claim_view(run_id)
    assert shown.parameters == (given[how] if how != "kind" else {})
    local.runs.claim(run_id, shown.digest)
    with pytest.raises(ImgclsError):
        NotebookRun(local.settings.run_dir(run_id), 9)._papermill()
    assert trap.executed == []


def test_a_claimed_notebook_is_executed_with_its_parameters(local: Store, trap: Trap) -> None:
    run_id = plant_notebook(local, trap, {"x": 7})
    local.runs.claim(run_id, local.runs.claim_view(run_id).digest)
    folder = local.settings.run_dir(run_id)
    assert NotebookRun(folder, 9).execute() == 0
    assert nbformat.read(folder / "notebook.ipynb", as_version=4).cells[-1].outputs[0].data["text/plain"] == "7"


def test_what_another_run_begins_with_names_no_plugins_of_a_planted_one(local: Store, trap: Trap) -> None:
    run_id = trap.plant(created_at=9e9)
    folder = local.settings.run_dir(run_id)
    rebuild(local.settings)
    assert local.runs.get(run_id).config["plugins"]
    assert forms._start(local)["plugins"] == []
    assert config_form.form(local.settings, local).start["plugins"] == []
    given = str(folder / "config.json")
    with pytest.raises(ConfigError) as refused:
        read_config(given, [])
    assert refused.value.reason == "foreign_plugins"
    assert read_config(given, ["plugins=[]"]).plugins == ()
    assert read_config(given, ["plugins=/home/me/mine.py"]).plugins == ("/home/me/mine.py",)
    mine = local.runs.submit(SubmitRequest(config={**CONFIG, "plugins": ["/home/me/mine.py"]})).id
    path = local.settings.run_dir(mine) / "config.json"
    path.write_text(json.dumps(local.runs.get(mine).config))
    assert read_config(str(path), []).plugins == ("/home/me/mine.py",)
    assert trap.executed == []


@pytest.mark.parametrize("name", ["run.json", "checkpoints/loop", "plugins/other"])
def test_a_folder_with_links_that_lead_to_themselves_cannot_be_claimed(local: Store, trap: Trap, name: str) -> None:
    run_id = trap.plant()
    rebuild(local.settings)
    path = local.settings.run_dir(run_id) / name
    path.unlink(missing_ok=True)
    path.symlink_to(path.name)
    with pytest.raises(ConflictError) as refused:
        local.runs.claim(run_id)
    assert refused.value.reason == "link_outside"


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give a file to another user")
@pytest.mark.parametrize("name", ["checkpoints", "run.json", "checkpoints/a001-s00000002/model.safetensors"])
def test_nothing_in_a_claimed_folder_belongs_to_another_user(local: Store, trap: Trap, name: str) -> None:
    """A folder into which files were moved keeps the colleague as their owner."""
    run_id = trap.plant()
    rebuild(local.settings)
    os.chown(local.settings.run_dir(run_id) / name, 65534, 65534)
    with pytest.raises(ConflictError) as refused:
        local.runs.claim(run_id)
    assert refused.value.reason == "foreign_folder"
    assert local.runs.get(run_id).view_only


def test_an_export_is_not_written_through_a_planted_link(local: Store, trap: Trap, tmp_path: Path) -> None:
    folder = local.settings.run_dir(trap.plant())
    (tmp_path / "outside").mkdir()
    (folder / "exports").symlink_to(tmp_path / "outside")
    model = Model(folder / "checkpoints" / "last", TrainedBy(folder, TrainConfig.parse(CONFIG), None))
    with pytest.raises(InputError, match="is a link"):
        export(model, "hf", None)
    assert list((tmp_path / "outside").iterdir()) == []
