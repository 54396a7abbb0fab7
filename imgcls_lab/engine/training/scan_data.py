"""The scanned images of a run, and the manifest that records what was decided.

Called by `prepare`, between `resolve` and `build`.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch

from imgcls_lab.engine.data import scan as scanning
from imgcls_lab.engine.data import scan_report
from imgcls_lab.engine.data.image_set import class_counts, pick_num_workers
from imgcls_lab.engine.data.scan import ScanOptions, ScanResult, open_caches
from imgcls_lab.engine.data.scan_index import index_path
from imgcls_lab.engine.data.split import Splits
from imgcls_lab.engine.evaluation.evaluate import check_monitor
from imgcls_lab.engine.reporting import manifest
from imgcls_lab.engine.training import forking, overlay
from imgcls_lab.engine.training.inputs import pick_feature_views
from imgcls_lab.engine.training.resolve import Resolved
from imgcls_lab.engine.training.state import Attempt, DataSets, planned_processes
from imgcls_lab.errors import DataError
from imgcls_lab.planning.steps import plan_steps


def scan(attempt: Attempt, resolved: Resolved) -> DataSets | None:
    """Inspect every image once, and write the manifest on the first attempt. None if stopped.

    Raises DataError if the images of a resumed run have changed, or a class has no image that can be used.
    """
    config, group = attempt.config, attempt.group
    attempt.recorder.phase("scanning images")
    scanned = _scan_in_turn(attempt, resolved.splits)
    if scanned is None:
        return None
    train, val, test = scanned.sets
    splits = resolved.splits._replace(train=train, val=val, test=test)
    classes = splits.summary.classes
    saved_manifest = resolved.earlier.saved_manifest
    decided = saved_manifest or forking.inherited_decisions(attempt)
    if "feature_views" in decided or saved_manifest:
        views = decided.get("feature_views", 0)
    else:
        views = 0
        if planned_processes(config, group) == 1:
            views = pick_feature_views(
                config, resolved.recipe, resolved.model, train=train, val=val, notify=attempt.recorder.notice
            )
    check_monitor(config, val.labels, len(classes))
    _record(attempt, resolved, splits, scanned, views)
    counts = class_counts(train.labels, len(classes))
    return DataSets(
        classes=classes,
        train=train,
        val=val,
        test=test,
        num_workers=pick_num_workers(
            config.num_workers, train.pixels is not None, resolved.compute.device, group.local_world_size
        ),
        sample_weights=1.0 / counts[train.labels] if config.balance == "sampler" else None,
        feature_views=views,
    )


def _scan_in_turn(attempt: Attempt, splits: Splits) -> ScanResult | None:
    """The scan of all splits; None if stopped. The main process scans first; the others find its index."""
    config, group, locations = attempt.config, attempt.group, attempt.cache_locations
    copies = group.local_world_size if group.is_main else max(1, group.local_world_size - 1)
    # The GPU decodes training images to other last bits than the CPU. They are never cached: the space for a cache must
    # not decide which bits a run trains on.
    uncached = [None] if config.decoder == "gpu" else []
    cached = [splits.train, splits.val][len(uncached) :]
    scanned = None
    for _turn in group.main_first():
        caches = open_caches(cached, config.cache, locations, copies)
        scanned = scanning.scan(
            [splits.train, splits.val, splits.test],
            splits.summary.classes,
            caches=[*uncached, *(caches or [])],
            index=index_path(locations.scans, splits.summary.root),
            options=ScanOptions(
                on_duplicates=config.on_duplicates,
                progress=_progress_of(attempt),
                stop=attempt.stop.is_set,
                overlay=splits.overlay,
                keep_table=not locations.alone and group.is_main,
            ),
        )
    if group.any(scanned is None)[0]:
        return None
    if scanned is not None:
        planned = planned_processes(config, group)
        plan_steps(config, len(scanned.sets[0]), planned)  # refuses too few images for the processes
    return scanned


def _progress_of(attempt: Attempt) -> scanning.Progress:
    return lambda done, total: attempt.recorder.phase("scanning images", done, total)


def _record(attempt: Attempt, resolved: Resolved, splits: Splits, scanned: ScanResult, feature_views: int) -> None:
    """Write the manifest and report what the scan found; on later attempts, check that the data is the same."""
    recorder = attempt.recorder
    data = scan_report.data_facts(splits, scanned)
    saved_manifest = resolved.earlier.saved_manifest
    if saved_manifest:
        _check_same_data(saved_manifest, splits.summary.classes, data["fingerprint"], splits.summary.root)
    else:
        _check_fork_data(attempt, splits.summary.classes, data["fingerprint"], splits.summary.root)
    if not saved_manifest and attempt.group.is_main:
        facts = _facts(attempt, resolved, splits.summary.classes, feature_views) | {"data": data}
        manifest.write(recorder.folder, attempt.config, resolved.compute.device, facts)
        scan_report.write_duplicates(recorder.folder, splits, scanned)
        scan_report.emit_notices(recorder.notice, splits, scanned)
        if splits.overlay is not None:
            recorder.notice(scanned.corrected.sentence, "warning" if scanned.corrected.gone else "info")
    if attempt.group.is_main:
        group = attempt.group
        manifest.add_attempt(recorder.folder, recorder.attempt, processes=group.world_size, nodes=group.nodes)


def _facts(attempt: Attempt, resolved: Resolved, classes: list[str], feature_views: int) -> dict[str, Any]:
    """What the manifest records of the decisions, in the order of the file."""
    compute = resolved.compute
    return {
        "precision": compute.precision,
        "precision_reason": compute.precision_reason,
        "channels_last": compute.memory_format is torch.channels_last,
        "threads": compute.threads,
        "feature_views": feature_views,
        "processes": planned_processes(attempt.config, attempt.group),
        "model": {"name": attempt.config.model_flavour, "commit": resolved.source.commit},
        "plugins": resolved.plugin_record,
        "classes": classes,
        "spec": resolved.source.spec.to_json(),
        "data_revision": overlay.facts(resolved.splits.overlay),
        "parent": attempt.fork and attempt.fork.model_dump(mode="json", exclude={"config", "history"}),
    }


def _check_same_data(saved_manifest: dict[str, Any], classes: list[str], fingerprint: str, root: Path) -> None:
    """A resume is exact only on the same images. Raises DataError."""
    if saved_manifest["classes"] != classes or saved_manifest["data"]["fingerprint"] != fingerprint:
        raise DataError(
            f"The images under “{root}” changed since this run began, so it cannot continue exactly. Put them back, or "
            "start a new run.",
            reason="images_changed",
            root=root,
        )


def _check_fork_data(attempt: Attempt, classes: list[str], fingerprint: str, root: Path) -> None:
    """A fork that changes nothing of the data trains on its parent's images. Raises DataError."""
    parent, fork = forking.inherited_manifest(attempt), attempt.fork
    if parent is None or fork is None or fork.changed(attempt.config) & {"data_revision", "on_duplicates"}:
        return
    if parent["classes"] != classes or parent["data"]["fingerprint"] != fingerprint:
        raise DataError(
            f"The images under “{root}” changed since “{fork.name}” trained on them, so a fork cannot go on from it. "
            "Put them back; or train again from its best model, on the images as they are.",
            reason="images_changed",
            root=root,
        )
