"""Images are prepared as the model's processor says wherever a model is loaded: to train, predict, evaluate, export."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import transformers
from PIL import Image
from transformers import AutoModelForImageClassification, pipeline

from imgcls_lab.config import TrainConfig
from imgcls_lab.engine import Outcome
from imgcls_lab.engine.inference.export import Known
from imgcls_lab.engine.inference.export import export as export_checked
from imgcls_lab.engine.inference.predict import evaluate, load, predict
from imgcls_lab.engine.model.classifier import build, read_flavour
from imgcls_lab.engine.model.heads import fit_head
from imgcls_lab.engine.model.labels import Labels
from imgcls_lab.engine.transforms.geometry import Place, Resize, ShortEdge
from imgcls_lab.engine.transforms.preprocessing import EvalSpec
from imgcls_lab.errors import ModelError

from .conftest import of_type

PROCESSORS: dict[str, dict[str, Any]] = {
    "MobileViT": {"size": {"shortest_edge": 20}, "crop_size": {"height": 24, "width": 24}},
    "PPLCNet": {"resize_short": 28, "size_divisor": 4, "crop_size": {"height": 24, "width": 24}},
    "Perceiver": {"size": {"height": 20, "width": 28}, "crop_size": {"height": 24, "width": 30}},
    "Donut": {"size": {"height": 32, "width": 24}, "do_align_long_axis": True},
    "TextNet": {"size": {"shortest_edge": 24}, "size_divisor": 8, "do_center_crop": True, "crop_size": 24},
    "EfficientNet": {"size": {"height": 24, "width": 24}, "resample": 0},
    "ConvNext": {"size": {"shortest_edge": 28}, "do_center_crop": True, "crop_size": 24},
    "ViT": {"size": {"height": 24, "width": 24}, "do_rescale": False, "image_mean": 127.5, "image_std": 127.5},
}


def tiny_resnet(folder: Path, processor: Any = None, classes: int = 4) -> Path:
    """A ResNet with random weights whose answers differ from image to image, and a processor if there is one."""
    torch.manual_seed(0)
    names = [f"digit-{number}" for number in range(classes)]
    config = transformers.ResNetConfig(
        embedding_size=8,
        hidden_sizes=[8, 16],
        depths=[1, 1],
        layer_type="basic",
        id2label=dict(enumerate(names)),
        label2id={name: number for number, name in enumerate(names)},
    )
    model = transformers.ResNetForImageClassification(config)
    with torch.no_grad():
        model.classifier[1].weight.mul_(10)
    model.save_pretrained(folder)
    if processor is not None:
        processor.save_pretrained(folder)
    return folder


@pytest.fixture(scope="module")
def odd_digits(digits_source: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The digits in odd sizes, upright and across, and in colours."""
    root = tmp_path_factory.mktemp("odd")
    for number, path in enumerate(sorted(digits_source.rglob("*.png"))):
        out = root / path.relative_to(digits_source)
        out.parent.mkdir(parents=True, exist_ok=True)
        image = Image.open(path).convert("RGB").resize([(19, 31), (41, 23), (15, 15)][number % 3])
        Image.merge("RGB", (image.split()[0], image.split()[1].point(lambda v: v // 2), image.split()[2])).save(out)
    return root


def shares_of(folder: Path, files: list[str]) -> np.ndarray[Any, np.dtype[np.float64]]:
    """What a stranger's pipeline says: (images, classes), the classes by name."""
    answers = pipeline("image-classification", model=str(folder), device="cpu")(files, top_k=4)
    return np.array([[a["score"] for a in sorted(one, key=lambda a: a["label"])] for one in answers])


def own_shares(folder: Path, files: list[str]) -> np.ndarray[Any, np.dtype[np.float64]]:
    found = predict(load(folder, "cpu"), files, top=4)
    return np.array([[c.prob for c in sorted(one.classes, key=lambda c: c.name)] for one in found])


@pytest.mark.parametrize(("name", "fields"), PROCESSORS.items())
def test_prediction_and_export_say_what_a_pipeline_says(
    name: str, fields: dict[str, Any], odd_digits: Path, tmp_path: Path
) -> None:
    processor = getattr(transformers, f"{name}ImageProcessor")(**fields)
    model = tiny_resnet(tmp_path / "model", processor)
    files = [str(path) for path in sorted((odd_digits / "val").rglob("*.png"))]
    expected = shares_of(model, files)
    assert expected.std(0).max() > 0.01  # the model looks at its images
    assert np.abs(own_shares(model, files) - expected).max() < 1e-4
    export_checked(model, "hf", tmp_path / "out", [Known(file) for file in files])
    assert np.abs(shares_of(tmp_path / "out", files) - expected).max() < 1e-4


@pytest.mark.parametrize("tta", ["none", "hflip", "five_crop"])
def test_a_model_that_wants_blue_first_learns_and_is_exported_so(
    run: Callable[..., Outcome], odd_digits: Path, tmp_path: Path, tta: str
) -> None:
    processor = transformers.MobileViTImageProcessor(size={"shortest_edge": 20}, crop_size={"height": 24, "width": 24})
    model = tiny_resnet(tmp_path / "model", processor)
    outcome = run(
        root=str(odd_digits), model_flavour=str(model), image_size=None, augmentation="standard", epochs=2, tta=tta
    )
    best = outcome.folder / "checkpoints/best"
    assert json.loads((best / "preprocessor_config.json").read_text())["do_flip_channel_order"] is True
    assert load(best, "cpu").spec.bgr
    report = evaluate(best, odd_digits, "val")
    assert report.values["loss/val"] == pytest.approx(outcome.values["loss/val"], rel=1e-4)


# ── images that are not square ──────────────────────────────────────────────────────────────────────────────────
@pytest.fixture(scope="module")
def wide_vit(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A ViT for images of 16 x 32 px."""
    folder = tmp_path_factory.mktemp("models") / "wide-vit"
    config = transformers.ViTConfig(
        hidden_size=32,
        num_hidden_layers=2,
        num_attention_heads=2,
        intermediate_size=64,
        image_size=[16, 32],
        patch_size=4,
        id2label=dict(enumerate(["ant", "bee", "cow", "dog"])),
        label2id={"ant": 0, "bee": 1, "cow": 2, "dog": 3},
    )
    transformers.ViTForImageClassification(config).save_pretrained(folder)
    transformers.ViTImageProcessor(size={"height": 16, "width": 32}).save_pretrained(folder)
    return folder


@pytest.mark.parametrize(
    ("changes", "shape"),
    [
        ({"augmentation": "standard"}, (16, 32)),
        ({"augmentation": "heavy", "cache": "disk"}, (16, 32)),
        ({"augmentation": "light", "cache": "off", "image_size": 24}, (24, 48)),
        ({"augmentation": "timm", "freeze_backbone": True}, (16, 32)),
        ({"augmentation": "none", "mixup": 0.2, "cutmix": 1.0, "tta": "five_crop"}, (16, 32)),
    ],
)
def test_a_model_of_wide_images_is_trained_and_exported(
    run: Callable[..., Outcome],
    wide_vit: Path,
    odd_digits: Path,
    changes: dict[str, Any],
    shape: tuple[int, int],
) -> None:
    fields = {"image_size": None, "tensorboard_graph": True, **changes}
    outcome = run(root=str(odd_digits), model_flavour=str(wide_vit), load_pretrained=True, epochs=2, **fields)
    best = outcome.folder / "checkpoints/best"
    assert load(best, "cpu").spec.shape == shape
    files = [str(path) for path in sorted((odd_digits / "val").rglob("*.png"))]
    assert np.abs(own_shares(best, files) - shares_of(best, files)).max() < 1e-4
    report = evaluate(best, odd_digits, "val")
    assert report.values["loss/val"] == pytest.approx(outcome.values["loss/val"], rel=1e-4)
    assert not any("cannot" in event.text for event in of_type(outcome.folder, "notice"))


def test_positions_of_wide_images_are_stretched_along_each_edge(wide_vit: Path, tmp_path: Path) -> None:
    model: Any = AutoModelForImageClassification.from_pretrained(wide_vit)
    with torch.no_grad():  # they say the row, and nothing of the column
        rows = torch.arange(4.0).repeat_interleave(8)[None, :, None]
        model.vit.embeddings.position_embeddings[:, 1:] = rows.expand(1, 32, 32)
    model.save_pretrained(tmp_path)
    transformers.ViTImageProcessor(size={"height": 16, "width": 32}).save_pretrained(tmp_path)
    built: Any = build(read_flavour(str(tmp_path), None, 32), ["ant", "bee", "cow", "dog"], True, 0, print)
    found = built.vit.embeddings.position_embeddings[0, 1:].reshape(8, 16, 32)
    assert found.std(1).max() < 1e-5
    assert found[:, 0, 0].diff().min() > 0.1


@pytest.mark.parametrize("form", ["onnx", "torch-export"])
def test_other_forms_of_it_take_wide_images(wide_vit: Path, odd_digits: Path, tmp_path: Path, form: Any) -> None:
    if form == "onnx":
        pytest.importorskip("onnxruntime")
    files = sorted((odd_digits / "val").rglob("*.png"))[:5]
    written = export_checked(wide_vit, form, tmp_path / "out", [Known(str(file)) for file in files])
    assert written.difference <= written.limit
    assert json.loads((tmp_path / "out/preprocessor_config.json").read_text())["size"] == {"height": 16, "width": 32}


def test_timms_preparation_is_exported_as_timms(odd_digits: Path, tmp_path: Path) -> None:
    config = transformers.TimmWrapperConfig(
        architecture="resnet10t",
        pretrained_cfg={"input_size": [3, 24, 40], "crop_pct": 0.9, "interpolation": "bicubic", "crop_mode": "border"},
        id2label={number: f"digit-{number}" for number in range(4)},
        label2id={f"digit-{number}": number for number in range(4)},
    )
    transformers.TimmWrapperForImageClassification(config).save_pretrained(tmp_path / "model")
    files = [str(path) for path in sorted((odd_digits / "val").rglob("*.png"))[:8]]
    known = [Known(file) for file in files]
    expected = shares_of(tmp_path / "model", files)
    assert np.abs(own_shares(tmp_path / "model", files) - expected).max() < 1e-4
    export_checked(tmp_path / "model", "hf", tmp_path / "hf", known)
    assert np.abs(shares_of(tmp_path / "hf", files) - expected).max() < 1e-4
    export_checked(tmp_path / "model", "torch-export", tmp_path / "pt2", known)
    image = Image.open(files[0])
    processors = [transformers.AutoImageProcessor.from_pretrained(tmp_path / name) for name in ("model", "pt2")]
    first, second = (processor(image, return_tensors="pt")["pixel_values"] for processor in processors)
    assert torch.equal(first, second)


# ── processors that are missing, broken or unknown ──────────────────────────────────────────────────────────────
def test_a_model_without_a_processor_is_prepared_plainly_and_the_run_says_so(
    run: Callable[..., Outcome], tmp_path: Path
) -> None:
    folder = run(model_flavour=str(tiny_resnet(tmp_path / "model")), epochs=1).folder
    (said,) = (event.text for event in of_type(folder, "notice") if "without an image processor" in event.text)
    assert "resized to 16 px" in said
    told: list[str] = []
    assert load(folder / "checkpoints/best", "cpu", told.append).spec == EvalSpec.default(16)
    assert told == []  # what a run made says how its images are prepared
    load(tmp_path / "model", "cpu", told.append)
    assert "resized to 224 px" in told[0]


def test_a_model_with_a_processor_says_nothing_of_the_kind(
    run: Callable[..., Outcome], tiny_vit: Path, make_config: Callable[..., TrainConfig]
) -> None:
    folder = run(model_flavour=str(tiny_vit), epochs=1).folder
    assert not any("image processor" in event.text for event in of_type(folder, "notice"))
    assert not read_flavour(str(tiny_vit), None, None).plain


def write(model: Path, file: str, text: Any) -> None:
    (model / file).write_text(text if isinstance(text, str) else json.dumps(text))


@pytest.mark.parametrize(
    ("file", "text", "why"),
    [
        ("preprocessor_config.json", "{", "preprocessor_config.json of the model “{}”, which says how its images are "
         "prepared, is not valid JSON. Correct it"),
        ("preprocessor_config.json", "[]", "preprocessor_config.json of the model “{}”"),
        ("preprocessor_config.json", {"image_processor_type": "NobodysImageProcessor"},
         "names no image processor of transformers"),
        ("preprocessor_config.json", {"image_processor_type": "ViTImageProcessor", "size": "large"},
         "preprocessor_config.json of the model “{}”"),
        ("processor_config.json", '{"image_processor": ', "processor_config.json of the model “{}”"),
        ("processor_config.json", {"image_processor": {"image_processor_type": "CLIPImageProcessor",
                                                       "do_center_crop": False}}, "CLIPImageProcessor gives images"),
        ("preprocessor_config.json", {"image_processor_type": "TextNetImageProcessor"}, "TextNetImageProcessor gives"),
        ("preprocessor_config.json", {"image_processor_type": "ViTImageProcessor", "image_mean": [0.5] * 4},
         "has 4 numbers in its image_mean"),
    ],
)  # fmt: skip
def test_a_processor_that_cannot_be_used_is_a_sentence_and_never_replaced(
    tmp_path: Path, file: str, text: Any, why: str
) -> None:
    model = tiny_resnet(tmp_path / "model")
    write(model, file, text)
    for use in (lambda: read_flavour(str(model), None, 32), lambda: load(model, "cpu")):
        with pytest.raises(ModelError) as refusal:
            use()
        assert why.format(model) in str(refusal.value)
        assert str(model) in str(refusal.value)
        assert len(str(refusal.value)) < 1200


@pytest.mark.parametrize(
    ("file", "fields"),
    [
        ("processor_config.json", {"image_processor": {"image_processor_type": "ViTImageProcessor"}}),
        ("preprocessor_config.json", {"feature_extractor_type": "ViTFeatureExtractor"}),
        ("preprocessor_config.json", {"image_processor_type": "ViTImageProcessorFast"}),
        ("preprocessor_config.json", {"image_processor_type": "ViTImageProcessor",
                                      "auto_map": {"AutoImageProcessor": "evil.Processor"}}),
    ],
)  # fmt: skip
def test_other_spellings_of_a_known_processor_are_read(tmp_path: Path, file: str, fields: dict[str, Any]) -> None:
    model = tiny_resnet(tmp_path / "model")
    values = {"size": {"height": 20, "width": 28}, "image_mean": [0.4] * 3, "image_std": [0.3] * 3, "resample": 3}
    nested = {"image_processor": {**fields["image_processor"], **values}} if "image_processor" in fields else {}
    write(model, file, nested or {**fields, **values})
    flavour = read_flavour(str(model), None, None)
    assert flavour.spec == EvalSpec((Resize(20, 28),), "bicubic", (0.4,) * 3, (0.3,) * 3)
    assert not flavour.plain


def test_the_nested_processor_goes_before_the_other_as_in_transformers(tmp_path: Path) -> None:
    model = tiny_resnet(tmp_path / "model", transformers.ViTImageProcessor(size={"height": 20, "width": 20}))
    nested = {"image_processor_type": "ViTImageProcessor", "size": {"height": 30, "width": 30}}
    write(model, "processor_config.json", {"image_processor": nested})
    assert read_flavour(str(model), None, None).spec.shape == (30, 30)


def test_an_image_size_keeps_what_a_crop_keeps(tmp_path: Path) -> None:
    processor = transformers.CLIPImageProcessor(size={"shortest_edge": 64}, crop_size={"height": 56, "width": 28})
    flavour = read_flavour(str(tiny_resnet(tmp_path / "model", processor)), None, 14)
    assert flavour.spec.steps == (ShortEdge(32), Place(28, 14))
    assert flavour.native == (56, 28)


# ── the head ────────────────────────────────────────────────────────────────────────────────────────────────────
def test_the_same_classes_in_another_order_keep_the_head_and_are_put_in_order(tmp_path: Path) -> None:
    model = AutoModelForImageClassification.from_pretrained(tiny_resnet(tmp_path / "model")).eval()
    images = torch.rand(2, 3, 24, 24)
    before = model(pixel_values=images).logits
    told: list[str] = []
    fit_head(model, Labels("m", ("a", "b", "c", "d")), ["c", "a", "d", "b"], (24, 24), told.append, is_new=False)
    assert torch.equal(model(pixel_values=images).logits, before[:, [2, 0, 3, 1]])
    assert ["another order" in sentence for sentence in told] == [True]


def test_other_classes_get_a_new_head_and_one_of_the_old_is_named(tmp_path: Path) -> None:
    model = AutoModelForImageClassification.from_pretrained(tiny_resnet(tmp_path / "model")).eval()
    before = model.classifier[1].weight.clone()
    told: list[str] = []
    fit_head(model, Labels("m", ("a", "b", "c", "zebra")), ["a", "b", "c", "d"], (24, 24), told.append, is_new=False)
    assert not torch.equal(model.classifier[1].weight, before)
    assert ["4 other classes (“zebra” ...)" in sentence for sentence in told] == [True]
