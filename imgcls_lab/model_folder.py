"""What the folder of a model may hold: JSON files as bounded data, and safetensors files that lie inside the folder.

Called by the engine, which gives transformers nothing that this module did not let through, and by forms and registries
before a run is submitted. It imports no torch, executes nothing and follows no link out of the folder.
"""

from __future__ import annotations

import json
import math
import os
import re
from collections.abc import Iterator, Mapping
from functools import partial
from pathlib import Path
from typing import Any

from imgcls_lab.config.model import WEIGHTS
from imgcls_lab.run_paths import open_plain

CONFIG = "config.json"
NESTED_PROCESSOR, PROCESSOR = "processor_config.json", "preprocessor_config.json"  # the first one wins
PROCESSORS = (NESTED_PROCESSOR, PROCESSOR)
ADAPTER = "adapter_config.json"
TIMM = "timm_wrapper"  # model_type of timm's models

MAX_JSON = 16_000_000  # bytes of a JSON file
MAX_DEPTH = 12  # levels of lists and mappings
MAX_VALUES = 20_000  # of a JSON file, without its labels and the names of weights
MAX_LABELS = 100_000  # outputs that have a name
MAX_NUMBER = 10_000_000  # what no field of a model needs
MAX_TEXT = 10_000  # characters
MAX_BYTES = 10**15  # that an index of weights may name
MAX_FILES = 1000  # of weights
_LABELS = ("id2label", "label2id", "label_names", "label_descriptions")
_LABEL_COUNTS = ("num_labels", "num_classes")
_LONG = (*_LABELS, "weight_map")  # fields that may be longer than MAX_VALUES

_ARCHITECTURE = re.compile(r"[a-z0-9_]{1,100}(\.[a-z0-9_]{1,100})?")  # a name in timm's registry, and its tag
_WORD = re.compile(r"[a-z0-9_]{0,40}")
_SHARD = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,200}\.safetensors")
# what `timm.create_model` may get: numbers that form a model, and a few words that name a layer in timm's own tables
_TIMM_NUMBERS = frozenset(
    """
    attn_drop_rate class_token cls_ratio depth depths dims drop_block_rate drop_connect_rate drop_path_rate drop_rate
    dynamic_img_pad dynamic_img_size embed_dim embed_dims fc_norm final_norm head_hidden_size head_init_scale
    head_norm_first hidden_sizes img_size in_chans init_values kernel_size kernel_sizes layer_scale_init_value layers
    ls_init_value mlp_ratio mlp_ratios no_embed_class num_features num_heads num_kv_heads num_reg_tokens output_stride
    patch_drop_rate patch_size pos_drop_rate pre_norm proj_bias proj_drop_rate qk_norm qkv_bias qkv_fused
    ref_feat_shape reg_tokens rope_temperature scale_attn_norm scale_mlp_norm stem_width strict_img_size swiglu_mlp
    use_abs_pos_emb use_fc_norm use_post_norm use_rot_pos_emb width_factor window_ratio window_size
    """.split()  # noqa: SIM905
)
_TIMM_WORDS = frozenset({"act_layer", "attn_type", "global_pool", "norm_layer", "pos_embed", "rope_type", "stem_type"})
# of `pretrained_cfg`, how images are prepared; where timm would get weights from is not among it
_TIMM_IMAGES = frozenset(
    """
    crop_mode crop_pct fixed_input_size input_size interpolation mean min_input_size num_classes pool_size std
    test_crop_pct test_input_size test_pool_size
    """.split()  # noqa: SIM905
)


class ModelFileError(ValueError):
    """A file of a model that no run takes. file: its name; what: the end of the sentence that begins with it."""

    def __init__(self, file: str, what: str) -> None:
        super().__init__(f"{file} {what}")
        self.file, self.what = file, what


