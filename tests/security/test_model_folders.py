"""A model's folder is data: no value in it runs code, opens a file elsewhere, downloads, or takes all memory."""

from __future__ import annotations

import ast
import json
import os
import pickle
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import torch
from PIL import Image
from safetensors.torch import load_file, save_file
from transformers import (
    TimmWrapperConfig,
    TimmWrapperForImageClassification,
    ViTConfig,
    ViTForImageClassification,
    ViTImageProcessor,
)

import imgcls_lab
from imgcls_lab import model_folder
from imgcls_lab.config import TrainConfig
from imgcls_lab.engine.checkpointing import checkpoint
from imgcls_lab.engine.inference.predict import load
from imgcls_lab.engine.model.classifier import build, read_flavour
from imgcls_lab.errors import ConfigError, ModelError

QUICK = 5.0  # seconds of computing until a refusal
CLASSES = ["ant", "bee"]
_opened: list[str] = []
_listening = [False]


def _listen(event: str, arguments: tuple[Any, ...]) -> None:
    if _listening[0] and event == "open" and isinstance(arguments[0], str | bytes):
        _opened.append(os.fsdecode(arguments[0]))


sys.addaudithook(_listen)  # for good: Python takes none away


@contextmanager
def listening() -> Iterator[list[str]]:
    """The paths that Python opens inside the context."""
    _opened.clear()
    _listening[0] = True
    try:
        yield _opened
    finally:
        _listening[0] = False


class Payload:
    """Writes a file when it is unpickled."""

    def __init__(self, marker: Path) -> None:
        self.marker = str(marker)

    def __reduce__(self) -> tuple[Any, ...]:
        return Path.write_text, (Path(self.marker), "run")


@pytest.fixture
def marker(tmp_path: Path) -> Path:
    return tmp_path / "marker"


@pytest.fixture
def pickled(tmp_path: Path, marker: Path) -> Path:
    """A file outside of the model that runs code when a pickle is loaded from it."""
    path = tmp_path / "elsewhere" / "weights.pth"
    path.parent.mkdir()
    path.write_bytes(pickle.dumps(Payload(marker)))
    return path


@pytest.fixture
def vit(tmp_path: Path) -> Path:
    """A whole ViT for two classes."""
    folder = tmp_path / "vit"
    config = ViTConfig(
        hidden_size=16, num_hidden_layers=1, num_attention_heads=2, intermediate_size=16, image_size=16, patch_size=8,
        id2label=dict(enumerate(CLASSES)), label2id={name: number for number, name in enumerate(CLASSES)},
    )  # fmt: skip
    ViTForImageClassification(config).save_pretrained(folder)
    ViTImageProcessor(size={"height": 16, "width": 16}).save_pretrained(folder)
    return folder


@pytest.fixture
def timm(tmp_path: Path) -> Path:
    """A whole model of timm for two classes."""
    folder = tmp_path / "timm"
    config: Any = TimmWrapperConfig
    TimmWrapperForImageClassification(
        config(architecture="test_resnet", num_labels=2, pretrained_cfg={"input_size": [3, 32, 32]})
    ).save_pretrained(folder)
    return folder


def change(folder: Path, file: str = "config.json", **values: Any) -> Path:
    path = folder / file
    path.write_text(json.dumps((json.loads(path.read_text()) if path.exists() else {}) | values))
    return folder


def use_all(folder: Path) -> None:
    """What a training does with a model, and what a prediction does."""
    build(read_flavour(str(folder), None, None), CLASSES, True, 0, lambda _: None)
    load(folder, "cpu")


def use_each(folder: Path) -> Iterator[tuple[str, Callable[[], object]]]:
    yield "read", lambda: read_flavour(str(folder), None, None)
    yield "train", lambda: build(read_flavour(str(folder), None, None), CLASSES, True, 0, lambda _: None)
    yield (
        "train from random weights",
        lambda: build(read_flavour(str(folder), None, None), CLASSES, False, 0, lambda _: None),
    )
    yield "predict", lambda: load(folder, "cpu")


