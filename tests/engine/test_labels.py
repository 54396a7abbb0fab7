"""What a model's outputs are called, whatever its config.json says of it: a new head, a name, or a sentence."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from imgcls_lab.engine.inference.export import Known, export
from imgcls_lab.engine.inference.predict import evaluate, load, predict
from imgcls_lab.engine.model.classifier import build, read_flavour
from imgcls_lab.errors import DataError, ModelError

CLASSES = [f"digit-{i}" for i in range(4)]  # of the images
Write = Callable[..., Path]

UNNAMED = {
    "from 1": {"1": "ant", "2": "bee", "3": "cow", "4": "dog"},
    "with a gap": {"0": "ant", "1": "bee", "2": "cow", "4": "dog"},
    "below 0": {"-1": "ant", "0": "bee", "1": "cow", "2": "dog"},
    "null": {"0": "ant", "1": None, "2": "cow", "3": "dog"},
    "blank": {"0": "ant", "1": " ", "2": "cow", "3": "dog"},
    "a list each": {"0": ["ant"], "1": ["bee"], "2": ["cow"], "3": ["dog"]},
    "empty": {},
    "turned round": {"ant": 0, "bee": 1, "cow": 2, "dog": 3},
    "words": {"a": "ant", "b": "bee", "c": "cow", "d": "dog"},
    "fractions": {"0.0": "ant", "1.0": "bee", "2.0": "cow", "3.0": "dog"},
    "a list": ["ant", "bee", "cow", "dog"],
    "a text": "ant, bee, cow, dog",
}
OTHER_COUNT = {
    "more": {"id2label": {str(i): f"c{i}" for i in range(6)}},
    "fewer": {"id2label": {"0": "ant", "1": "bee"}},
    "num_labels": {"num_labels": 7},
    "none and two by default": {"id2label": None, "label2id": None},
}


@pytest.fixture
def write(tiny_vit: Path, tmp_path: Path) -> Write:
    """A copy of the ViT of four outputs with other fields in its config.json; None takes a field away."""

    def written(**fields: Any) -> Path:
        folder = Path(shutil.copytree(tiny_vit, tmp_path / "model"))
        config = json.loads((folder / "config.json").read_text()) | fields
        (folder / "config.json").write_text(json.dumps({k: v for k, v in config.items() if v is not None}))
        return folder

    return written


def head_of(folder: Path, classes: list[str]) -> tuple[torch.Tensor, str]:
    """The head of a model that is built for these classes, and what was told."""
    told: list[str] = []
    model: Any = build(read_flavour(str(folder), None, None), classes, True, 0, told.append)
    assert model.config.id2label == dict(enumerate(classes))
    return model.classifier.weight.detach(), " ".join(told)


def own_head(folder: Path) -> torch.Tensor:
    from safetensors.torch import load_file

    return load_file(folder / "model.safetensors")["classifier.weight"]


@pytest.mark.parametrize("id2label", UNNAMED.values(), ids=UNNAMED)
def test_outputs_without_a_name_are_a_new_head_in_training_and_a_sentence_elsewhere(
    write: Write, digits_source: Path, id2label: Any
) -> None:
    folder = write(id2label=id2label)
    head, told = head_of(folder, CLASSES)
    assert head.shape == (4, 32)
    assert not torch.equal(head, own_head(folder))
    assert "id2label" in told
    assert "new head for 4" in told
    with pytest.raises(ModelError, match=r"id2label .*“.*/model”"):
        load(folder)
    with pytest.raises(ModelError, match="id2label"):
        evaluate(folder, digits_source, "val")


@pytest.mark.parametrize("fields", OTHER_COUNT.values(), ids=OTHER_COUNT)
def test_another_number_of_names_than_of_outputs(write: Write, fields: dict[str, Any]) -> None:
    folder = write(**fields)
    for classes in (CLASSES, ["a", "b"], [f"c{i}" for i in range(6)]):
        assert "gets a new head" in head_of(folder, classes)[1]
    with pytest.raises(ModelError, match=r"“.*/model” has 4 outputs, and its config.json names [267] \(id2label"):
        load(folder)


def test_a_head_that_the_weights_lack_is_new_and_predicts_nothing(tiny_vit: Path, tmp_path: Path) -> None:
    from transformers import ViTModel

    ViTModel.from_pretrained(tiny_vit, add_pooling_layer=False).save_pretrained(tmp_path)
    assert "gets a new head" in head_of(tmp_path, ["LABEL_0", "LABEL_1"])[1]
    with pytest.raises(ModelError, match=r"\(classifier.bias\)"):
        load(tmp_path)


def test_numbers_as_names_are_texts(write: Write, digits_source: Path) -> None:
    folder = write(id2label={"0": 5, "1": 7, "2": 0, "3": 1.5})
    assert load(folder, "cpu").classes == ["5", "7", "0", "1.5"]
    head, told = head_of(folder, ["5", "7", "0", "1.5"])
    assert torch.equal(head, own_head(folder))
    assert told == ""


def test_names_by_default_are_those_of_transformers(write: Write) -> None:
    folder = write(id2label=None, label2id=None, num_labels=4)
    assert load(folder, "cpu").classes == ["LABEL_0", "LABEL_1", "LABEL_2", "LABEL_3"]


def test_id2label_holds_where_label2id_says_another_order(write: Write) -> None:
    names = ["ant", "bee", "cow", "dog"]
    folder = write(label2id={name: 3 - number for number, name in enumerate(names)})
    assert load(folder, "cpu").classes == names
    head, told = head_of(folder, names)
    assert torch.equal(head, own_head(folder))
    assert "label2id" in told
    assert "id2label, whose order is used" in told


@pytest.mark.parametrize("twin", ["digit-1", "Digit-1", "digit-1 "])
def test_two_outputs_of_one_name_count_no_image_twice(
    write: Write, digits_source: Path, tmp_path: Path, twin: str
) -> None:
    folder = write(id2label={"0": "digit-0", "1": "digit-1", "2": "digit-2", "3": twin})
    root = tmp_path / "images"
    for name in ("digit-0", "digit-1", "digit-2"):
        shutil.copytree(digits_source / "val" / name, root / "val" / name)
    with pytest.raises(DataError, match=f"output 1 “digit-1” and output 3 “{twin}”.*id2label"):
        evaluate(folder, root, "val")
    shutil.rmtree(root / "val" / "digit-1")
    assert evaluate(folder, root, "val").images == 20
    assert "new head" in head_of(folder, CLASSES)[1]


def test_predictions_and_exports_tell_two_outputs_of_one_name_apart(
    write: Write, digits_source: Path, tmp_path: Path
) -> None:
    names = {"0": "crane", "1": "dog", "2": "crane", "3": "ant"}
    folder = write(id2label=names)
    image = next((digits_source / "val" / "digit-0").iterdir())
    answer = next(iter(predict(load(folder, "cpu"), [image], top=4)))
    assert {item.name for item in answer.classes} == {"crane (output 0)", "dog", "crane (output 2)", "ant"}
    export(folder, "torch-export", tmp_path / "out", [Known(str(image))])
    told = json.loads((tmp_path / "out/classes.json").read_text())
    assert told == ["crane (output 0)", "dog", "crane (output 2)", "ant"]
    export(folder, "hf", tmp_path / "hf", [Known(str(image))])
    assert json.loads((tmp_path / "hf/config.json").read_text())["id2label"] == names
    head, said = head_of(folder, CLASSES)
    assert not torch.equal(head, own_head(folder))
    assert "Two outputs" in said
    assert "“crane”" in said


def test_a_model_that_gives_no_logits_or_other_outputs_than_named_is_a_sentence(
    tmp_path: Path, digits_source: Path
) -> None:
    import transformers as t

    names = {"id2label": {0: "ant", 1: "bee"}, "label2id": {"ant": 0, "bee": 1}}
    t.PPLCNetForImageClassification(t.PPLCNetConfig(scale=0.25, **names)).save_pretrained(tmp_path / "lcnet")
    sizes = {"depths": [1] * 4, "hidden_sizes": [8, 8, 16, 16], "num_attention_heads": [1, 1, 2, 2], "image_size": 64}
    t.PvtForImageClassification(t.PvtConfig(**sizes, **names)).save_pretrained(tmp_path / "pvt")  # of 1,000 outputs
    image = next(digits_source.rglob("*.png"))
    for folder, sentence in (
        ("lcnet", "PPLCNetForImageClassification, which gives an image no logits"),
        ("pvt", "1000 outputs"),
    ):
        with pytest.raises(ModelError, match=sentence):
            list(predict(tmp_path / folder, [image]))
    flavour = read_flavour(str(tmp_path / "pvt"), None, None)
    assert build(flavour, ["a", "b", "c"], True, 0, lambda _: None).config.num_labels == 3
