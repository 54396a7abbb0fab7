"""What the panel does, as Python: the table is complete, and the code does the same again in another home."""

from __future__ import annotations

import ast
from hashlib import sha256
from pathlib import Path
from typing import Any

import nbformat
import pytest
from serving import Api, Training

from imgcls_lab.api import context
from imgcls_lab.schemas import SubmitRequest, SweepRequest
from imgcls_lab.server.permissions import TABLE
from imgcls_lab.server.python_source import call, each, literal
from imgcls_lab.server.recorded_code import CODE, NOT_RECORDED, matched
from imgcls_lab.settings import Settings
from imgcls_lab.store import Store
from tests.registry_facts import registry

WRITES = {"POST", "PUT", "PATCH", "DELETE"}
NASTY = [
    "",
    "a",
    "it's",
    'say "x"',
    'it\'s "x"',
    "a\nb",
    "\\",
    "\\'",
    "'); import os; ('",
    "ü 鳥 🐦",
    "\u202e\u2028\x00",
    "#{}%s",
]


def test_each_request_that_writes_has_its_code_or_a_reason() -> None:
    writing = {(verb, path) for path, verbs in TABLE.items() for verb in verbs if verb in WRITES}
    assert CODE.keys() | NOT_RECORDED.keys() == writing
    assert not CODE.keys() & NOT_RECORDED.keys()
    assert all(reason.endswith(".") for reason in NOT_RECORDED.values())


@pytest.mark.parametrize(("verb", "path"), sorted(CODE))
def test_the_address_of_a_request_leads_to_its_row(verb: str, path: str) -> None:
    address = path.removeprefix("api/").replace("ID", "a%20b")
    assert matched(verb, address) == ((verb, path), ["a b"] * path.split("/").count("ID"))


@pytest.mark.parametrize("value", NASTY)
def test_a_text_stays_a_text(value: str) -> None:
    source = call("f", value, [value], name={value: (value,)})
    tree = ast.parse(str(source), mode="eval").body
    assert isinstance(tree, ast.Call)
    assert ast.literal_eval(tree.args[0]) == value
    assert ast.literal_eval(tree.args[1]) == [value]
    assert ast.literal_eval(tree.keywords[0].value) == {value: (value,)}


def test_long_calls_are_written_on_several_lines_and_mean_the_same() -> None:
    values = {f"parameter_{number}": [0.1 * number, True, None] for number in range(9)}
    assert "\n" in literal(values)
    assert ast.literal_eval(literal(values)) == values
    loop = each([call("lab.run", "a"), call("lab.run", "b")], ".stop()")
    assert [type(node) for node in ast.parse(loop).body] == [ast.For]
    assert each(["run_1"], ".stop()") == "run_1.stop()"


class Panel:
    """Sends requests as the panel does while it records: the code first."""

    def __init__(self, api: Api) -> None:
        self.api = api
        self.cells: list[str] = []
        self.variables: dict[str, str] = {}
        self.ended: list[str] = []

    async def __call__(self, verb: str, path: str, body: Any = None) -> Any:
        known = {"variables": self.variables, "ended": self.ended}
        asked = await self.api("POST", "code", {"verb": verb, "path": path, "body": body, **known})
        assert asked.status == 200, asked.body
        if verb in {"POST", "PATCH", "PUT"} and body is None:
            body = {}
        reply = await self.api(verb, path, body)
        assert reply.status < 300, (path, reply.body)
        code = asked.json
        if code["code"]:
            self.cells.append(code["code"])
            self.ended = code["ended"]
        if code["variable"]:
            several = reply.json if isinstance(reply.json, list) else []
            self.variables |= {run["id"]: f"{code['variable']}[{place}]" for place, run in enumerate(several)}
            if not several:
                self.variables[reply.json["id"]] = code["variable"]
        return reply.json if reply.body else None


@pytest.fixture
def panel(api: Api) -> Panel:
    return Panel(api)


@pytest.fixture
def other(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, settings: Settings) -> Any:
    """The store of another home, in which nothing has been done; for the API from now on."""
    monkeypatch.setenv("IMGCLS_HOME", str(tmp_path / "other"))
    monkeypatch.setenv("DATASETS_DIR", settings.datasets_dir)
    monkeypatch.setenv("IMGCLS_AUTOSTART", "0")
    yield context.store()
    context.close()


