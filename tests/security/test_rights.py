"""One team on one PostgreSQL: user x action x way.

Everybody sees, and a stranger is refused by REST, shell and Python alike. The rule itself is the store's;
`tests/store/test_store_rights.py` walks all its methods.
"""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from serving import Api
from traitlets.config import Config

import imgcls_lab as lab
from imgcls_lab.api import context
from imgcls_lab.cli import main
from imgcls_lab.errors import ForbiddenError
from imgcls_lab.events import DesiredState
from imgcls_lab.schemas import ConfigEdit, DatasetEdit, ModelEdit, ProjectEdit, SubmitRequest
from imgcls_lab.settings import Settings
from imgcls_lab.store import Store
from tests.store.old_rows import stored

WAYS = {"rest": "panel", "shell": "cli", "python": "python"}


class Action(NamedTuple):
    """One act on one entry, by each way. rest: verb, path, body; ended: the run has ended before."""

    rest: tuple[str, str, Any] | None
    shell: tuple[str, ...] | None
    python: Callable[[str], object] | None
    ended: bool = False
    members: bool = True  # whether members of the project may


ACTIONS = {
    "stop": Action(("POST", "runs/{run}/stop", {}), ("stop", "{run}"), lambda run: lab.run(run).stop()),
    "kill": Action(("POST", "runs/{run}/kill", {}), ("kill", "{run}"), lambda run: lab.run(run).kill()),
    "resume": Action(
        ("POST", "runs/{run}/resume", {}), ("resume", "{run}"), lambda run: lab.run(run).resume(), ended=True
    ),
    "priority": Action(
        ("PATCH", "runs/{run}", {"priority": 9}),
        ("edit", "{run}", "--priority", "9"),
        lambda run: lab.run(run).edit(priority=9),
    ),
    "notes": Action(
        ("PATCH", "runs/{run}", {"notes": "x"}),
        ("edit", "{run}", "--notes", "x"),
        lambda run: lab.run(run).edit(notes="x"),
    ),
    "delete": Action(
        ("DELETE", "runs/{run}", None), ("delete", "{run}", "--yes"), lambda run: lab.run(run).delete(), ended=True
    ),
    "submit into": Action(
        ("POST", "runs", {"config": "CONFIG", "project_id": "PROJECT"}),
        ("launch", "--config", "small", "--project", "pets"),
        lambda _run: lab.launch(CONFIG, project="pets"),
    ),
    "config": Action(("DELETE", "configs/{config}", None), ("configs", "rm", "small"), None),
    "config, edit": Action(
        ("PATCH", "configs/{config}", {"name": "y", "config": "CONFIG"}),
        ("configs", "edit", "small", "--name", "y"),
        None,
    ),
    "data set": Action(("DELETE", "datasets/{dataset}", None), ("datasets", "rm", "cats"), None, members=False),
    "data set, rescan": Action(
        ("POST", "datasets/{dataset}/rescan", {}), ("datasets", "rescan", "cats"), None, members=False
    ),
    "model": Action(("DELETE", "models/{model}", None), ("models", "rm", "tiny"), None, members=False),
    "project, limit": Action(
        ("PATCH", "projects/{project}", {"name": "pets", "max_running": 0}),
        ("projects", "edit", "pets", "--max-running", "0"),
        None,
    ),
    "project, join": Action(
        ("POST", "projects/{project}/members", {"user": "bob"}),
        ("projects", "members", "pets", "--add", "bob"),
        lambda _run: lab.project("pets", add=["bob"]),
        members=False,
    ),
}
CONFIG: dict[str, Any] = {}


@pytest.fixture
def url(postgres: Any) -> str:
    found: str = postgres.url()
    return found


@pytest.fixture
def jp_server_config(home: Path, url: str) -> Config:
    return Config(
        {
            "ServerApp": {"jpserver_extensions": {"imgcls_lab": True, "jupyter_server_terminals": False}},
            "Settings": {"home": str(home), "autostart": False, "db_url": url},
        }
    )


@pytest.fixture
def become(monkeypatch: pytest.MonkeyPatch, url: str, tmp_path: Path) -> Iterator[Callable[[str], None]]:
    """`become("bob")`: from here on this process is bob's, with a home of his own."""

    def other(user: str) -> None:
        context.close()
        monkeypatch.setenv("JUPYTERHUB_USER", user)
        monkeypatch.setenv("IMGCLS_HOME", str(tmp_path / user))
        monkeypatch.setenv("IMGCLS_DB_URL", url)
        monkeypatch.setenv("IMGCLS_AUTOSTART", "0")

    yield other
    context.close()
    context.come_by("python")


