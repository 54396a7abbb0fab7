"""An object store by its URL: whole objects are written, read with a bound, and deleted. Called by mirror and staging.

fsspec does the work, and its library for the URL's scheme (s3fs, gcsfs ...) is imported when a store is opened. The
credentials are those of the process (environment, AWS config); this module never reads, keeps or shows one. It lists
objects only to delete them.
"""

from __future__ import annotations

import errno
import hashlib
import os
import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NoReturn
from urllib.parse import urlsplit

from imgcls_lab.errors import ObjectStoreError
from imgcls_lab.executor.mirror.local_objects import LocalObjects
from imgcls_lab.identity import host_name

WHOLE = 8 * 2**20  # bytes of a file that is read into memory before it is sent
BLOCK = 32 * 2**20  # bytes of one request that reads
CONNECT_TIMEOUT, READ_TIMEOUT = 5, 30  # seconds
_LIBRARIES = {"s3": "s3fs", "s3a": "s3fs", "gs": "gcsfs", "gcs": "gcsfs", "abfs": "adlfs", "az": "adlfs"}
_TRANSIENT = frozenset({"unreachable", "busy"})  # reasons that pass by themselves

# Error code of S3, or name of an exception's class -> reason of an ObjectStoreError
_REASONS = {
    "NoSuchBucket": "no_bucket",
    "NoCredentialsError": "no_credentials",
    "PartialCredentialsError": "no_credentials",
    "TokenRetrievalError": "no_credentials",
    "InvalidAccessKeyId": "wrong_credentials",
    "SignatureDoesNotMatch": "wrong_credentials",
    "ExpiredToken": "wrong_credentials",
    "InvalidToken": "wrong_credentials",
    "AccessDenied": "no_rights",
    "AllAccessDisabled": "no_rights",
    "403": "no_rights",
    "RequestTimeTooSkewed": "clock",
    "QuotaExceeded": "full",
    "XMinioStorageFull": "full",
    "InsufficientStorage": "full",
    "507": "full",
    "SlowDown": "busy",
    "ServiceUnavailable": "busy",
    "503": "busy",
}
_SENTENCES = {
    "no_bucket": "The bucket or folder of {url} does not exist. Make it, or correct the URL.",
    "no_credentials": (
        "There are no credentials for {url} on {host}. Set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY there, or "
        "write ~/.aws/credentials."
    ),
    "wrong_credentials": "{url} does not accept the credentials of {host}. They are wrong or have expired.",
    "no_rights": "The credentials of {host} have no right to {verb} {url}. Grant it to them.",
    "clock": "The clock of {host} differs too much from that of {url}, which refuses its requests. Set the clock.",
    "full": "{url} is full. Free some space or raise its quota.",
    "damaged": "{url} has a link or something else in the place of a folder or an object. Look who may write there.",
    "busy": "{url} answers too many requests at once.",
    "unreachable": "{url} cannot be reached from {host}: {detail}.",
}


class MissingObjectError(ObjectStoreError):
    """There is no object of this name."""


class ExistingObjectError(ObjectStoreError):
    """There is an object of this name already."""


