"""The calibration that goes with a model's folder: below which confidence it abstains, and its temperature. Torch-free.

Written into the config.json of checkpoints and exports, under a key of its own that transformers ignores and keeps, and
as sentences into the README.md of an export. Read by prediction, export and views.
"""

from __future__ import annotations

import json
from pathlib import Path

from pydantic import ValidationError

from imgcls_lab import model_folder
from imgcls_lab.errors import ModelError
from imgcls_lab.plurals import counted, percent
from imgcls_lab.run_layout import write_atomic
from imgcls_lab.schemas.calibration import Abstention, Calibration

KEY = "imgcls_lab"  # in config.json
FILE = "calibration.json"  # of an export without config.json


def write(folder: Path, calibration: Calibration) -> None:
    """Into the folder's config.json."""
    path = folder / model_folder.CONFIG
    config = json.loads(path.read_text())
    values = {**config, KEY: calibration.model_dump(mode="json")}
    write_atomic(path, json.dumps(values, indent=2, sort_keys=True) + "\n")


def write_alone(folder: Path, calibration: Calibration) -> None:
    """Into a file of its own, for forms that have no config.json."""
    write_atomic(folder / FILE, calibration.model_dump_json(indent=1) + "\n")


def read(folder: Path) -> Calibration:
    """Of a model's folder; empty where there is none. Raises ModelError for one that cannot be understood."""
    try:
        config = model_folder.read_json(folder, model_folder.CONFIG) or {}
        values = config[KEY] if KEY in config else model_folder.read_json(folder, FILE)
        return Calibration() if values is None else Calibration.model_validate(values)
    except model_folder.ModelFileError as error:
        raise ModelError(model_folder.refusal(folder.name, error)) from error
    except ValidationError as error:
        where = ".".join(map(str, error.errors()[0]["loc"]))
        raise ModelError(
            f"The config.json of the model “{folder.name}” has a value under {KEY} that cannot be used ({where}). "
            f"Remove {KEY} from it: the model then always answers.",
            reason="bad_calibration",
        ) from error


def model_card(classes: list[str], calibration: Calibration) -> str:
    """The README.md of an export: what the model tells apart, and when it abstains."""
    names = "\n".join(f"- {_escaped(name)}" for name in classes[:100])
    more = f"\n- and {len(classes) - 100} more" if len(classes) > 100 else ""
    return (
        "---\nlibrary_name: transformers\npipeline_tag: image-classification\n---\n\n# Image classifier\n\n"
        f"It tells {counted(len(classes), 'class', 'classes')} "
        f"apart:\n\n{names}{more}\n\n## When it abstains\n\n{_abstention(calibration)}"
    )


def _abstention(calibration: Calibration) -> str:
    held, lines = calibration.abstention, []
    if held is None:
        lines.append("No threshold was chosen: the model always answers.")
    else:
        lines += [
            f"Take no answer whose probability is below **{held.threshold:.4f}** (`{KEY}.abstention.threshold` in "
            f"`{model_folder.CONFIG}`, or `{FILE}`). {sentence(held)}",
            "This holds for images like those of the validation. It says nothing of images of another kind.",
        ]
    if calibration.temperature is not None:
        lines.append(
            f"Divide the logits by the temperature {calibration.temperature:.4f} for probabilities that agree best "
            "with how often they are right on the validation images. The threshold is for probabilities without it."
        )
    return "\n\n".join(lines) + "\n"


def sentence(held: Abstention) -> str:
    """What the threshold does, for people."""
    return (
        f"On {counted(held.images, 'validation image')} the model then answers {percent(held.coverage, 1)}, "
        f"and {percent(held.error, 2)} of these answers are wrong; with 95 % confidence at most "
        f"{percent(held.upper_error, 2)} are, on images like these."
    )


def _escaped(name: str) -> str:
    return json.dumps(name, ensure_ascii=False)[1:-1].replace("<", "&lt;").replace("*", "\\*").replace("`", "\\`")