# ── files ───────────────────────────────────────────────────────────────────────────────────────────────────────
def file_of(folder: Path, name: str) -> Path | None:
    """The path of a file of a model's folder, links resolved; None if there is none.

    Raises ModelFileError for a link out of the folder, and for what is no plain file. The hub's cache has its files
    beside the folders that link to them, and these links may be followed.
    """
    path, inside = folder / name, folder.resolve()
    if not os.path.lexists(path):
        return None
    try:
        real = path.resolve(strict=True)
    except (OSError, RuntimeError):
        raise ModelFileError(name, "is a link that leads nowhere") from None
    blobs = inside.parent.parent / "blobs" if inside.parent.name == "snapshots" else None
    if real.parent not in (inside, blobs):
        raise ModelFileError(name, "is a link out of its folder; put the file itself there")
    if not real.is_file():
        raise ModelFileError(name, "is no plain file")
    return real


def weights_of(folder: Path) -> dict[str, Path]:
    """The files of the weights by name, with the index of several; empty if there are none. Raises ModelFileError."""
    whole, several = WEIGHTS
    for name in (whole, several):
        file = file_of(folder, name)
        if file is None:
            continue
        found = {name: file}
        for shard in shards_of(folder) if name == several else ():
            part = file_of(folder, shard)
            if part is None:
                raise ModelFileError(several, f"names {shard}, which is not in the folder")
            found[shard] = part
        return found
    return {}


def shards_of(folder: Path) -> list[str]:
    """The names of the files that the index of the weights lists. Raises ModelFileError for any other name."""
    index = WEIGHTS[1]
    names = (read_json(folder, index) or {}).get("weight_map")
    if not isinstance(names, dict):
        raise ModelFileError(index, "has no weight_map")
    shards = sorted({str(name) for name in names.values()})
    if len(shards) > MAX_FILES:
        raise ModelFileError(index, f"names more than {MAX_FILES} files")
    for name in shards:
        if not _SHARD.fullmatch(name):
            raise ModelFileError(index, f"names “{name[:60]}”, which is no safetensors file of the folder")
    return shards


# ── JSON ────────────────────────────────────────────────────────────────────────────────────────────────────────
def read_json(folder: Path, name: str) -> dict[str, Any] | None:
    """The mapping in a JSON file of a model's folder; None if there is no such file. Raises ModelFileError."""
    path = file_of(folder, name)
    if path is None:
        return None
    try:
        with open_plain(path.parent, path.name) as file:
            data = file.read(MAX_JSON + 1)
        return _parse(data, MAX_BYTES if name == WEIGHTS[1] else MAX_NUMBER)
    except OSError as error:
        raise ModelFileError(name, f"cannot be read: {error.strerror}") from error
    except _JsonError as error:
        raise ModelFileError(name, str(error)) from None


class _JsonError(ValueError):
    """What is wrong with a JSON text."""


def _parse(data: bytes, largest: int) -> dict[str, Any]:
    """The mapping of a JSON text whose whole numbers are no larger than `largest`. Raises _JsonError."""
    if len(data) > MAX_JSON:
        raise _JsonError(f"is larger than {MAX_JSON // 10**6} MB")
    try:
        value = json.loads(data, parse_int=partial(_integer, largest), parse_float=_number, parse_constant=_number)
    except RecursionError:
        raise _JsonError(f"is nested deeper than {MAX_DEPTH} levels") from None
    except _JsonError:
        raise
    except ValueError:  # of JSON or UTF-8
        raise _JsonError("is not valid JSON") from None
    if not isinstance(value, dict):
        raise _JsonError("holds no mapping of names to values")
    _check_amount(value)
    return value


def _check_amount(values: dict[str, Any]) -> None:
    """Raises _JsonError for more labels, levels, values or text than any model has."""
    for name, part in values.items():
        amount = len(part) if name in _LABELS and isinstance(part, dict | list) else 0
        if name in _LABEL_COUNTS and isinstance(part, int):
            amount = part
        if amount > MAX_LABELS:
            raise _JsonError(f"has {amount:,} labels in {name}, and at most {MAX_LABELS:,} are taken")
    level: list[Any] = [values]
    depth, left = 0, MAX_VALUES
    while level:
        depth += 1
        if depth > MAX_DEPTH:
            raise _JsonError(f"is nested deeper than {MAX_DEPTH} levels")
        level = [child for item in level for child in _children(item)]
        many = sum(len(part) for name, part in values.items() if name in _LONG and isinstance(part, dict | list))
        left -= len(level) - (many if depth == 2 else 0)
        if left < 0:
            raise _JsonError(f"holds more than {MAX_VALUES:,} values")
        if any(isinstance(item, str) and len(item) > MAX_TEXT for item in level):
            raise _JsonError(f"holds a text of more than {MAX_TEXT:,} characters")


