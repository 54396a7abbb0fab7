"""What the authorizer is asked: a route asks for all that it does, and none can be added without saying so."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any, ClassVar

import nbformat
import pytest
from jupyter_server.auth import Authorizer
from serving import Api
from tornado.httpclient import HTTPClientError
from traitlets.config import Config

from imgcls_lab.events import DesiredState
from imgcls_lab.schemas import SubmitRequest
from imgcls_lab.server import permissions
from imgcls_lab.server.app import ImgclsLab
from imgcls_lab.server.handlers import ApiHandler
from imgcls_lab.server.permissions import CODE, CONTENTS, READ, SESSIONS, TABLE, WRITE, Permission, permitted, route
from imgcls_lab.settings import Settings
from imgcls_lab.store import Store

RUN = "20260101-000000-abcdef"


class Denying(Authorizer):
    """Allows everything but one permission, and remembers what it was asked."""

    denied: ClassVar[Permission | None] = None
    asked: ClassVar[set[Permission]] = set()

    def is_authorized(self, handler: Any, user: Any, action: str, resource: str) -> bool:
        self.asked.add(Permission(action, resource))
        return Permission(action, resource) != Denying.denied


@pytest.fixture
def jp_server_config(jp_server_config: Config) -> Config:
    jp_server_config.ServerApp.authorizer_class = Denying
    return jp_server_config


@pytest.fixture
def deny(monkeypatch: pytest.MonkeyPatch) -> Callable[[Permission], None]:
    def deny(permission: Permission) -> None:
        monkeypatch.setattr(Denying, "denied", permission)
        Denying.asked.clear()

    return deny


def address(path: str) -> str:
    run = path.startswith(("api/runs", "api/sweeps"))
    return "/imgcls/" + path.replace("ID", RUN if run else "1").replace("PATH", "data")


async def test_every_route_is_refused_where_one_of_its_permissions_is_denied(
    api: Api, extension: ImgclsLab, store: Store, deny: Any, jp_ws_fetch: Any
) -> None:
    checked = 0
    for path, verbs in TABLE.items():
        for verb, needs in verbs.items():
            for denied in needs.always:
                deny(denied)
                if path == "api/stream":
                    with pytest.raises(HTTPClientError, match="403"):
                        await jp_ws_fetch("imgcls", "api", "stream")
                else:
                    body = {} if verb in {"POST", "PATCH", "PUT"} else None
                    assert (await api(verb, address(path), body)).status == 403, (verb, path, denied)
                assert denied in Denying.asked <= {*needs.always, *needs.depending}
                checked += 1
    print(f"{checked} routes, verbs and permissions: each refused where the permission is denied")
    assert checked == sum(len(needs.always) for verbs in TABLE.values() for needs in verbs.values())
    assert store.runs.list().total == 0


def test_the_table_and_the_routes_of_the_app_are_the_same(extension: ImgclsLab) -> None:
    served = {}
    for pattern, _, arguments in extension.handlers:
        path = pattern.removeprefix("imgcls/").replace("([^/]+)", "ID").replace("(.*)", "PATH")
        served[path] = arguments["needs"]
    assert served == TABLE


# a config is too long for an address; nothing is changed
ASKS_BY_POST = {"api/datasets/ID/versions", "api/runs/ID/fork/preview", "api/code"}


def test_what_is_written_needs_more_than_reading_and_the_reverse() -> None:
    for path, verbs in TABLE.items():
        for verb, needs in verbs.items():
            reads = verb in {"GET", "HEAD"} or path.startswith("tensorboard/") or path in ASKS_BY_POST
            assert (READ if reads else WRITE) in needs.always, (verb, path)


class TestARouteThatTheTableDoesNotKnow:
    def test_it_cannot_be_made(self) -> None:
        class New(ApiHandler):
            @permitted
            async def get(self) -> None: ...

        with pytest.raises(TypeError, match="api/new"):
            route("api/new", New)

    def test_nor_a_verb_that_it_does_not_list(self) -> None:
        class Info(ApiHandler):
            @permitted
            async def get(self) -> None: ...

            @permitted
            async def delete(self) -> None: ...

        with pytest.raises(TypeError, match="DELETE"):
            route("api/info", Info)

    def test_nor_one_that_is_not_decorated(self) -> None:
        class Info(ApiHandler):
            async def get(self) -> None: ...

        with pytest.raises(TypeError, match="not decorated"):
            route("api/info", Info)

    async def test_nor_is_a_permission_asked_that_stands_in_no_row(
        self, api: Api, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setitem(TABLE["api/runs"], "POST", permissions.Needs((WRITE,)))
        reply = await api("POST", "runs", {"config": {"plugins": ["x.py"]}})
        assert reply.status == 500  # a mistake in this program, which the log names


@pytest.fixture
def notebook(jp_root_dir: Path) -> str:
    made = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell("print(1)")])
    nbformat.write(made, jp_root_dir / "a.ipynb")
    return "a.ipynb"


@pytest.mark.parametrize("denied", [*CODE, CONTENTS])
async def test_no_notebook_is_executed_by_who_may_not_execute_or_read_it(
    api: Api, store: Store, notebook: str, deny: Any, denied: Permission
) -> None:
    deny(denied)
    sweep = {"notebook": notebook, "space": {"x": {"values": [1]}}, "base": {}}
    assert (await api("POST", "notebooks", {"path": notebook})).status == 403
    assert (await api("POST", "sweeps", sweep)).status == 403
    assert store.runs.list().total == 0


@pytest.mark.parametrize("denied", CODE)
async def test_no_run_of_code_is_queued_again_by_who_may_not_execute(
    api: Api, store: Store, notebook: str, deny: Any, denied: Permission
) -> None:
    made = (await api("POST", "notebooks", {"path": notebook})).json["id"]
    await api("POST", f"runs/{made}/stop")
    deny(denied)
    assert (await api("POST", f"runs/{made}/resume")).status == 403
    assert store.runs.get(made).state == "cancelled"
    deny(CONTENTS)
    assert (await api("POST", f"runs/{made}/resume")).status == 200


class TestPlugins:
    @pytest.fixture
    def jp_server_config(self, jp_server_config: Config) -> Config:
        jp_server_config.Settings.allow_plugins = True
        return jp_server_config

    async def test_they_are_code(
        self, api: Api, store: Store, settings: Settings, config: dict[str, Any], deny: Any
    ) -> None:
        plugin = Path(settings.datasets_dir) / "plugin.py"
        plugin.write_text("")
        deny(CODE[1])
        named = {**config, "plugins": [str(plugin)]}
        space = {"plugins": {"values": [str(plugin)]}}
        assert (await api("POST", "runs", {"config": named})).status == 403
        assert (await api("POST", "runs/replicates", {"config": named, "replicates": 2})).status == 403
        assert (await api("POST", "sweeps", {"base": named, "space": {"seed": {"values": [1]}}})).status == 403
        assert (await api("POST", "sweeps", {"base": config, "space": space})).status == 403
        assert (await api("POST", "runs", {"config": config})).status == 201
        run = store.runs.submit(SubmitRequest(config=named))
        store.runs.set_desired_state(run.id, DesiredState.STOP)
        assert (await api("POST", f"runs/{run.id}/resume")).status == 403


async def test_who_may_not_read_sessions_sees_no_notebook_of_a_kernel(
    api: Api, extension: ImgclsLab, deny: Any, jp_ws_fetch: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    from imgcls_lab.schemas import DevicesReply, DeviceView, HolderView

    held = HolderView.model_construct(pid=1, notebook="secret.ipynb", run_id=None)
    device = DeviceView.model_construct(id="cuda:0", host="here", gpu_processes=[held])
    reply = DevicesReply.model_construct(executors=[], devices=[device], message=None, warm_memory=None)
    monkeypatch.setattr(extension.backend.kernels, "devices", lambda _store: reply)

    async def streamed() -> str:
        socket = await jp_ws_fetch("imgcls", "api", "stream")
        await socket.write_message(json.dumps({"op": "subscribe", "id": 1, "topic": {"kind": "devices"}}))
        text = str(await socket.read_message())
        socket.close()
        return text

    for denied, seen in ((CONTENTS, True), (SESSIONS, False)):
        deny(denied)
        assert ("secret.ipynb" in (await api("GET", "devices")).body.decode()) is seen
        assert ("secret.ipynb" in await streamed()) is seen


class TestHiddenFiles:
    PLACES = (
        ".secret.ipynb",
        ".hidden/a.ipynb",
        ".ipynb_checkpoints/a-checkpoint.ipynb",
        "link.ipynb",
        "x/../.secret.ipynb",
    )

    @pytest.fixture(autouse=True)
    def files(self, jp_root_dir: Path, notebook: str) -> None:
        text = (jp_root_dir / notebook).read_text()
        for name in self.PLACES[:3]:
            (jp_root_dir / name).parent.mkdir(exist_ok=True)
            (jp_root_dir / name).write_text(text)
        (jp_root_dir / "x").mkdir()
        (jp_root_dir / "link.ipynb").symlink_to(jp_root_dir / ".hidden" / "a.ipynb")

    async def test_they_are_refused_as_jupyters_contents_refuse_them(
        self, api: Api, store: Store, jp_root_dir: Path
    ) -> None:
        for name in (*self.PLACES, ".not-there.ipynb", str(jp_root_dir / ".secret.ipynb")):
            assert (await api("GET", f"notebooks?path={name}")).status == 404, name
            assert (await api("POST", "notebooks", {"path": name})).status == 404, name
            sweep = {"notebook": name, "space": {"x": {"values": [1]}}, "base": {}}
            assert (await api("POST", "sweeps", sweep)).status == 404, name
        assert store.runs.list().total == 0
        assert (await api("GET", "notebooks?path=a.ipynb")).status == 200

    async def test_and_shown_where_they_show_them(self, api: Api, jp_serverapp: Any) -> None:
        jp_serverapp.contents_manager.allow_hidden = True
        assert (await api("GET", "notebooks?path=.secret.ipynb")).status == 200