async def test_a_recording_does_the_same_in_another_home(
    panel: Panel, store: Store, config: dict[str, Any], images: Path, jp_root_dir: Path, other: Store
) -> None:
    notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell("print(1)")])
    nbformat.write(notebook, jp_root_dir / "a b.ipynb")
    flowers = await panel("POST", "projects", {"name": "flowers 'n' \"bees\"", "description": "a\nb"})
    birds = await panel("POST", "projects", {"name": "birds", "max_running": 2})
    await panel("PATCH", f"projects/{birds['id']}", {"name": "birds", "description": "new", "max_running": None})
    gone = await panel("POST", "projects", {"name": "gone"})
    await panel("DELETE", f"projects/{gone['id']}")
    data = await panel("POST", "datasets", {"name": "my pets", "root": str(images), "description": "cats"})
    await panel("PATCH", f"datasets/{data['id']}", {"name": "pets", "root": str(images), "description": "cats"})
    await panel("POST", f"datasets/{data['id']}/rescan")
    model = {"name": "tiny", "flavour": config["model_flavour"], "load_pretrained": False}
    made = await panel("POST", "models", model)
    await panel("PATCH", f"models/{made['id']}", {**model, "name": "tiny net", "description": "small"})
    saved = {"name": "slow", "config": config, "project_id": flowers["id"]}
    kept = await panel("POST", "configs", saved)
    await panel("PATCH", f"configs/{kept['id']}", {**saved, "config": {**config, "lr": 1e-5}, "name": "slower"})
    await panel("POST", f"configs/{kept['id']}/versions/1/restore")
    one, two, three = (sha256((images / f"train/cat/{n}.png").read_bytes()).hexdigest() for n in (3, 4, 5))
    await panel("POST", f"datasets/{data['id']}/revisions", {"changes": [{"image": one, "label": "dog"}]})
    mixed = [{"image": two, "excluded": True, "split": "train"}, {"image": three, "label": "dog", "why": "label_error"}]
    await panel("POST", f"datasets/{data['id']}/revisions", {"changes": mixed, "message": "it's"})
    await panel("POST", f"datasets/{data['id']}/revisions/2/undo")
    asked = {"config": {**config, "image_size": None}, "project_id": flowers["id"], "tags": ["a", "b"], "notes": "x"}
    first = await panel("POST", "runs", {**asked, "name": "first", "idempotency_key": "12345678"})
    second = await panel("POST", "runs", {"config": config, "after": [first["id"]], "name": "second", "device": "H100"})
    third = await panel("POST", "runs", {"config": {**config, "epochs": 5}, "priority": 3})
    await panel("PATCH", f"runs/{first['id']}", {"name": "the first", "remove_tags": ["b"], "add_tags": ["c"]})
    edits = [{"runs": [second["id"], third["id"]], "edit": {"project_id": birds["id"], "add_tags": ["slow"]}}]
    await panel("PATCH", "runs", {"edits": edits})
    await panel("PATCH", "runs", {"edits": edits, "dry_run": True})
    sweep = {"base": config, "space": {"lr": {"values": [1e-3, 1e-4]}, "seed": {"low": 1, "high": 3, "whole": True}}}
    grid = await panel("POST", "sweeps", {**sweep, "strategy": "random", "trials": 3, "name": "grid"})
    await panel("POST", "notebooks", {"path": "a b.ipynb", "parameters": {}, "name": "nb"})
    await panel("POST", f"runs/{grid['id']}/stop")
    await panel("POST", f"runs/{third['id']}/kill")
    await panel("POST", f"runs/{third['id']}/resume", {"config": {**config, "epochs": 5, "num_workers": 2}})
    await panel("POST", "runs/actions", {"runs": [third["id"], second["id"]], "action": "stop"})
    twins = await panel("POST", "runs/replicates", {**asked, "name": "twins", "replicates": 3})
    await panel("POST", f"runs/{twins[1]['id']}/kill")
    last = await panel("POST", "runs", {"config": config, "name": "last"})
    await panel("POST", f"runs/{last['id']}/kill")
    await panel("POST", "runs/delete", {"runs": [last["id"], first["id"]]})  # one still waits: it stays

    code = "\n".join(["import imgcls_lab as lab", *panel.cells])
    assert sum(cell.count("dry_run") for cell in panel.cells) == 0
    assert "12345678" not in code
    assert third["id"] not in code
    assert {"runs_1[1].kill()"} <= {*code.splitlines()}
    exec(compile(code, "recorded", "exec"), {})
    assert registry(other) == registry(store)
    assert {(run.name, run.state) for run in store.runs.list(limit=100).items} >= {("the first", "queued")}


async def test_a_notebook_waits_for_a_run_until_it_has_come_as_far(
    panel: Panel, store: Store, config: dict[str, Any]
) -> None:
    run = await panel("POST", "runs", {"config": config})
    training = Training(store, store.runs.get(run["id"]))
    training.points(10, 20, loss=0.5)
    await panel("POST", f"runs/{run['id']}/stop")
    assert panel.cells[-1].splitlines() == ["run_1.wait(epoch=2)", "run_1.stop()"]


