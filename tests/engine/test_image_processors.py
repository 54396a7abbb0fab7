"""Each field of each image processor is read in the meaning that its class gives it, or the processor is refused."""

from __future__ import annotations

import gc
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import transformers
from PIL import Image
from transformers import AutoImageProcessor

from imgcls_lab.engine.transforms import export_processor
from imgcls_lab.engine.transforms.augment import normalise
from imgcls_lab.engine.transforms.image_processors import spec_of
from imgcls_lab.engine.transforms.preprocessing import EvalSpec
from imgcls_lab.engine.transforms.processor_parity import verified_spec, verify_export
from imgcls_lab.errors import ModelError

SHAPES = [(71, 53), (53, 90), (24, 40), (15, 19), (131, 31)]
CUT = {"do_center_crop": True, "crop_size": {"height": 32, "width": 32}}
SQUARE = {"size": {"height": 32, "width": 32}}
ONES = [1.0, 1.0, 1.0]

READ: list[tuple[str, dict[str, Any]]] = [
    *(("ViT", {**SQUARE, "resample": number}) for number in (0, 1, 2, 3)),
    ("ViT", {"size": 30}),
    ("ViT", {"size": {"height": 24, "width": 40}}),
    ("ViT", {"size": [24, 40]}),
    ("ViT", {"size": {"shortest_edge": 36}, **CUT}),
    ("ViT", {"size": {"shortest_edge": 36, "longest_edge": 50}, **CUT}),
    ("ViT", {"size": {"max_height": 36, "max_width": 50}, **CUT}),
    ("ViT", {**SQUARE, "do_center_crop": True, "crop_size": {"height": 41, "width": 35}}),
    ("ViT", {"size": {"shortest_edge": 32}, "do_center_crop": True, "crop_size": {"height": 30, "width": 47}}),
    ("ViT", {"do_resize": False, **CUT}),
    ("ViT", {**SQUARE, "do_rescale": False}),
    ("ViT", {**SQUARE, "do_rescale": False, "image_mean": [127.5] * 3, "image_std": [127.5] * 3}),
    ("ViT", {**SQUARE, "do_rescale": False, "do_normalize": False}),
    ("ViT", {**SQUARE, "do_normalize": False}),
    ("ViT", {**SQUARE, "rescale_factor": 1 / 127.5, "image_mean": ONES, "image_std": ONES}),
    ("ViT", {**SQUARE, "rescale_factor": 0.01, "do_normalize": False}),
    ("ViT", {**SQUARE, "image_mean": 0.4, "image_std": 0.3}),
    ("ViT", {**SQUARE, "image_mean": [0.4], "image_std": [0.3]}),
    ("ViT", {**SQUARE, "image_mean": [0.1, 0.5, 0.9], "image_std": [0.9, 0.5, 0.1], "do_convert_rgb": True}),
    ("ViT", {**SQUARE, "do_pad": True, "pad_size": {"height": 32, "width": 32}}),
    ("ViT", {**SQUARE, "do_pad": True, "pad_size": {"height": 40, "width": 33}, "do_normalize": False}),
    ("ViT", {**SQUARE, "do_pad": True, "pad_size": {"height": 40, "width": 33}, "image_mean": [0.2, 0.4, 0.6]}),
    ("ViT", {"size": {"max_height": 30, "max_width": 30}, "do_pad": True, "pad_size": {"height": 30, "width": 30}}
     | {"image_mean": [0.0, 0.2, 1.0]}),
    ("CLIP", {"size": {"shortest_edge": 40}, "crop_size": {"height": 24, "width": 40}}),
    ("Bit", {"size": {"shortest_edge": 32}, "crop_size": 32}),
    ("DeiT", {"size": {"height": 40, "width": 36}, "crop_size": {"height": 32, "width": 30}}),
    ("Beit", {**SQUARE, "do_reduce_labels": True, "do_pad": True, "pad_size": {"height": 40, "width": 40}}),
    ("Siglip", {"size": {"height": 32, "width": 48}, "resample": 0}),
    ("Segformer", {"size": {"height": 32, "width": 48}, **CUT, "do_reduce_labels": True}),
    ("Gemma3", {**SQUARE, "do_pan_and_scan": False}),
    ("ConvNext", {"size": {"shortest_edge": 32}, "crop_pct": 0.9}),
    ("ConvNext", {"size": {"shortest_edge": 36}, **CUT}),
    ("ConvNext", {"size": {"shortest_edge": 384}, **CUT}),
    ("ConvNext", {"do_resize": False, **CUT}),
    ("PoolFormer", {"size": {"shortest_edge": 32}, "crop_pct": 0.8, **CUT}),
    ("PoolFormer", {**SQUARE, **CUT}),
    ("PoolFormer", {"size": {"height": 32, "width": 40}, **CUT}),
    ("Levit", {"size": {"shortest_edge": 30}, **CUT}),
    ("Levit", {**SQUARE, "crop_size": {"height": 28, "width": 28}}),
    ("MobileNetV1", {"size": {"shortest_edge": 36}, **CUT}),
    ("MobileNetV2", {"size": {"shortest_edge": 36}, **CUT, "do_reduce_labels": True}),
    ("EfficientNet", {**SQUARE, "image_std": [0.3, 0.4, 0.5]}),
    ("EfficientNet", {**SQUARE, "include_top": False, "resample": 0}),
    ("EfficientNet", {**SQUARE, "include_top": False, "rescale_offset": True, "rescale_factor": 1 / 127.5}),
    ("EfficientNet", {**SQUARE, "rescale_offset": True, "image_std": [0.3, 0.4, 0.5], **CUT}),
    ("EfficientNet", {**SQUARE, "do_normalize": False, "image_std": 0.4}),
    ("EfficientNet", {**SQUARE, "do_rescale": False, "rescale_offset": True}),
    ("MobileViT", {"size": {"shortest_edge": 28}, **CUT}),
    ("MobileViT", {**SQUARE, "do_center_crop": False, "do_flip_channel_order": False}),
    ("MobileViT", {**SQUARE, "do_center_crop": False, "do_normalize": True, "rescale_factor": 1 / 127.5}),
    ("PPLCNet", {"resize_short": 36, "crop_size": {"height": 32, "width": 32}}),
    ("PPLCNet", {"resize_short": 36, "size_divisor": 8, "crop_size": {"height": 44, "width": 32}}),
    ("PPLCNet", {"do_resize": False, "crop_size": {"height": 32, "width": 32}}),
    ("Perceiver", {"size": {"height": 32, "width": 32}, "crop_size": {"height": 40, "width": 36}}),
    ("Perceiver", {"size": {"height": 24, "width": 40}, "crop_size": {"height": 30, "width": 44}, "resample": 0}),
    ("Perceiver", {"size": {"height": 24, "width": 40}, "do_center_crop": False}),
    ("Donut", {"size": {"height": 48, "width": 33}}),
    ("Donut", {"size": [33, 48], "do_align_long_axis": True}),
    ("Donut", {"size": {"height": 40, "width": 40}, "do_resize": False}),
    ("Donut", {"size": {"height": 40, "width": 40}, "do_thumbnail": False}),
    ("Donut", {"size": {"height": 48, "width": 32}, "do_pad": False, **CUT}),
    ("TextNet", {"size": {"shortest_edge": 40}, "size_divisor": 16, **CUT}),
]  # fmt: skip

