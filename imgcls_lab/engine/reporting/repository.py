"""Commit and uncommitted changes of a git repository, read without running a program that the repository names.

The configuration and the attributes of a repository name programs (filters, monitors, a remote that misses objects),
and a folder that somebody unpacked may hold such a repository. So git reads its objects, index and files under a
configuration of our own. Only programs that this user's or the system's configuration names are run.
"""

from __future__ import annotations

import os
import subprocess
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from imgcls_lab.child_environment import child_environment

LARGEST_DIFF = 1_000_000  # characters
_SECONDS = 20
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
    """diff: of the files against the commit, cut after LARGEST_DIFF characters; diff_cut: whether it was."""

    commit: str
    diff: str
    diff_cut: bool


def state_of(folder: Path) -> RepositoryState | None:
    """The state of the repository around a folder; None where there is none, or git cannot read it."""
    try:
        facts = _git(folder, _FACTS)
        commit, top, form, objects, index = facts.splitlines()
        settings = _git(folder, ("config", "--get-regexp", _COMPARISON), fails=True).splitlines()
        with tempfile.TemporaryDirectory(prefix="imgcls-git-") as bare:
            _make_bare(Path(bare), commit, form, settings)
            places = {"GIT_DIR": bare, "GIT_WORK_TREE": top, "GIT_OBJECT_DIRECTORY": objects, "GIT_INDEX_FILE": index}
            difference = _git(Path(top), (*_DIFF, commit, "--"), changes=places)
    except (OSError, ValueError, subprocess.SubprocessError):
        return None
    return RepositoryState(commit, difference[:LARGEST_DIFF], len(difference) > LARGEST_DIFF)


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
    """What git prints. fails: it may say by its exit code that there is nothing. Raises OSError, SubprocessError."""
    own = {"GIT_OPTIONAL_LOCKS": "0", "GIT_NO_LAZY_FETCH": "1", "GIT_TERMINAL_PROMPT": "0"}
    return subprocess.run(
        ["git", "-C", os.fspath(folder), *arguments],
        env=child_environment(changes={**_NOT_INHERITED, **own, **(changes or {})}),
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        errors="replace",
        timeout=_SECONDS,
        check=not fails,
    ).stdout
