"""What a model's files say of it, read without a network: from folders, and from the hub's cache."""

from __future__ import annotations

import json
import struct
from pathlib import Path
from typing import Any

import pytest
from huggingface_hub import constants

from imgcls_lab import model_facts
from imgcls_lab.schemas import ModelEdit, ModelFacts
from imgcls_lab.store import Store

CONFIG: dict[str, Any] = {"architectures": ["ResNetForImageClassification"], "id2label": {"0": "cat", "1": "dog"}}
PROCESSOR = {"size": {"height": 192, "width": 160}}
TENSORS = {
    "conv.weight": [8, 3, 3, 3], "head.bias": [2], "bn.running_mean": [8], "bn.num_batches_tracked": [],
}  # fmt: skip


def write(folder: Path, *, tensors: dict[str, Any] | None = None, card: str = "", **config: Any) -> Path:
    """A model's folder; of its weights the header alone is right."""
    folder.mkdir(parents=True)
    (folder / "config.json").write_text(json.dumps({**CONFIG, **config}))
    (folder / "preprocessor_config.json").write_text(json.dumps(PROCESSOR))
    if card:
        (folder / "README.md").write_text(card)
    header = {name: {"dtype": "F32", "shape": shape, "data_offsets": [0, 0]} for name, shape in (tensors or {}).items()}
    if tensors is not None:
        content = json.dumps({"__metadata__": {"format": "pt"}, **header}).encode()
        (folder / "model.safetensors").write_bytes(struct.pack("<Q", len(content)) + content + bytes(100))
    return folder


def test_a_folder_says_architecture_parameters_input_size_and_licence(tmp_path: Path) -> None:
    folder = write(tmp_path / "m", tensors=TENSORS, card="---\ntags:\n- x\nlicense: apache-2.0\n---\nlicense: no\n")
    found = model_facts.facts_of(str(folder))
    assert (found.place, found.architecture, found.classes) == ("folder", "ResNetForImageClassification", 2)
    assert found.parameters == 8 * 3 * 3 * 3 + 2, "statistics of batch norm are no parameters"
    assert (found.input_size, found.licence) == ([192, 160], "apache-2.0")
    assert found.size == sum(file.stat().st_size for file in folder.iterdir())
    (folder / "README.md").write_text("---\nlicense: other\nlicense_name: my-terms\n---\n")
    assert model_facts.facts_of(str(folder)).licence == "my-terms", "a changed file is read again"


def test_a_folder_that_may_not_be_read_is_said_to_be_there_and_no_more(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = write(tmp_path / "m", tensors=TENSORS)

    def refuse(_folder: Path) -> None:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(model_facts, "_stamp", refuse)
    assert model_facts.facts_of(str(folder)) == ModelFacts(place="folder")


NO_HEADERS = (
    b"", b"\xff" * 8, struct.pack("<Q", 10**15), struct.pack("<Q", 4) + b"[1]x",
    struct.pack("<Q", 20) + b'{"a": {"shape": 7}} ',
)  # fmt: skip


@pytest.mark.parametrize("weights", NO_HEADERS)
def test_what_is_no_header_counts_no_parameters(tmp_path: Path, weights: bytes) -> None:
    folder = write(tmp_path / "m")
    (folder / "model.safetensors").write_bytes(weights)
    found = model_facts.facts_of(str(folder))
    assert (found.parameters, found.architecture) == (None, "ResNetForImageClassification")


def test_shards_are_counted_together_and_missing_ones_are_what_it_needs(tmp_path: Path) -> None:
    folder = write(tmp_path / "m")
    names = {"a": "model-00001-of-00002.safetensors", "b": "model-00002-of-00002.safetensors"}
    index = {"metadata": {"total_size": 98_000_000}, "weight_map": names}
    (folder / "model.safetensors.index.json").write_text(json.dumps(index))
    missing = model_facts.facts_of(str(folder))
    assert (missing.parameters, missing.needs) == (None, 98_000_000)
    for name, edge in zip(names.values(), (3, 4), strict=True):
        made = write(tmp_path / name, tensors={"w": [edge, edge]})
        (made / "model.safetensors").rename(folder / name)
    whole = model_facts.facts_of(str(folder))
    assert (whole.parameters, whole.needs) == (25, None)


def test_the_cache_of_the_hub_lists_models_for_images(
    store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "hub"))
    assert store.models.cached() == []
    for name in ("models--org--tiny", "models--words"):
        snapshot = write(tmp_path / "hub" / name / "snapshots" / "abc", tensors=TENSORS)
        (tmp_path / "hub" / name / "refs").mkdir()
        (tmp_path / "hub" / name / "refs" / "main").write_text("abc")
    (snapshot / "preprocessor_config.json").unlink()  # of a model for texts
    store.models.add(ModelEdit(name="mine", flavour="org/tiny"))
    gone = store.models.add(ModelEdit(name="gone", flavour="org/other"))
    (found,) = store.models.cached()
    assert (found.flavour, found.registered, found.facts.place) == ("org/tiny", "mine", "cache")
    assert found.facts == store.models.find("mine").facts
    assert (gone.facts.place, gone.facts.size, gone.facts.parameters) == ("hub", None, None)
    for revision in ("../../..", "a/../../b"):
        assert model_facts.facts_of("org/tiny", revision).place == "hub"
