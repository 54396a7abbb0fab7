"""Which files below a folder are images: the one answer that counting, listing, training and prediction share.

A name with the suffix of an image is taken as it is; any other file is opened, so that a wrong suffix does no harm.
What is left out (other files, what systems put beside images, links that lead away) is remembered and said. Follows no
link out of its root, changes nothing.
"""

from __future__ import annotations

import os
import re
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

from imgcls_lab.images import HEIF_REMEDY, HEIF_SUFFIXES, is_image, is_image_name
from imgcls_lab.plurals import counted

# TIFF inside, of which a decoder would give the small preview
_RAW = "3fr arw cr2 cr3 crw dcr dng erf iiq kdc mrw nef nrw orf pef raf raw rw2 sr2 srf srw x3f"
RAW_SUFFIXES = frozenset(f".{suffix}" for suffix in re.split(" ", _RAW))
# what systems and programs put beside images, small copies of them among it; in lower case
_JUNK = frozenset(
    {"__macosx", ".appledouble", "@eadir", "#recycle", "$recycle.bin", "lost+found", "system volume information"}
    | {".ipynb_checkpoints", ".picasaoriginals", ".thumbnails", "thumbs.db", "ehthumbs.db", "desktop.ini"}
)
_SUFFIX = re.compile(r"\.[a-z0-9_-]{1,12}")
NO_SUFFIX, ODD_SUFFIX = "no suffix", "an odd suffix"
SHOWN = 3  # names in a sentence
LOOKED_AT = 1000  # files or folders of a short look
NAMED = 1000  # files that are no images whose names are kept


class Walk:
    """One look at folders. Counts what it leaves out, each thing once.

    skipped_files: files that are no images, by suffix; skipped: paths of the first of them; junk: by name;
    outside: links that lead out of the root; lost: links that lead nowhere, or back to a folder that they are in. All
    paths are relative to the root.
    """

    def __init__(self, root: Path, *, bounded: bool = True) -> None:
        """`bounded`: a link must stay below the root: a request over REST may name a data set and nothing outside."""
        self._root = os.fspath(root)
        self._real = os.path.realpath(root) if bounded else None
        self.skipped_files: Counter[str] = Counter()
        self.skipped: list[str] = []
        self.junk: Counter[str] = Counter()
        self.outside: set[str] = set()
        self.lost: set[str] = set()

    def is_folder(self, path: Path) -> bool:
        """Whether it is a folder to look at: none that a link leads away to."""
        return (not path.is_symlink() or self._follows(os.fspath(path))) and path.is_dir()

    def folders(self, folder: Path) -> list[str]:
        """Names of the folders in it, sorted. Raises OSError."""
        return sorted(entry.name for entry in self.entries(folder) if entry.is_dir())

    def images(self, folder: Path) -> list[str]:
        """Image files below a folder, sub-folders included; hidden names are left out. Raises OSError."""
        found: list[str] = []
        pending = [os.fspath(folder)]
        seen: set[tuple[int, int]] = set()
        while pending:
            current = pending.pop()
            status = os.stat(current)
            if (status.st_dev, status.st_ino) in seen:  # two links to one folder
                continue
            seen.add((status.st_dev, status.st_ino))
            for entry in self.entries(current):
                if entry.is_dir():
                    pending.append(entry.path)
                elif self.takes(entry):
                    found.append(entry.path)
        return found

    def entries(self, folder: str | Path) -> Iterator[os.DirEntry[str]]:
        with os.scandir(folder) as entries:
            for entry in entries:
                if (mark := _junk(entry.name)) is not None:
                    self.junk[mark] += 1
                elif not entry.name.startswith(".") and (not entry.is_symlink() or self._follows(entry.path)):
                    yield entry

    def takes(self, entry: os.DirEntry[str]) -> bool:
        if is_image_name(entry.name):
            return True
        suffix = suffix_of(entry.name)
        if suffix not in RAW_SUFFIXES and is_image(entry.path):
            return True
        self.skipped_files[suffix] += 1
        if len(self.skipped) < NAMED:
            self.skipped.append(self._relative(entry.path))
        return False

    def _follows(self, link: str) -> bool:
        """Whether a link is followed; remembers one that is not."""
        try:
            target = os.path.realpath(link, strict=True)
        except OSError:
            self.lost.add(self._relative(link))
            return False
        here = os.path.realpath(os.path.dirname(link))
        if os.path.commonpath([target, here]) == target:
            self.lost.add(self._relative(link))
            return False
        if self._real is not None and os.path.commonpath([self._real, target]) != self._real:
            self.outside.add(self._relative(link))
            return False
        return True

    def _relative(self, path: str) -> str:
        return printable(path[len(os.path.join(self._root, "")) :])

    def said(self) -> list[str]:
        """What was left out, in sentences."""
        return [text for text in (self.not_taken_said(), self._junk_said(), *self.links_said()) if text]

    def not_taken_said(self) -> str | None:
        """Of the files that are no images: how many of which suffix, and what makes an image of them."""
        heif = {suffix: n for suffix, n in self.skipped_files.items() if suffix in HEIF_SUFFIXES}
        raw = {suffix: n for suffix, n in self.skipped_files.items() if suffix in RAW_SUFFIXES}
        rest = {suffix: n for suffix, n in self.skipped_files.items() if suffix not in heif and suffix not in raw}
        parts = []
        if heif:
            parts.append(f"{_counted(heif)} (`{HEIF_REMEDY}`, then they are read)")
        if raw:
            parts.append(f"{_counted(raw)} (raw images of a camera; save them as JPEG or PNG)")
        if rest:
            parts.append(f"{_counted(rest)} (no images of a known format)")
        total = self.skipped_files.total()
        return f"{counted(total, 'file is', 'files are')} not taken: {'; '.join(parts)}." if parts else None

    def _junk_said(self) -> str | None:
        if not self.junk:
            return None
        names = ", ".join(f"{name}{f' ({n:,} times)' if n > 1 else ''}" for name, n in sorted(self.junk.items()))
        return f"What systems put beside images is left out: {names}."

    def links_said(self) -> list[str]:
        told = []
        if self.outside:
            one = len(self.outside) == 1
            told.append(
                f"{counted(len(self.outside), 'link leads', 'links lead')} out of the data set and "
                f"{'is' if one else 'are'} not followed: {named(sorted(self.outside))}. Copy the images instead."
            )
        if self.lost:
            one = len(self.lost) == 1
            told.append(
                f"{counted(len(self.lost), 'link leads', 'links lead')} nowhere, or back to a folder that "
                f"{'it is' if one else 'they are'} in, and {'is' if one else 'are'} left out: "
                f"{named(sorted(self.lost))}. Mend or remove {'it' if one else 'them'}."
            )
        return told


