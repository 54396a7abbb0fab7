"""Projects as files over REST: written, downloaded, uploaded and read as tasks that can be watched and cancelled."""

from __future__ import annotations

import asyncio
import json
import os
import stat
import threading
import time
from pathlib import Path
from typing import Any

import pytest
from serving import Api, ended

from imgcls_lab import project_archive
from imgcls_lab.schemas import ConfigEdit, JobView, ProjectEdit, ProjectExport, SubmitRequest
from imgcls_lab.server import archives, downloads
from imgcls_lab.server.app import ImgclsLab
from imgcls_lab.server.archives import PIECE
from imgcls_lab.settings import Settings
from imgcls_lab.store import Store


@pytest.fixture
def project(config: dict[str, Any], store: Store) -> int:
    """A project with a run that has ended, a run that has not, and a config."""
    made = store.projects.add(ProjectEdit(name="pets & co")).id
    for name in ("first", "second"):
        run = store.runs.submit(SubmitRequest(config=config, name=name, project_id=made)).id
        (store.settings.run_dir(run) / "config.json").write_text(json.dumps(config))
    with store.database.connection() as connection:
        connection.exec_driver_sql("UPDATE runs SET state = 'succeeded' WHERE name = 'first'")
    store.configs.add(ConfigEdit(name="small", config=config, project_id=made))
    return made


async def exported(api: Api, project: int) -> Any:
    started = await api("POST", f"projects/{project}/export", {"checkpoints": "none"})
    assert started.status == 202
    return await ended(api, started.json)


async def test_a_project_is_written_downloaded_and_read_again(api: Api, project: int, settings: Settings) -> None:
    job = await exported(api, project)
    assert (job["state"], job["kind"], job["subject"], job["message"]) == ("succeeded", "export", "pets & co", "")
    assert job["done"] == job["total"] > 0
    assert (job["exported"]["runs"], len(job["exported"]["left_out"])) == (1, 1)
    (file,) = (await api("GET", "archives")).json
    path = settings.exports_dir / file["name"]
    assert (str(path), path.stat().st_size) == (job["exported"]["path"], file["size"])
    assert stat.S_IMODE(path.stat().st_mode) == 0o600

    download = await api("GET", f"archives/{file['name']}")
    assert (download.status, download.body) == (200, path.read_bytes())
    assert download.headers["Content-Disposition"] == f'attachment; filename="{file["name"]}"'

    uploaded = await api("POST", "archives?name=../pets.tar", download.body)
    assert uploaded.status == 201
    assert uploaded.json["name"].startswith("uploaded-pets-")
    started = await api("POST", "archives/import", {"archive": uploaded.json["name"], "name": "copies"})
    read = await ended(api, started.json)
    assert (read["state"], read["imported"]["project"]) == ("succeeded", "copies")
    assert (len(read["imported"]["skipped"]), read["imported"]["configs"]) == (1, ["small 2"])
    assert [one["name"] for one in (await api("GET", "archives")).json] == [file["name"]], "the upload is gone"
    assert [one["id"] for one in (await api("GET", "jobs")).json] == [read["id"], job["id"]]

    assert (await api("DELETE", f"archives/{file['name']}")).status == 204
    assert (await api("GET", f"archives/{file['name']}")).status == 404


async def test_a_damaged_upload_leaves_nothing(api: Api, settings: Settings, store: Store) -> None:
    uploaded = await api("POST", "archives?name=x.tar", b"no archive" * 100)
    job = await ended(api, (await api("POST", "archives/import", {"archive": uploaded.json["name"]})).json)
    assert (job["state"], "refused" in job["message"]) == ("failed", True)
    assert [*settings.exports_dir.iterdir()] == []
    assert [one.name for one in store.projects.list()] == ["default"]


async def test_a_file_is_named_by_an_allowed_path_alone(
    api: Api, project: int, settings: Settings, tmp_path: Path
) -> None:
    file = Path((await exported(api, project))["exported"]["path"])
    outside, inside = tmp_path / "elsewhere.tar", Path(settings.datasets_dir) / "pets.tar"
    inside.parent.mkdir(exist_ok=True)
    for copy in (outside, inside):
        copy.write_bytes(file.read_bytes())
    for path in (outside, tmp_path / "is-not-there.tar"):
        refused = await api("POST", "archives/import", {"path": str(path)})
        assert (refused.status, refused.json["problems"][0]["field"]) == (403, "path")
        assert "lies outside" in refused.json["message"]
    job = await ended(api, (await api("POST", "archives/import", {"path": str(inside)})).json)
    assert (job["state"], inside.exists()) == ("succeeded", True)
    for body in ({}, {"archive": "a.tar", "path": "b.tar"}, {"archive": "a.tar", "name": "a", "into": "b"}):
        assert (await api("POST", "archives/import", body)).status == 400
    for name in ("..", "../config.json", ".hidden.tar", "a.tar"):
        assert (await api("POST", "archives/import", {"archive": name})).status == 404
        assert (await api("GET", f"archives/{name.replace('/', '%2F')}")).status == 404