def refused(folder: Path, reason: str = "model_file") -> ModelError:
    """The refusal of a folder by whatever uses it."""
    found: ModelError | None = None
    for name, use in use_each(folder):
        began = time.process_time()
        if name == "read" and reason == "model_too_large":
            continue
        with pytest.raises(ModelError) as caught:
            use()
        assert time.process_time() - began < QUICK, name
        assert caught.value.reason == reason, (name, caught.value)
        assert str(folder) in str(caught.value)
        assert len(str(caught.value)) < 1200
        found = caught.value
    assert found is not None
    return found


# ── timm ────────────────────────────────────────────────────────────────────────────────────────────────────────
def test_no_argument_for_timm_opens_a_file_or_runs_its_pickle(timm: Path, pickled: Path, marker: Path) -> None:
    hub = {"hf_hub_id": "some-body/evil", "file": str(pickled), "url": f"file://{pickled}"}
    for arguments in (
        {"checkpoint_path": str(pickled)},
        {"pretrained": True, "pretrained_cfg": {"file": str(pickled)}},
        {"pretrained_cfg": hub},
        {"pretrained_cfg_overlay": {"file": str(pickled)}},
        {"pretrained_model_args": {"checkpoint_path": str(pickled)}},
        {"model_name": f"local-dir:{pickled.parent}"},
        {"cache_dir": str(pickled.parent)},
        {"features_only": True},
        {"feature_cls": "fx"},
        {"scriptable": True},
        {"exportable": True},
        {"no_jit": False},
        {"pruned": True},
        {"device": "cuda:99"},
        {"dtype": "float16"},
        {"block_args": {"x": str(pickled)}},
        {"act_layer": str(pickled)},
        {"norm_layer": ["a"]},
        {"img_size": {"a": 1}},
        {"drop_rate": str(pickled)},
        [["checkpoint_path", str(pickled)]],
    ):
        with listening() as opened:
            refused(change(timm, model_args=arguments))
        assert str(pickled) not in opened
    assert not marker.exists()


@pytest.mark.parametrize(
    "name",
    ["local-dir:{}", "LOCAL-DIR:{}", "local-dir:.", "hf-hub:some-body/evil", "hf_hub:some-body/evil", "{}", "../x",
     "/etc/passwd", "resnet18\n", "", "a" * 300, None, ["resnet18"], "file://{}"],
)  # fmt: skip
def test_an_architecture_is_a_name_of_timms_registry(timm: Path, pickled: Path, marker: Path, name: Any) -> None:
    (pickled.parent / "config.json").write_text(json.dumps({"architecture": "test_resnet", "pretrained_cfg": {}}))
    (pickled.parent / "pytorch_model.bin").write_bytes(pickled.read_bytes())
    with listening() as opened:
        refused(change(timm, architecture=name.format(pickled.parent) if isinstance(name, str) else name))
    assert not [path for path in opened if path.startswith((str(pickled.parent), "/etc/passwd"))]
    assert not marker.exists()


def test_where_timm_would_get_weights_from_is_left_out(timm: Path, pickled: Path) -> None:
    sources = {"url": "https://example.org/x", "file": str(pickled), "hf_hub_id": "a/b", "custom_load": True,
               "source": "local-dir", "state_dict": {}}  # fmt: skip
    images = json.loads((timm / "config.json").read_text())["pretrained_cfg"]
    use_all(change(timm, pretrained_cfg={**images, **sources}))
    config: Any = read_flavour(str(timm), None, None).config
    assert config.pretrained_cfg == images