def _children(item: Any) -> Iterator[Any]:
    return iter(item.values() if isinstance(item, dict) else item if isinstance(item, list) else ())


def _integer(largest: int, text: str) -> int:
    if len(text) > 18 or abs(int(text)) > largest:
        raise _JsonError(f"holds the number {text[:20]}, which is too large")
    return int(text)


def _number(text: str) -> float:
    if not math.isfinite(float(text)):
        raise _JsonError(f"holds {text[:20]}, which is no finite number")
    return float(text)


# ── timm ────────────────────────────────────────────────────────────────────────────────────────────────────────
def is_timm(config: Mapping[str, Any]) -> bool:
    return bool(config.get("model_type", TIMM if "pretrained_cfg" in config else None) == TIMM)


def timm_values(config: Mapping[str, Any]) -> dict[str, Any]:
    """What of a config of timm may reach timm: an architecture of its registry, its form, and how images are prepared.

    Raises ModelFileError for an architecture that is a path or a hub's name, and for arguments that are not known to
    form a model: `checkpoint_path` opens a file, others download. Where timm would get weights from is left out.
    """
    name = config.get("architecture")
    if not isinstance(name, str) or not _ARCHITECTURE.fullmatch(name):
        raise ModelFileError(CONFIG, f"has the architecture “{str(name)[:60]}”, which is no name of timm's registry")
    found: dict[str, Any] = {"architecture": name}
    arguments = config.get("model_args") or {}
    if not isinstance(arguments, dict):
        raise ModelFileError(CONFIG, "has model_args that are no mapping")
    for key, value in arguments.items():
        if not (_are_numbers(value) if key in _TIMM_NUMBERS else key in _TIMM_WORDS and _is_word(value)):
            raise ModelFileError(CONFIG, f"has {key[:60]} in its model_args, which cannot be set there")
    if arguments:
        found["model_args"] = dict(arguments)
    images = config.get("pretrained_cfg")
    if isinstance(images, dict):
        found["pretrained_cfg"] = {
            key: value
            for key, value in images.items()
            if key in _TIMM_IMAGES and (_are_numbers(value) or _is_word(value))
        }
    return found


def _are_numbers(value: Any) -> bool:
    if isinstance(value, list):
        return all(map(_are_numbers, value))
    return value is None or isinstance(value, bool | int | float)


def _is_word(value: Any) -> bool:
    return value is None or (isinstance(value, str) and _WORD.fullmatch(value) is not None)


# ── the whole ───────────────────────────────────────────────────────────────────────────────────────────────────
def check_config(config: Mapping[str, Any]) -> None:
    """Raises ModelFileError for a config.json that no run takes, as far as can be said without transformers."""
    if config.get("quantization_config") is not None:
        raise ModelFileError(
            CONFIG, "describes quantized weights, which cannot be trained. Take the model before it was quantized"
        )
    if is_timm(config):
        timm_values(config)


def read_files(folder: Path) -> dict[str, dict[str, Any]]:
    """The JSON files of a model by name; config.json is always one of them.

    Raises ModelFileError for a file in the folder that no run takes; the tensors of its weights are not read.
    """
    config = read_json(folder, CONFIG)
    if config is None:
        raise ModelFileError(CONFIG, "is missing")
    check_config(config)
    if os.path.lexists(folder / ADAPTER):
        raise ModelFileError(
            ADAPTER,
            "describes an adapter, and adapters are not loaded. Merge it into its model (merge_and_unload), save that",
        )
    weights_of(folder)
    found = {name: read_json(folder, name) for name in PROCESSORS}
    return {CONFIG: config} | {name: values for name, values in found.items() if values is not None}


def refusal(model: str, error: ModelFileError) -> str:
    """The sentence for a model whose file cannot be used."""
    if error.file in PROCESSORS:
        return (
            f"The {error.file} of the model “{model}”, which says how its images are prepared, {error.what}. Correct "
            "it, or take that of the model from which this one was made."
        )
    return f"The {error.file} of the model “{model}” {error.what}."