async def test_a_task_is_cancelled_and_leaves_nothing(
    api: Api, project: int, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    reached, go_on = threading.Event(), threading.Event()
    add = project_archive.Writer.add

    def slow(*args: Any) -> Any:
        reached.set()
        assert go_on.wait(30)
        return add(*args)

    monkeypatch.setattr(project_archive.Writer, "add", slow)
    job = (await api("POST", f"projects/{project}/export")).json
    assert await asyncio.to_thread(reached.wait, 30)
    assert (await api("GET", f"jobs/{job['id']}")).json["state"] == "running"
    assert len([*settings.exports_dir.iterdir()]) == 1
    assert (await api("GET", "archives")).json == [], "it has no name before it is whole"
    assert (await api("DELETE", f"jobs/{job['id']}")).status == 200
    go_on.set()
    assert (await ended(api, job))["state"] == "cancelled"
    assert [*settings.exports_dir.iterdir()] == []
    assert (await api("DELETE", f"jobs/{job['id']}")).status == 409
    assert (await api("GET", "jobs/unknown")).status == 404


async def test_what_a_killed_server_had_begun_is_removed_by_the_next_export(
    api: Api, project: int, settings: Settings
) -> None:
    settings.exports_dir.mkdir()
    left, old = settings.exports_dir / ".pets.imgcls.tar.0a0b", settings.exports_dir / "uploaded-pets-1.tar"
    for path in (left, old):
        path.write_bytes(b"half")
    os.utime(old, (1.0, 1.0))
    path = (await exported(api, project))["exported"]["path"]
    assert [str(one) for one in settings.exports_dir.iterdir()] == [path]


async def test_no_more_tasks_wait_than_there_is_room_for(api: Api, extension: ImgclsLab, project: int) -> None:
    go_on = threading.Event()

    def waits(*_: Any) -> ProjectExport:
        assert go_on.wait(30)
        raise AssertionError

    started: list[JobView] = [extension.backend.jobs.start("export", "x", waits) for _ in range(8)]
    assert (await api("POST", f"projects/{project}/export")).status == 503
    go_on.set()
    jobs = [await ended(api, job.model_dump()) for job in started]
    assert {(job["state"], "log" in job["message"]) for job in jobs} == {("failed", True)}


async def test_a_large_upload_is_written_while_it_comes(api: Api, settings: Settings) -> None:
    content = os.urandom(PIECE + 17)
    uploaded = await api("POST", "archives?name=big.tar", content)
    assert (settings.exports_dir / uploaded.json["name"]).read_bytes() == content
    assert (await api("POST", "archives?name=none.tar", b"")).status == 400
    assert len([*settings.exports_dir.iterdir()]) == 1


async def half(api: Api, port: int, verb: str, path: str, length: int = 0) -> asyncio.StreamWriter:
    """A client that has begun to send or to read a file, and does not go on."""
    reader, writer = await asyncio.open_connection("localhost", port)
    head = f"{verb} {api.base_url}imgcls/api/{path} HTTP/1.1\r\nHost: localhost\r\nContent-Length: {length}\r\n"
    writer.write((head + "".join(f"{name}: {value}\r\n" for name, value in api.headers.items()) + "\r\n").encode())
    if length:
        writer.write(b"x" * PIECE)
    else:
        assert b" 200 " in await reader.readline()
    await writer.drain()
    return writer


async def becomes(status: int, api: Api, *request: Any) -> bool:
    """Whether a request is answered so in the end."""
    deadline = time.monotonic() + 60
    while (await api(*request)).status != status:
        if time.monotonic() > deadline:
            return False
        await asyncio.sleep(0.02)
    return True


async def test_who_gives_up_a_download_leaves_its_place_to_others(
    api: Api, jp_http_port: int, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(downloads, "MAX_DOWNLOADS", 1)
    settings.exports_dir.mkdir()
    (settings.exports_dir / "big.tar").write_bytes(bytes(24 * 2**20))  # more than the buffers of both ends hold
    client = await half(api, jp_http_port, "GET", "archives/big.tar")
    assert (await api("GET", "archives/big.tar")).status == 503
    client.close()
    assert await becomes(200, api, "GET", "archives/big.tar")


async def test_who_gives_up_an_upload_leaves_its_place_to_others_and_no_file(
    api: Api, jp_http_port: int, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(archives, "MAX_UPLOADS", 1)
    client = await half(api, jp_http_port, "POST", "archives?name=half.tar", 2 * PIECE)
    assert await becomes(503, api, "POST", "archives?name=other.tar", b"it")
    client.close()
    assert await becomes(201, api, "POST", "archives?name=whole.tar", b"it")
    assert all("half" not in path.name for path in settings.exports_dir.iterdir())