USUAL = {
    "resnet50": {
        "architecture": "resnet50", "num_classes": 1000, "num_features": 2048,
        "pretrained_cfg": {
            "tag": "a1_in1k", "custom_load": False, "input_size": [3, 224, 224], "test_input_size": [3, 288, 288],
            "fixed_input_size": False, "interpolation": "bicubic", "crop_pct": 0.95, "test_crop_pct": 1.0,
            "crop_mode": "center", "mean": [0.485, 0.456, 0.406], "std": [0.229, 0.224, 0.225], "num_classes": 1000,
            "pool_size": [7, 7], "first_conv": "conv1", "classifier": "fc", "license": "apache-2.0",
            "origin_url": "https://github.com/huggingface/pytorch-image-models", "paper_ids": "arXiv:2110.00476",
        },
    },
    "vit with arguments": {
        "architecture": "vit_tiny_patch16_224", "num_classes": 0, "global_pool": "avg",
        "model_args": {"img_size": 64, "global_pool": "avg", "class_token": False, "fc_norm": True,
                       "dynamic_img_size": True, "act_layer": "gelu", "qk_norm": False, "init_values": 1e-5},
        "pretrained_cfg": {"input_size": [3, 64, 64], "interpolation": "bicubic", "fixed_input_size": True,
                           "first_conv": "patch_embed.proj", "classifier": "head", "num_classes": 0},
    },
}  # fmt: skip


@pytest.mark.parametrize("config", USUAL.values(), ids=USUAL)
def test_the_usual_configs_of_timms_hub_are_read(tmp_path: Path, config: dict[str, Any]) -> None:
    folder = tmp_path / "model"
    folder.mkdir()
    (folder / "config.json").write_text(json.dumps(config))
    build(read_flavour(str(folder), None, None), CLASSES, False, 0, lambda _: None)


# ── transformers ────────────────────────────────────────────────────────────────────────────────────────────────
@pytest.mark.parametrize(
    "fields",
    [
        {"auto_map": {"AutoConfig": "evil.C", "AutoModelForImageClassification": "evil.M"}},
        {"auto_map": {"AutoModelForImageClassification": "some-body/evil--evil.M"}},
        {"trust_remote_code": True},
        {"attn_implementation": "kernels-community/evil"},
        {"_attn_implementation": "some-body/evil"},
        {"_attn_implementation_internal": "some-body/evil"},
        {"experts_implementation": "some-body/evil"},
        {"use_kernels": True, "kernel_config": {"x": "some-body/evil:1"}},
        {"fusion_config": {"patch_embeddings": True}},
        {"distributed_config": {"tp_size": 2}},
        {"per_layer_config": {"0": {"hidden_size": 10_000_000}}},
        {"transformers_weights": "../elsewhere/other.safetensors"},
        {"configuration_files": ["config.99.0.0.json"]},
        {"backbone": "some-body/evil", "use_pretrained_backbone": True, "use_timm_backbone": True},
        {"backbone_config": {"model_type": "timm_backbone", "backbone": "local-dir:/tmp"}},
        {"_commit_hash": "0" * 40, "_name_or_path": "/etc", "name_or_path": "/etc"},
        {"custom_pipelines": {"x": {"impl": "evil.P"}}},
        {"dtype": "load"},
        {"torch_dtype": "nn"},
        {"num_labels": 2},
    ],
    ids=lambda fields: next(iter(fields)),
)
def test_a_field_that_the_config_does_not_declare_reaches_nothing(vit: Path, marker: Path, fields: Any) -> None:
    (vit / "evil.py").write_text(f"open({str(marker)!r}, 'w')\n")
    (vit / "config.99.0.0.json").write_text('{"model_type": "bert"}')
    before = load(vit, "cpu").model.state_dict()
    change(vit, **fields)
    read: Any = read_flavour(str(vit), None, None).config
    assert read.hidden_size == 16
    assert not set(fields) & set(vars(read)) - {"dtype", "_attn_implementation_internal", "_name_or_path"}
    assert (read._attn_implementation, read.name_or_path) == (None, str(vit))
    after = load(vit, "cpu").model.state_dict()
    assert all(torch.equal(after[name], value) for name, value in before.items())
    assert not marker.exists()


def test_quantized_weights_import_no_package(vit: Path) -> None:
    refused(change(vit, quantization_config={"quant_method": "bitsandbytes", "load_in_4bit": True}))


def test_an_adapter_is_not_loaded(vit: Path, pickled: Path, marker: Path) -> None:
    (vit / "adapter_model.bin").write_bytes(pickled.read_bytes())
    change(vit, "adapter_config.json", peft_type="LORA", base_model_name_or_path=str(pickled.parent))
    refused(vit)
    (vit / "config.json").unlink()
    with pytest.raises(ModelError):
        use_all(vit)
    assert not marker.exists()


