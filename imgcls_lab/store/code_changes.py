"""What the code of a run has otherwise than that of another one: between the commits that both recorded, and file by
file of this package. Called by `store.run_contents`. Nothing of a repository is executed.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

from imgcls_lab import repository
from imgcls_lab.schemas.run_contents import CodeChanges

SHOWN_FILES = 200  # of this package
PACKAGE = Path(__file__).parents[1]
NOTHING = {"diff": None, "diff_cut": False, "changed": 0, "added": 0, "removed": 0, "sentence": ""}
_COMMIT = re.compile(r"[0-9a-f]{40,64}")


class Recorded(NamedTuple):
    """A run by what it recorded before its first step. trusted: what it says of this machine may be followed."""

    name: str
    manifest: dict[str, Any]
    trusted: bool

    def _text(self, of: str) -> str | None:
        git = self.manifest.get("git")
        found = git.get(of) if isinstance(git, dict) else None
        return found if isinstance(found, str) else None

    @property
    def commit(self) -> str | None:
        found = self._text("commit")
        return found if found and _COMMIT.fullmatch(found) else None

    @property
    def folder(self) -> Path | None:
        """The uppermost folder of the repository that it was started in."""
        found = self._text("folder")
        return Path(found) if found and self.trusted and "\0" not in found else None

    @property
    def files(self) -> dict[str, str]:
        """The files of this package, with a hash of each."""
        found = self.manifest.get("code")
        return found if isinstance(found, dict) else {}


def changes(before: Recorded, after: Recorded, home: Path) -> CodeChanges:
    """What `after` has otherwise. home: around it may be the repository in which runs are started."""
    facts: dict[str, Any] = {"before": before.commit, "after": after.commit, "files": _files(before, after)}
    return CodeChanges.model_validate({**NOTHING, **facts, **_difference(before, after, home)})


def _difference(before: Recorded, after: Recorded, home: Path) -> dict[str, Any]:
    """What git prints between their commits, and how much it is; or a sentence."""
    if before.commit is None or after.commit is None:
        name = (before if before.commit is None else after).name
        return {"sentence": f"“{name}” recorded no commit: it was started outside a git repository, or has not begun."}
    if before.commit == after.commit:
        return {"sentence": f"Both were started at the commit {after.commit[:7]}; each tells what was not committed."}
    for folder in _places(before, after, home):
        found = repository.between(folder, before.commit, after.commit)
        if found is not None:
            changed, added, removed = repository.size_of(found.text)
            size = {"changed": changed, "added": added, "removed": removed}
            return {"diff": found.text, "diff_cut": found.cut, **size}
    sentence = f"No repository that this server knows has both commits, {before.commit[:7]} and {after.commit[:7]}. "
    return {"sentence": f"{sentence}Fetch them into the one in which the runs were started."}


def _places(before: Recorded, after: Recorded, home: Path) -> Iterator[Path]:
    """Folders whose repository may have both commits, each once."""
    seen = set()
    for folder in (after.folder, before.folder, home, Path.cwd(), PACKAGE):
        if folder is not None and folder not in seen:
            seen.add(folder)
            yield folder


def _files(before: Recorded, after: Recorded) -> list[str] | None:
    """Files of this package that both have loaded, and that differ; None where a run recorded none."""
    if not before.files or not after.files:
        return None
    both = before.files.keys() & after.files.keys()
    return sorted(name for name in both if before.files[name] != after.files[name])[:SHOWN_FILES]
