"""A project as one file: out of one home and into another, whole or not at all, whatever the file holds."""

from __future__ import annotations

import hashlib
import io
import json
import os
import signal
import subprocess
import sys
import tarfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from store_steps import checkpoint, claim, epoch, feed, finish, points, started

from imgcls_lab import project_archive
from imgcls_lab.errors import ConflictError, DiskFullError, ImgclsError, InputError
from imgcls_lab.events import Finished, RunState
from imgcls_lab.project_archive import CONTENTS
from imgcls_lab.schemas import ConfigEdit, ListView, ProjectEdit, RunEdit, SavedViewEdit, SubmitRequest
from imgcls_lab.settings import Settings
from imgcls_lab.store import Store, imported_folders, project_imports
from imgcls_lab.store.project_imports import IMPORTS

CONFIG = {"root": "/data/digits", "model_flavour": "tiny", "epochs": 3}
WEIGHTS = bytes(range(256)) * 40
RUN = "20260101-000000-aaaaaa"


@pytest.fixture
def sqlite_home(tmp_path: Path) -> Callable[[str], Store]:
    return lambda name: Store.open(Settings(home=str(tmp_path / name)), migrate=True)


def trained(store: Store, project: int, name: str, best: float) -> str:
    run = store.runs.submit(SubmitRequest(config=CONFIG, name=name, project_id=project, tags=["x"], notes="why"))
    claim(store)
    saved = [checkpoint(store, run.id, 1, step, *links) for step, links in ((10, ("best",)), (20, ("last",)))]
    folder = store.settings.run_dir(run.id)
    for one in saved:
        (folder / one.folder / "model.safetensors").write_bytes(WEIGHTS + one.folder.encode())
    for link, one in zip(("best", "last"), saved, strict=True):
        os.symlink(Path(one.folder).name, folder / "checkpoints" / link)
    events = (started(total=20), *points(1, 10), epoch(1, best), saved[0], *points(11, 20), epoch(2, best / 2, False))
    feed(store, run.id, 1, *events, saved[1], Finished(step=20, best_epoch=1, values={}))
    (folder / "heartbeat").write_text("7")
    (folder / "config.json").write_text(json.dumps(CONFIG))
    finish(store, run.id, 1, RunState.SUCCEEDED)
    (folder / "exit-001.json").write_text(json.dumps({"exit_code": 0, "ended_at": 1_800_000_000.0}))
    return run.id


@pytest.fixture
def source(sqlite_home: Callable[[str], Store]) -> Store:
    """A home with a project of two runs, a config of two versions, and a view."""
    store = sqlite_home("source")
    pets = store.projects.add(ProjectEdit(name="pets", description="cats and dogs"))
    trained(store, pets.id, "low", 0.5)
    hidden = trained(store, pets.id, "high", 0.9)
    store.runs.edit(hidden, RunEdit(archived=True))
    store.runs.submit(SubmitRequest(config=CONFIG, name="waits", project_id=pets.id))
    made = store.configs.add(ConfigEdit(name="small", config=CONFIG, project_id=pets.id))
    store.configs.edit(made.id, ConfigEdit(name="small", config={**CONFIG, "lr": 1e-3}))
    store.views.save(SavedViewEdit(name="good", view=ListView(where="project=pets best>0.7")))
    store.views.save(SavedViewEdit(name="other", view=ListView(where="best>0.7")))
    return store


@pytest.fixture
def archive(source: Store, tmp_path: Path) -> Path:
    path = tmp_path / "pets.tar"
    source.project_exports.write(source.projects.find("pets").id, path, checkpoints="all")
    return path


def state(store: Store) -> dict[str, Any]:
    """All that an import could have left."""
    home = store.settings.home_path
    runs = store.settings.runs_dir
    return {
        "runs": sorted(run.id for run in store.runs.list(where="archived=any").items),
        "folders": sorted(path.name for path in runs.iterdir()),
        "projects": [project.name for project in store.projects.list()],
        "configs": [config.name for config in store.configs.list()],
        "views": [view.name for view in store.views.list()],
        "imports": sorted(path.name for path in (home / IMPORTS).glob("*/")),
    }