def test_pickled_and_other_weights_are_not_looked_at(vit: Path, pickled: Path, marker: Path) -> None:
    (vit / "model.safetensors").unlink()
    for name in ("pytorch_model.bin", "model.bin", "tf_model.h5", "flax_model.msgpack", "model.gguf",
                 "training_args.bin", "optimizer.pt"):  # fmt: skip
        (vit / name).write_bytes(pickled.read_bytes())
    with listening() as opened, pytest.raises(ModelError):
        build(read_flavour(str(vit), None, None), CLASSES, True, 0, lambda _: None)
    with pytest.raises(ModelError):
        load(vit, "cpu")
    assert not [path for path in opened if path.endswith((".bin", ".h5", ".msgpack", ".gguf", ".pt"))]
    assert not marker.exists()


@pytest.mark.parametrize(
    "values",
    [
        {"image_processor_type": "LayoutLMv3ImageProcessor", "tesseract_config": "--tessdata-dir /tmp"},
        {"image_processor_type": "ViTImageProcessor", "tesseract_config": "-c x=y"},
        {"image_processor_type": "../evil"},
        {"image_processor_type": "PreTrainedModel"},
        {"image_processor_type": "pipeline"},
        {"image_processor_type": ["ViTImageProcessor"]},
        {"feature_extractor_type": "LayoutLMv2FeatureExtractor"},
        {"image_processor_type": "ViTImageProcessor", "size": {"height": 100_000, "width": 100_000}},
        {"image_processor_type": "ViTImageProcessor", "size": {"height": 10**12, "width": 16}},
        {"image_processor_type": "ViTImageProcessor", "crop_size": 5000},
        {"image_processor_type": "ViTImageProcessor", "image_mean": "/etc/passwd"},
    ],
    ids=str,
)
def test_a_processor_is_a_known_class_and_numbers(vit: Path, values: dict[str, Any]) -> None:
    (vit / "preprocessor_config.json").write_text(json.dumps(values))
    refused(vit)
    (vit / "preprocessor_config.json").unlink()
    (vit / "processor_config.json").write_text(json.dumps({"image_processor": values}))
    refused(vit)


def test_a_processor_of_the_models_own_runs_nothing(vit: Path, marker: Path) -> None:
    (vit / "evil.py").write_text(f"open({str(marker)!r}, 'w')\n")
    own: dict[str, Any] = {
        "image_processor_type": "Evil",
        "auto_map": {"AutoImageProcessor": "evil.Evil"},
        "device": "cuda:99",
    }
    own["size"] = {"height": 16, "width": 16}
    (vit / "preprocessor_config.json").write_text(json.dumps(own))
    refused(vit, "code_of_its_own")
    (vit / "preprocessor_config.json").write_text(json.dumps(own | {"image_processor_type": "ViTImageProcessor"}))
    use_all(vit)
    assert not marker.exists()


# ── files ───────────────────────────────────────────────────────────────────────────────────────────────────────
@pytest.mark.parametrize("file", ["config.json", "preprocessor_config.json", "model.safetensors"])
def test_no_link_pipe_or_device_stands_for_a_file(vit: Path, tmp_path: Path, file: str) -> None:
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    kept = elsewhere / file
    (vit / file).rename(kept)
    for make in (
        lambda: (vit / file).symlink_to(kept),
        lambda: (vit / file).symlink_to(f"../elsewhere/{file}"),
        lambda: (vit / file).symlink_to(elsewhere),
        lambda: (vit / file).symlink_to("/dev/zero"),
        lambda: (vit / file).symlink_to(file),
        lambda: (vit / file).symlink_to("gone"),
        lambda: os.mkfifo(vit / file),
        (vit / file).mkdir,
    ):
        make()
        with listening() as opened:
            for _, use in use_each(vit):
                began = time.process_time()
                with pytest.raises(ModelError):
                    use()
                assert time.process_time() - began < QUICK
        assert str(kept) not in opened
        assert "/dev/zero" not in opened
        (vit / file).rmdir() if (vit / file).is_dir() and not (vit / file).is_symlink() else (vit / file).unlink()
    kept.rename(vit / file)
    use_all(vit)


