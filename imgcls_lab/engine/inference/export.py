"""A model as a folder for other programs: transformers', ONNX or torch.export; written only if it agrees.

Called by `Run.export` and the command line. The export is read back by its own runtime and gets real images in batches
of one and of many. The folder appears only if its logits are those of the model, and these agree with what the run
reported.
"""

from __future__ import annotations

import json
import os
import shutil
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, NamedTuple

import numpy as np
import numpy.typing as npt
import torch
from torch import nn

from imgcls_lab import model_calibration
from imgcls_lab.engine.data.image_set import Reader
from imgcls_lab.engine.inference.predict import Classifier, load
from imgcls_lab.engine.model import classifier as models
from imgcls_lab.engine.model.image_processor import processor_of_model
from imgcls_lab.engine.model.loading import find_model
from imgcls_lab.engine.model.structure import PixelsToLogits
from imgcls_lab.engine.transforms import export_processor
from imgcls_lab.engine.transforms.augment import normalise
from imgcls_lab.errors import ConflictError, InputError, MismatchError, ModelError
from imgcls_lab.images import decode
from imgcls_lab.model_calibration import model_card
from imgcls_lab.plurals import counted
from imgcls_lab.schemas import Calibration

Format = Literal["hf", "onnx", "torch-export"]
Logits = npt.NDArray[np.float32]
Forward = Callable[[torch.Tensor], Logits]  # normalised pixels (n, 3, height, width) -> logits (n, classes)

IMAGES = 32  # real images that an export is checked on
TOLERANCE = 1e-4  # of the logits, relative to the largest one, at least to 1
REPORTED_TOLERANCE = 0.01  # of the likeliest class's probability against what the run stored (float16, any device)
_ONNX_OPTIONS: dict[str, Any] = {
    "input_names": ["pixel_values"],
    "output_names": ["logits"],
    "dynamo": True,
    "verbose": False,
}
ABSTENTION_TOLERANCE = 1e-3  # of a probability
INLINE = 1_500_000_000  # bytes of weights up to which an ONNX file holds them itself


class Known(NamedTuple):
    """An image to check on, and what the run reported of it: the likeliest class and its probability, if it did."""

    path: str
    label: str | None = None
    prob: float | None = None


@dataclass(frozen=True)
class Exported:
    """folder: what was written; images: how many it was checked on; difference: largest of two logits; limit: allowed.

    reported: largest difference of a probability from what the run stored; None where nothing was stored; abstains: on
    how many of the images the model abstains; None where it has no threshold.
    """

    folder: Path
    format: Format
    images: int
    difference: float
    limit: float
    reported: float | None
    abstains: int | None


def export(model_dir: Path, format: Format, out: Path, images: Sequence[Known]) -> Exported:
    """Write a model in another form to the new folder `out`, checked on `images`.

    Raises ConflictError if `out` is there, MismatchError if the answers differ, ModelError, and InputError if no image
    is given or what ONNX needs is not installed.
    """
    if not images:
        raise InputError("An export is checked on real images, and none can be found. Name some by --images.")
    if out.exists() and (not out.is_dir() or any(out.iterdir())):
        raise ConflictError(f"“{out}” is there already. Name a new folder, or remove it.")
    loaded = load(model_dir, "cpu")
    paths = [image.path for image in images]
    reader = Reader(loaded.spec)
    pixels = normalise(torch.stack([reader.read(path)[0] for path in paths]), loaded.spec).contiguous()
    expected = _logits_of_parts(lambda batch: _logits(loaded.model, batch), pixels)
    reported = _check_reported(loaded, images, expected)
    try:
        out.parent.mkdir(parents=True, exist_ok=True)
        temporary = Path(tempfile.mkdtemp(prefix=f".{out.name}-", dir=out.parent))
    except OSError as error:
        raise InputError(f"The folder “{out}” cannot be made: {error.strerror}.") from error
    try:
        _WRITERS[format](loaded, temporary, pixels)
        (temporary / "README.md").write_text(model_card(loaded.classes, loaded.calibration), encoding="utf-8")
        found = _READERS[format](temporary, paths, pixels)
        limit = TOLERANCE * max(1.0, float(np.abs(expected).max()))
        difference = float(np.abs(found - expected).max())
        if not difference <= limit:
            raise MismatchError(
                f"The {format} export does not give what the model gives: on {counted(len(images), 'image')} "
                f"its logits differ by "
                f"up to {difference:.2g}, and {limit:.2g} is allowed. Nothing was written."
            )
        abstains = _check_abstention(loaded, model_calibration.read(temporary), expected, found)
        if out.is_dir():
            out.rmdir()
        os.rename(temporary, out)
    finally:
        shutil.rmtree(temporary, ignore_errors=True)
    return Exported(out, format, len(images), difference, limit, reported, abstains)


