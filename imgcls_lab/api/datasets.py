"""`lab.dataset(...)`: a data set in Python: its images and problems as pictures, its audit, and its corrections.

Each answer has a DataFrame behind it and stays in a saved notebook as a picture. No file is ever changed.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import cached_property
from html import escape
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self, TypedDict, Unpack, get_args

from imgcls_lab.api import audits, context, revisions
from imgcls_lab.api.audits import Audit, Look
from imgcls_lab.api.galleries import Gallery, Origin, ShownImage
from imgcls_lab.api.problems import Problems, origin_of
from imgcls_lab.api.revision_answers import Difference, Revision, Revisions
from imgcls_lab.api.validation import one_of, request
from imgcls_lab.config import takes_fields_of
from imgcls_lab.errors import NotFoundError
from imgcls_lab.executor import client
from imgcls_lab.image_table import SPLITS, Order
from imgcls_lab.plurals import counted
from imgcls_lab.schemas import (
    DatasetDetail,
    DatasetEdit,
    DatasetView,
    ImagePage,
    ImageView,
    RevisionView,
)
from imgcls_lab.schemas.audits import ProblemKind
from imgcls_lab.store.dataset_pages import ImageFilter

if TYPE_CHECKING:
    import pandas as pd

    from imgcls_lab.api.run_handle import Run
    from imgcls_lab.dataset_export import ExportedFolder
    from imgcls_lab.store import Store

SHOWN_CLASSES = 20  # names of classes
PAGE = 1000  # images that are read at once
Images = str | os.PathLike[str] | Sequence[str | os.PathLike[str]]  # ids, or paths inside the data set


class Samples(Gallery):
    """Images of a data set. items: what is known of each; total: how many the filter leaves."""

    def __init__(self, title: str, items: list[ImageView], total: int, origin: Origin) -> None:
        self.title, self.items, self.total, self.origin = title, items, total, origin

    @cached_property
    def frame(self) -> pd.DataFrame:
        """A row for each image, as `ImageView`; `image` is its id."""
        import pandas as pd

        return pd.DataFrame([item.model_dump() for item in self.items], columns=[*ImageView.model_fields])

    def gallery(self) -> Iterator[ShownImage]:
        for item in self.items:
            yield ShownImage(item.image, item.name, [(item.label, None), (item.split, None)])


class DatasetChanges(TypedDict, total=False):
    """What of a registered data set can be changed."""

    name: str
    root: str | os.PathLike[str]
    description: str


class Dataset:
    """A registered data set."""

    def __init__(self, view: DatasetView) -> None:
        self._view = view
        self._store = context.store()

    @property
    def id(self) -> int:
        return self._view.id

    @property
    def name(self) -> str:
        return self._view.name

    @property
    def root(self) -> Path:
        return Path(self._view.root)

    def detail(self, revision: int | None = None) -> DatasetDetail:
        """Counts by class and split, sizes, formats, the newest revision.

        >>> len(data.detail().classes)
        10
        """
        return self._store.dataset_pages.detail(self.id, revision)

    # ── images ──────────────────────────────────────────────────────────────────────────────────────────────
    def samples(
        self, n: int | None = 40, *, split: str | None = None, label: str | None = None, text: str | None = None,
        by: Order | None = None, revision: int | None = None,
    ) -> Samples:  # fmt: skip
        """Some images, evenly spread over those of a split, a class, or with a text in their path; n None: all.

        by: the first n in an order instead: name, label, size (bytes) or pixels, the largest first. revision: by
        default the newest. Waits for the first look at the files. Raises InputError for an unknown split, label or by.

        >>> len(data.samples(4, split="train"))
        4
        """
        split, by = one_of("split", split, SPLITS), one_of("by", by, get_args(Order))
        label = one_of("label", label, self._view.classes)
        self._looked_at()
        wanted = ImageFilter(split, label, text, sort=by or "name", descending=by in ("size", "pixels"))
        total = self._page(wanted, 0, 1, revision).total
        items: list[ImageView] = []
        if n is None or n >= total or by is not None:
            most = total if n is None else min(n, total)
            while len(items) < most:
                page = self._page(wanted, len(items), min(PAGE, most - len(items)), revision)
                if not page.items:
                    break
                items += page.items
        else:
            for number in range(n):
                items += self._page(wanted, number * total // n, 1, revision).items
        title = f"{len(items):,} of {counted(total, 'image')} of {self.name}"
        return Samples(f"{title}, by {by}" if by else title, items, total, self._origin())

    def problems(self, kind: str | None = None, *, leak: bool | None = None, n: int | None = 40) -> Problems:
        """What the newest audit found, by kind and the worst first; n None: all. leak: only across splits, or not.

        Label errors and outliers need an audit with a model: `audit(model=...)` or `audit(run=...)`. Raises InputError
        for an unknown kind.

        >>> len(data.problems(n=2)) <= 2
        True
        """
        kind = one_of("kind", kind, get_args(ProblemKind))
        found = self._looked_at().problems(kind, leak=leak, limit=n)
        total = sum(self.last_audit().view.counts.values())
        of = f" of the kind {kind.replace('_', ' ')}" if kind else ""
        title = f"{counted(len(found), 'problem')}{of} shown, {total:,} in all, of {self.name}"
        return Problems(title, found, self._origin())

    def audit(
        self, *, model: str | int | None = None, run: Run | str | None = None, revision: int | None = None,
        device: str | None = None, wait: bool = True,
    ) -> Audit:  # fmt: skip
        """Look for problems; see `lab.audit`.

        >>> data.audit().view.state
        <RunState.SUCCEEDED: 'succeeded'>
        """
        return audits.audit(self.id, model=model, run=run, revision=revision, device=device, wait=wait)

    def last_audit(self) -> Audit:
        """The newest audit, running or done.

        >>> data.last_audit().wait().view.state
        <RunState.SUCCEEDED: 'succeeded'>
        """
        return Audit(self._view, self._store)

    # ── corrections ─────────────────────────────────────────────────────────────────────────────────────────
    def relabel(self, images: Images, label: str, *, only: str | None = None, message: str = "") -> Revision:
        """Give images another class, as a new revision. images: ids, or paths inside the data set; one or several.

        All files with the same content are corrected together; only: those of one split alone, train, val or test.

        >>> image = data.samples(20, label="1").frame["image"][2]
        >>> data.relabel(image, "7", message="it is a 7").message
        'it is a 7'
        """
        made = revisions.relabel(self.name, _listed(images), label, only=only, message=message)
        return self._revision(made)

    def exclude(self, images: Images, *, only: str | None = None, message: str = "") -> Revision:
        """Exclude images from training and evaluation, as a new revision; only="train": a copy in val/ stays.

        >>> data.exclude(data.samples(20).frame["image"][1], message="blurred").message
        'blurred'
        """
        return self._revision(revisions.exclude(self.name, _listed(images), only=only, message=message))

    def restore(self, images: Images, *, only: str | None = None, message: str = "") -> Revision:
        """Let the folders of images say their class again, as a new revision.

        >>> image = data.samples(20).frame["image"][3]
        >>> made = data.exclude(image)
        >>> data.restore(image).number - made.number
        1
        """
        return self._revision(revisions.restore(self.name, _listed(images), only=only, message=message))

    def correct(self, changes: Iterable[Mapping[str, Any]], *, message: str = "") -> Revision:
        """Make several corrections as one revision: mappings of `image` and `label`, or `excluded`.

        image: an id, or a path inside the data set; without `label` and `excluded`: restored. A change may have `only`,
        the one split that is meant, and `why`, a word. Raises as `relabel`.

        >>> images = data.samples(20).frame["image"]
        >>> made = data.correct([{"image": images[6], "excluded": True}, {"image": images[7], "excluded": True}])
        >>> len(made.changes)
        2
        """
        return self._revision(revisions.correct(self.name, changes, message=message))

    def undo(self, revision: int | None = None) -> Revision:
        """Add a revision that takes back what one changed, by default the newest.

        >>> made = data.exclude(data.samples(20).frame["image"][5])
        >>> data.undo().number - made.number
        1
        """
        return self._revision(revisions.undo(self.name, revision))

    def revisions(self) -> Revisions:
        """The revisions, newest first.

        >>> made = data.exclude(data.samples(20).frame["image"][4])
        >>> data.revisions()[0].number == made.number
        True
        """
        return Revisions(self.name, revisions.revisions(self.name), self.diff)

    def diff(self, revision: int, against: int | None = None) -> Difference:
        """What differs between a revision and its parent, or another one.

        >>> made = data.exclude(data.samples(20).frame["image"][0])
        >>> len(data.diff(made.number))
        1
        """
        return Difference(self.name, revisions.diff(self.name, revision, against), revision, self._origin())

    def export(self, out: Path | str, *, revision: int | None = None) -> ExportedFolder:
        """Write the data set as a revision, by default the newest, has it: a real folder of images.

        >>> data.export("corrected").folder.name
        'corrected'
        """
        return revisions.export(self.name, out, revision=revision)

    # ── its entry in the registry ───────────────────────────────────────────────────────────────────────────
    @takes_fields_of(DatasetEdit, kept=True)
    def edit(self, **changes: Unpack[DatasetChanges]) -> Self:
        """Change name, folder or description. Raises ForbiddenError, ConflictError, InputError.

        >>> data.edit(description="sixteen of each digit").name == data.name
        True
        """
        now = {"name": self.name, "root": str(self.root), "description": self._view.description}
        if "root" in changes:
            changes["root"] = os.fspath(changes["root"])
        edit = request(DatasetEdit, **{**now, **changes})
        self._view = self._store.datasets.edit(self.id, edit)
        self._store.audits.refresh(self.id, rescan=False)
        client.ensure(self._store.settings)
        return self

    def rescan(self) -> Self:
        """Look at its folder again, after files have changed. Raises ForbiddenError.

        >>> data.rescan().name == data.name
        True
        """
        self._view = self._store.datasets.rescan(self.id)
        self._store.audits.refresh(self.id)
        client.ensure(self._store.settings)
        return self

    def delete(self) -> None:
        """Take it out of the registry, with its revisions; its files stay. Raises ConflictError where runs used it.

        >>> lab.dataset(data.root, name="twice").delete()
        """
        self._store.datasets.delete(self.id)

    def __repr__(self) -> str:
        images = ", ".join(f"{split} {count:,}" for split, count in self._view.images.items())
        return f"<Dataset {self.name}: {counted(len(self._view.classes), 'class', 'classes')}; {images}; {self.root}>"

    def _repr_html_(self) -> str:
        """Its images by split, its classes, and what is worth knowing."""
        view = self._view
        rows = {f"images of {split}/": f"{count:,}" for split, count in view.images.items()}
        rows |= {"classes": ", ".join(view.classes[:SHOWN_CLASSES]), "folder": view.root}
        if len(view.classes) > SHOWN_CLASSES:
            rows["classes"] += f" and {len(view.classes) - SHOWN_CLASSES} more"
        cells = "".join(f"<tr><th>{escape(title)}</th><td>{escape(text)}</td></tr>" for title, text in rows.items())
        said = "".join(f"<p>{escape(text)}</p>" for text in filter(None, (view.problem, *view.notes)))
        return (
            f"<p>{escape(self.name)}: {counted(len(view.classes), 'class', 'classes')}</p><table>{cells}</table>{said}"
        )

    # ── private ─────────────────────────────────────────────────────────────────────────────────────────────
    def _looked_at(self, on_look: Look | None = None) -> Audit:
        """The newest audit, which has looked at the files: the first one is waited for."""
        found = self.last_audit()
        if found.view.run_id is None:
            return audits.audit(self.id)
        client.ensure(self._store.settings)
        return found.wait(on_look=on_look)

    def _page(self, wanted: ImageFilter, offset: int, limit: int, revision: int | None) -> ImagePage:
        return self._store.dataset_pages.images(self.id, wanted, offset=offset, limit=limit, revision=revision)

    def _origin(self) -> Origin:
        return origin_of(self._store, self._view)

    def _revision(self, made: RevisionView) -> Revision:
        return Revision.of(self.name, made, self.diff)


def dataset(named: str | os.PathLike[str] | int, *, name: str | None = None, description: str | None = None) -> Dataset:
    """A data set by its name, number or folder. A folder that is not registered yet is registered.

    name: of a folder's data set, by default the folder's; with it, the folder is registered under that name even where
    it has another one already. Raises NotFoundError, InputError for a folder that cannot be trained on, with the
    reason, ConflictError where another folder has the name.

    >>> len(lab.dataset(data.root).samples(4))
    4
    """
    store = context.store()
    root = "" if isinstance(named, int) else os.path.abspath(os.path.expanduser(named))
    known = _registered(store, named, name, root)
    if known is not None:
        return known if description is None else known.edit(description=description)
    free = name or _free_name(os.path.basename(root) or "images")
    view = store.datasets.add(request(DatasetEdit, name=free, root=root, description=description or ""))
    store.audits.start(view.id)
    return Dataset(view)


def _registered(store: Store, named: str | os.PathLike[str] | int, name: str | None, root: str) -> Dataset | None:
    """The registered one; None for a folder that is to be registered. Raises NotFoundError."""
    is_folder = bool(root) and os.path.isdir(root)
    if name is not None and is_folder:
        same = store.datasets.named(name)
        return Dataset(same) if same is not None and same.root == root else None
    try:
        return Dataset(audits.find_dataset(store, named))
    except NotFoundError:
        if not is_folder:
            raise
        return None


def _free_name(name: str) -> str:
    """A name that no data set has yet."""
    taken = {item.name for item in context.store().datasets.list()}
    return next(free for free in (name, *(f"{name} {number}" for number in range(2, 10_000))) if free not in taken)


def _listed(images: Images) -> Sequence[str | os.PathLike[str]]:
    return [images] if isinstance(images, str | os.PathLike) else images
