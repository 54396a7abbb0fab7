"""Commit and uncommitted changes of a git repository, and what two of its commits differ in: read without running a
program that the repository names.

The configuration and the attributes of a repository name programs (filters, monitors, a remote that misses objects),
and a folder that somebody unpacked may hold such a repository. So git reads its objects, index and files under a
configuration of our own. Only programs that this user's or the system's configuration names are run.
"""

from __future__ import annotations

import os
import re
import subprocess
import tempfile
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

from imgcls_lab.child_environment import child_environment

LARGEST_DIFF = 1_000_000  # characters
_LARGEST_ANSWER = 4 * LARGEST_DIFF  # bytes of UTF-8
_SECONDS = 20
_COMMIT = re.compile(r"[0-9a-f]{40}([0-9a-f]{24})?")
_NOT_INHERITED = dict.fromkeys(("GIT_DIR", "GIT_WORK_TREE", "GIT_INDEX_FILE", "GIT_OBJECT_DIRECTORY"))
# how files are compared; none of these names a program
_COMPARISON = r"^core\.(autocrlf|eol|filemode|symlinks|ignorecase|precomposeunicode)$"
_FACTS = (
    "rev-parse", "--path-format=absolute", "HEAD", "--show-toplevel", "--show-object-format", "--git-path", "objects",
    "--git-path", "index",
)  # fmt: skip
_DIFF = (
    "-c", "core.fsmonitor=false", "-c", "core.hooksPath=/dev/null", "-c", "protocol.allow=never", "diff",
    "--no-ext-diff", "--no-textconv", "--submodule=short", "--ignore-submodules=dirty",
)  # fmt: skip


class RepositoryState(NamedTuple):
    """diff: of the files against the commit, cut after LARGEST_DIFF characters; diff_cut: whether it was.

    folder: the uppermost one of the repository.
    """

    commit: str
    diff: str
    diff_cut: bool
    folder: str


class Difference(NamedTuple):
    """As git prints it; cut: there is more of it than LARGEST_DIFF characters."""

    text: str
    cut: bool


class Size(NamedTuple):
    """Files, and lines that were added and removed."""

    files: int
    added: int
    removed: int


def size_of(difference: str) -> Size:
    patterns = (r"^diff --git ", r"^\+(?!\+\+ )", r"^-(?!-- )")
    return Size(*(len(re.findall(pattern, difference, re.MULTILINE)) for pattern in patterns))


def state_of(folder: Path) -> RepositoryState | None:
    """The state of the repository around a folder; None where there is none, or git cannot read it."""
    try:
        with _read_only(folder) as (commit, top, places):
            found = _cut(_git(Path(top), (*_DIFF, commit, "--"), changes={**places, "GIT_WORK_TREE": top}))
    except (OSError, ValueError, subprocess.SubprocessError):
        return None
    return RepositoryState(commit, found.text, found.cut, top)


def between(folder: Path, before: str, after: str) -> Difference | None:
    """What a commit has otherwise than another one; None where the repository around a folder has not both."""
    if not (_COMMIT.fullmatch(before) and _COMMIT.fullmatch(after)):
        return None
    try:
        with _read_only(folder) as (_, _, places):
            return _cut(_git(Path(places["GIT_DIR"]), (*_DIFF, before, after, "--"), changes=places))
    except (OSError, ValueError, subprocess.SubprocessError):
        return None


def _cut(difference: str) -> Difference:
    return Difference(difference[:LARGEST_DIFF], len(difference) > LARGEST_DIFF)


@contextmanager
def _read_only(folder: Path) -> Iterator[tuple[str, str, dict[str, str]]]:
    """The commit and the uppermost folder of a repository, and variables with which git reads it as a bare one of ours.

    Raises OSError, ValueError, SubprocessError where there is none.
    """
    facts = _git(folder, _FACTS)
    commit, top, form, objects, index = facts.splitlines()
    settings = _git(folder, ("config", "--get-regexp", _COMPARISON), fails=True).splitlines()
    with tempfile.TemporaryDirectory(prefix="imgcls-git-") as bare:
        _make_bare(Path(bare), commit, form, settings)
        yield commit, top, {"GIT_DIR": bare, "GIT_OBJECT_DIRECTORY": objects, "GIT_INDEX_FILE": index}


def _make_bare(folder: Path, commit: str, form: str, settings: list[str]) -> None:
    """A repository without objects whose configuration is ours. settings: lines of a name, a space and a value."""
    (folder / "refs").mkdir()
    (folder / "HEAD").write_text(f"{commit}\n")
    version = "\trepositoryformatversion = 1\n[extensions]\n\tobjectFormat = sha256\n[core]\n"
    lines = [f"\t{name.removeprefix('core.')} = {_quoted(value)}\n" for name, _, value in map(_split, settings)]
    (folder / "config").write_text(f"[core]\n{version if form == 'sha256' else ''}{''.join(lines)}")


def _split(line: str) -> tuple[str, str, str]:
    name, blank, value = line.partition(" ")
    return name, blank, value or "true"  # a name alone means true


def _quoted(value: str) -> str:
    return '"' + value.replace("\\", "\\\\").replace('"', '\\"') + '"'


def _git(folder: Path, arguments: Sequence[str], *, fails: bool = False, changes: dict[str, str] | None = None) -> str:
    """What git prints, no more than a cut difference needs. fails: it may say by its exit code that there is nothing.

    Raises OSError, SubprocessError.
    """
    own = {"GIT_OPTIONAL_LOCKS": "0", "GIT_NO_LAZY_FETCH": "1", "GIT_TERMINAL_PROMPT": "0"}
    command = ["git", "-C", os.fspath(folder), *arguments]
    environment = child_environment(changes={**_NOT_INHERITED, **own, **(changes or {})})
    null = subprocess.DEVNULL
    with subprocess.Popen(command, env=environment, stdin=null, stdout=subprocess.PIPE, stderr=null) as process:
        late = threading.Timer(_SECONDS, process.kill)
        late.start()
        answer = b""
        try:
            answer = process.stdout.read(_LARGEST_ANSWER + 1) if process.stdout else b""
        finally:
            late.cancel()
            if whole := len(answer) <= _LARGEST_ANSWER:
                process.wait()
            process.kill()
    if whole and process.returncode != 0 and not fails:
        raise subprocess.CalledProcessError(process.returncode, command)
    return answer.decode(errors="replace")
