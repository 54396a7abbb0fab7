"""What a run's folder holds over REST: its files and their download, a search in its log, what its starts took."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from serving import Api, Training

from imgcls_lab.events import CheckpointSaved, EventWriter, Notice, Phase, Started, Stopped
from imgcls_lab.server import downloads
from imgcls_lab.store import Store, log_search, run_contents


async def test_files_are_listed_with_sizes_and_downloaded_whole_by_their_ids(
    api: Api, train: Callable[..., Training], monkeypatch: Any
) -> None:
    monkeypatch.setattr(downloads, "CHUNK", 1000)
    training = train()
    weights = os.urandom(4321)
    folder = training.folder / "checkpoints" / "a001-s00000001"
    folder.mkdir(parents=True)
    (folder / "model.safetensors").write_bytes(weights)
    (folder.parent / "best").symlink_to(folder.name)
    (training.folder / "owner.json").write_text("{}")
    (training.folder / "launch-001.json").write_text("{}")
    reply = (await api("GET", f"runs/{training.run.id}/files")).json
    files = {file["name"]: file for file in reply["files"]}
    name = "checkpoints/a001-s00000001/model.safetensors"
    assert (files[name]["size"], files[name]["kind"]) == (4321, "checkpoint")
    assert "events-001.jsonl" in files
    assert not {"owner.json", "launch-001.json", "checkpoints/best/model.safetensors"} & set(files)
    download = await api("GET", f"runs/{training.run.id}/files/{files[name]['id']}")
    assert (download.status, download.body) == (200, weights)
    assert download.headers["Content-Type"] == "application/octet-stream"
    assert download.headers["Content-Disposition"].startswith('attachment; filename="')
    assert download.headers["X-Content-Type-Options"] == "nosniff"


async def test_no_download_leads_out_of_the_folder_or_goes_without_a_token(
    api: Api, train: Callable[..., Training]
) -> None:
    training = train()
    secret = training.folder.parent / "secret.log"
    secret.write_text("secret")
    (training.folder / "output.log").symlink_to(secret)
    (training.folder / "reports").mkdir()
    (training.folder / "reports" / "epoch-0001.json").symlink_to(secret)
    listed = (await api("GET", f"runs/{training.run.id}/files")).json["files"]
    assert not [file["name"] for file in listed if file["name"].endswith((".log", "epoch-0001.json"))]
    for wrong in ("0" * 16, "..%2F..%2Fsecret.log", "output.log"):
        assert (await api("GET", f"runs/{training.run.id}/files/{wrong}")).status == 404
    for path in ("files", f"files/{listed[0]['id']}", "log/search", "starts", "manifest"):
        assert (await api("GET", f"runs/{training.run.id}/{path}", headers={})).status == 403


async def test_only_so_many_files_are_listed_and_sent_at_once(
    api: Api, train: Callable[..., Training], monkeypatch: Any
) -> None:
    monkeypatch.setattr(run_contents, "MAX_FILES", 2)
    training = train()
    (training.folder / "reports").mkdir()
    for number in range(4):
        (training.folder / "reports" / f"epoch-{number:04d}.json").write_text("{}")
    reply = (await api("GET", f"runs/{training.run.id}/files")).json
    assert (len(reply["files"]), reply["more"] >= 3) == (2, True)
    monkeypatch.setattr(downloads, "MAX_DOWNLOADS", 0)
    refused = await api("GET", f"runs/{training.run.id}/files/{reply['files'][0]['id']}")
    assert (refused.status, "Retry-After" in refused.headers) == (503, True)


async def test_the_whole_log_is_searched_whatever_the_case(
    api: Api, train: Callable[..., Training], monkeypatch: Any
) -> None:
    training = train()
    lines = [f"line {number}" for number in range(1, 4000)]
    lines[9] = "\x1b[31mLöss is NaN\x1b[0m"
    lines[20] = "10 %\r20 %"
    (training.folder / "output.log").write_text("\n".join(lines) + "\n")
    path = f"runs/{training.run.id}/log/search"
    found = (await api("GET", path, q="löss IS nan")).json
    assert (found["total"], found["searched"] == found["size"]) == (1, True)
    (match,) = found["matches"]
    assert (match["line"], match["text"]) == (10, "Löss is NaN")
    piece = (await api("GET", f"runs/{training.run.id}/log", offset=match["offset"], limit=30)).json
    assert piece["text"].startswith(lines[9])
    assert (await api("GET", path, q="10 %")).json["total"] == 0  # it was written over
    monkeypatch.setattr(log_search, "MAX_MATCHES", 5)
    monkeypatch.setattr(log_search, "MAX_SEARCHED", 20_000)
    newest = (await api("GET", path, q="line 3")).json
    assert [match["text"] for match in newest["matches"]][-1] == "line 3999"
    assert (len(newest["matches"]), newest["total"] > 5, newest["searched"] <= 20_000) == (5, True, True)
    assert (await api("GET", path, q=" ")).status == 400
    assert (await api("GET", path, q="x" * 201)).status == 400
    assert (await api("GET", path, q="line", node=3)).json["total"] == 0


async def test_the_phases_of_a_start_have_their_times(api: Api, train: Callable[..., Training]) -> None:
    training = train()
    (training.folder / "events-001.jsonl").unlink()
    with EventWriter(training.folder, 1) as events:
        first = events.write(Phase(name="scanning images", done=1, total=10))
        events.write(Phase(name="scanning images", done=10, total=10))
        events.write(Notice(text="one image is left out"))
        second = events.write(Phase(name="loading the model"))
        begun = events.write(
            Started(
                total_steps=1, steps_per_epoch=1, epochs=1, train_images=1, val_images=1, classes=2, device="cpu",
                precision="fp32", threads=1,
            )
        )  # fmt: skip
        events.write(Phase(name="validating"))
    with EventWriter(training.folder, 2) as events:
        events.write(Phase(name="loading the model"))
    phases = (await api("GET", f"runs/{training.run.id}/starts")).json
    assert [(phase["attempt"], phase["name"]) for phase in phases] == [
        (1, "scanning images"), (1, "loading the model"), (2, "loading the model"),
    ]  # fmt: skip
    assert (phases[0]["seconds"], phases[1]["seconds"]) == (second.t - first.t, begun.t - second.t)
    assert phases[2]["seconds"] is None


async def test_a_checkpoint_is_deleted_and_says_what_it_freed(
    api: Api, train: Callable[..., Training], store: Store
) -> None:
    training = train()
    for step, links in ((1, ()), (2, ("best",)), (3, ("last",))):
        folder = training.folder / "checkpoints" / f"a001-s{step:08d}"
        folder.mkdir(parents=True)
        (folder / "config.json").write_text("{}")
        (folder / "model.safetensors").write_bytes(b"x" * 1000)
        training.write(CheckpointSaved(step=step, epoch=1, folder=f"checkpoints/{folder.name}", links=links))
        for link in links:
            (folder.parent / link).symlink_to(folder.name)
    first, best, last = (f"runs/{training.run.id}/checkpoints/a001-s{step:08d}" for step in (1, 2, 3))
    assert (await api("DELETE", first)).status == 409  # it lives
    training.end(Stopped(step=3))
    assert [(await api("DELETE", path)).status for path in (best, last)] == [409, 409]
    place = training.folder / "checkpoints" / "a001-s00000001"
    model = (await api("POST", "models", {"name": "mine", "flavour": str(place)})).json
    assert (await api("DELETE", first)).status == 409
    await api("DELETE", f"models/{model['id']}")
    assert (await api("DELETE", first, headers={})).status == 403
    reply = await api("DELETE", first)
    assert (reply.status, reply.json) == (200, {"freed": 1002})
    assert sorted(path.name for path in place.parent.iterdir()) == [
        "a001-s00000002", "a001-s00000003", "best", "last",
    ]  # fmt: skip
    assert [item.name for item in store.runs.get(training.run.id).checkpoints] == ["a001-s00000002", "a001-s00000003"]
    assert (await api("DELETE", first)).status == 404
    assert (await api("DELETE", f"runs/{training.run.id}/checkpoints/..%2F..%2Fetc")).status == 404


async def test_what_is_long_of_a_manifest_comes_when_it_is_asked_for(api: Api, train: Callable[..., Training]) -> None:
    training = train()
    path = f"runs/{training.run.id}/manifest"
    assert (await api("GET", path)).json == {"manifest": None}
    recorded = {"seed": 0, "packages": {"numpy": "2.1"}, "git": {"commit": "c0ffee", "diff": "+one line"}}
    (training.folder / "manifest.json").write_text(json.dumps(recorded))
    assert (await api("GET", path)).json == {"manifest": recorded}
    assert (await api("GET", f"runs/{training.run.id}")).json["manifest"] == {"seed": 0}
    assert (await api("GET", "runs/20200101-000000-aaaaaa/manifest")).status == 404


def git(folder: Path, *arguments: str) -> str:
    named = ("-c", "user.name=a", "-c", "user.email=a@b", "-c", "init.defaultBranch=main")
    done = subprocess.run(["git", "-C", folder, *named, *arguments], capture_output=True, text=True, check=True)
    return done.stdout.strip()


@pytest.mark.skipif(shutil.which("git") is None, reason="git is missing")
async def test_the_code_of_two_runs_is_told_apart_by_the_repository_that_one_of_them_named(
    api: Api, train: Callable[..., Training], store: Store, tmp_path: Path
) -> None:
    place = tmp_path / "sources"
    place.mkdir()
    git(place, "init", "-q")
    commits = []
    for text in ("first\n", "second\n"):
        (place / "net.py").write_text(text)
        git(place, "add", ".")
        git(place, "commit", "-qm", text)
        commits.append(git(place, "rev-parse", "HEAD"))
    older, newer = train(), train()
    path = f"runs/{newer.run.id}/code"

    async def changes(against: str = older.run.id) -> Any:
        return (await api("GET", path, against=against)).json

    assert "recorded no commit" in (await changes())["sentence"]
    for training, commit, digest in ((older, commits[0], "aa"), (newer, commits[1], "bb")):
        state = {"commit": commit, "diff": "", "diff_cut": False, "folder": str(place)}
        code = {"imgcls_lab/events.py": digest, "imgcls_lab/errors.py": "cc"}
        (training.folder / "manifest.json").write_text(json.dumps({"git": state, "code": code}))
    found = await changes()
    assert (found["before"], found["after"], found["sentence"], found["diff_cut"]) == (*commits, "", False)
    assert "-first\n+second\n" in found["diff"]
    assert found["files"] == ["imgcls_lab/events.py"]
    assert (found["changed"], found["added"], found["removed"]) == (1, 1, 1)
    same = await changes(newer.run.id)
    assert (same["diff"], "the commit" in same["sentence"], same["files"]) == (None, True, [])
    assert (await api("GET", path)).status == 400
    assert (await api("GET", path, against="20200101-000000-aaaaaa")).status == 404

    with store.database.connection() as connection:  # what a folder from elsewhere says of this machine is not followed
        connection.exec_driver_sql("UPDATE runs SET view_only = 1")
    strange = await changes()
    assert (strange["diff"], "No repository" in strange["sentence"]) == (None, True)