async def test_all_that_a_sweep_asks_for_stands_in_its_code(api: Api, store: Store, config: dict[str, Any]) -> None:
    given = {
        "strategy": "halving", "pruner": "none", "direction": "max", "trials": 9, "epochs": 50, "eta": 4,
        "min_epochs": 2, "parallel": 2, "seed": 7, "device": "cpu", "name": "all", "notes": "n", "priority": 3,
        "metric": "macro_f1", "replicates": 3,
    }  # fmt: skip
    assert {*given} >= {*SweepRequest.model_fields} - {"base", "space", "notebook", "project_id", "idempotency_key"}
    body = {"base": config, "space": {"lr": {"low": 1e-4, "high": 1e-2, "log": True}}, **given}
    reply = await api("POST", "code", {"verb": "POST", "path": "sweeps", "body": body})
    launched = ast.parse(reply.json["code"]).body[0]
    assert isinstance(launched, ast.Assign)
    assert isinstance(launched.value, ast.Call)
    said = {each.arg: ast.literal_eval(each.value) for each in launched.value.keywords}
    budget = said.pop("budget")
    assert said | budget == given


async def test_a_change_while_a_run_trains_is_a_call(panel: Panel, store: Store, config: dict[str, Any]) -> None:
    run = store.runs.submit(SubmitRequest(config=config))
    await panel("POST", f"runs/{run.id}/changes", {"lr_factor": 0.5, "fields": {"early_stopping_patience": 4}})
    assert panel.cells == [f'lab.run("{run.id}").set(lr_factor=0.5, early_stopping_patience=4)']


async def test_a_run_from_before_is_named_by_its_id(panel: Panel, store: Store, config: dict[str, Any]) -> None:
    run = store.runs.submit(SubmitRequest(config=config))
    await panel("POST", f"runs/{run.id}/stop")
    assert panel.cells == [f'lab.run("{run.id}").stop()']


async def test_numbers_of_launches_that_are_under_way_are_not_given_again(api: Api, config: dict[str, Any]) -> None:
    body = {"verb": "POST", "path": "runs", "body": {"config": config}}
    first = await api("POST", "code", {**body, "variables": {"20260101-000000-abcdef": "run_4"}, "taken": ["run_9"]})
    assert first.json["variable"] == "run_10"
    several = {"verb": "POST", "path": "runs/replicates", "body": {"config": config, "replicates": 2}}
    held = {"20260101-000000-abcdef": "runs_2[0]", "20260101-000000-fedcba": "runs_2[1]"}
    second = await api("POST", "code", {**several, "variables": held, "taken": ["run_9", "runs_3"]})
    assert second.json["variable"] == "runs_4"
    assert (await api("POST", "code", {**body, "variables": held})).json["variable"] == "run_1"


async def test_a_search_for_where_two_runs_part_names_both(api: Api, store: Store, config: dict[str, Any]) -> None:
    one, other = (store.runs.submit(SubmitRequest(config={**config, "seed": seed})).id for seed in (1, 2))
    body = {"verb": "POST", "path": f"runs/{one}/bisection", "body": {"against": other}}
    assert (await api("POST", "code", body)).json["code"] == f'lab.run("{one}").bisect(lab.run("{other}"))'


async def test_what_is_not_recorded_has_no_code(api: Api, store: Store) -> None:
    for verb, path in (("POST", "alerts/dismiss"), ("POST", "executor/stop"), ("DELETE", "views/1")):
        reply = await api("POST", "code", {"verb": verb, "path": path, "body": {}})
        assert (reply.status, reply.json["code"]) == (200, "")
    assert store.runs.list().total == 0


async def test_wrong_questions_are_refused(api: Api, store: Store, config: dict[str, Any]) -> None:
    wrong = {
        404: [("POST", "nothing"), ("DELETE", "runs"), ("POST", "runs/20260101-000000-abcdef/stop")],
        400: [("GET", "runs"), ("POST", "")],
    }
    for status, asked in wrong.items():
        for verb, path in asked:
            reply = await api("POST", "code", {"verb": verb, "path": path, "body": {}})
            assert reply.status == status, (verb, path, reply.body)
    variables = {"20260101-000000-abcdef": "__import__('os')"}
    body = {"verb": "POST", "path": "runs", "body": {"config": config}, "variables": variables}
    assert (await api("POST", "code", body)).status == 400
    run = store.runs.submit(SubmitRequest(config=config))
    planted = {"verb": "POST", "path": f"runs/{run.id}/fork", "body": {"fields": {"x); import os; (": 1}}}
    reply = await api("POST", "code", planted)
    assert (reply.status, b"import os" in reply.body) == (400, True)
    assert (await api("POST", "code", {"verb": "DELETE", "path": "datasets/x"})).status == 404
    both = {"verb": "POST", "path": f"runs/{run.id}/retrain", "body": {"fields": {"revision": "main"}}}
    assert (await api("POST", "code", both)).status == 400
    outside = {"verb": "POST", "path": "runs", "body": {"config": {**config, "root": "/etc"}}}
    assert (await api("POST", "code", outside)).status == 403
    assert store.runs.list().total == 1
