"""Homes: the folders that hold runs. Several users, each with a home and daemons of its own, may share one database.

Called by `Store.open` and by daemons. The home of a run says whose daemons may start it, index its folder and remove
it. A home is known by the id in its folder: a path names different folders on different hosts.
"""

from __future__ import annotations

import os
import re
import secrets
from collections.abc import Iterable, Mapping
from pathlib import Path

from sqlalchemy import ColumnElement, update
from sqlmodel import Session, col, select

from imgcls_lab.errors import NotFoundError, StoreError
from imgcls_lab.identity import host_name, user_name
from imgcls_lab.run_paths import read_plain
from imgcls_lab.settings import Settings
from imgcls_lab.store.database import Database
from imgcls_lab.store.run_folders import all_folders
from imgcls_lab.store.tables import Home, Run

HOME_ID = "home-id"
_ID = re.compile(r"[0-9a-f]{16}")
_CHUNK = 500  # ids in one statement


def identify(database: Database, settings: Settings) -> str:
    """The id of this process's home, which is made if it has none. Raises StoreError where it cannot be read.

    A home whose file was lost finds its id by the path, so that its runs stay its own.
    """
    path = settings.home_path / HOME_ID
    known = _read(path)
    if known is None:
        with database.read() as session:
            here = (Home.user == user_name(), Home.host == host_name(), Home.path == str(settings.home_path))
            found = session.exec(select(Home.id).where(*here)).first()
        _make(path, found or secrets.token_hex(8))
        known = _read(path)
    if known is None:
        raise StoreError(f"The file {path}, which identifies this home, cannot be made. Check who may write there.")
    return known


def _read(path: Path) -> str | None:
    try:
        text = read_plain(path.parent, path.name).decode().strip()
    except FileNotFoundError:
        return None
    except (OSError, UnicodeDecodeError) as error:
        raise StoreError(f"The file {path}, which identifies this home, cannot be read: {error}.") from None
    if _ID.fullmatch(text) is None:
        raise StoreError(f"The file {path}, which identifies this home, is damaged. Remove it, and it is made anew.")
    return text


def _make(path: Path, home: str) -> None:
    """Write the file whole, unless another process was first."""
    partial = path.with_name(f".{path.name}-{secrets.token_hex(4)}")
    try:
        descriptor = os.open(partial, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with open(descriptor, "w") as file:
            file.write(home)
            file.flush()
            os.fsync(descriptor)
        try:
            os.link(partial, path)  # never over another file
        except FileExistsError:
            pass
        except OSError:  # a file system without hard links
            if not path.exists():
                partial.rename(path)
    except OSError as error:
        raise StoreError(f"The file {path}, which identifies this home, cannot be made: {error.strerror}.") from None
    finally:
        partial.unlink(missing_ok=True)


def place_runs(session: Session, settings: Settings) -> None:
    """Write the home of runs that an earlier version submitted, as far as they are this home's.

    All runs of a SQLite file were one home's. Of a server's runs, a home takes those whose folders it holds.
    """
    home = session.info["home"]
    placed = update(Run).where(col(Run.home) == "").values(home=home).execution_options(synchronize_session=False)
    if session.get_bind().dialect.name == "sqlite":
        session.execute(placed)
        return
    unplaced = set(session.exec(select(Run.id).where(Run.home == "")))
    here = sorted(unplaced & set(all_folders(settings)))
    for start in range(0, len(here), _CHUNK):
        session.execute(placed.where(col(Run.id).in_(here[start : start + _CHUNK])))


def is_here(session: Session) -> ColumnElement[bool]:
    """The condition that a run's folder lies in this process's home, as far as the database knows."""
    return col(Run.home).in_(["", session.info["home"]])


def elsewhere(session: Session, runs: Iterable[Run]) -> dict[str, str]:
    """Run id -> a sentence that says where its folder lies, for runs of other homes."""
    homes = _homes(session)
    mine = session.info["home"]
    return {run.id: _sentence(run, homes) for run in runs if run.home not in ("", mine)}


def check_here(session: Session, run: Run) -> None:
    """Raises NotFoundError for a run whose folder lies in another home: this process may not read it."""
    for sentence in elsewhere(session, [run]).values():
        raise NotFoundError(sentence, reason="another_home", run=run.id, owner=run.owner)


def path_of(session: Session, run: Run) -> str:
    """The folder of a run of another home, as that home's daemon names it; empty while no daemon has been there."""
    home = session.get(Home, run.home)
    return str(Path(home.path) / "runs" / run.id) if home is not None else ""


def _homes(session: Session) -> Mapping[str, Home]:
    return {home.id: home for home in session.exec(select(Home))}


def _sentence(run: Run, homes: Mapping[str, Home]) -> str:
    home = homes.get(run.home)
    user = (home.user if home else "") or run.owner or "another user"
    host = (home.host if home else None) or run.host
    where = f" ({home.path})" if home and home.user == user_name() else ""
    return (
        f"The folder of “{run.name}” lies in {user}'s home{where}{f' on the host {host}' if host else ''}, and only "
        f"that home's programs read it. Its metrics are in the database."
    )


def note(session: Session, settings: Settings, host: str) -> None:
    """Write down this process's home: whose it is, and where."""
    home = session.get(Home, session.info["home"])
    if home is None:
        home = Home(id=session.info["home"], user="", path="", host="")
        session.add(home)
    home.user, home.path, home.host = user_name(), str(settings.home_path), host
    session.flush()