class ObjectStore:
    """Objects below one URL. Names are relative, with `/`. Safe for threads.

    requests: how many of each kind were sent, for those who count.
    """

    def __init__(self, url: str) -> None:
        """Raises ObjectStoreError for a URL that names no store, or whose library is not installed."""
        self.url = checked_url(url)
        self.requests = {"put": 0, "get": 0, "delete": 0}
        self._fs, self._root = _open(self.url)
        self._files = LocalObjects(self._root) if "file" in _protocols(self._fs) else None

    @property
    def is_local(self) -> bool:
        """Whether it is a folder of a disk."""
        return self._files is not None

    # ── write ───────────────────────────────────────────────────────────────────────────────────────────────
    def put(self, name: str, data: bytes) -> None:
        """Write a whole object, in the place of an earlier one."""
        with self._request("put", "write"):
            if self._files is not None:
                self._files.put(name, data)
            else:
                self._fs.pipe_file(self._path(name), data)

    def create(self, name: str, data: bytes) -> None:
        """Write an object that must not exist. Raises ExistingObjectError.

        The store decides where it has conditional writes (S3: If-None-Match). Elsewhere of two writers at once the
        later one stays, so a caller reads back what it wrote.
        """
        with self._request("put", "write"):
            try:
                if self._files is not None:
                    self._files.create(name, data)
                else:
                    self._fs.pipe_file(self._path(name), data, mode="create")
            except Exception as error:
                if isinstance(error, FileExistsError) or _code(error) in {"PreconditionFailed", "412"}:
                    raise ExistingObjectError(f"{self.url} has “{name}” already.", reason="exists") from None
                raise

    def put_file(self, name: str, source: Path) -> None:
        """Write an object from a file of any size."""
        with self._request("put", "write"):
            if self._files is not None:
                self._files.put_file(name, source)
            else:
                self._fs.put_file(os.fspath(source), self._path(name))

    # ── read ────────────────────────────────────────────────────────────────────────────────────────────────
    def get(self, name: str, limit: int) -> bytes:
        """A whole object. Raises MissingObjectError, and ObjectStoreError (`too_large`) for one above `limit` bytes."""
        data = self._read(name, 0, limit + 1)
        if len(data) > limit:
            raise ObjectStoreError(f"“{name}” in {self.url} is larger than {limit} bytes.", reason="too_large")
        return data

    def blocks(self, name: str, size: int) -> Iterator[bytes]:
        """An object of a known size in blocks. Raises ObjectStoreError (`damaged`) for one of another size."""
        for start in range(0, size, BLOCK):
            block = self._read(name, start, min(start + BLOCK, size))
            if len(block) != min(BLOCK, size - start):
                raise ObjectStoreError(f"“{name}” in {self.url} is shorter than it was.", reason="damaged")
            yield block

    def _read(self, name: str, start: int, end: int) -> bytes:
        with self._request("get", "read"):
            try:
                if self._files is not None:
                    return self._files.read(name, start, end)
                data: bytes = self._fs.cat_file(self._path(name), start=start, end=end)
            except FileNotFoundError as error:
                if _code(error) == "NoSuchBucket" or (self.is_local and not os.path.isdir(self._root)):
                    raise
                raise MissingObjectError(f"{self.url} has no “{name}”.", reason="missing") from None
        return data

    # ── delete ──────────────────────────────────────────────────────────────────────────────────────────────
    def delete(self, name: str) -> None:
        """Delete an object, if it is there."""
        with self._request("delete", "delete from"):
            try:
                if self._files is not None:
                    self._files.delete(name)
                else:
                    self._fs.rm_file(self._path(name))
            except FileNotFoundError:
                return

    def delete_below(self, prefix: str, limit: int) -> tuple[int, int]:
        """Delete so many objects below a prefix at most, which ends with `/`; how many they were, and their bytes.

        Of a local store, the folders that are empty then go as well.
        """
        found = self.listing(prefix)[:limit]
        with self._request("delete", "delete from"):
            if self._files is not None:
                for name, _, _ in found:
                    self._files.delete(f"{prefix}{name}")
                if found and len(found) < limit:
                    self._files.remove_folder(prefix)
            elif found:
                first = f"{self._path(prefix)}{found[0][0]}"
                self._fs.rm([f"{self._path(prefix)}{name}" for name, _, _ in found])
                if self._fs.exists(first):  # a library may keep to itself what the store has refused
                    raise PermissionError(first)
        return len(found), sum(size for _, size, _ in found)

    def listing(self, prefix: str) -> list[tuple[str, int, str]]:
        """Name, size and version of the files below a prefix, sorted; a link of a local store is none."""
        path = f"{self._root}/{prefix}".rstrip("/")
        with self._request("get", "list"):
            if self._files is not None:
                return sorted(self._files.listing(prefix))
            self._fs.invalidate_cache()
            found = self._fs.find(path, detail=True)
        return sorted(
            (name[len(path) + 1 :], int(facts["size"]), str(facts.get("ETag") or facts.get("mtime") or ""))
            for name, facts in found.items()
            if facts["type"] == "file" and not name.endswith("/")
        )

    # ── private ─────────────────────────────────────────────────────────────────────────────────────────────
    def _path(self, name: str) -> str:
        return f"{self._root}/{name}"

    @contextmanager
    def _request(self, kind: str, verb: str) -> Iterator[None]:
        """Counts a request, and raises ObjectStoreError for whatever the library raises."""
        self.requests[kind] += 1
        try:
            yield
        except ObjectStoreError:
            raise
        except Exception as error:  # the libraries' errors have no common base
            _refuse(error, self.url, verb)