# ── round trip ──────────────────────────────────────────────────────────────────────────────────────────────────
def test_a_project_comes_out_of_its_file_as_it_was(
    source: Store, archive: Path, sqlite_home: Callable[[str], Store]
) -> None:
    assert archive.stat().st_mode & 0o777 == 0o600
    target = sqlite_home("target")
    seen: list[tuple[int, int]] = []
    done = target.project_imports.read(archive, progress=lambda *now: seen.append(now))
    assert (done.project, len(done.runs), done.configs, done.views, done.skipped) == (
        "pets",
        2,
        ["small"],
        ["good"],
        [],
    )
    assert seen[-1][0] == seen[-1][1] > 2 * len(WEIGHTS)

    for run_id in done.runs:
        before, after = source.runs.get(run_id), target.runs.get(run_id)
        for name in ("name", "notes", "tags", "archived", "state", "best", "config", "step", "created_at", "latest"):
            assert getattr(after, name) == getattr(before, name), name
        assert (after.project, after.view_only, after.owner) == ("pets", True, target.database.actor.user)
        curves = [store.metrics.series([run_id], None, max_points=10**6).series for store in (source, target)]
        assert [one.model_dump(exclude={"time"}) for one in curves[0]] == [
            one.model_dump(exclude={"time"}) for one in curves[1]
        ]
        assert curves[0]
        folders = [store.settings.run_dir(run_id) for store in (source, target)]
        for link in ("best", "last"):
            contents = [(folder / "checkpoints" / link / "model.safetensors").read_bytes() for folder in folders]
            assert contents[0] == contents[1]
            assert os.readlink(folders[1] / "checkpoints" / link) == os.readlink(folders[0] / "checkpoints" / link)
        assert not (folders[1] / "heartbeat").exists()
        assert {path.stat().st_mode & 0o077 for path in folders[1].rglob("*") if not path.is_symlink()} == {0}
    page, as_it_was = (s.project_pages.detail(s.projects.find("pets").id) for s in (target, source))
    assert [run.name for run in page.best] == [run.name for run in as_it_was.best] == ["low"]
    assert page.project.description == "cats and dogs"
    versions = [store.configs.versions(store.configs.find("small").id) for store in (source, target)]
    assert [one.config for one in versions[0]] == [one.config for one in versions[1]]
    assert state(target)["imports"] == []


def test_what_is_there_already_is_skipped_or_gets_another_name(source: Store, archive: Path) -> None:
    runs = state(source)["runs"]
    again = source.project_imports.read(archive)
    assert (again.runs, len(again.skipped)) == ([], 2)
    assert (again.project, again.configs, again.views) == ("pets 2", ["small 2"], ["good 2"])
    assert len(again.renamed) == 3
    view = next(view for view in source.views.list() if view.name == "good 2")
    assert view.view.where == 'project="pets 2" best>0.7'
    assert state(source)["runs"] == runs
    with pytest.raises(ConflictError):
        source.project_imports.read(archive, name="pets")
    into = source.project_imports.read(archive, into="pets")
    assert (into.project, into.configs) == ("pets", ["small 3"])
    with pytest.raises(InputError):
        source.project_imports.read(archive, into="nobody")


def test_best_checkpoints_or_none_go_along(source: Store, tmp_path: Path) -> None:
    project = source.projects.find("pets").id
    saved = {}
    for kept in ("all", "best", "none"):
        out = tmp_path / f"{kept}.tar"
        done = source.project_exports.write(project, out, checkpoints=kept)
        assert [text for text in done.left_out if "waits" in text] == done.left_out != []
        with project_archive.opened(out) as reader:
            files = [file.path for run in reader.contents.runs for file in run.files]
            saved[kept] = sum(path.startswith("checkpoints/") for path in files)
            links = {link for run in reader.contents.runs for link in run.links}
            assert links == {"all": {"best", "last"}, "best": {"best"}, "none": set()}[kept]
    assert saved == {"all": 4, "best": 2, "none": 0}
    with pytest.raises(ConflictError):
        source.project_exports.write(project, tmp_path / "all.tar")


