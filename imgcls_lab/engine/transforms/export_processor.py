"""An evaluation spec as a processor of transformers, which pipelines load beside the model.

Most specs become a `ViTImageProcessor`; what it cannot express goes into a class that can. transformers loads that
class with torchvision or, where there is none, its twin with Pillow, as it did for the model that the spec is of.

Called where a model is written, and by `processor_parity` before a run trains. `image_processors` reads processors.
"""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import transformers

from imgcls_lab.engine.transforms.geometry import (
    CutShare,
    KeepRatio,
    Place,
    Resize,
    ShortEdge,
    Step,
    Thumbnail,
    TurnLong,
)
from imgcls_lab.engine.transforms.preprocessing import PILLOW, EvalSpec
from imgcls_lab.errors import ModelError
from imgcls_lab.run_layout import write_atomic

Values = dict[str, Any]


def save(spec: EvalSpec, folder: Path) -> None:
    """Write preprocessor_config.json; of timm's preparation what transformers reads from the model's config.json.

    That one must be there already. Raises ModelError if no processor can say the spec.
    """
    if not is_timm(spec):
        processor_of(spec).save_pretrained(folder)
        return
    path = folder / "config.json"
    config = json.loads(path.read_text())
    write_atomic(path, json.dumps({**config, "pretrained_cfg": timm_config(spec)}, indent=2, sort_keys=True) + "\n")


def processor_of(spec: EvalSpec) -> Any:
    """A processor that does what the spec says. Raises ModelError if there is none."""
    if is_timm(spec):
        return transformers.TimmWrapperImageProcessor(pretrained_cfg=timm_config(spec))
    values: Values = {
        "do_convert_rgb": True,
        "resample": int(PILLOW[spec.interpolation]),
        "do_rescale": True,
        "rescale_factor": 1 / 255,
        "do_normalize": True,
        "image_mean": list(spec.mean),
        "image_std": list(spec.std),
    }
    kinds = {type(step) for step in spec.steps}
    if kinds & {Thumbnail, TurnLong} or any(isinstance(step, ShortEdge) and step.whole for step in spec.steps):
        return _made(spec, "DonutImageProcessor", values | _as_donut(spec))
    if CutShare in kinds:
        return _made(spec, "PerceiverImageProcessor", values | _as_perceiver(spec))
    if spec.bgr:
        return _bgr(spec, values)
    if any(isinstance(step, ShortEdge) and step.multiple > 1 for step in spec.steps):
        return _made(spec, "TextNetImageProcessor", values | _as_textnet(spec))
    return _plain(spec, values)


def is_timm(spec: EvalSpec) -> bool:
    return any(isinstance(step, Place) and step.anchor == "centre-even" for step in spec.steps)


def timm_config(spec: EvalSpec) -> Values:
    """The part of timm's `pretrained_cfg` that says how images are prepared."""
    resize, place = spec.steps
    assert isinstance(place, Place)  # noqa: S101 - as it is read
    if isinstance(resize, ShortEdge):
        high = wide = resize.edge
    elif isinstance(resize, Resize | KeepRatio):
        high, wide = resize.height, resize.width
    else:
        raise _inexpressible(spec)
    # crop_pct: any share whose quotients, rounded down, are these edges
    low = max(place.height / (high + 1), place.width / (wide + 1))
    top = min(place.height / high, place.width / wide)
    found = next((x for x in (top, (low + top) / 2) if _quotients(place, x) == (high, wide)), None)
    if found is None:
        raise ModelError(f"timm cannot prepare images of {place.width} x {place.height} px as this model needs them.")
    border = isinstance(resize, KeepRatio) and not resize.cover
    return {
        "input_size": [3, place.height, place.width],
        "crop_pct": found,
        "crop_mode": "squash" if isinstance(resize, Resize) else "border" if border else "center",
        "interpolation": spec.interpolation,
        "mean": list(spec.mean),
        "std": list(spec.std),
    }


def _quotients(place: Place, share: float) -> tuple[int, int]:
    return math.floor(place.height / share), math.floor(place.width / share)


def _plain(spec: EvalSpec, values: Values) -> Any:
    """Resize, cut and pad, as transformers' base class does it; two cuts are ConvNeXT's."""
    steps = list(spec.steps)
    if isinstance(steps[-1], Place) and steps[-1].anchor == "corner":
        padded = steps.pop()
        assert isinstance(padded, Place)  # noqa: S101
        values |= {"do_pad": True, "pad_size": _shape(padded)}
    if len(steps) == 3 and isinstance(steps[0], ShortEdge) and isinstance(steps[1], Place):
        edge = steps[1].height
        values |= {"size": {"shortest_edge": edge}, "crop_pct": edge / (steps[0].edge + 0.5), "do_resize": True}
        return _made(spec, "ConvNextImageProcessor", values | _as_crop(spec, steps[2:]))
    return _made(spec, "ViTImageProcessor", values | _as_resize_and_crop(spec, steps))