def loose_images(root: Path, folder: Path) -> int:
    """How many image files lie in a folder itself. Raises OSError."""
    walk = Walk(root)
    return sum(not entry.is_dir() and walk.takes(entry) for entry in walk.entries(folder))


def is_like_class(root: Path, folder: Path) -> bool:
    """Whether images lie in a folder itself, also such as need a reader that is not there. Raises OSError."""
    others = []
    for entry in Walk(root).entries(folder):
        if entry.is_dir():
            continue
        if is_image_name(entry.name) or suffix_of(entry.name) in HEIF_SUFFIXES | RAW_SUFFIXES:
            return True
        others.append(entry.path)
    return any(map(is_image, others[:LOOKED_AT]))


def holds_deeper(root: Path, folder: Path) -> bool:
    """Whether images lie anywhere below a folder, as far as a short look can tell. Raises OSError."""
    walk, pending = Walk(root), [folder]
    for _ in range(LOOKED_AT):
        if not pending:
            return False
        current = pending.pop()
        if is_like_class(root, current):
            return True
        pending += [current / name for name in walk.folders(current)]
    return False


def printable(name: str | os.PathLike[str]) -> str:
    """A name of a file as text that can be stored and shown: bytes that are no UTF-8 are written out, as \\xff."""
    return os.fsencode(name).decode("utf-8", "backslashreplace")


def named(names: list[str], end: str = "") -> str:
    """Some names of a list, and how many more there are."""
    shown = ", ".join(f"“{printable(name)}{end}”" for name in names[:SHOWN])
    return f"{shown} and {len(names) - SHOWN:,} more" if len(names) > SHOWN else shown


def suffix_of(name: str) -> str:
    """The suffix in lower case; one word for none and one for those that are not like a suffix."""
    suffix = os.path.splitext(name)[1].lower()
    return suffix if _SUFFIX.fullmatch(suffix) else ODD_SUFFIX if suffix else NO_SUFFIX


def _junk(name: str) -> str | None:
    """What a sentence calls it, if systems made it."""
    if name.startswith("._"):  # the resource fork of a file, under its suffix
        return "._*"
    return name if name.lower() in _JUNK else None


def _counted(suffixes: dict[str, int]) -> str:
    """“2 .heic, 1 .heif”, the most frequent first."""
    ordered = sorted(suffixes.items(), key=lambda item: (-item[1], item[0]))
    shown = [f"{n:,} {suffix if suffix.startswith('.') else f'with {suffix}'}" for suffix, n in ordered[:8]]
    more = sum(n for _, n in ordered[8:])
    return ", ".join([*shown, f"{more:,} of other suffixes"] if more else shown)