# ── attacks ─────────────────────────────────────────────────────────────────────────────────────────────────────
def contents(**part: Any) -> dict[str, Any]:
    return {"format": 1, "created_at": 1.0, "project": {"name": "evil"}, "runs": [], **part}


def a_file(path: str, data: bytes = b"{}", **part: Any) -> dict[str, Any]:
    return {"path": path, "size": len(data), "sha256": hashlib.sha256(data).hexdigest(), **part}


def a_run(*files: dict[str, Any], **part: Any) -> dict[str, Any]:
    return {"id": RUN, "name": "evil", "files": [a_file("config.json"), *files], **part}


def member(name: str, data: bytes = b"{}", **part: Any) -> tuple[tarfile.TarInfo, bytes]:
    header = tarfile.TarInfo(name)
    header.size = len(data)
    for key, value in part.items():
        setattr(header, key, value)
    return header, data


def write_tar(path: Path, about: Any, *members: tuple[tarfile.TarInfo, bytes]) -> Path:
    with tarfile.open(path, "w", format=tarfile.PAX_FORMAT) as tar:
        for header, data in members:
            tar.addfile(header, io.BytesIO(data))
        text = about if isinstance(about, bytes) else json.dumps(about).encode()
        tar.addfile(member(CONTENTS, text)[0], io.BytesIO(text))
    return path


def in_run(path: str, data: bytes = b"{}", **part: Any) -> tuple[tarfile.TarInfo, bytes]:
    return member(f"runs/{RUN}/{path}", data, **part)


OUT, ROOT = "../../../escaped", "/tmp/escaped"
PIECES = {"GNU.sparse.major": "1", "GNU.sparse.realsize": str(10**9)}
ATTACKS: dict[str, tuple[Any, list[tuple[tarfile.TarInfo, bytes]]]] = {
    "a path out of the folder": (
        contents(runs=[a_run(a_file(OUT))]), [in_run("config.json"), in_run(OUT)]
    ),
    "an absolute path": (contents(runs=[a_run(a_file(ROOT))]), [in_run("config.json"), in_run(ROOT)]),
    "a file beside the runs": (contents(runs=[a_run()]), [in_run("config.json"), member("../escaped")]),
    "a backslash": (contents(runs=[a_run(a_file("a\\b"))]), [in_run("config.json"), in_run("a\\b")]),
    "a name with a line break": (contents(runs=[a_run(a_file("a\nb"))]), [in_run("config.json"), in_run("a\nb")]),
    "an id that is none": (
        contents(runs=[{**a_run(), "id": "../../x"}]), [member("runs/../../x/config.json")]
    ),
    "a symbolic link": (
        contents(runs=[a_run()]), [in_run("config.json"), in_run("x", b"", type=tarfile.SYMTYPE, linkname="/etc")]
    ),
    "a hard link": (
        contents(runs=[a_run()]), [in_run("config.json"), in_run("x", b"", type=tarfile.LNKTYPE, linkname="/etc")]
    ),
    "a device": (contents(runs=[a_run()]), [in_run("config.json"), in_run("x", b"", type=tarfile.CHRTYPE)]),
    "a pipe": (contents(runs=[a_run()]), [in_run("config.json"), in_run("x", b"", type=tarfile.FIFOTYPE)]),
    "a folder": (contents(runs=[a_run()]), [in_run("config.json"), in_run("x", b"", type=tarfile.DIRTYPE)]),
    "a sparse file": (
        contents(runs=[a_run(a_file("x", b"", size=10**9))]),
        [in_run("config.json"), in_run("x", b"", pax_headers=PIECES)],
    ),
    "a name that is there twice": (
        contents(runs=[a_run()]), [in_run("config.json"), in_run("config.json", b'{"a": 1}')]
    ),
    "a file that is a folder, too": (
        contents(runs=[a_run(a_file("x"), a_file("x/y"))]), [in_run("config.json"), in_run("x"), in_run("x/y")]
    ),
    "a file that nobody named": (contents(runs=[a_run()]), [in_run("config.json"), in_run("more")]),
    "a file that is missing": (contents(runs=[a_run(a_file("more"))]), [in_run("config.json")]),
    "a size that is another": (
        contents(runs=[a_run(a_file("x", size=1))]), [in_run("config.json"), in_run("x", b"0" * 1000)]
    ),
    "a hash that is another": (
        contents(runs=[a_run(a_file("x", sha256="0" * 64))]), [in_run("config.json"), in_run("x")]
    ),
    "what a daemon acts on": (
        contents(runs=[a_run(a_file("owner.json"))]), [in_run("config.json"), in_run("owner.json")]
    ),
    "a link out of the checkpoints": (contents(runs=[a_run(links={"best": "../../.."})]), [in_run("config.json")]),
    "a link with a path": (
        contents(runs=[a_run(a_file("checkpoints/a/m"), links={"../x": "a"})]),
        [in_run("config.json"), in_run("checkpoints/a/m")],
    ),
    "no config": (contents(runs=[{**a_run(), "files": []}]), []),
    "a config that is none": (
        contents(runs=[{**a_run(), "files": [a_file("config.json", b"[1]")]}]), [in_run("config.json", b"[1]")]
    ),
    "a saved config that is none": (
        contents(configs=[{"name": "c", "versions": [{"created_at": 1.0, "config": {"lr": -1}}]}]), []
    ),
    "another format": ({**contents(), "format": 99}, []),
    "contents that are no JSON": (b"\x80\x04.", []),
    "contents that are nested deep": (b"[" * 100_000, []),
    "contents of another kind": (contents(runs="all"), []),
}  # fmt: skip


