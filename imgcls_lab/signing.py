"""Signatures of what this home's own processes write into run folders, by the home's secret key. Standard library only.

A folder can come from anybody: copied from a colleague, unzipped, planted. What it holds to be executed (settings, the
notebook of a run, plugins) counts only if it is signed. The store, the engine and the notebook runner sign and ask;
nothing here decides what becomes of a folder that is not signed.
"""

from __future__ import annotations

import contextlib
import hashlib
import hmac
import json
import os
import secrets
import stat
import time
from pathlib import Path
from typing import Any, NamedTuple

from imgcls_lab.errors import StoreError
from imgcls_lab.run_layout import CONFIG, MANIFEST, RUN_INFO, write_atomic
from imgcls_lab.run_paths import open_plain, read_json, read_plain

KEY = "signing.key"  # in the home
PLUGINS = "plugins"  # in a run's folder, in its manifest and in a config
SIGNATURE = "signature"  # of run.json, and of each plugin in a manifest
MAKING = 2.0  # seconds that another process may take to write the key


class _Key(NamedTuple):
    secret: bytes
    made_at: float  # what is older was written by a version that signed nothing


def _key(home: Path, *, make: bool = False) -> _Key | None:
    """The key of a home; None where there is none and none is to be made. Raises StoreError for a damaged one."""
    path = home / KEY
    if make and not path.exists():
        _make_key(path)
    until = time.monotonic() + MAKING
    while True:
        try:
            with open_plain(home, KEY) as file:
                if stat.S_IMODE(os.fstat(file.fileno()).st_mode) & 0o077:  # a copy of the home has widened it
                    os.fchmod(file.fileno(), 0o600)
                data = json.loads(file.read())
            return _Key(bytes.fromhex(data["key"]), float(data["made_at"]))
        except FileNotFoundError:
            return None
        except (OSError, ValueError, KeyError, TypeError) as error:
            if isinstance(error, ValueError) and time.monotonic() < until:  # another process is writing it
                time.sleep(0.05)
                continue
            raise StoreError(
                f"The home's signing key {path} cannot be read ({error}). Restore it from a backup of the home. Or "
                "remove it: a new one is made, and runs whose folders it signed must be claimed anew after a rebuild."
            ) from error


def _make_key(path: Path) -> None:
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    text = json.dumps({"key": secrets.token_hex(32), "made_at": time.time()})
    with contextlib.suppress(FileExistsError):  # another process was first
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
        try:
            with os.fdopen(descriptor, "wb") as file:
                file.write(text.encode())
                file.flush()
                os.fsync(file.fileno())
        except BaseException:  # a full disk: half a key would be in the way of a whole one
            path.unlink(missing_ok=True)
            raise


def _sign(home: Path, purpose: str, content: bytes) -> str:
    key = _key(home, make=True)
    assert key is not None  # noqa: S101
    return _digest(key, purpose, content)


def _is_signed(home: Path, purpose: str, content: bytes, signature: object) -> bool:
    key = _key(home)
    return key is not None and isinstance(signature, str) and _same(_digest(key, purpose, content), signature)


def _same(expected: str, signature: str) -> bool:
    return hmac.compare_digest(expected.encode(), signature.encode(errors="replace"))


def _digest(key: _Key, purpose: str, content: bytes) -> str:
    return hmac.new(key.secret, purpose.encode() + b"\0" + content, hashlib.sha256).hexdigest()


# ── run.json ────────────────────────────────────────────────────────────────────────────────────────────────────
def signed_info(home: Path, info: dict[str, Any], config: bytes | None = None) -> dict[str, Any]:
    """What `run.json` is to hold, with its signature. config: text of config.json, where `info` has no row of it."""
    bare = {name: value for name, value in info.items() if name != SIGNATURE}
    return {**bare, SIGNATURE: _sign(home, "run", _content(bare, config))}


def signed_text(home: Path, info: dict[str, Any], config: bytes | None = None) -> str:
    """The text of `run.json`, with its signature: a line for each key. config: as in `signed_info`.

    `json.dumps` with an indent takes five times as long, and a daemon writes this twice for each run.
    """
    signed = signed_info(home, info, config)
    lines = (f" {json.dumps(key)}: {json.dumps(value, ensure_ascii=False)}" for key, value in signed.items())
    return "{\n" + ",\n".join(lines) + "\n}"


def own_info(home: Path, folder: Path) -> dict[str, Any] | None:
    """What `run.json` of a folder holds, if this home's own processes wrote it for this very folder; else None.

    Raises StoreError for a key that cannot be read.
    """
    try:
        if not is_own_place(home, folder):
            return None
        info = read_json(folder, RUN_INFO)
        if not isinstance(info, dict) or info.get("id") != folder.name:
            return None
        signature = info.pop(SIGNATURE, None)
        content = _content(info, None if "row" in info else read_plain(folder, CONFIG))
    except (OSError, ValueError, RecursionError):
        return None
    return info if _is_signed(home, "run", content, signature) else None


