"""Connection, pragmas, migrations, backup, network file systems, locks, forks."""

from __future__ import annotations

import os
import sqlite3
import stat
import subprocess
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from sqlalchemy import text

from imgcls_lab.errors import ConflictError, InputError, StoreError
from imgcls_lab.settings import Settings
from imgcls_lab.store import Store, backups, migrate, migrations
from imgcls_lab.store import database as db
from imgcls_lab.store.tables import metadata


@pytest.mark.parametrize(
    "given",
    ["postgres://u:p@h/n", "postgresql://u:p@h/n", "postgresql+psycopg2://u:p@h/n", "postgresql+psycopg://u:p@h/n"],
)
def test_every_spelling_of_postgresql_means_psycopg_3(given: str):
    assert db.parse_url(given).drivername == "postgresql+psycopg"


@pytest.mark.parametrize("given", ["mysql://h/n", "sqlite://", "nonsense", "sqlite:///:memory:"])
def test_other_databases_are_refused_with_a_sentence(given: str):
    with pytest.raises(InputError, match=r"PostgreSQL|postgresql"):
        db.parse_url(given)


def test_the_password_is_in_no_message(home: Path):
    settings = Settings(home=str(home), db_url="postgresql://lab:secret-word@127.0.0.1:1/lab")
    with pytest.raises(StoreError) as caught:
        Store.open(settings)
    assert "secret-word" not in str(caught.value)
    assert "127.0.0.1" in str(caught.value)


@pytest.mark.parametrize(
    ("version", "safe"),
    [
        ((3, 40, 1), False),
        ((3, 51, 2), False),
        ((3, 51, 3), True),
        ((3, 44, 6), True),
        ((3, 50, 7), True),
        ((3, 50, 6), False),
    ],
)
def test_wal_is_used_on_versions_without_its_bug_only(version: tuple[int, int, int], safe: bool):
    assert db.wal_is_safe(version) is safe


def test_the_journal_is_what_the_rule_says(sqlite: Store):
    with sqlite.database.read() as session:
        mode = session.execute(text("PRAGMA journal_mode")).scalar_one()
        timeout = session.execute(text("PRAGMA busy_timeout")).scalar_one()
    assert mode == ("wal" if db.wal_is_safe(sqlite3.sqlite_version_info) else "delete")
    assert timeout == 30_000


def test_a_network_file_system_is_refused_and_names_postgresql(home: Path, monkeypatch: pytest.MonkeyPatch):
    mounts = f"/dev/vda / ext4 rw 0 0\nserver:/x {home} nfs4 rw 0 0\n"
    assert db.network_filesystem(home / "a", mounts) == "nfs4"
    assert db.network_filesystem(home.parent, mounts) is None
    assert db.network_filesystem(Path("/m/x"), "x / ext4 rw\ny /m fuse.sshfs rw\n") == "fuse.sshfs"
    assert db.network_filesystem(Path("/m x/y"), "x / ext4 rw\ny /m\\040x cifs rw\n") == "cifs"
    monkeypatch.setattr(db, "network_filesystem", lambda _: "nfs4")
    with pytest.raises(StoreError, match="PostgreSQL"):
        Store.open(Settings(home=str(home)), migrate=True)


def test_only_who_may_migrate_makes_tables(settings: Settings):
    with pytest.raises(StoreError, match="db migrate"):
        Store.open(settings)
    assert migrate(settings) is True
    assert migrate(settings) is False
    Store.open(settings).close()


def test_tables_are_as_the_classes_say_and_foreign_ones_are_left_alone(store: Store):
    from alembic.autogenerate import compare_metadata
    from alembic.runtime.migration import MigrationContext

    with store.database.connection() as connection:
        connection.execute(text("CREATE TABLE optuna_trials (id INTEGER)"))
        options = {
            "version_table": migrations.VERSION_TABLE,
            # an index with a direction is not read back by SQLAlchemy
            "include_object": lambda _o, name, kind, *_: (
                name in metadata.tables if kind == "table" else name != "ix_runs_queue"
            ),
        }
        assert compare_metadata(MigrationContext.configure(connection, opts=options), metadata) == []


def test_the_revisions_are_those_that_alembic_finds():
    from alembic.config import Config
    from alembic.script import ScriptDirectory

    config = Config()
    config.set_main_option("script_location", str(Path(migrations.__file__).parent))
    config.set_main_option("path_separator", "os")
    scripts = ScriptDirectory.from_config(config)
    assert scripts.get_current_head() == migrations.head()
    assert [script.revision for script in scripts.walk_revisions()] == list(reversed(migrations._revisions()))


def test_a_database_of_another_revision_is_refused(store: Store):
    with store.database.connection() as connection:
        connection.execute(text("UPDATE imgcls_version SET version_num = '9999'"))
    with pytest.raises(StoreError, match="newer imgcls-lab"):
        Store.open(store.settings)
    with pytest.raises(StoreError, match="newer imgcls-lab"):
        Store.open(store.settings, migrate=True)


def test_twelve_servers_that_start_at_once_migrate_once(settings: Settings):
    with ThreadPoolExecutor(12) as pool:
        done = list(pool.map(lambda _: migrate(settings), range(12)))
    assert sum(done) == 1
    with Store.open(settings) as store:
        assert [project.name for project in store.projects.list()] == ["default"]


