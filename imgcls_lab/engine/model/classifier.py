"""The model of a run: any of transformers' image classifiers with the right head and class names.

Called by the run's preparation and by prediction. Loads safetensors only and never runs code from a model's folder;
every error is a ModelError with the remedy.
"""

from __future__ import annotations

import copy
import logging
import os
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch
from torch import nn
from transformers import PreTrainedConfig

from imgcls_lab import model_calibration
from imgcls_lab.config import TrainConfig
from imgcls_lab.config.model import weights_problem
from imgcls_lab.engine.model.heads import fit_head
from imgcls_lab.engine.model.image_processor import processor_of_model
from imgcls_lab.engine.model.labels import Labels, read_config
from imgcls_lab.engine.model.loading import ModelFiles, find_model, new_model, pretrained_model
from imgcls_lab.engine.model.processor_values import MAX_EDGE
from imgcls_lab.engine.model.structure import head_of
from imgcls_lab.engine.transforms import export_processor
from imgcls_lab.engine.transforms.geometry import Shape
from imgcls_lab.engine.transforms.preprocessing import EvalSpec
from imgcls_lab.engine.transforms.processor_parity import verified_spec, verify_export
from imgcls_lab.errors import ConfigError, ModelError, Problem
from imgcls_lab.image_size import DEFAULT_SIZE
from imgcls_lab.schemas import Calibration

Notify = Callable[[str], None]
MissingWeights = dict[str, tuple[int, ...] | None]  # name -> the shape that the file has; None: none
# TrainConfig's rates -> what timm calls them, then what transformers does
_RATES = {
    "drop_path": ("drop_path_rate", "drop_connect_rate"),
    "dropout": ("drop_rate", "hidden_dropout_prob", "dropout_rate", "classifier_dropout_prob"),
}

logging.getLogger("timm").setLevel(logging.ERROR)


@dataclass(frozen=True)
class Flavour:
    """A model before it is built: its files, its config, and how its images are prepared.

    labels: what its outputs are called; native: height and width of the images that it was made for; plain: it has no
    processor of its own.
    """

    files: ModelFiles
    config: PreTrainedConfig
    labels: Labels
    spec: EvalSpec
    native: Shape
    plain: bool

    @property
    def name(self) -> str:
        return self.files.name

    def warn_if_no_processor(self, notify: Notify) -> None:
        """Notify that ImageNet's defaults are used, where the model has no processor."""
        if self.plain:
            notify(
                f"The model “{self.name}” comes without an image processor, so images are resized to "
                f"{_size_text(self.spec.shape)} and normalised with ImageNet's mean and deviation."
            )


def read_flavour(name: str, revision: str | None, image_size: int | None) -> Flavour:
    """Read a model's config and processor, from the hub or a local folder, without its weights.

    Raises ModelError if there is none, it needs code of its own, it is no image classifier, or its processor prepares
    images in a way that is not known here. image_size: of the shorter edge; None: what the model was made for.
    """
    files = find_model(name, revision)
    name = files.name
    config, labels = read_config(files)
    channels = getattr(config, "num_channels", 3)
    if channels != 3:
        raise ModelError(f"The model “{name}” takes images of {channels} channels; images are read as RGB, 3 channels.")
    processor = processor_of_model(files)
    try:
        native = EvalSpec.default(_shape_of(config)) if processor is None else verified_spec(processor)
    except ModelError as error:
        raise ModelError(f"The images of the model “{name}” cannot be prepared as it needs them. {error}") from error
    if max(native.shape) > MAX_EDGE:
        raise ModelError(f"The model “{name}” takes images of {_size_text(native.shape)}; {MAX_EDGE} px are the most.")
    resize = image_size is not None and image_size != min(native.shape)
    spec = native.resized(image_size) if image_size is not None and resize else native
    return Flavour(files, config, labels, spec, native.shape, processor is None)


def with_dropout_rates(flavour: Flavour, config: TrainConfig) -> Flavour:
    """The flavour with the config's dropout and drop_path. Raises ConfigError if its architecture has none."""
    changed: Any = copy.deepcopy(flavour.config)
    for field, names in _RATES.items():
        rate = getattr(config, field)
        if rate is None:
            continue
        if changed.model_type == "timm_wrapper":
            changed.model_args = {**(changed.model_args or {}), names[0]: rate}
            continue
        there = [name for name in names if hasattr(changed, name)]
        try:
            for name in there:
                setattr(changed, name, rate)
        except Exception as error:  # a config that takes whole numbers alone
            raise _no_rate(flavour, field) from error
        if not there:
            raise _no_rate(flavour, field)
    return replace(flavour, config=changed)


def _no_rate(flavour: Flavour, field: str) -> ConfigError:
    text = f"A {flavour.config.model_type} has no {field.replace('_', ' ')} that can be set. Leave {field} empty."
    return ConfigError(text, [Problem(field, text)])