NO_TWIN = [  # what Pillow's twins cannot do
    {**SQUARE, "image_mean": [0.4], "image_std": [0.3]},
    {"size": {"height": 40, "width": 40}, "do_thumbnail": False},
]


def made(name: str, fields: dict[str, Any], twin: str = "") -> Any:
    return getattr(transformers, f"{name}ImageProcessor{twin}")(**fields)


def image_of(shape: tuple[int, int]) -> np.ndarray[Any, np.dtype[np.uint8]]:
    return np.random.default_rng(3).integers(0, 256, (*shape, 3), np.uint8)


def apart(spec: EvalSpec, processor: Any) -> float:
    """The largest difference of a value, over images of odd sizes."""
    found = 0.0
    for image in map(image_of, SHAPES):
        ours = normalise(spec.pixels(image)[None], spec)
        theirs = processor(images=Image.fromarray(image), return_tensors="pt")["pixel_values"]
        assert ours.shape == theirs.shape
        found = max(found, float((ours - theirs).abs().max() / max(1.0, float(theirs.abs().max()))))
    return found


@pytest.mark.parametrize(("name", "fields"), READ, ids=lambda value: str(value)[:60])
def test_a_processor_is_read_as_its_class_means_it_and_written_so(
    name: str, fields: dict[str, Any], tmp_path: Path
) -> None:
    processor = made(name, fields)
    spec = verified_spec(processor)
    assert apart(spec, processor) < 1e-5
    assert EvalSpec.from_json(spec.to_json()) == spec
    export_processor.save(spec, tmp_path)
    assert apart(spec, AutoImageProcessor.from_pretrained(tmp_path)) < 1e-5
    assert verified_spec(AutoImageProcessor.from_pretrained(tmp_path)).shape == spec.shape
    for size in (18, 48):
        assert min(spec.resized(size).shape) == size
        verify_export(spec.resized(size))