def _check_reported(loaded: Classifier, images: Sequence[Known], logits: Logits) -> float | None:
    """The largest difference from the probabilities that the run stored. Raises MismatchError if it is one."""
    probs = _softmax(logits)
    worst: float | None = None
    for image, row in zip(images, probs, strict=True):
        if image.label is None or image.prob is None:
            continue
        found = float(row[loaded.classes.index(image.label)]) if image.label in loaded.classes else 0.0
        worst = max(worst or 0.0, abs(found - image.prob))
        if not abs(found - image.prob) <= REPORTED_TOLERANCE:
            raise MismatchError(
                f"The model is not the one that the run reported: it gives “{image.path}” {found:.3f} for "
                f"“{image.label}”, and the run stored {image.prob:.3f}. Weights or images have changed since; nothing "
                "was written."
            )
    return worst


def _check_abstention(loaded: Classifier, written: Calibration, expected: Logits, found: Logits) -> int | None:
    """On how many images the model abstains. Raises MismatchError if what was written abstains on others.

    Images whose probability is within ABSTENTION_TOLERANCE of the threshold may fall on either side.
    """
    sure = [float(probs) for probs in _softmax(expected).max(1)]
    now = [float(probs) for probs in _softmax(found).max(1)]
    held = written.abstention
    if (held.threshold if held else None) != loaded.threshold:
        raise MismatchError("The threshold below which the model abstains was not exported. Nothing was written.")
    if held is None:
        return None
    for before, after in zip(sure, now, strict=True):
        near = abs(before - held.threshold) <= ABSTENTION_TOLERANCE
        if not near and (before < held.threshold) is not (after < held.threshold):
            raise MismatchError(
                f"The export does not abstain where the model does: of one image they are sure to {after:.4f} and "
                f"{before:.4f}, and the threshold is {held.threshold:.4f}. Nothing was written."
            )
    return sum(prob < held.threshold for prob in sure)


def _softmax(logits: Logits) -> Logits:
    probs: Logits = torch.from_numpy(logits).softmax(1).numpy()
    return probs


def _logits(model: nn.Module, pixels: torch.Tensor) -> Logits:
    with torch.no_grad():
        logits: Logits = model(pixel_values=pixels).logits.float().numpy()
    return logits


def _logits_of_parts(forward: Forward, pixels: torch.Tensor) -> Logits:
    """The first image alone and the others together, so that another batch size is tested, too."""
    parts = [part for part in (pixels[:1], pixels[1:]) if len(part)]
    return np.concatenate([forward(part) for part in parts])


# ── the forms ───────────────────────────────────────────────────────────────────────────────────────────────────
def _write_hf(loaded: Classifier, folder: Path, _pixels: torch.Tensor) -> None:
    models.export(loaded.model, loaded.spec, folder, calibration=loaded.calibration)