def test_a_link_inside_the_folder_and_one_of_the_hubs_cache_are_followed(vit: Path, tmp_path: Path) -> None:
    (vit / "model.safetensors").rename(vit / "model-kept.safetensors")
    (vit / "model.safetensors").symlink_to("model-kept.safetensors")
    use_all(vit)
    blobs, snapshot = tmp_path / "models--a--b/blobs", tmp_path / "models--a--b/snapshots/0123"
    blobs.mkdir(parents=True)
    snapshot.mkdir(parents=True)
    for name in ("config.json", "preprocessor_config.json", "model-kept.safetensors"):
        (vit / name).rename(blobs / name[::-1])
        (snapshot / name.replace("-kept", "")).symlink_to(f"../../blobs/{name[::-1]}")
    use_all(snapshot)


@pytest.mark.parametrize(
    "name",
    ["../elsewhere/x.safetensors", "{}/x.safetensors", "sub/x.safetensors", "x.bin", "", "..", ".safetensors",
     "pipe.safetensors", "link.safetensors", "gone.safetensors", 5, None, "a\nb.safetensors"],
)  # fmt: skip
def test_an_index_names_safetensors_files_of_its_folder(vit: Path, tmp_path: Path, name: Any) -> None:
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    (vit / "sub").mkdir()
    weights = load_file(vit / "model.safetensors")
    for path in (elsewhere / "x.safetensors", vit / "sub/x.safetensors"):
        save_file(weights, path, metadata={"format": "pt"})
    (vit / "model.safetensors").unlink()
    os.mkfifo(vit / "pipe.safetensors")
    (vit / "link.safetensors").symlink_to(elsewhere / "x.safetensors")
    named = name.format(elsewhere) if isinstance(name, str) else name
    index = {"metadata": {"total_size": 5_000_000_000}, "weight_map": dict.fromkeys(weights, named)}
    (vit / "model.safetensors.index.json").write_text(json.dumps(index))
    with listening() as opened:
        refused(vit)
    assert not [path for path in opened if path.startswith((str(elsewhere), str(vit / "sub")))]


def test_weights_in_several_files_load(vit: Path) -> None:
    whole = load(vit, "cpu").model.state_dict()
    before = load_file(vit / "model.safetensors")
    (vit / "model.safetensors").unlink()
    names = sorted(before)
    parts = {f"model-{number}-of-2.safetensors": names[number - 1 :: 2] for number in (1, 2)}
    for file, part in parts.items():
        save_file({name: before[name] for name in part}, vit / file, metadata={"format": "pt"})
    index = {
        "metadata": {"total_size": 5_000_000_000},
        "weight_map": {name: file for file, part in parts.items() for name in part},
    }
    (vit / "model.safetensors.index.json").write_text(json.dumps(index))
    after = load(vit, "cpu").model.state_dict()
    assert all(torch.equal(after[name], value) for name, value in whole.items())


# ── amounts ─────────────────────────────────────────────────────────────────────────────────────────────────────
@pytest.mark.parametrize(
    "text",
    [
        "{" + '"x": "' + "y" * 17_000_000 + '"}',
        '{"x": ' + "[" * 100_000 + "]" * 100_000 + "}",
        '{"x": ' + "[" * 20 + "]" * 20 + "}",
        json.dumps({"x": list(range(30_000))}),
        json.dumps({"id2label": {str(i): "x" for i in range(1_000_000)}}),
        json.dumps({"label_names": ["x"] * 1_000_000}),
        json.dumps({"id2label": {"0": ["x"] * 1_000_000}}),
        '{"num_labels": 2000000}',
        '{"hidden_size": 1000000000000}',
        '{"hidden_size": ' + "9" * 5000 + "}",
        '{"hidden_size": 1e999}',
        '{"hidden_size": NaN}',
        '{"x": "' + "y" * 20_000 + '"}',
        "[]",
        "{",
        "\udcff",
    ],
    ids=lambda text: f"{text[:20]} {len(text)}",
)
def test_a_config_of_an_impossible_amount_is_a_sentence(vit: Path, text: str) -> None:
    (vit / "config.json").write_bytes(text.encode(errors="surrogateescape"))
    refused(vit)