@pytest.mark.parametrize(
    ("name", "fields"),
    [(name, fields) for name, fields in READ if name != "PPLCNet" and fields not in NO_TWIN],
    ids=lambda value: str(value)[:60],
)
def test_the_twin_with_pillow_is_read_too(name: str, fields: dict[str, Any]) -> None:
    assert apart(verified_spec(made(name, fields, "Pil")), made(name, fields, "Pil")) < 1e-5


@pytest.mark.parametrize(
    ("name", "fields", "why"),
    [
        ("ViT", {**SQUARE, "resample": 4}, "resamples by Pillow's box"),
        ("ViT", {**SQUARE, "resample": 5}, "resamples by Pillow's hamming"),
        ("ViT", {**SQUARE, "resample": 9}, "resamples by 9"),
        ("ViT", {**SQUARE, "image_mean": [0.5] * 4, "image_std": [0.5] * 4}, "has 4 numbers in its image_mean"),
        ("ViT", {**SQUARE, "image_std": [0.5, 0.0, 0.5]}, "divides by (0.5, 0.0, 0.5)"),
        ("ViT", {"do_resize": False}, "gives images of different sizes (307 x 211 px of one of 307 x 211 px"),
        ("ViT", {"size": {"shortest_edge": 32}}, "gives images of different sizes"),
        ("CLIP", {"size": {"shortest_edge": 32}, "do_center_crop": False}, "gives images of different sizes"),
        ("CLIP", {"crop_size": {"shortest_edge": 32}}, "no height and width in its crop_size"),
        ("ViT", {**SQUARE, "do_pad": True, "pad_size": {"height": 40, "width": 40}}, "after it normalised them"),
        ("ViT", {**SQUARE, "do_pad": True, "pad_size": {"height": 16, "width": 16}}, "ViTImageProcessor pads"),
        ("Gemma3", {**SQUARE, "do_pan_and_scan": True, "pan_and_scan_min_crop_size": 16}
         | {"pan_and_scan_max_num_crops": 4, "pan_and_scan_min_ratio_to_activate": 1.1}, "Gemma3ImageProcessor"),
        ("ConvNext", SQUARE, "takes a shortest_edge as its size"),
        ("Donut", {"size": {"height": 48, "width": 32}, "do_pad": False}, "gives images of different sizes"),
        ("TextNet", {"size": {"shortest_edge": 40}}, "gives images of different sizes"),
        ("ImageGPT", {"clusters": [[0, 0, 0], [1, 1, 1]]}, "makes no picture of 3 channels"),
        ("Siglip2", {}, "makes no picture of 3 channels"),
    ],
)  # fmt: skip
def test_what_no_spec_can_say_is_refused_by_the_name_of_its_class(name: str, fields: dict[str, Any], why: str) -> None:
    with pytest.raises(ModelError) as refusal:
        verified_spec(made(name, fields))
    assert f"{name}ImageProcessor" in str(refusal.value)
    assert why in str(refusal.value)


class Darker(transformers.ViTImageProcessor):
    """Does something of its own with the fields that everybody has."""

    def rescale_and_normalize(self, images: torch.Tensor, *args: Any, **kwargs: Any) -> torch.Tensor:
        return super().rescale_and_normalize(images, *args, **kwargs) * 0.9


class Shifted(transformers.CLIPImageProcessor):
    """Cuts one pixel beside the middle."""

    def center_crop(self, image: torch.Tensor, size: Any, **kwargs: Any) -> torch.Tensor:
        return super().center_crop(torch.roll(image, 1, -1), size, **kwargs)


@pytest.mark.parametrize("processor", [Darker(**SQUARE), Shifted(size={"shortest_edge": 36}, **CUT)], ids=["D", "S"])
def test_a_class_that_does_otherwise_than_its_fields_say_is_refused(processor: Any) -> None:
    assert spec_of(processor)  # the fields alone look like any other
    with pytest.raises(ModelError, match=rf"{type(processor).__name__} .*not known"):
        verified_spec(processor)


def test_a_processor_is_proved_once_in_a_process(monkeypatch: pytest.MonkeyPatch) -> None:
    processor = made("ViT", {"size": {"height": 17, "width": 23}})
    spec = verified_spec(processor)
    monkeypatch.setattr(type(processor), "__call__", None)
    assert verified_spec(made("ViT", {"size": {"height": 17, "width": 23}})) == spec


