"""The check of a config before a launch: what is wrong, and what its run would do. Called by the form's routes.

It reads folder and file names only; whether each image and the model can be read, the run itself says.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from imgcls_lab import image_size, model_folder, output_folders
from imgcls_lab.config import TrainConfig
from imgcls_lab.config.model import is_revision, weights_problem
from imgcls_lab.errors import ConfigError, InputError, Problem
from imgcls_lab.imagefolder import FolderSummary, inspect_folder
from imgcls_lab.model_folder import ModelFileError
from imgcls_lab.planning.automatic import Machine, resolved_texts
from imgcls_lab.planning.preview import RunPreview, preview
from imgcls_lab.plurals import counted
from imgcls_lab.schemas import CheckReply, StepCounts
from imgcls_lab.server import launch_estimate
from imgcls_lab.server.handlers import field_problems, shorten
from imgcls_lab.server.paths import FOLDERS, allowed_config, allowed_folder, allowed_model, allowed_plugins, is_local
from imgcls_lab.settings import Settings
from imgcls_lab.store import Store

ORDER = ("Steps", "Time", "Memory", "Disk", "Classes", "Images", "Balance", "Overlap", "Image size")  # of the facts


def check(settings: Settings, store: Store, values: dict[str, Any]) -> CheckReply:
    """All problems that can be seen without reading an image or a model, and what a run of it would do."""
    config, problems = _parse(values)
    folders, refused = _allowed(settings, values)
    problems += refused
    facts: dict[str, str] = {}
    planned: RunPreview | None = None
    found = inspect_folder(folders["root"]) if "root" in folders else None
    if found is not None and found.problem:
        problems.append(Problem("root", found.problem))
    elif found is not None:
        facts |= _data_facts(found) | _scan_facts(store, folders["root"])
        facts |= {"Overlap": said} if (said := launch_estimate.overlap_fact(store, folders["root"])) else {}
        if config is not None:
            planned, refused = _plan(found, config)
            problems += refused
    if planned is not None:
        facts["Images"] += f", of which {planned.held_out:,} are held out for validation" if planned.held_out else ""
        facts["Steps"] = planned.steps_text
    native = None
    if flavour := folders.get("model_flavour", ""):
        refused, place = _check_model(
            flavour, values.get("revision"), pretrained=bool(config and config.load_pretrained)
        )
        problems += refused
        facts |= {"Model": place} if place else {}
        if place and config is not None:
            native = image_size.native_size(flavour, config.revision)
    machine = launch_estimate.machine_of(settings, store)
    estimate = launch_estimate.estimate(store, config, planned, machine) if config and planned else None
    facts |= launch_estimate.facts_of(estimate, machine, config)
    facts["Disk"] = launch_estimate.disk_fact(settings.runs_dir, estimate)
    edge = image_size.typical_edge(found.sample) if found is not None and not found.problem else None
    if found is not None and config is not None and config.image_size is None:
        facts |= {"Image size": size} if (size := image_size.enlarging(found, native, edge)) else {}
    looked = {
        "root": shorten(str(values["root"]), 4096) if found is not None else None,
        "image_edge": edge,
    }
    course = {
        "steps": StepCounts.model_validate(planned.steps, from_attributes=True) if planned else None,
        "lr_curve": planned.lr_curve if planned else None,
    }
    return CheckReply.model_validate(
        {
            "problems": field_problems(problems),
            "facts": {name: facts.pop(name) for name in ORDER if name in facts} | facts,
            "resolved": _resolved(config, machine, native, found),
            "estimate": estimate,
            "may_try": planned is not None and not problems and config is not None and not config.plugins,
            "may_draw": native is not None and config is not None and not config.plugins,
            **looked,
            **course,
        }
    )


def checked(settings: Settings, values: dict[str, Any]) -> TrainConfig:
    """The config with its paths absolute and allowed. Raises InputError."""
    TrainConfig.parse(values)  # its problems before those of paths: there may be no path yet
    return TrainConfig.parse(allowed_config(settings, values))


def _resolved(
    config: TrainConfig | None, machine: Machine, native: tuple[int, int] | None, found: FolderSummary | None
) -> dict[str, str]:
    """What the fields come to that the config leaves to the program, or to the data."""
    if config is None:
        return {}
    said = resolved_texts(config, machine, native)
    if found is not None and found.splits.get("val"):
        said["val_fraction"] = "not used: the data set has a val/ of its own"
    return said


def _parse(values: dict[str, Any]) -> tuple[TrainConfig | None, list[Problem]]:
    """The config that the values mean, or what is wrong with them."""
    try:
        return TrainConfig.parse(values), []
    except ConfigError as error:
        return None, list(error.problems)


def _allowed(settings: Settings, values: dict[str, Any]) -> tuple[dict[str, str], list[Problem]]:
    """The paths that the values name and that this server may read, by field; what is wrong with the others."""
    problems: list[Problem] = []
    try:
        allowed_plugins(settings, values.get("plugins"))
    except InputError as error:
        problems += error.problems
    folders: dict[str, str] = {}
    for field in (*FOLDERS, "model_flavour"):
        text = values.get(field)
        if not isinstance(text, str) or not text.strip():
            continue
        try:
            look = allowed_model if field == "model_flavour" else allowed_folder
            folders[field] = look(settings, text, field)
        except InputError as error:
            problems += error.problems
    return folders, problems + output_folders.problems(folders, settings)


def _plan(found: FolderSummary, config: TrainConfig) -> tuple[RunPreview | None, list[Problem]]:
    """What a run of the config would do, or why it would be refused."""
    try:
        return preview(config, found), []
    except InputError as error:
        return None, list(error.problems)


def _data_facts(found: FolderSummary) -> dict[str, str]:
    images = ", ".join(f"{sum(classes.values()):,} {split}" for split, classes in found.splits.items())
    names = ", ".join(found.classes[:6]) + (" …" if len(found.classes) > 6 else "")
    facts = {"Classes": f"{len(found.classes)}: {names}", "Images": images}
    counts = {name: found.splits["train"][name] for name in found.classes}
    least, most = min(counts, key=counts.__getitem__), max(counts, key=counts.__getitem__)
    if counts[least] == counts[most]:
        facts["Balance"] = f"Even: {counted(counts[most], 'training image')} a class."
    else:
        ratio = counts[most] / counts[least]
        facts["Balance"] = (
            f"{counts[least]:,} to {counts[most]:,} training images a class, 1 : {ratio:.1f} (“{least}”, “{most}”)."
        )
    if found.not_taken_said:
        facts["Not taken"] = found.not_taken_said
    if others := [note for note in found.notes if note != found.not_taken_said]:
        facts["Note"] = "\n".join(others)
    return facts


def _scan_facts(store: Store, root: str) -> dict[str, str]:
    """What the last run that scanned this folder had to leave out."""
    known = store.runs.last_scan(root)
    if known is None or not known.unreadable:
        return {}
    paths = list(known.unreadable)
    return {
        "Left out": f"{counted(len(paths), 'image')} "
        f"that “{known.run}” could not read, such as {paths[0]}; its page says why."
    }


def _check_model(flavour: str, revision: Any, *, pretrained: bool) -> tuple[list[Problem], str]:
    """What is wrong with a folder or an id, as far as it can be seen without asking a hub, and where it is found."""
    place = "A folder on this machine"
    sentence = None
    if not is_local(flavour):
        sentence, place = _check_hub_cache(flavour, revision if isinstance(revision, str) else None)
    elif not os.path.isdir(flavour):
        sentence = f"The model folder “{flavour}” does not exist. Check the path."
    elif not os.path.isfile(os.path.join(flavour, "config.json")):
        sentence = f"The folder “{flavour}” holds no config.json, so it is no model. Name the folder that holds it."
    elif missing := weights_problem(flavour, pretrained):
        return [Problem("load_pretrained", missing)], place
    else:
        sentence = _check_model_files(flavour, Path(flavour))
    return ([Problem("model_flavour", sentence)], "") if sentence else ([], place)


def _check_model_files(flavour: str, folder: Path) -> str | None:
    """A sentence for a model with files that the run would refuse."""
    try:
        model_folder.read_files(folder)
    except ModelFileError as error:
        return model_folder.refusal(flavour, error)
    return None


def _check_hub_cache(flavour: str, revision: str | None) -> tuple[str | None, str]:
    from huggingface_hub import try_to_load_from_cache
    from huggingface_hub.errors import HFValidationError

    if revision and not is_revision(revision):
        return None, ""  # the config's own problem says so
    try:
        known = try_to_load_from_cache(flavour, "config.json", revision=revision)
    except HFValidationError:
        return f"“{flavour}” is neither a folder nor the id of a model, such as google/vit-base-patch16-224.", ""
    if isinstance(known, str):
        return _check_model_files(flavour, Path(known).parent), "From the hub, on this machine already"
    return None, "Not on this machine; will be looked up on the hub when the run starts"
