"""TrainConfig: what it accepts, and what it says when it does not."""

from __future__ import annotations

import json
import math
import re
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from imgcls_lab.config import GROUPS, TrainConfig
from imgcls_lab.config.applies import applies, value_text
from imgcls_lab.config.names import NAMED
from imgcls_lab.errors import ConfigError

FIELDS = TrainConfig.model_json_schema()["properties"]


def problems(**values: object) -> dict[str, str]:
    with pytest.raises(ConfigError) as caught:
        TrainConfig.parse({"root": "data", **values})
    return dict(caught.value.problems)


def test_every_field_has_title_text_group_and_says_whether_it_affects_the_result() -> None:
    for name, schema in FIELDS.items():
        assert schema["title"], name
        assert schema["description"].endswith("."), name
        assert schema["group"] in GROUPS, name
        assert isinstance(schema["affects_result"], bool), name
        assert isinstance(schema["first"], bool), name


def test_names_of_the_older_platform_are_kept() -> None:
    kept = "root model_flavour batch_size epochs lr load_pretrained freeze_backbone monitor_metric monitor_mode"
    assert {*kept.split(), "tb_root", "ckpt_dir"} <= set(FIELDS)


def test_a_batch_size_of_zero_is_one_clear_sentence() -> None:
    assert problems(batch_size=0) == {"batch_size": "Must be greater than 0, not 0."}


def test_an_unknown_setting_names_the_one_that_was_meant() -> None:
    assert problems(batchsize=3)["batchsize"] == "There is no such field; did you mean batch_size?"


def test_all_wrong_fields_are_named_at_once() -> None:
    assert set(problems(lr=-1, epochs="many", balance="wild", root="")) == {"lr", "epochs", "balance", "root"}


@pytest.mark.parametrize("lr", [math.nan, math.inf, 0, -1e-3, "fast"])
def test_a_learning_rate_that_cannot_train_is_refused(lr: object) -> None:
    assert "lr" in problems(lr=lr)


def test_true_is_no_number() -> None:
    found = problems(epochs=True, lr=True, num_workers=False, hflip=True)
    assert found["epochs"] == "Must be a number, not true."
    assert found["num_workers"] == "Must be a number, not false."
    assert "lr" in found
    assert "hflip" not in found


def test_a_warm_up_longer_than_the_run_is_refused() -> None:
    assert "longer than the run" in problems(epochs=1, warmup_epochs=2)[""]


@pytest.mark.parametrize(("pattern", "words"), [("patient[0-9]+", "no group"), ("(", "no regular expression")])
def test_a_pattern_for_groups_that_cannot_work_is_refused(pattern: str, words: str) -> None:
    assert words in problems(group_pattern=pattern)["group_pattern"]
    assert TrainConfig(root="d", group_pattern="(p[0-9]+)_").group_pattern == "(p[0-9]+)_"


def test_a_text_that_is_no_json_is_a_sentence() -> None:
    with pytest.raises(ConfigError, match="not valid JSON"):
        TrainConfig.parse("{")


def test_a_changed_copy_is_validated_and_the_original_stays() -> None:
    config = TrainConfig(root="data")
    assert config.with_changes(lr=1e-4).lr == 1e-4
    assert config.lr != 1e-4
    with pytest.raises(ConfigError):
        config.with_changes(lr=-1)


def test_better_is_lower_for_loss_and_calibration_error_alone_unless_said() -> None:
    assert TrainConfig(root="d").higher_is_better
    assert TrainConfig(root="d", monitor_metric="auroc").higher_is_better
    assert not TrainConfig(root="d", monitor_metric="loss").higher_is_better
    assert not TrainConfig(root="d", monitor_metric="calibration_error").higher_is_better
    assert TrainConfig(root="d", monitor_metric="loss", monitor_mode="max").higher_is_better


def test_where_the_data_lies_and_how_it_is_read_is_no_part_of_the_identity() -> None:
    one = TrainConfig(root="here", num_workers=0, ckpt_dir="a").result_fields()
    other = TrainConfig(root="there", num_workers=2, ckpt_dir="b").result_fields()
    assert one == other
    assert one != TrainConfig(root="here", lr=1e-5).result_fields()


@given(st.floats(1e-9, 10), st.integers(1, 1000), st.text(min_size=1).filter(lambda t: t.strip() and "\0" not in t))
def test_a_config_survives_its_own_json(lr: float, epochs: int, root: str) -> None:
    config = TrainConfig(root=root, lr=lr, epochs=epochs)
    again = TrainConfig.parse(json.dumps(config.model_dump(mode="json")))
    assert again == config
    assert again.digest() == config.digest()


def test_a_config_written_by_hand_fails_with_a_sentence() -> None:
    with pytest.raises(ConfigError, match="did you mean epochs") as raised:
        TrainConfig(root="data", epoch=3)
    assert [problem.field for problem in raised.value.problems] == ["epoch"]
    with pytest.raises(ConfigError, match="root: is needed"):
        TrainConfig()


@pytest.mark.parametrize("name", ["ckpt_dir", "tb_root"])
def test_a_run_writes_nothing_into_its_data_set(name: str) -> None:
    with pytest.raises(ConfigError, match="lies inside the data set"):
        TrainConfig(root="data", **{name: "data/train"})
    TrainConfig(root="data", **{name: "data-of-mine"})