@pytest.mark.parametrize(
    "fields",
    [
        {"hidden_size": 2_000_000, "intermediate_size": 2_000_000},
        {"num_hidden_layers": 10_000_000},
        {"num_hidden_layers": 9_999},
        {"intermediate_size": 9_000_000, "hidden_size": 8_000_000},
        {"image_size": 4096, "patch_size": 1, "hidden_size": 4_000_000},
    ],
    ids=str,
)
def test_a_model_that_no_memory_holds_is_refused_before_it_is_made(vit: Path, fields: dict[str, Any]) -> None:
    error = refused(change(vit, **fields), "model_too_large")
    assert error.data["model"] == str(vit)


def test_a_huge_model_of_timm_is_refused_too(timm: Path) -> None:
    big = {"img_size": 32, "patch_size": 8, "num_heads": 2}
    change(timm, architecture="vit_tiny_patch16_224", model_args={**big, "embed_dim": 1_000_000})
    refused(timm, "model_too_large")
    for depth in (9_999, 10_000_000):  # timm makes a list as long as its model is deep before it makes a layer
        change(timm, model_args={**big, "embed_dim": 16, "depth": depth})
        refused(timm, "model_too_large")
    change(timm, architecture="swin_tiny_patch4_window7_224", model_args={"depths": [2, 9_000_000, 2, 2]})
    refused(timm, "model_too_large")


def test_a_model_of_huge_images_is_refused(vit: Path) -> None:
    (vit / "preprocessor_config.json").unlink()
    with pytest.raises(ModelError, match="4096"):
        read_flavour(str(change(vit, image_size=100_000)), None, None)


# ── the server, before a run is queued ──────────────────────────────────────────────────────────────────────────
async def test_form_and_registry_refuse_such_a_folder_before_a_run(
    api: Any, config: dict[str, Any], model: Path, images: Path
) -> None:
    Image.new("RGB", (8, 8)).save(images / "train/cat/0.png")
    for values in (
        {"model_type": "timm_wrapper", "architecture": "resnet18", "model_args": {"checkpoint_path": "/etc/passwd"}},
        {"architecture": "local-dir:/tmp", "pretrained_cfg": {}},
        {"model_type": "vit", "quantization_config": {"quant_method": "gptq"}},
        {"model_type": "vit", "num_labels": 10_000_000},
    ):
        (model / "config.json").write_text(json.dumps(values))
        check = (await api("POST", "configs/check", {"config": config})).json
        assert [problem["field"] for problem in check["problems"]] == ["model_flavour"], values
        reply = await api("POST", "models", {"name": "x", "flavour": str(model)})
        assert reply.status == 400
        assert [problem["field"] for problem in reply.json["problems"]] == ["flavour"]