def test_a_backup_holds_the_runs_and_is_private(sqlite: Store, tmp_path: Path):
    from imgcls_lab.schemas import SubmitRequest

    run = sqlite.runs.submit(SubmitRequest(config={"root": "/data"}))
    target = sqlite.backup(tmp_path / "copy.db")
    assert stat.S_IMODE(target.stat().st_mode) == 0o600
    with Store.open(Settings(home=str(tmp_path / "other"), db_url=f"sqlite:///{target}")) as copy:
        assert copy.runs.get(run.id).name == run.name
    with pytest.raises(StoreError, match="exists already"):
        sqlite.backup(target)


def old_database(settings: Settings, revision: str) -> None:
    """A database as an earlier version left it, with a run that waits for a GPU."""
    settings.make_home()
    old = db.Database(settings.db_url)
    migrations._upgrade(old, revision)
    with old.connection() as connection:
        connection.execute(
            text(
                "INSERT INTO runs (id, kind, name, project_id, state, desired, attempt, priority, external, python, "
                "created_at, queued_at, updated_at, revision, change, devices, step, epoch, latest, config, "
                "model_flavour, root, notes, losses, saved_step, lost_at_step) VALUES ('20250101-000000-aaaaaa', "
                "'train', 'old', 1, 'queued', 'run', 0, 0, false, '', 1, 1, 1, 1, 0, '[]', 0, 0, '{}', "
                """'{"device": "cuda"}', 'm', '/d', '', 0, 0, -1)"""
            )
        )
    old.close()


def test_a_migration_copies_the_database_first_and_keeps_the_runs(settings: Settings):
    old_database(settings, "0001")
    with pytest.raises(StoreError, match="revision 0001"):
        Store.open(settings)
    assert migrate(settings) is True
    with Store.open(settings) as store:
        run = store.runs.get("20250101-000000-aaaaaa")
        assert (run.name, run.state.value, run.device_request.device, run.payload, run.after) == (
            "old",
            "queued",
            "cuda",
            {},
            [],
        )
        assert (store.runs.list().counts, store.projects.list()[0].runs) == ({run.state: 1}, 1)
        (copy,) = (settings.home_path / "backups").iterdir()
        assert copy.name.startswith("imgcls-0001-")
        assert stat.S_IMODE(copy.stat().st_mode) == 0o600
        if store.database.is_sqlite:
            with sqlite3.connect(copy) as backup:
                assert backup.execute("SELECT name FROM runs").fetchall() == [("old",)]
                assert backup.execute("SELECT version_num FROM imgcls_version").fetchall() == [("0001",)]


def test_a_backup_of_postgresql_is_an_archive_that_restores(postgres, home: Path, tmp_path: Path):
    from imgcls_lab.schemas import SubmitRequest

    settings = Settings(home=str(home), db_url=postgres.url())
    with Store.open(settings, migrate=True) as store:
        run = store.runs.submit(SubmitRequest(config={"root": "/data"}))
        target = store.backup(tmp_path / "copy.dump")
        assert stat.S_IMODE(target.stat().st_mode) == 0o600
        with pytest.raises(StoreError, match="exists already"):
            store.backup(target)
    address = postgres.url().replace(":secret-word", "")
    subprocess.run(["pg_restore", "--no-owner", f"--dbname={address}", str(target)], check=True, capture_output=True)
    with Store.open(settings) as store:
        assert store.runs.get(run.id).name == run.name


def test_without_pg_dump_a_backup_says_so_and_a_migration_goes_on(postgres, home: Path, monkeypatch):
    settings = Settings(home=str(home), db_url=postgres.url())
    old_database(settings, "0001")
    monkeypatch.setattr(backups.shutil, "which", lambda _: None)
    assert migrate(settings) is True
    with Store.open(settings) as store, pytest.raises(StoreError, match="pg_dump"):
        store.backup(home / "copy.dump")
    assert not (home / "copy.dump").exists()


def test_writers_wait_for_each_other(store: Store, submit):
    with ThreadPoolExecutor(16) as pool:
        ids = list(pool.map(lambda _: submit(), range(64)))
    assert len(set(ids)) == store.runs.list().total == 64


def test_a_writer_waits_for_a_foreign_lock(sqlite: Store):
    from imgcls_lab.schemas import ProjectEdit

    blocker = sqlite3.connect(sqlite.database.file, isolation_level=None, check_same_thread=False)
    blocker.execute("BEGIN EXCLUSIVE")
    threading.Timer(1.5, lambda: blocker.execute("ROLLBACK")).start()
    begin = time.monotonic()
    sqlite.projects.add(ProjectEdit(name="late"))
    assert time.monotonic() - begin > 1
    blocker.close()


def test_no_connection_crosses_a_fork(store: Store, submit):
    run_id = submit()
    store.runs.get(run_id)
    child = os.fork()
    if child == 0:
        try:
            os._exit(0 if store.runs.get(run_id).id == run_id and store.database.engine.pool.checkedin() <= 1 else 1)
        except BaseException:
            os._exit(2)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    for _ in range(20):
        assert store.runs.get(run_id).id == run_id


def test_a_failed_transaction_leaves_nothing(store: Store):
    from imgcls_lab.schemas import ProjectEdit

    store.projects.add(ProjectEdit(name="a"))
    with pytest.raises(ConflictError):
        store.projects.add(ProjectEdit(name="a"))

    def fail_in_the_middle() -> None:
        with store.database.write() as session:
            session.execute(text("UPDATE projects SET name = 'b' WHERE name = 'a'"))
            raise RuntimeError

    with pytest.raises(RuntimeError):
        fail_in_the_middle()
    assert {project.name for project in store.projects.list()} == {"default", "a"}