def test_a_proof_keeps_no_tensors() -> None:
    """They would stay in the kernel of a notebook."""

    def alive() -> set[int]:
        gc.collect()
        return {id(item) for item in gc.get_objects() if issubclass(type(item), torch.Tensor) and item.numel() > 1000}

    before = alive()
    verify_export(EvalSpec.default((41, 43)))
    assert alive() <= before


# ── timm ────────────────────────────────────────────────────────────────────────────────────────────────────────
TIMM: list[dict[str, Any]] = [
    {},
    {"crop_pct": 0.9, "interpolation": "bilinear"},
    {"crop_pct": 1.0, "crop_mode": "squash"},
    {"crop_pct": 0.9, "crop_mode": "squash", "interpolation": "lanczos"},
    {"crop_pct": 1.0, "crop_mode": "border", "interpolation": "nearest"},
    {"crop_pct": 0.85, "crop_mode": "border", "mean": [0.1, 0.5, 0.9]},
    {"input_size": [3, 24, 40], "crop_pct": 0.9, "interpolation": "box"},
    {"input_size": [3, 40, 24], "crop_pct": 0.95, "crop_mode": "border", "interpolation": "hamming"},
    {"input_size": [3, 40, 24], "crop_mode": "squash", "std": [0.2, 0.3, 0.4]},
]


@pytest.mark.parametrize("data", TIMM, ids=str)
def test_timms_preparation_is_that_of_its_own_transform(data: dict[str, Any]) -> None:
    processor = transformers.TimmWrapperImageProcessor(pretrained_cfg={"input_size": [3, 33, 33], **data})
    spec = verified_spec(processor)
    assert apart(spec, processor) < 1e-5
    verify_export(spec)
    assert EvalSpec.from_json(spec.to_json()) == spec


@pytest.mark.parametrize(
    ("data", "why"),
    [({"input_size": [1, 32, 32]}, "channels"), ({"input_size": [3, 32, 32], "mean": [0.5] * 4}, "4 numbers")],
)
def test_timms_data_that_is_not_of_colour_images_is_refused(data: dict[str, Any], why: str) -> None:
    config = {"input_size": (3, 32, 32), "interpolation": "bicubic", "crop_pct": 1.0, "crop_mode": "center"}
    config |= {"mean": (0.5,) * 3, "std": (0.5,) * 3, **data}
    with pytest.raises(ModelError, match=why):
        spec_of(type("Wrapper", (), {"data_config": config})())


# ── specs ───────────────────────────────────────────────────────────────────────────────────────────────────────
@pytest.mark.parametrize("squash", [True, False])
def test_the_spec_of_a_run_that_began_before_there_were_steps_gives_the_same_pixels(squash: bool) -> None:
    old = {"size": 32, "resize_to": 36, "squash": squash, "interpolation": "bicubic", "mean": [0.5] * 3, "std": ONES}
    spec = EvalSpec.from_json(old)
    size = {"height": 36, "width": 36} if squash else {"shortest_edge": 36}
    assert spec.shape == (32, 32)
    assert spec.squashes is squash
    assert spec.min_edge == 36
    image = image_of((53, 90))
    theirs = made("ViT", {"size": size, "resample": 3, "image_mean": [0.5] * 3, "image_std": ONES, **CUT})
    assert torch.equal(
        normalise(spec.pixels(image)[None], spec),
        theirs(images=Image.fromarray(image), return_tensors="pt")["pixel_values"],
    )


def test_a_batch_of_images_is_prepared_as_each_of_them() -> None:
    images = np.stack([image_of((53, 90)), image_of((53, 90))[::-1]])
    for fields in ({"size": {"height": 48, "width": 33}}, {"size": {"height": 40, "width": 40}, "do_resize": False}):
        for twin in ("", "Pil"):
            spec = spec_of(made("Donut", fields, twin))
            assert torch.equal(spec.pixels(images), torch.stack([spec.pixels(image) for image in images]))


def test_five_crops_are_cut_from_what_is_so_much_larger_in_every_step() -> None:
    spec = spec_of(made("Perceiver", {"size": {"height": 28, "width": 56}, "crop_size": {"height": 35, "width": 70}}))
    larger = spec.scaled(Fraction(8, 7))
    assert larger.shape == (32, 64)
    cut = larger.steps[0]
    assert (cut.of_height, cut.of_width) == (40, 80)  # type: ignore[attr-defined]