@pytest.mark.parametrize(
    "revision", ["../../../../etc/passwd", "/etc/passwd", "refs/../../x", "a//b", ".", "a b", "-x"]
)
async def test_a_revision_names_no_file(
    api: Any, images: Path, tmp_path: Path, revision: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[Any] = []
    monkeypatch.setattr("huggingface_hub.try_to_load_from_cache", lambda *_, **given: asked.append(given))
    config = {"root": str(images), "model_flavour": "a/b", "revision": revision}
    reply = await api("POST", "configs/check", {"config": config})
    assert [problem["field"] for problem in reply.json["problems"]] == ["revision"]
    assert asked == []
    with pytest.raises(ConfigError):
        TrainConfig.parse(config)


@pytest.mark.parametrize("revision", ["main", "refs/pr/12", "v1.0", "a" * 40, "feature/x_1"])
def test_the_usual_revisions_are_taken(revision: str) -> None:
    assert TrainConfig.parse({"root": "/data", "revision": revision}).revision == revision


# ── checkpoints ─────────────────────────────────────────────────────────────────────────────────────────────────
@pytest.fixture
def saved(tmp_path: Path) -> Path:
    def export(folder: Path) -> None:
        (folder / "model.safetensors").write_bytes(b"x")

    return checkpoint.save(tmp_path / "checkpoints", "a001-s00000001", export, {"progress": {"epoch": 1, "step": 1}})


@pytest.mark.parametrize("name", ["../../secret", "{}/secret", "/dev/zero", "pipe", "link", "", ".", ".."])
def test_a_checkpoint_hashes_its_own_files_alone(saved: Path, tmp_path: Path, name: str) -> None:
    (tmp_path / "secret").write_text("x")
    os.mkfifo(saved / "pipe")
    (saved / "link").symlink_to(tmp_path / "secret")
    assert checkpoint.damage(saved) is None
    change(saved, checkpoint.CHECKSUMS, **{name.format(tmp_path): "0" * 64})
    with listening() as opened:
        assert checkpoint.damage(saved) is not None
    assert not [path for path in opened if path.endswith(("secret", "zero"))]


def test_a_checkpoints_json_is_bounded(saved: Path) -> None:
    state = saved / f"{checkpoint.STATE}.json"
    for text in ("[" * 200_000 + "]" * 200_000, '{"x": "' + "y" * 70_000_000 + '"}'):
        state.write_text(text)
        with pytest.raises(ModelError):
            checkpoint.standing(saved)
        (saved / checkpoint.CHECKSUMS).write_text(text)
        assert checkpoint.damage(saved) is not None


# ── one place ───────────────────────────────────────────────────────────────────────────────────────────────────
LOADERS = {"from_pretrained", "create_model", "AutoConfig", "AutoModel", "AutoModelForImageClassification",
           "AutoImageProcessor", "AutoProcessor", "AutoBackbone", "load_checkpoint", "load_state_dict_from_url",
           "load_state_dict_from_hf", "hf_hub_download", "snapshot_download", "cached_file", "pipeline"}  # fmt: skip
ALLOWED = {
    "engine/model/loading.py": LOADERS - {"cached_file", "hf_hub_download"},
    "engine/model/hub_files.py": {"cached_file", "hf_hub_download"},  # downloaded, and read by nobody
    "engine/model/model_size.py": {"AutoModelForImageClassification"},  # the form of a config, and no file
    "cli/demo.py": {"pipeline"},  # the demo's own model
}


def test_no_other_module_gives_a_models_files_to_a_library() -> None:
    package = Path(imgcls_lab.__file__).parent
    for path in package.rglob("*.py"):
        place = path.relative_to(package).as_posix()
        tree = ast.parse(path.read_text())
        names = {node.id for node in ast.walk(tree) if isinstance(node, ast.Name)}
        names |= {node.attr for node in ast.walk(tree) if isinstance(node, ast.Attribute)}
        names |= {alias.name for node in ast.walk(tree) if isinstance(node, ast.ImportFrom) for alias in node.names}
        assert not names & LOADERS - ALLOWED.get(place, set()), place
        assert not names & {"pickle", "joblib", "dill", "cloudpickle", "Unpickler"}, place


def test_torch_load_takes_tensors_alone_everywhere() -> None:
    package = Path(imgcls_lab.__file__).parent
    found = []
    for path in package.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            if not (isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr == "load"):
                continue
            if isinstance(node.func.value, ast.Name) and node.func.value.id == "torch":
                options = {word.arg: ast.unparse(word.value) for word in node.keywords}
                assert options.get("weights_only") == "True", path
                found.append(path.name)
            if isinstance(node.func.value, ast.Name) and node.func.value.id == "np":
                assert {w.arg: ast.unparse(w.value) for w in node.keywords}.get("allow_pickle") == "False", path
    assert found == ["loading.py"]


def test_the_checker_needs_no_torch() -> None:
    source = Path(model_folder.__file__).read_text()
    assert "torch" not in {node.names[0].name for node in ast.walk(ast.parse(source)) if isinstance(node, ast.Import)}