def checked_url(url: str) -> str:
    """The URL of a store without a trailing slash. Raises ObjectStoreError for one that holds credentials."""
    try:
        parts = urlsplit(url)
        holds = bool(parts.username or parts.password or parts.query)
    except ValueError:
        raise ObjectStoreError("IMGCLS_STORE_URL is no URL.", reason="no_url") from None
    if holds:
        raise ObjectStoreError(
            "The URL of a store must hold no user, password or query: it is shown and handed on. Give credentials by "
            "the environment (AWS_ACCESS_KEY_ID ...) or ~/.aws/credentials.",
            reason="secret_in_url",
        )
    if not parts.scheme or not (parts.netloc or parts.path.strip("/")):
        raise ObjectStoreError(
            f"“{url}” is no URL of a store. Examples: s3://bucket/folder, file:///mnt/shared/folder.", reason="no_url"
        )
    return url.rstrip("/")


def is_transient(error: ObjectStoreError) -> bool:
    """Whether the same request may work in a while without anybody doing something."""
    return error.reason in _TRANSIENT


def sha256(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def _open(url: str) -> tuple[Any, str]:
    """The file system of a URL, and the path below which its objects lie."""
    import fsspec

    scheme = urlsplit(url).scheme
    options: dict[str, Any] = {"skip_instance_cache": True, "use_listings_cache": False}
    if _LIBRARIES.get(scheme) == "s3fs":
        retries = {"max_attempts": 2, "mode": "standard"}
        options["config_kwargs"] = {
            "connect_timeout": CONNECT_TIMEOUT, "read_timeout": READ_TIMEOUT, "retries": retries
        }  # fmt: skip
    try:
        fs, path = fsspec.core.url_to_fs(url, **options)
    except ImportError:
        library = _LIBRARIES.get(scheme, f"the fsspec library for {scheme}://")
        extra = ", or: pip install 'imgcls-lab[s3]'" if library == "s3fs" else ""
        text = f"{url} needs {library}, which is not installed on {host_name()}: pip install {library}{extra}."
        raise ObjectStoreError(text, reason="no_library") from None
    except ValueError as error:
        raise ObjectStoreError(f"“{url}” is no URL of a store: {error}.", reason="no_url") from None
    return fs, str(path).rstrip("/")


def _protocols(fs: Any) -> tuple[str, ...]:
    return (fs.protocol,) if isinstance(fs.protocol, str) else tuple(fs.protocol)


def _code(error: BaseException) -> str:
    """The error code of S3 behind an exception; empty where there is none."""
    for one in (error, error.__cause__, error.__context__):
        response = getattr(one, "response", None)
        if isinstance(response, dict):
            return str(response.get("Error", {}).get("Code", ""))
    return ""


def _refuse(error: Exception, url: str, verb: str) -> NoReturn:
    """Raise the ObjectStoreError that says what an exception of a library means."""
    code = _code(error)
    reason = _REASONS.get(code) or _REASONS.get(type(error).__name__) or _reason_of(error)
    detail = re.sub(r"\s+", " ", code or str(error) or type(error).__name__).rstrip(".")[:200]
    sentence = _SENTENCES[reason].format(url=url, host=host_name(), verb=verb, detail=detail)
    raise ObjectStoreError(sentence, reason=reason, code=code) from error


def _reason_of(error: Exception) -> str:
    if isinstance(error, FileNotFoundError):
        return "no_bucket"
    if isinstance(error, PermissionError):
        return "no_rights"
    if isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT):
        return "full"
    if isinstance(error, OSError) and error.errno in (errno.ELOOP, errno.ENOTDIR, errno.EISDIR):
        return "damaged"
    return "unreachable"