class Rows(NamedTuple):
    run: str
    project: int
    config: int
    dataset: int
    model: int


@pytest.fixture
def of_ada(become: Callable[[str], None], url: str, tmp_path: Path) -> Callable[[bool], Rows]:
    """Make one of everything, ada's, in a project of which carl is a member. ended: the run was called back."""
    from PIL import Image

    root = tmp_path / "home" / "datasets" / "pets"  # the server of the test may name it, whoever's it is
    for name in ("train/cat", "train/dog", "val/cat", "val/dog"):
        (root / name).mkdir(parents=True)
        Image.new("RGB", (4, 4)).save(root / name / "0.png")
    CONFIG.update(root=str(root), model_flavour="org/tiny", load_pretrained=False)

    def made(ended: bool) -> Rows:
        become("ada")
        with Store.open(Settings(), migrate=True) as store:
            project = store.projects.add(ProjectEdit(name="pets"))
            store.projects.add_member(project.id, "carl")
            run = store.runs.submit(SubmitRequest(config=CONFIG, name="of ada", project_id=project.id))
            if ended:
                store.runs.set_desired_state(run.id, DesiredState.STOP)
            return Rows(
                run.id,
                project.id,
                store.configs.add(ConfigEdit(name="small", config=CONFIG, project_id=project.id)).id,
                store.datasets.add(DatasetEdit(name="cats", root=str(root))).id,
                store.models.add(ModelEdit(name="tiny", flavour="org/tiny")).id,
            )

    return made


@pytest.fixture
def ask(api: Api, capsys: pytest.CaptureFixture[str]) -> Callable[[str, Action, Rows], Awaitable[tuple[bool, str]]]:
    """Do it by a way. Whether it was refused as somebody else's, and the sentence."""

    async def by(way: str, action: Action, rows: Rows) -> tuple[bool, str]:
        names = rows._asdict()
        if way == "rest":
            assert action.rest is not None
            verb, path, body = action.rest
            if isinstance(body, dict):
                values = {"CONFIG": CONFIG, "PROJECT": rows.project}
                body = {
                    key: values.get(value, value) if isinstance(value, str) else value for key, value in body.items()
                }
            reply = await api(verb, path.format(**names), body)
            assert reply.status in (200, 201, 204, 403), reply.body
            return reply.status == 403, reply.json["message"] if reply.status == 403 else ""
        if way == "shell":
            assert action.shell is not None
            with pytest.raises(SystemExit) as exited:
                main([word.format(**names) for word in action.shell])
            said = capsys.readouterr().err
            assert exited.value.code in (0, None, 3), said
            return exited.value.code == 3, said
        assert action.python is not None
        try:
            action.python(rows.run)
        except ForbiddenError as error:
            return True, str(error)
        return False, ""

    return by


@pytest.mark.parametrize("way", WAYS)
async def test_a_stranger_sees_and_changes_nothing(
    way: str, api: Api, become: Callable[[str], None], of_ada: Callable[[bool], Rows], ask: Any
) -> None:
    rows = of_ada(True)
    become("bob")
    settings = Settings()
    seen = (await api("GET", f"runs/{rows.run}")).json if way == "rest" else lab.run(rows.run).view.model_dump()
    assert (seen["owner"], seen["may_change"]) == ("ada", False)
    before = stored(settings)
    tried = 0
    for name, action in ACTIONS.items():
        if getattr(action, way) is None:
            continue
        refused, sentence = await ask(way, action, rows)
        assert refused, f"{way}: {name}"
        assert "ada" in sentence, f"{way}: {name}: {sentence}"
        tried += 1
    after = stored(settings)
    events = [event for event in after.pop("audit_events") if event["user"] == "bob"]
    before.pop("audit_events")
    assert after == before
    assert {(event["refused"], event["way"]) for event in events} == {(True, WAYS[way])}
    print(f"\n{way}: {tried} actions of a stranger tried, {tried} refused (target: all)")