def _read_hf(folder: Path, paths: Sequence[str], _pixels: torch.Tensor) -> Logits:
    """As another program does it, from the decoded images on: transformers' processor and transformers' model."""
    from PIL import Image

    processor = processor_of_model(find_model(str(folder), None))
    decoded = [Image.fromarray(decode(path)) for path in paths]
    pixels = processor(images=decoded, return_tensors="pt")["pixel_values"]
    model, _ = models.load_exported(folder)
    return _logits_of_parts(lambda batch: _logits(model, batch), pixels)


def _write_onnx(loaded: Classifier, folder: Path, pixels: torch.Tensor) -> None:
    _needs_onnx()
    size = sum(weight.numel() * weight.element_size() for weight in loaded.model.parameters())
    try:
        torch.onnx.export(
            PixelsToLogits(loaded.model).eval(),
            (pixels[[0, -1]],),
            folder / "model.onnx",
            dynamic_shapes=_any_batch_size(),
            external_data=size > INLINE,
            **_ONNX_OPTIONS,
        )
    except Exception as error:  # whatever the exporter meets in a model
        raise _unexportable("ONNX", error) from error
    _write_labels(loaded, folder)


def _read_onnx(folder: Path, _paths: Sequence[str], pixels: torch.Tensor) -> Logits:
    import onnxruntime

    session: Any = onnxruntime.InferenceSession(folder / "model.onnx", providers=["CPUExecutionProvider"])
    return _logits_of_parts(lambda batch: session.run(["logits"], {"pixel_values": batch.numpy()})[0], pixels)


def _write_torch(loaded: Classifier, folder: Path, pixels: torch.Tensor) -> None:
    try:
        model, example = PixelsToLogits(loaded.model).eval(), (pixels[[0, -1]],)
        program = torch.export.export(model, example, dynamic_shapes=_any_batch_size())
    except Exception as error:
        raise _unexportable("torch.export", error) from error
    torch.export.save(program, folder / "model.pt2")
    _write_labels(loaded, folder)


def _read_torch(folder: Path, _paths: Sequence[str], pixels: torch.Tensor) -> Logits:
    module = torch.export.load(folder / "model.pt2").module()

    def answer(batch: torch.Tensor) -> Logits:
        with torch.no_grad():
            logits: Logits = module(batch).numpy()
        return logits

    return _logits_of_parts(answer, pixels)


def _write_labels(loaded: Classifier, folder: Path) -> None:
    """What the graph does not contain: how an image becomes its input, and the names of its outputs."""
    if export_processor.is_timm(loaded.spec):  # transformers looks for timm's preparation there
        config: Any = loaded.model.config
        config.save_pretrained(folder)
    export_processor.save(loaded.spec, folder)
    model_calibration.write_alone(folder, loaded.calibration)
    (folder / "classes.json").write_text(json.dumps(loaded.classes, indent=1, ensure_ascii=False) + "\n")


_WRITERS: dict[Format, Callable[[Classifier, Path, torch.Tensor], None]] = {
    "hf": _write_hf,
    "onnx": _write_onnx,
    "torch-export": _write_torch,
}
_READERS: dict[Format, Callable[[Path, Sequence[str], torch.Tensor], Logits]] = {
    "hf": _read_hf,
    "onnx": _read_onnx,
    "torch-export": _read_torch,
}


def _any_batch_size() -> dict[str, Any]:
    return {"pixel_values": {0: torch.export.Dim("batch")}}


def _needs_onnx() -> None:
    try:
        import onnx  # noqa: F401
        import onnxruntime  # noqa: F401
        import onnxscript  # noqa: F401
    except ImportError as error:
        raise InputError(
            f"An ONNX export needs {error.name}, which is not installed: pip install 'imgcls-lab[export]'."
        ) from error


def _unexportable(form: str, error: Exception) -> ModelError:
    line = next((line for line in str(error).splitlines() if line.strip()), type(error).__name__)
    return ModelError(f"This model cannot be written as {form}: {line.strip()[:300]}")