@pytest.mark.parametrize("attack", ATTACKS)
def test_a_hostile_file_is_refused_and_leaves_nothing(attack: str, sqlite: Store, tmp_path: Path) -> None:
    about, members = ATTACKS[attack]
    path = write_tar(tmp_path / "evil.tar", about, *members)
    before, around = state(sqlite), sorted(tmp_path.iterdir())
    with pytest.raises(ImgclsError) as refused:
        sqlite.project_imports.read(path)
    assert isinstance(refused.value, InputError), refused.value
    assert state(sqlite) == before
    assert sorted(tmp_path.iterdir()) == around
    assert not Path(ROOT).exists()


def test_what_a_record_claims_of_its_run_is_not_believed(sqlite: Store, tmp_path: Path) -> None:
    config = json.dumps({**CONFIG, "plugins": ["/evil.py"]}).encode()
    info = json.dumps(
        {"id": RUN, "kind": ["train"], "name": "n" * 5000, "owner": "root", "signature": "x", "python": "/evil"}
        | {
            "row": {
                "owner": "root",
                "state": "queued",
                "external": True,
                "tags": ["ok", "\x1b[31m"],
                "view_only": False,
                "lineage": "../..",
                "fork_epoch": 10**400,
            },
            "created_at": 10**400,
        }
    ).encode()
    run = {"id": RUN, "name": "evil", "files": [a_file("config.json", config), a_file("run.json", info)]}
    saved = {"name": "c", "versions": [{"created_at": 1.0, "config": {**CONFIG, "plugins": ["/evil.py"]}}]}
    members = [in_run("config.json", config), in_run("run.json", info)]
    path = write_tar(tmp_path / "a.tar", contents(runs=[run], configs=[saved]), *members)
    done = sqlite.project_imports.read(path)
    made = sqlite.runs.get(done.runs[0])
    assert (made.view_only, made.owner, made.tags, len(made.name)) == (True, sqlite.database.actor.user, ["ok"], 200)
    assert made.state in (RunState.STOPPED, RunState.FAILED)
    assert sqlite.configs.find("c").config["plugins"] == []


