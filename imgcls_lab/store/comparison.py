"""In what runs differ: config, data, packages, code and hardware. Called by `store.runs`; changes nothing.

A run's folder may come from elsewhere, so nothing of its manifest is taken for granted: what has another form than we
write counts as not known.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from sqlmodel import Session, col, select

from imgcls_lab import repository, run_changes
from imgcls_lab.config.saved import upgraded
from imgcls_lab.errors import InputError, NotFoundError
from imgcls_lab.events import RunKind, RunState
from imgcls_lab.plurals import counted
from imgcls_lab.schemas import ComparedField, ComparedPart, ComparisonView
from imgcls_lab.schemas.batches import Scalar
from imgcls_lab.schemas.limits import MAX_COMPARED
from imgcls_lab.settings import Settings
from imgcls_lab.store import homes, queries
from imgcls_lab.store.compared_settings import LONGEST, default_settings, scalar, settings_beside, settings_differ
from imgcls_lab.store.metrics import tags_of
from imgcls_lab.store.run_rows import find_run
from imgcls_lab.store.tables import Artifact, Dataset, Run

MAX_PACKAGES = 100  # that are listed where runs differ in more
NOT_INSTALLED = "not installed"
FIRST_PACKAGES = ("imgcls-lab", "torch", "torchvision", "transformers", "timm", "numpy", "pillow")
_TOLD_ELSEWHERE = {"root", "data_revision", "plugins"}  # by the parts data and code


class Compared(NamedTuple):
    """One run with all that is compared. manifest: empty where it has none yet or lies elsewhere."""

    run: Run
    dataset: str
    manifest: Mapping[str, Any]

    def section(self, *names: str) -> Mapping[str, Any]:
        """A mapping inside the manifest; an empty one where it is none."""
        found: Any = self.manifest
        for name in names:
            found = found.get(name) if isinstance(found, Mapping) else None
        return found if isinstance(found, Mapping) else {}


def compare(session: Session, settings: Settings, texts: Sequence[str], *, strict: bool) -> ComparisonView:
    """As `Runs.compare`."""
    runs, missing = _find(session, texts, strict=strict)
    if len(runs) > MAX_COMPARED:
        raise InputError(f"At most {MAX_COMPARED} runs can be compared at once; choose fewer.")
    names: dict[int | None, str] = dict(session.exec(select(Dataset.id, Dataset.name)).all())
    elsewhere = homes.elsewhere(session, runs)
    compared = [
        Compared(
            run,
            names.get(run.dataset_id) or Path(run.root).name,
            {} if run.id in elsewhere else queries.manifest_of(settings, run.id) or {},
        )
        for run in runs
    ]
    views, sizes = queries.by_id(session, [run.id for run in runs]), _sizes(session, runs)
    return ComparisonView(
        runs=[views[run.id] for run in runs],
        missing=missing,
        unrecorded=[each.run.id for each in compared if not each.manifest],
        other_images=_judged_on_other_images(compared),
        sizes=[sizes.get(run.id) for run in runs],
        tags=sorted({name for run in runs for _, name in tags_of(session, run)}),
        **_fields(compared),
    )


def _fields(compared: Sequence[Compared]) -> dict[str, Any]:
    """The fields of ComparisonView about facts."""
    settings_of, packages = [_settings(each) for each in compared], _packages(compared)
    config, hardware = _config(settings_of), _hardware(compared)
    data, code = _data(compared), _code(compared)
    unlike = [field for field in config if settings_differ(field, settings_of)]
    others = [field for part in (data, packages[:MAX_PACKAGES], code, hardware) for field in part if differ(field)]
    agreed = [field for field in (*config, *data, *hardware) if field not in unlike and field not in others]
    return {
        "differs": [*unlike, *others],
        "same": [field for field in agreed if _is_worth_saying(field) and None not in field.values],
        "same_settings": len(config) - len(unlike),
        "unlisted": max(0, len(packages) - MAX_PACKAGES),
    }


def _find(session: Session, texts: Sequence[str], *, strict: bool) -> tuple[list[Run], list[str]]:
    """The runs, each once, in their order, and the ids of those that are gone."""
    known = {run.id: run for run in session.exec(select(Run).where(col(Run.id).in_(texts))).all()}
    found: dict[str, Run] = {}
    missing: list[str] = []
    for text in texts:
        try:
            run = known.get(text) or find_run(session, text)
            found[run.id] = run
        except NotFoundError:
            if strict:
                raise
            missing.append(text)
    return list(found.values()), list(dict.fromkeys(missing))


def differ(field: ComparedField) -> bool:
    """Whether runs of which the fact is known have different ones. True and 1 are different, 1 and 1.0 are not."""
    return len({(isinstance(value, bool), value) for value in field.values if value is not None}) > 1


# ── the parts ───────────────────────────────────────────────────────────────────────────────────────────────────
def _settings(each: Compared) -> Mapping[str, Any]:
    """What a run trains with, each field of a config, with what was changed meanwhile; of a notebook its parameters."""
    run = each.run
    if run.kind == RunKind.TRAIN.value:
        in_force = run_changes.in_force(run.changes, RunState(run.state))
        return {**default_settings(), **upgraded(run.config or {}), **in_force}
    found = each.run.payload.get("parameters")
    return found if isinstance(found, Mapping) else {}


def _config(settings_of: Sequence[Mapping[str, Any]]) -> list[ComparedField]:
    """As `settings_beside`, but for what other parts tell."""
    return [field for field in settings_beside(settings_of) if field.name not in _TOLD_ELSEWHERE]


def _data(compared: Sequence[Compared]) -> list[ComparedField]:
    roots = [each.run.root for each in compared]
    named = [each.dataset or None for each in compared]
    alike = len(set(named)) < len(set(roots))  # two folders of one name: only their paths tell them apart
    return [
        _field("data", "root", "data set", [root or None for root in roots] if alike else named),
        _field("data", "revision", "revision", map(_revision, compared)),
        *(
            _field("data", f"{split}_images", f"{title} images", (_count(each, split) for each in compared))
            for split, title in (("train", "training"), ("val", "validation"), ("test", "test"))
        ),
        _field("data", "classes", "classes", (_length(each.manifest.get("classes")) for each in compared)),
        _field("data", "fingerprint", "content", map(_content, compared)),
    ]  # fmt: skip


def _content(each: Compared) -> Scalar:
    return _short(each.section("data").get("fingerprint"))


def _revision(each: Compared) -> Scalar:
    if each.run.data_revision is not None:
        return each.run.data_revision
    if each.run.data_revision_digest:
        return "corrections from a file"
    return "none" if each.run.root else None


def _packages(compared: Sequence[Compared]) -> list[ComparedField]:
    """Python and the packages in which they differ, those first that a result depends on most."""
    found = [(each.section("packages"), each.section("python").get("version")) for each in compared]
    python = _field("environment", "python", "Python", [version for _, version in found])
    known = {name.lower(): name for packages, _ in found for name in packages if isinstance(name, str)}
    lowered = [{str(name).lower(): version for name, version in packages.items()} for packages, _ in found]
    order = [*(name for name in FIRST_PACKAGES if name in known), *sorted(set(known) - set(FIRST_PACKAGES))]
    fields = [
        _field(
            "environment", known[name], known[name],
            [packages.get(name, NOT_INSTALLED) if packages else None for packages in lowered],
        )
        for name in order
    ]  # fmt: skip
    return [field for field in (python, *fields) if differ(field)]


def _code(compared: Sequence[Compared]) -> list[ComparedField]:
    def plugins(each: Compared) -> Scalar:
        files = [f"{item.get('name')} {_short(item.get('sha256'))}" for item in _rows(each.manifest.get("plugins"))]
        return (", ".join(files) or "none") if each.manifest else None

    return [
        _field("code", "commit", "commit", (_short(each.section("git").get("commit")) for each in compared)),
        _field("code", "diff", "not committed", map(_uncommitted, compared)),
        _field("code", "plugins", "plugins", map(plugins, compared)),
    ]


def _uncommitted(each: Compared) -> Scalar:
    """What the working tree had beside the commit, and by which digest it can be told from another such diff."""
    git = each.section("git")
    diff = git.get("diff")
    if not git or not isinstance(diff, str):
        return None
    if not diff:
        return "nothing"
    files, added, removed = repository.size_of(diff)
    more = " or more" if git.get("diff_cut") else ""
    digest = hashlib.sha256(diff.encode(errors="replace")).hexdigest()[:7]
    return f"{counted(files, 'file')}{more}, +{added:,} −{removed:,} ({digest})"


def _hardware(compared: Sequence[Compared]) -> list[ComparedField]:
    def device(each: Compared) -> Scalar:
        facts = each.section("hardware")
        return scalar(facts.get("gpu") or facts.get("processor"))

    return [
        _field("hardware", "device", "device", map(device, compared)),
        _field("hardware", "precision", "precision used", (each.manifest.get("precision") for each in compared)),
        _field("hardware", "processes", "processes", (each.manifest.get("processes") for each in compared)),
        _field("hardware", "threads", "threads", (each.manifest.get("threads") for each in compared)),
        _field("hardware", "cuda", "CUDA", (each.section("hardware").get("cuda") for each in compared)),
    ]  # fmt: skip


# ── pieces ──────────────────────────────────────────────────────────────────────────────────────────────────────
def _field(part: ComparedPart, name: str, title: str, values: Iterable[object]) -> ComparedField:
    return ComparedField(
        part=part, name=name[:LONGEST], title=title[:LONGEST], values=[scalar(each) for each in values]
    )


def _short(text: object) -> str | None:
    return text[:7] if isinstance(text, str) and text else None


def _length(items: object) -> int | None:
    return len(items) if isinstance(items, list) else None


def _rows(items: object) -> list[Mapping[str, Any]]:
    return [item for item in items if isinstance(item, Mapping)] if isinstance(items, list) else []


def _count(each: Compared, split: str) -> int | None:
    found = each.section("data").get(f"{split}_images")
    return found if isinstance(found, int) else None


def _judged_on_other_images(compared: Sequence[Compared]) -> bool:
    """Whether two runs that have scanned have other validation images: another folder's, or other files of it.

    A fingerprint is of all files of the data set, so equal ones with as many images are the same images.
    """
    judged = {
        (each.section("data").get("fingerprint"), _count(each, "val"))
        for each in compared
        if isinstance(each.section("data").get("fingerprint"), str)
    }
    roots = {each.run.root for each in compared if each.run.root}
    return len(judged) > 1 or (not judged and len(roots) > 1)


def _is_worth_saying(field: ComparedField) -> bool:
    """What the summary names of that in which all agree."""
    if field.part == "config":
        return field.name in {"seed", "batch_size", "epochs", "model_flavour", "lr", "optimizer"}
    return (field.part, field.name) in {("data", "root"), ("data", "revision"), ("hardware", "device")}


def _sizes(session: Session, runs: Sequence[Run]) -> dict[str, int]:
    """Bytes of the newest checkpoint by run."""
    saved = select(Artifact.run_id, Artifact.size).where(
        Artifact.kind == "checkpoint", col(Artifact.run_id).in_([run.id for run in runs])
    )
    return dict(session.exec(saved.order_by(col(Artifact.step), col(Artifact.attempt))).all())