@pytest.mark.parametrize("user", ["ada", "carl"])
@pytest.mark.parametrize(
    ("name", "way"),
    [
        (name, way)
        for name in ("stop", "resume", "priority", "delete", "submit into", "config", "project, join", "model")
        for way in WAYS
        if getattr(ACTIONS[name], way) is not None
    ],
)
async def test_owner_and_members_change(
    name: str, user: str, way: str, become: Callable[[str], None], of_ada: Callable[[bool], Rows], ask: Any
) -> None:
    action = ACTIONS[name]
    rows = of_ada(action.ended)
    become(user)
    refused, sentence = await ask(way, action, rows)
    assert refused is (user == "carl" and not action.members), sentence


async def test_no_request_names_an_owner(api: Api, become: Callable[[str], None], of_ada: Any) -> None:
    rows = of_ada(True)
    become("bob")
    bodies = {
        ("POST", "runs"): {"config": CONFIG},
        ("POST", "runs/replicates"): {"config": CONFIG, "replicates": 2},
        ("PATCH", f"runs/{rows.run}"): {"priority": 1},
        ("POST", "projects"): {"name": "p"},
        ("POST", "configs"): {"name": "c", "config": CONFIG},
        ("POST", "datasets"): {"name": "d", "root": CONFIG["root"]},
        ("POST", "models"): {"name": "m", "flavour": "org/m"},
        ("POST", "sweeps"): {"base": CONFIG, "space": {"lr": {"values": [0.1]}}},
        ("POST", "notebooks"): {"path": "x.ipynb"},
        ("POST", f"projects/{rows.project}/members"): {"user": "bob"},
    }
    for (verb, path), body in bodies.items():
        for field in ("owner", "may_change", "members"):
            reply = await api(verb, path, {**body, field: "ada"})
            assert reply.status == 400, (verb, path, field)
            assert [problem["field"] for problem in reply.json["problems"]] == [field]


async def test_lists_and_events_over_rest(api: Api, become: Callable[[str], None], of_ada: Any) -> None:
    rows = of_ada(True)
    become("bob")
    submitted = (await api("POST", "models", {"name": "m", "flavour": "org/m"})).json
    assert submitted["owner"] == "bob"
    page = (await api("GET", "runs", owner="ada")).json
    assert [run["id"] for run in page["items"]] == [rows.run]
    assert page["owners"] == ["ada"]
    assert (await api("GET", "runs", owner="bob")).json["items"] == []
    events = (await api("GET", "events", run=rows.run)).json
    assert [event["action"] for event in events] == ["stopped", "launched"]
    assert (await api("GET", "events", user="bob", limit=1)).json[0]["subject_name"] == "m"
    assert (await api("GET", "events", run="../x")).status == 404
    for path, query in {
        "events": {"before": "9" * 17}, "runs": {"owner": "a\0b"}, "info": {"user": "ada"}
    }.items():  # fmt: skip
        assert (await api("GET", path, **query)).status == 200, path
    for name in ("a%00b", "x" * 3000, "%ff", "a%2Fb"):
        assert (await api("DELETE", f"projects/{rows.project}/members/{name}")).status in (400, 403, 404), name
    for user in ("", "x" * 201, "a\0b"):
        assert (await api("POST", f"projects/{rows.project}/members", {"user": user})).status == 400
    assert (await api("GET", "info")).json["user"] == "bob"


def test_the_shell_lists_runs_of_an_owner_and_events(
    become: Callable[[str], None], of_ada: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    rows = of_ada(True)

    def shell(*words: str) -> str:
        with pytest.raises(SystemExit):
            main(words)
        return capsys.readouterr().out

    assert "owner" not in shell("runs").splitlines()[0], "one owner alone needs no column"
    become("bob")
    with Store.open(Settings()) as store:
        store.runs.submit(SubmitRequest(config=CONFIG, name="of bob"))
    table = shell("runs").splitlines()
    assert "owner" in table[0]
    assert "of bob" not in shell("runs", "--owner", "ada")
    assert [run.view.name for run in lab.runs(owner="bob")] == ["of bob"]
    assert list(lab.runs().frame()["owner"]) == ["bob", "ada"]
    events = json.loads(shell("events", "--run", rows.run, "--since", "2d", "--json"))
    assert [event["action"] for event in events] == ["stopped", "launched"]
    assert "stopped by ada" in shell("events", "--user", "ada")
    assert "No events" in shell("events", "--user", "carl")
    assert "carl" in shell("projects", "members", "pets")
