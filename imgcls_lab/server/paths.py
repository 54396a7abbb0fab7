"""Which paths a request may name. Called by the routes that take one; reads no file.

Every path must lie under an allowed root, links followed; otherwise the answer is the same whether it exists or
not. What is inside a root may be told apart: a file, device or pipe is not a folder.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Any

from imgcls_lab.audits.task import AuditTask
from imgcls_lab.config.fields import split_names
from imgcls_lab.errors import ForbiddenPathError, InputError, Problem
from imgcls_lab.events import RunKind
from imgcls_lab.model_export import ExportTask
from imgcls_lab.proofs import proof_of
from imgcls_lab.schemas import Choices, Range, RunDetail
from imgcls_lab.settings import Settings
from imgcls_lab.speed_trial import config_of

MODELS = ("model_flavour", "flavour")  # fields that name a model
FOLDERS = ("root", "tb_root", "ckpt_dir")  # of a config


def allowed_folder(settings: Settings, text: str, field: str) -> str:
    """The absolute path of a folder that a request may name; it need not exist yet.

    Raises ForbiddenPathError outside the allowed roots and InputError for what exists and is no folder, both with
    the field. Both the path as it came and the absolute one that is kept are checked.
    """
    path = os.path.abspath(os.path.expanduser(text))
    try:
        settings.allowed(text)  # what the system would open: a link may stand before a ..
        settings.allowed(path)  # the name that is stored
    except ForbiddenPathError:
        named = f"“{text[:200]}”" + (f" ({path[:200]})" if text.startswith("~") else "")
        what, place = ("model", settings.models_dir) if field in MODELS else ("data", settings.datasets_dir)
        sentence = (
            f"{named} lies outside the folders that may be named here. Put the {what} under "
            f"{place}, or start the server with its folder in IMGCLS_ALLOWED_ROOTS."
        )
        raise ForbiddenPathError(sentence, [Problem(field, sentence)]) from None
    except (OSError, RuntimeError, ValueError):  # a loop of links, a name that is too long
        sentence = f"“{text[:200]}” is not a usable path."
        raise InputError(sentence, [Problem(field, sentence)]) from None
    if os.path.lexists(path) and not os.path.isdir(path):
        sentence = f"“{text[:200]}” is not a folder."
        raise InputError(sentence, [Problem(field, sentence)])
    return path


def _allowed_file(settings: Settings, text: str, field: str) -> str:
    """The real path of a file that a request may name; an empty text stays. Raises as `allowed_folder` does."""
    if not text.strip():
        return text
    try:
        path = settings.allowed(text)
    except (ForbiddenPathError, OSError, RuntimeError, ValueError):
        sentence = f"“{text[:200]}” lies outside the folders that may be named here, or is not a usable path."
        raise ForbiddenPathError(sentence, [Problem(field, sentence)]) from None
    if not path.is_file():
        sentence = f"“{text[:200]}” is not a file."
        raise InputError(sentence, [Problem(field, sentence)])
    return str(path)


def allowed_model(settings: Settings, text: str, field: str) -> str:
    """A model as a request may name it: a hub id as it is, a local folder as its absolute path.

    Raises as `allowed_folder` does.
    """
    return allowed_folder(settings, text, field) if is_local(text) else text


def is_local(flavour: str) -> bool:
    """Whether a model is named by a path rather than by its id on the hub."""
    odd = ".." in flavour.split("/") or "\\" in flavour or flavour.count("/") > 1
    return odd or flavour.startswith(("/", ".", "~")) or os.path.lexists(flavour)


def names_code(config: Mapping[str, Any]) -> bool:
    """Whether a config names plugins, in whatever form: code that its run executes."""
    return bool(config.get("plugins"))


def configs_of(run: RunDetail) -> list[dict[str, Any]]:
    """The config of a training; of a sweep the base, and each value of its space by itself; none for a notebook.

    Of a task, the folders that it reads, as a config names them.
    """
    if run.kind is RunKind.TRAIN:
        return [run.config]
    if run.kind is RunKind.TASK:
        if (trial := config_of(run.payload)) is not None:
            return [trial.model_dump(mode="json")]
        if (proof := proof_of(run.payload)) is not None:
            return proof.configs
        return [(ExportTask.of(run.payload) or AuditTask.of(run.payload)).names()]
    request = run.payload.get("request")
    if run.kind is not RunKind.SWEEP or not isinstance(request, dict) or run.payload.get("notebook"):
        return []
    base, space = request.get("base"), request.get("space")
    tried = {
        name: item["values"]
        for name, item in (space.items() if isinstance(space, dict) else ())
        if isinstance(item, dict) and isinstance(item.get("values"), list)
    }
    return [base if isinstance(base, dict) else {}, *({name: v} for name, values in tried.items() for v in values)]


def executes_code(run: RunDetail) -> bool:
    """Whether a run executes code that is not this package's: a notebook's, or plugins'."""
    if run.kind is RunKind.TRAIN:
        return names_code(run.config)
    if run.kind is RunKind.TASK:  # a proof executes the plugins of its runs
        proof = proof_of(run.payload)
        return proof is not None and any(names_code(config) for config in proof.configs)
    request = run.payload.get("request")
    if run.kind is not RunKind.SWEEP or not isinstance(request, dict) or run.payload.get("notebook"):
        return True
    return names_code(request.get("base") or {}) or names_code(request.get("space") or {})