def test_damaged_files_are_refused(sqlite: Store, archive: Path, tmp_path: Path) -> None:
    whole = archive.read_bytes()
    before = state(sqlite)
    middle = whole.index(WEIGHTS) + 5
    for number, data in enumerate(
        (b"", b"no archive", whole[: len(whole) // 2], whole[:middle] + b"X" + whole[middle + 1 :], whole[:-20_000])
    ):
        path = tmp_path / f"{number}.tar"
        path.write_bytes(data)
        with pytest.raises(InputError):
            sqlite.project_imports.read(path)
        assert state(sqlite) == before
    for path in (tmp_path / "none.tar", tmp_path):
        with pytest.raises(InputError):
            sqlite.project_imports.read(path)


def test_headers_that_make_one_read_much_are_refused(sqlite: Store, tmp_path: Path) -> None:
    long = member("x", b"")[0]
    path = tmp_path / "long.tar"
    with tarfile.open(path, "w", format=tarfile.PAX_FORMAT) as tar:
        long.pax_headers = {"comment": "x" * 3_000_000}
        tar.addfile(long)
    with pytest.raises(InputError, match="too long"):
        sqlite.project_imports.read(path)


def test_more_than_an_archive_may_hold_is_refused(
    sqlite: Store, archive: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = state(sqlite)
    for name, value in (("MAX_FILES", 3), ("MAX_BYTES", 1000)):
        with monkeypatch.context() as patch:
            patch.setattr(project_archive, name, value)
            with pytest.raises(InputError):
                sqlite.project_imports.read(archive)
    monkeypatch.setattr(project_archive, "SPARE", 10**18)
    with pytest.raises(DiskFullError):
        sqlite.project_imports.read(archive)
    assert state(sqlite) == before


# ── cut off ─────────────────────────────────────────────────────────────────────────────────────────────────────
def test_an_import_that_fails_is_undone(sqlite: Store, archive: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    before = state(sqlite)

    def fail(*_: Any) -> list[str]:
        raise RuntimeError("cut off")

    monkeypatch.setattr(project_imports, "add_views", fail)
    with pytest.raises(RuntimeError):
        sqlite.project_imports.read(archive)
    assert state(sqlite) == before
    monkeypatch.undo()
    assert len(sqlite.project_imports.read(archive).runs) == 2, "what was undone can be imported"


def test_an_import_that_goes_on_is_left_alone(sqlite: Store, archive: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    real = imported_folders.plain_info
    looked: list[list[str]] = []

    def look(*args: Any) -> dict[str, Any]:
        with Store.open(sqlite.settings) as other:
            other.project_imports.undo_unfinished()
        looked.append(state(sqlite)["imports"])
        return real(*args)

    monkeypatch.setattr(project_imports, "plain_info", look)
    assert len(sqlite.project_imports.read(archive).runs) == 2
    assert [len(folders) for folders in looked] == [1, 1]


KILLED = """
import os, signal, sys
from pathlib import Path
from imgcls_lab.settings import Settings
from imgcls_lab.store import Store, imported_folders, project_imports

home, archive, where, after = sys.argv[1:]
real, calls = getattr(project_imports, where), 0

def killing(*args, **kwargs):
    global calls
    calls += 1
    if calls > int(after):
        os.kill(os.getpid(), signal.SIGKILL)
    return real(*args, **kwargs)

setattr(project_imports, where, killing)
with Store.open(Settings(home=home)) as store:
    store.project_imports.read(Path(archive))
"""


@pytest.mark.parametrize(
    ("where", "after"),
    [("plain_info", 1), ("index_folder", 0), ("index_folder", 1), ("add_entries", 0), ("ProjectImport", 0)],
)
def test_a_killed_import_is_undone_by_the_next(sqlite: Store, archive: Path, where: str, after: int) -> None:
    before = state(sqlite)
    command = [sys.executable, "-c", KILLED, sqlite.settings.home, str(archive), where, str(after)]
    killed = subprocess.run(command, capture_output=True, timeout=120, check=False)
    assert killed.returncode == -signal.SIGKILL, killed.stderr.decode()
    assert state(sqlite) != before, "it was killed too early to leave anything"
    sqlite.project_imports.undo_unfinished()
    assert state(sqlite) == before
    assert len(sqlite.project_imports.read(archive).runs) == 2