@pytest.mark.parametrize(
    ("field", "name", "meant"),
    [
        ("loss", "focall", "focal"),
        ("optimizer", "adamv", "adam"),
        ("schedule", "cosin", "cosine"),
        ("augmentation", "standart", "standard"),
    ],
)
def test_a_name_that_nothing_has_is_refused_with_the_one_that_was_meant(field: str, name: str, meant: str) -> None:
    with pytest.raises(ConfigError, match="did you mean") as caught:
        TrainConfig(root="flowers", **{field: name})
    assert [(problem.field, meant in problem.message) for problem in caught.value.problems] == [(field, True)]
    assert getattr(TrainConfig(root="flowers", plugins=["mine.py"], **{field: name}), field) == name


def test_a_resume_may_change_what_changes_no_result() -> None:
    config = TrainConfig(root="flowers")
    assert config.resumed_with({"num_workers": 3, "cache": "off", "keep_last": 5}, "runs/x").num_workers == 3
    with pytest.raises(ConfigError) as caught:
        config.resumed_with({"lr": 0.5, "epochs": 7, "num_workers": 0, "tb_root": "elsewhere"}, "runs/x")
    assert {problem.field for problem in caught.value.problems} == {"lr", "epochs", "tb_root"}
    assert "launch --config runs/x/config.json" in str(caught.value)
    with pytest.raises(ConfigError, match="did you mean num_workers"):
        config.resumed_with({"worker": 0}, "runs/x")


# ── what has an effect ──────────────────────────────────────────────────────────────────────────────────────────────
@pytest.mark.parametrize(
    ("name", "values", "expected"),
    [
        ("focal_gamma", {}, False),
        ("focal_gamma", {"loss": "focal"}, True),
        ("focal_gamma", {"loss": "a_plugins_loss"}, True),  # only the plugin knows what it reads
        ("min_delta", {"early_stopping_patience": 3}, True),
        ("min_delta", {"schedule": "plateau"}, True),
        ("min_delta", {"schedule": "cosine"}, False),
        ("sync_batchnorm", {"num_processes": 2}, True),
        ("sync_batchnorm", {"num_processes": 1}, False),
        ("momentum", {"optimizer": "sgd"}, True),
        ("momentum", {"optimizer": "adamw"}, False),
        ("unfreeze_blocks", {"freeze_backbone": False, "unfreeze_epoch": 2}, False),  # nor has what it hangs on
        ("unfreeze_blocks", {"freeze_backbone": True, "unfreeze_epoch": 2}, True),
        ("lr", {}, True),
    ],
)
def test_a_setting_has_an_effect_beside_some_others_alone(name: str, values: dict[str, object], expected: bool) -> None:
    assert applies(FIELDS, values, name) is expected


def test_each_rule_names_settings_and_values_that_there_are_and_has_a_sentence() -> None:
    ruled = {name: item["applies"] for name, item in FIELDS.items() if "applies" in item}
    assert {"focal_gamma", "poly_power", "lora_alpha", "betas"} <= set(ruled)
    for name, rule in ruled.items():
        assert FIELDS[name]["applies_text"].startswith("Has an effect only "), name
        for condition in rule:
            other = FIELDS[condition["field"]]
            known = NAMED[condition["field"]][1] if condition["field"] in NAMED else other.get("enum")
            assert known is None or set(condition.get("one_of", ())) <= set(known), name


def test_labels_name_values_that_there_are() -> None:
    for name, item in FIELDS.items():
        kinds = {item.get("type"), *(option.get("type") for option in item.get("anyOf", ()))}
        known = {*item.get("enum", ()), *item.get("suggestions", ())}
        known |= {"true", "false"} if "boolean" in kinds else set()
        known |= {""} if kinds & {"null", "array"} else set()
        assert set(item.get("labels", {})) <= known, name


def test_a_value_is_said_by_its_label_and_with_its_unit() -> None:
    said = {name: value_text(FIELDS[name], value) for name, value in (
        ("loss", "bce"), ("load_pretrained", False), ("hflip", None), ("warmup_epochs", 2.0), ("image_size", 224),
    )}  # fmt: skip
    assert said == {
        "loss": "binary cross entropy",
        "load_pretrained": "random weights",
        "hflip": "as the augmentation does",
        "warmup_epochs": "2.0 epochs",
        "image_size": "224 px",
    }


def test_the_documented_table_says_what_each_field_does_at_a_fork() -> None:
    text = (Path(__file__).parents[1] / "docs" / "lineage.md").read_text(encoding="utf-8")
    lines = [line.split("|") for line in text.splitlines() if line.startswith("| ") and line.count("|") == 3]
    rows = {begin.strip().partition(" where")[0]: set(re.findall(r"`(\w+)`", fields)) for _, begin, fields, _ in lines}
    said = {
        "between_epochs": rows["only"],
        "fresh_optimizer": rows["the optimizer begins with a fresh state"],
        "refused": rows["refused"],
    }
    properties = TrainConfig.model_json_schema()["properties"]
    for rule, fields in said.items():
        assert fields == {name for name, item in properties.items() if item["at_fork"] == rule}, rule