def sign_brought(home: Path, folder: Path) -> None:
    """Sign what a run's folder holds to be executed: another home of this user has sent it, under the run's key.

    Raises OSError, ValueError.
    """
    if (folder / RUN_INFO).exists():
        info = read_json(folder, RUN_INFO)
        signed = signed_info(home, info, None if "row" in info else read_plain(folder, CONFIG))
        write_atomic(folder / RUN_INFO, json.dumps(signed, indent=1))
    sign_plugins(home, folder)


def is_own(home: Path, folder: Path) -> bool:
    """Whether this home's own processes wrote a run's folder. Raises StoreError as `own_info` does."""
    return own_info(home, folder) is not None


def is_own_place(home: Path, folder: Path) -> bool:
    """Whether a folder is no link and belongs to this user, or on a mapped disk to the home's. Raises OSError."""
    status = os.lstat(folder)
    return stat.S_ISDIR(status.st_mode) and status.st_uid in {os.geteuid(), os.stat(home).st_uid}


def _content(info: dict[str, Any], config: bytes | None) -> bytes:
    # read back first: JSON makes texts of other keys, and the reader signs what it reads
    text = json.dumps(json.loads(json.dumps(info)), sort_keys=True)
    return text.encode() + b"\0" + hashlib.sha256(config or b"").digest()


# ── edits.json ──────────────────────────────────────────────────────────────────────────────────────────────────
def sign_edits(home: Path, run_id: str, edits: dict[str, Any]) -> str:
    """The signature of what people gave a run whose folder came from elsewhere."""
    return _sign(home, "edits", run_id.encode() + b"\0" + _content(edits, None))


def are_own_edits(home: Path, run_id: str, edits: dict[str, Any], signature: object) -> bool:
    """Whether this home's own processes wrote them for this very run. Raises StoreError as `own_info` does."""
    return _is_signed(home, "edits", run_id.encode() + b"\0" + _content(edits, None), signature)


# ── the object store ────────────────────────────────────────────────────────────────────────────────────────────
def store_key(home: Path, run_id: str) -> str:
    """The key of one run's objects in an object store, which its nodes get with their job. It opens nothing else."""
    return _sign(home, "store", run_id.encode())


# ── plugins ─────────────────────────────────────────────────────────────────────────────────────────────────────
def sign_code(home: Path, sha256: str) -> str:
    """The signature of a plugin's text: this home's user has named it in a config. It holds in every folder."""
    return _sign(home, "plugin", sha256.encode())


def is_own_code(home: Path, sha256: str, signature: object) -> bool:
    """Whether this home's user has named a plugin's text. Raises StoreError for a key that cannot be read."""
    return _is_signed(home, "plugin", sha256.encode(), signature)


def recorded_plugins(folder: Path) -> list[dict[str, str]]:
    """The plugins that the manifest of a run's folder records, as far as they are well formed."""
    found = _manifest(folder).get(PLUGINS)
    items = found if isinstance(found, list) else []
    names = ("name", "sha256")
    return [item for item in items if isinstance(item, dict) and all(isinstance(item.get(n), str) for n in names)]


def sign_plugins(home: Path, folder: Path) -> None:
    """Sign the texts that lie in a run's folder. One that is not what the manifest says stays without a signature.

    The caller knows that they are this user's own. Raises OSError.
    """
    recorded = recorded_plugins(folder)
    if not recorded:
        return
    for item in recorded:
        try:
            code = read_plain(folder, f"{PLUGINS}/{os.path.basename(item['name'])}")
        except (OSError, ValueError):
            continue
        if (there := hashlib.sha256(code).hexdigest()) == item["sha256"]:
            item[SIGNATURE] = sign_code(home, there)
    write_atomic(folder / MANIFEST, json.dumps({**_manifest(folder), PLUGINS: recorded}, indent=1))


def _manifest(folder: Path) -> dict[str, Any]:
    try:
        found = read_json(folder, MANIFEST)
    except (OSError, ValueError):
        return {}
    return found if isinstance(found, dict) else {}


def is_older_than_key(home: Path, folder: Path) -> bool:
    """Whether a run of this home began before anything was signed: then its plugins have no signatures.

    Only a run that the database knew has a signed `run.json` with such a date.
    """
    key, info = _key(home), own_info(home, folder)
    return key is not None and info is not None and float(info.get("created_at") or key.made_at) < key.made_at