def build(flavour: Flavour, classes: list[str], pretrained: bool, seed: int, notify: Notify) -> nn.Module:
    """The model in float32 with a head for `classes`. Random parts are a function of the seed.

    `notify` gets sentences worth knowing, as that a new head was made. Raises ModelError.
    """
    config: Any = flavour.config
    flavour.warn_if_no_processor(notify)
    try:
        verify_export(flavour.spec)
    except ModelError as error:
        raise ModelError(f"The model “{flavour.name}” could not be written with its processor. {error}") from error
    torch.manual_seed(seed)
    if pretrained:
        model = _load_pretrained(flavour, classes, notify)
        if flavour.spec.shape != flavour.native:
            model = _interpolate_positions(model, flavour.spec.shape, flavour.name)
    else:
        config = _with_classes(config, classes)
        _set_image_size(config, flavour.spec.shape, flavour.name)
        model = new_model(config, flavour.name)
    if (outputs := _count_outputs(model, flavour)) != len(classes):
        raise ModelError(f"The model “{flavour.name}” gives {outputs} values an image, not {len(classes)}.")
    return model


def load_exported(folder: Path) -> tuple[nn.Module, EvalSpec]:
    """A checkpoint's or export's model in evaluation mode, and its spec. Raises ModelError."""
    model, spec, _labels = load_labelled(folder)
    return model, spec


def load_labelled(folder: Path, notify: Notify | None = None) -> tuple[nn.Module, EvalSpec, Labels]:
    """As `load_exported`, of any model folder, with what its outputs are called; `notify` as in `build`.

    Raises ModelError, also where an output has no name or the weights are not all there.
    """
    flavour = read_flavour(os.fspath(folder), None, None)
    if notify:
        flavour.warn_if_no_processor(notify)
    flavour.labels.check_named()
    model, body, head = _read_weights(flavour, copy.deepcopy(flavour.config))
    shapes = [shape for shape in head.values() if shape]
    if shapes:
        raise flavour.labels.differ_from(shapes[0][0])
    if head:
        raise ModelError(
            f"The model “{flavour.name}” has no weights of a head ({min(head)}), so it cannot tell classes. Train it."
        )
    if body:
        raise ModelError(
            f"{len(body)} weights of the model “{flavour.name}” are missing or do not fit its config.json, such as "
            f"{min(body)}. Take another model."
        )
    outputs = _count_outputs(model, flavour)
    if outputs != len(flavour.labels.names):
        raise flavour.labels.differ_from(outputs)
    return model.eval(), flavour.spec, flavour.labels


def export(
    model: nn.Module,
    spec: EvalSpec,
    folder: Path,
    state: dict[str, torch.Tensor] | None = None,
    calibration: Calibration | None = None,
) -> None:
    """Write a complete model folder: config.json with class names, model.safetensors, preprocessor_config.json.

    `state`: other weights than the model's own, as those of an average; calibration: written into config.json.
    """
    pretrained: Any = model
    weights = {name: value.detach().cpu().contiguous() for name, value in (state or model.state_dict()).items()}
    config = pretrained.config
    kept = config.__dict__.pop("pretrained_cfg", None)  # the processor writes it anew where it is timm's
    try:
        pretrained.save_pretrained(folder, state_dict=weights)
    finally:
        if kept is not None:
            config.pretrained_cfg = kept
    export_processor.save(spec, folder)
    if calibration is not None:
        model_calibration.write(folder, calibration)
    for path in folder.iterdir():
        path.chmod(0o600)


def _load_pretrained(flavour: Flavour, classes: list[str], notify: Notify) -> nn.Module:
    """The weights under a head for `classes`: the model's own where its outputs are theirs, else a new one."""
    if flavour.files.local and (problem := weights_problem(flavour.name, load_pretrained=True)):
        raise ModelError(problem)
    model, body, head = _read_weights(flavour, _with_classes(flavour.config, classes))
    total = len(list(model.parameters())) - sum(len(list(part.parameters())) for part in head_of(model))
    if len(body) > total / 2:
        raise ModelError(f"The weights of “{flavour.name}” do not fit its config.json; take another model.")
    if body:
        notify(f"{len(body)} of {total} weights of “{flavour.name}” are missing and start at random.")
    fit_head(model, flavour.labels, classes, flavour.native, notify, is_new=bool(head))
    return model.float()


def _read_weights(flavour: Flavour, config: Any) -> tuple[nn.Module, MissingWeights, MissingWeights]:
    """The model of a config, and what the weights do not give of it: of its body, and of its head."""
    model, info = pretrained_model(flavour.files, config)
    missing: MissingWeights = dict.fromkeys(info["missing_keys"])
    missing |= {key: tuple(there) for key, there, _here in info["mismatched_keys"]}
    heads = {id(parameter) for head in head_of(model) for parameter in head.parameters()}
    body, head = (
        {
            name: missing[name]
            for name, weight in model.named_parameters()
            if name in missing and (id(weight) in heads) is of
        }
        for of in (False, True)
    )
    return model, body, head


