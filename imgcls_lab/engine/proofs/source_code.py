"""The code of this package as a run had it: of the package that is here, or of its repository's commit with the diff.

Called by `reproduce`. The manifest has the hash of each file that was loaded, and these decide.
"""

from __future__ import annotations

import hashlib
import os
import re
import subprocess
import tempfile
from pathlib import Path
from typing import Any

from imgcls_lab import run_layout
from imgcls_lab.child_environment import child_environment
from imgcls_lab.errors import ConflictError

PACKAGE = Path(__file__).parents[2]
_COMMIT = re.compile(r"[0-9a-f]{40}|[0-9a-f]{64}")


def restored(manifest: dict[str, Any], *, own: bool) -> dict[str, bytes]:
    """The files of the package, by their paths from its parent.

    own: whether this home wrote the folder with the manifest. Raises ConflictError where the code is not at hand.
    """
    recorded: dict[str, str] = manifest.get("code", {})
    if not recorded:
        raise ConflictError(
            "The run was trained by a version that recorded no hashes of its code, so it cannot be restored.",
            reason="no_code",
        )
    here = _here()
    wrong = _wrong(here, recorded)
    if not wrong:
        return here
    git = manifest.get("git") or {}
    if not _COMMIT.fullmatch(str(git.get("commit"))) or git.get("diff_cut"):
        raise _not_at_hand(wrong)
    if not own:
        raise ConflictError(
            "The code that the run was trained with is not the one that is here, and its folder is no run of this "
            "home: whoever made it also says which commit and which changes are to be executed, so neither is. Read "
            f"them (manifest.json, “git”). To trust them, check out {git['commit'][:12]}, apply the changes, install "
            "it, and call this from there.",
            reason="foreign_code",
        )
    found = _of_commit(git["commit"], git["diff"])
    if found is None or (left := _wrong(found, recorded)):
        raise _not_at_hand(wrong if found is None else left)
    return found


def install(files: dict[str, bytes], site_packages: Path, version: str) -> None:
    """Put the files where Python finds them, as an installed package of that version."""
    for name, content in files.items():
        path = site_packages / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
    about = site_packages / f"{PACKAGE.name}-{version}.dist-info"
    about.mkdir()
    (about / "METADATA").write_text(f"Metadata-Version: 2.1\nName: imgcls-lab\nVersion: {version}\n")


def _here() -> dict[str, bytes]:
    """All files but the front end and what Python makes by itself."""
    left_out = {"__pycache__", "labextension"}
    return {
        path.relative_to(PACKAGE.parent).as_posix(): path.read_bytes()
        for path in sorted(PACKAGE.rglob("*"))
        if path.is_file() and not left_out & {*path.relative_to(PACKAGE).parts}
    }


def _wrong(files: dict[str, bytes], recorded: dict[str, str]) -> list[str]:
    """The recorded files that are others here, or missing."""
    return [
        name
        for name, digest in recorded.items()
        if name not in files or hashlib.sha256(files[name]).hexdigest()[: len(digest)] != digest
    ]


def _of_commit(commit: str, diff: str) -> dict[str, bytes] | None:
    """The package at a commit of the repository around it, with the changes; None where it is not there."""
    try:
        top = Path(_git(PACKAGE, "rev-parse", "--show-toplevel").decode().strip())
        listed = _git(top, "ls-tree", "-r", "-z", "--full-tree", commit, "--", PACKAGE.name).decode()
        blobs = {line.partition("\t")[2]: line.split()[2] for line in listed.split("\0") if line}
        files = {name: _git(top, "cat-file", "blob", blob) for name, blob in blobs.items()}
        return _patched(files, diff) if diff else files
    except (OSError, ValueError, subprocess.SubprocessError):
        return None


def _patched(files: dict[str, bytes], diff: str) -> dict[str, bytes]:
    with tempfile.TemporaryDirectory(prefix="imgcls-code-") as place:
        install_here = Path(place)
        for name, content in files.items():
            (install_here / name).parent.mkdir(parents=True, exist_ok=True)
            (install_here / name).write_bytes(content)
        run_layout.write_atomic(install_here / "run.diff", diff)
        _git(install_here, "apply", "--whitespace=nowarn", f"--include={PACKAGE.name}/*", "run.diff")
        return {
            path.relative_to(install_here).as_posix(): path.read_bytes()
            for path in sorted((install_here / PACKAGE.name).rglob("*"))
            if path.is_file()
        }


def _git(folder: Path, *arguments: str) -> bytes:
    """Only commands that run no program which a repository names. Raises OSError, SubprocessError."""
    own = {"GIT_OPTIONAL_LOCKS": "0", "GIT_NO_LAZY_FETCH": "1", "GIT_TERMINAL_PROMPT": "0", "GIT_DIR": None}
    return subprocess.run(
        ["git", "-c", "core.fsmonitor=false", "-c", "core.hooksPath=/dev/null", "-C", os.fspath(folder), *arguments],
        env=child_environment(changes=own),
        stdin=subprocess.DEVNULL,
        capture_output=True,
        timeout=60,
        check=True,
    ).stdout


def _not_at_hand(wrong: list[str]) -> ConflictError:
    named = ", ".join(wrong[:3]) + (f" and {len(wrong) - 3} more" if len(wrong) > 3 else "")
    return ConflictError(
        f"The code that the run was trained with is not at hand: {named} is otherwise here, and no repository around "
        "this package has the recorded commit. Check the commit out, install it, and call this from there.",
        reason="no_code",
    )