def _bgr(spec: EvalSpec, values: Values) -> Any:
    """Blue first: MobileViT's normalises nothing, PP-LCNet's knows one way to resize."""
    resize = next((step for step in spec.steps if isinstance(step, ShortEdge)), None)
    if resize is not None and resize.nearest:
        own = {"resize_short": resize.edge, "size_divisor": resize.multiple, "do_resize": True}
        rest = [step for step in spec.steps if step is not resize]
        return _made(spec, "PPLCNetImageProcessor", values | own | _as_crop(spec, rest))
    if any(spec.mean) or len(set(spec.std)) > 1:
        if any(not isinstance(step, Place) for step in spec.steps):
            raise _inexpressible(spec)
        return _made(spec, "PPLCNetImageProcessor", values | {"do_resize": False} | _as_crop(spec, list(spec.steps)))
    values |= {"do_normalize": False, "rescale_factor": 1 / 255 / spec.std[0], "do_flip_channel_order": True}
    return _made(spec, "MobileViTImageProcessor", values | _as_resize_and_crop(spec, list(spec.steps)))


def _as_textnet(spec: EvalSpec) -> Values:
    resize = spec.steps[0]
    if not isinstance(resize, ShortEdge) or resize.longest or resize.nearest:
        raise _inexpressible(spec)
    own = {"size": {"shortest_edge": resize.edge}, "size_divisor": resize.multiple, "do_resize": True}
    return own | _as_crop(spec, list(spec.steps[1:]))


def _as_perceiver(spec: EvalSpec) -> Values:
    cut, resize = spec.steps
    if not isinstance(cut, CutShare) or not isinstance(resize, Resize) or _shape(cut) != _shape(resize):
        raise _inexpressible(spec)
    crop = {"height": cut.of_height, "width": cut.of_width}
    return {"do_resize": True, "size": _shape(resize), "do_center_crop": True, "crop_size": crop}


def _as_donut(spec: EvalSpec) -> Values:
    steps = {type(step): step for step in spec.steps}
    padded = next((s for s in spec.steps if isinstance(s, Place) and s.anchor == "centre-out"), None)
    sized = padded or steps.get(Thumbnail) or steps.get(TurnLong)
    short = steps.get(ShortEdge)
    if sized is None and isinstance(short, ShortEdge):
        sized = Resize(short.edge, short.edge)
    if sized is None:
        raise _inexpressible(spec)
    return {
        "size": _shape(sized),
        "do_align_long_axis": TurnLong in steps,
        "do_resize": ShortEdge in steps,
        "do_thumbnail": Thumbnail in steps,
        "do_pad": padded is not None,
    } | _as_crop(spec, [s for s in spec.steps if isinstance(s, Place) and s is not padded])


def _as_resize_and_crop(spec: EvalSpec, steps: list[Step]) -> Values:
    first = steps[0] if steps and not isinstance(steps[0], Place) else None
    rest = steps[1:] if first else steps
    if first is None:
        return {"do_resize": False, **_as_crop(spec, rest)}
    if isinstance(first, ShortEdge) and first.multiple == 1 and not first.nearest:
        longest = {"longest_edge": first.longest} if first.longest else {}
        size = {"shortest_edge": first.edge} | longest
    elif isinstance(first, KeepRatio) and not first.cover and not first.nearest:
        size = {"max_height": first.height, "max_width": first.width}
    elif isinstance(first, Resize):
        size = _shape(first)
    else:
        raise _inexpressible(spec)
    return {"do_resize": True, "size": size, **_as_crop(spec, rest)}


def _as_crop(spec: EvalSpec, steps: list[Step]) -> Values:
    if not steps:
        return {"do_center_crop": False}
    if len(steps) > 1 or not isinstance(steps[0], Place) or any(steps[0].fill):
        raise _inexpressible(spec)
    return {"do_center_crop": True, "crop_size": _shape(steps[0])}


def _shape(step: Any) -> dict[str, int]:
    return {"height": step.height, "width": step.width}


def _made(spec: EvalSpec, name: str, values: Values) -> Any:
    return getattr(transformers, name + ("Pil" if spec.resampler == "pillow" else ""))(**values)


def _inexpressible(spec: EvalSpec) -> ModelError:
    return ModelError(f"No processor of transformers prepares images like this: {spec.cache_key}.")