def allowed_plugins(settings: Settings, plugins: Any) -> list[str]:
    """The absolute paths of the plugins that a config names. Plugins are code that a run executes.

    Raises ForbiddenPathError unless this server is set to take them and they lie under an allowed root.
    """
    names = _names(plugins)
    check_plugins_setting(settings, names)
    try:
        allowed = [settings.allowed(name) for name in names]
    except ForbiddenPathError as error:
        raise ForbiddenPathError(str(error), [Problem("plugins", str(error))]) from None
    for path in allowed:
        if path.is_relative_to(settings.runs_dir.resolve()):  # a run from elsewhere may lie there
            sentence = f"“{path}” lies in a run's folder. Name your own file, from which the run's copy was made."
            raise ForbiddenPathError(sentence, [Problem("plugins", sentence)])
    return [str(path) for path in allowed]


def _names(plugins: Any) -> list[str]:
    return [str(name) for name in split_names(plugins)] if isinstance(plugins, str | list) else []


def check_plugins_setting(settings: Settings, plugins: Any) -> None:
    """Raises ForbiddenPathError for a request that would execute plugins, if this server is not set to take them."""
    if _names(plugins) and not settings.allow_plugins:
        sentence = (
            "This server takes no configs with plugins, since they are code. Start such runs from a notebook or the "
            "command line, or start the server with IMGCLS_ALLOW_PLUGINS=1."
        )
        raise ForbiddenPathError(sentence, [Problem("plugins", sentence)])


def allowed_space(settings: Settings, space: dict[str, Choices | Range]) -> dict[str, Choices | Range]:
    """The space of a sweep over configs with each path in it checked and absolute. Raises as `allowed_config` does."""

    def checked(name: str, value: Any) -> Any:
        found = allowed_config(settings, {name: value})[name]
        return value if isinstance(found, list) else found  # the names of plugins stay as they are

    return {
        name: item.model_copy(update={"values": [checked(name, value) for value in item.values]})
        if isinstance(item, Choices)
        else item
        for name, item in space.items()
    }


def allowed_config(settings: Settings, config: dict[str, Any]) -> dict[str, Any]:
    """The config with each path checked and absolute. Values of a wrong type stay.

    Raises as `allowed_folder` and `allowed_plugins` do.
    """
    checked = dict(config)
    if plugins := allowed_plugins(settings, config.get("plugins")):
        checked["plugins"] = plugins
    for field in FOLDERS:
        if isinstance(config.get(field), str) and config[field].strip():
            checked[field] = allowed_folder(settings, config[field], field)
    if isinstance(config.get("data_revision"), str) and not config["data_revision"].strip().isdecimal():
        checked["data_revision"] = _allowed_file(settings, config["data_revision"], "data_revision")
    if isinstance(config.get("model_flavour"), str) and config["model_flavour"].strip():
        checked["model_flavour"] = allowed_model(settings, config["model_flavour"], "model_flavour")
    return checked