def _with_classes(config: Any, classes: list[str]) -> Any:
    config = copy.deepcopy(config)
    config.num_labels = len(classes)  # a number of its own in some configs (PVT), whatever the names say
    config.id2label = dict(enumerate(classes))
    config.label2id = {name: index for index, name in enumerate(classes)}
    if hasattr(config, "label_names"):  # timm's; it would win when the model is loaded again
        config.label_names = list(classes)
    return config


def _interpolate_positions(model: nn.Module, shape: Shape, name: str) -> nn.Module:
    """The model with its position embeddings interpolated to another image size, for good.

    It then takes that size everywhere, pipelines included, without `interpolate_pos_encoding`. A model that has no
    such embeddings is returned as it is.
    """
    config: Any = copy.deepcopy(model.config)
    weights = model.state_dict()
    for prefix, module in model.named_modules():
        interpolate = getattr(module, "interpolate_pos_encoding", None)
        positions = getattr(module, "position_embeddings", None)
        patches = getattr(getattr(module, "patch_embeddings", None), "num_patches", None)
        if interpolate is None or not isinstance(positions, nn.Parameter) or patches is None:
            continue
        patch = [config.patch_size] * 2 if isinstance(config.patch_size, int) else config.patch_size
        tokens = (shape[0] // patch[0]) * (shape[1] // patch[1]) + positions.shape[1] - patches
        made_for = config.image_size if isinstance(config.image_size, list | tuple) else [config.image_size] * 2
        with torch.no_grad():
            if made_for[0] == made_for[1]:
                interpolated = interpolate(torch.zeros(1, tokens, positions.shape[-1]), *shape)
            else:  # transformers takes any grid for a square one
                grids = [(edges[0] // patch[0], edges[1] // patch[1]) for edges in (made_for, shape)]
                interpolated = _interpolated_grid(positions, patches, *grids)
        weights[f"{prefix}.position_embeddings"] = interpolated.detach().clone()
        _set_image_size(config, shape, name)
    if getattr(config, "image_size", None) == getattr(model.config, "image_size", None):
        return model
    resized = new_model(config, name)
    resized.load_state_dict(weights)
    return resized


def _interpolated_grid(positions: torch.Tensor, patches: int, old: Shape, new: Shape) -> torch.Tensor:
    """Positions (1, tokens, width), the last `patches` of them a grid `old`, for a grid `new`; as transformers does."""
    first = positions.shape[1] - patches
    grid = positions[:, first:].reshape(1, *old, -1).permute(0, 3, 1, 2)
    grid = nn.functional.interpolate(grid, size=new, mode="bicubic", align_corners=False)
    return torch.cat([positions[:, :first], grid.permute(0, 2, 3, 1).flatten(1, 2)], 1)


def _count_outputs(model: nn.Module, flavour: Flavour) -> int:
    """How many values the model gives an image; one is tried, so that what cannot work fails now, with a sentence."""
    shape = flavour.spec.shape
    model.eval()
    try:
        with torch.no_grad(), torch.random.fork_rng(devices=[]):
            logits = getattr(model(pixel_values=torch.zeros(1, 3, *shape)), "logits", None)
    except Exception as error:
        remedy = (
            "Take another model."
            if shape == flavour.native
            else f"Leave image_size empty for {_size_text(flavour.native)}."
        )
        raise ModelError(
            f"The model “{flavour.name}” cannot take images of {_size_text(shape)} ({error}). {remedy}"
        ) from error
    if not isinstance(logits, torch.Tensor) or logits.ndim != 2:
        raise ModelError(
            f"The model “{flavour.name}” is a {type(model).__name__}, which gives an image no logits, one number a "
            "class. Take another model."
        )
    return logits.shape[1]


def _shape_of(config: PreTrainedConfig) -> Shape:
    """Height and width of the images that a model without a processor was made for."""
    size = getattr(config, "image_size", None)
    height, width = size if isinstance(size, tuple | list) and len(size) == 2 else (size, size)
    if isinstance(height, int) and isinstance(width, int) and min(height, width) > 0:
        return height, width
    return DEFAULT_SIZE, DEFAULT_SIZE


def _set_image_size(config: Any, shape: Shape, name: str) -> None:
    """Where a config says for which images its model is. Raises ModelError if it takes squares alone."""
    before = getattr(config, "image_size", None)
    if before is None:
        return
    try:
        config.image_size = shape[0] if shape[0] == shape[1] and isinstance(before, int) else list(shape)
    except Exception as error:  # of a config that takes one number
        raise ModelError(f"The model “{name}” takes square images alone, not {_size_text(shape)}.") from error


def _size_text(shape: Shape) -> str:
    return f"{shape[0]} px" if shape[0] == shape[1] else f"{shape[1]} x {shape[0]} px"
