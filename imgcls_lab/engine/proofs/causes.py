"""Why steps that were computed again came out otherwise: what differs between a run and its repetition.

Called by `verify` and `bisect`. It reads two manifests, and the images of the run where their fingerprint differs.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

from packaging.utils import canonicalize_name

from imgcls_lab import predictions
from imgcls_lab.config import TrainConfig
from imgcls_lab.engine import hardware
from imgcls_lab.engine.proofs.record import Record
from imgcls_lab.engine.proofs.requirements import INSTALLER, needed
from imgcls_lab.errors import DataError, NotFoundError
from imgcls_lab.image_files import printable
from imgcls_lab.planning.fingerprint import file_digest
from imgcls_lab.schemas import Difference
from imgcls_lab.schemas.proofs import DifferenceKind

MOST = 20  # differences that are listed
_NAMED = 3  # images or files of which the sentence names each
_REMEDIES = {
    "config": "Put config.json back as manifest.json has it",
    "threads": "Set threads as it was",
    "precision": "Set precision as it was",
    "device": "Verify it on a device of that kind",
    "hardware": "Verify it on such a machine",
    "data": "Put these images back",
    "package": "Install the recorded versions",
    "code": "Check out the code that it ran",
    "model": "Put the model's files back",
}


class Side(NamedTuple):
    """A run, or its repetition, or another run. config: as it is now; name: where both are runs."""

    folder: Path
    manifest: Mapping[str, Any]
    record: Record
    config: TrainConfig
    name: str = ""


def config_of(manifest: Mapping[str, Any]) -> TrainConfig:
    """The config with which a run began."""
    return TrainConfig.parse_saved(manifest["config"])


def remedy(differences: list[Difference]) -> str:
    """What would make both the same, a sentence; empty where nothing is known."""
    kinds = dict.fromkeys(each.kind for each in differences)
    return "".join(f"{_REMEDIES[kind]}. " for kind in kinds).strip()


def differences(before: Side, after: Side) -> list[Difference]:
    """What is otherwise in the repetition or the other run, the likeliest causes first."""
    found = [*_config(before, after), *_compute(before, after), *_data(before, after)]
    found += [*_packages(before, after), *_code(before.manifest, after.manifest)]
    zero = [side.record.hashes.get(0) for side in (before, after)]
    if None not in zero and zero[0] != zero[1] and not found:
        found.append(Difference(kind="model", text="it begins with other weights: the model's files are others"))
    return found[:MOST]


def _config(before: Side, after: Side) -> list[Difference]:
    """Settings that change a result, as they are in the repetition."""
    first = before.manifest["config"]
    changes = after.config.changes_from(first)
    return [
        _changed("config", name, (was, now), before, after)
        for name, (was, now) in changes.items()
        if name in after.config.result_fields() and name not in {"plugins", "threads", "precision"}
    ]


def _compute(before: Side, after: Side) -> list[Difference]:
    """How the machine computed."""
    one, other = before.manifest, after.manifest
    decided: tuple[DifferenceKind, ...] = ("threads", "precision")
    found = [
        _changed(kind, kind, (one.get(kind), other.get(kind)), before, after)
        for kind in decided
        if one.get(kind) != other.get(kind)
    ]
    arithmetic = [hardware.arithmetic_of(dict(each["hardware"])) for each in (one, other)]
    if _kind(one) != _kind(other):
        found.append(_changed("device", "device", (_kind(one), _kind(other)), before, after))
    elif None not in arithmetic and arithmetic[0] != arithmetic[1]:
        found.append(_changed("hardware", "processor", (arithmetic[0], arithmetic[1]), before, after))
    return found


def _kind(manifest: Mapping[str, Any]) -> str:
    return str(manifest.get("device", "")).partition(":")[0]


def _data(before: Side, after: Side) -> list[Difference]:
    if before.manifest["data"]["fingerprint"] == after.manifest["data"]["fingerprint"]:
        return []
    root = Path(after.config.root)
    changed = _changed_images(before.folder, root)
    if not changed:
        return [Difference(kind="data", text=f"the images under “{root}” are others")]
    named = ", ".join(f"“{printable(name)}”" for name in changed[:_NAMED])
    more = f" and {len(changed) - _NAMED:,} more" if len(changed) > _NAMED else ""
    one = "is another image" if len(changed) == 1 else "are other images"
    return [Difference(kind="data", text=f"{named}{more} {one} than the run saw")]


def _changed_images(folder: Path, root: Path) -> list[str]:
    """Those of the run's own lists whose file is another one now, or gone."""
    found = []
    for split in ("train", "val", "test"):
        try:
            images = predictions.read_images(folder, split)
        except (NotFoundError, DataError):
            continue  # it has not come so far that it wrote this list
        if images.digests is not None:
            found += [
                images.name(number)
                for number in range(len(images))
                if file_digest(root / images.name(number)) != images.digests[number].tobytes()
            ]
    return found


def _packages(one: Side, other: Side) -> list[Difference]:
    """The packages that have another version; Python as one of them. Those first that a result depends on most."""
    before, after = (
        {"Python": side.manifest["python"]["version"], **side.manifest["packages"]} for side in (one, other)
    )
    first = ("Python", "torch", "torchvision", "transformers", "timm", "numpy", "pillow", "simplejpeg")
    names = sorted({*before, *after}, key=lambda name: (first.index(name) if name in first else len(first), name))
    missing, own = "not installed", needed()
    return [
        _changed("package", name, (before.get(name, missing), after.get(name, missing)), one, other)
        for name in names
        if before.get(name) != after.get(name)
        and canonicalize_name(name) != INSTALLER
        and ((name in before and name in after) or canonicalize_name(name) in own)  # else neither has used it
    ]


def _code(one: Mapping[str, Any], other: Mapping[str, Any]) -> list[Difference]:
    """The files of this package that both have loaded, and that are others."""
    before, after = one.get("code", {}), other.get("code", {})
    changed = [name for name in before if name in after and before[name] != after[name]]
    if not changed:
        return []
    named = ", ".join(changed[:_NAMED]) + (f" and {len(changed) - _NAMED:,} more" if len(changed) > _NAMED else "")
    one_of = "was edited" if len(changed) == 1 else "were edited"
    return [Difference(kind="code", text=f"{named} {one_of} since")]


def _changed(kind: DifferenceKind, name: str, values: tuple[object, object], before: Side, after: Side) -> Difference:
    was, now = ("empty" if value is None else str(value) for value in values)
    if before.name:
        return Difference(kind=kind, text=f"{name} is {was} in “{before.name}” and {now} in “{after.name}”"[:300])
    return Difference(kind=kind, text=f"{name} is {now} and was {was}"[:300])
