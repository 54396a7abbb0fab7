"""The form of a run: every setting, problems beside their fields, and a launch."""

from __future__ import annotations

from html import unescape
from pathlib import Path

import pytest

import imgcls_lab as lab
from imgcls_lab import TrainConfig
from imgcls_lab.imagefolder import inspect_folder
from imgcls_lab.planning.preview import preview
from imgcls_lab.settings import Settings
from imgcls_lab.widgets.form import RunForm


@pytest.fixture
def form(few: TrainConfig, idle: Settings) -> RunForm:
    return lab.form(few)


def test_the_form_holds_every_setting_of_the_config(form: RunForm, few: TrainConfig) -> None:
    assert set(form.fields) == set(TrainConfig.model_fields)
    assert form.config == few
    assert not form.button.disabled


def test_first_settings_are_in_sight_and_the_others_folded_by_group(form: RunForm) -> None:
    in_sight = [name for name, field in form.fields.items() if field.box in form.children]
    assert {"root", "model_flavour", "epochs", "batch_size", "lr"} <= set(in_sight)
    assert "seed" not in in_sight
    assert form.folded.titles[0] == "Data"
    assert form.folded.selected_index is None
    assert sum(len(box.children) for box in form.folded.children) + len(in_sight) == len(form.fields)


def test_a_setting_without_effect_is_hidden_until_it_has_one_or_is_searched(form: RunForm) -> None:
    def shown(name: str) -> bool:
        return form.fields[name].box.layout.display is None

    assert not shown("focal_gamma")
    form.search.value = "focal"
    assert shown("focal_gamma")
    assert not shown("seed")
    assert "Has an effect only" in unescape(form.fields["focal_gamma"].note.value)
    form.search.value = ""
    assert not shown("focal_gamma")
    assert shown("seed")
    form.fields["loss"].control.value = "focal"
    assert shown("focal_gamma")
    form.fields["focal_gamma"].control.value = "3"
    form.fields["loss"].control.value = "cross_entropy"
    assert shown("focal_gamma")  # what was changed stays in sight


def test_values_have_their_names(form: RunForm) -> None:
    assert ("the head alone", True) in form.fields["freeze_backbone"].control.options
    assert ("next free GPU, else CPU", "auto") in form.fields["device"].control.options
    assert form.fields["early_stopping_patience"].control.placeholder == "never"


@pytest.mark.parametrize(
    ("name", "value", "sentence"),
    [
        ("batch_size", "0", "Must be greater than 0, not 0."),
        ("epochs", "three", "Must be a whole number, not “three”."),
        ("lr", "", "Must be a number"),
        ("root", "/no/such/folder", "does not exist"),
        ("warmup_epochs", "99", ""),
    ],
)
def test_what_is_wrong_is_said_beside_the_field(form: RunForm, name: str, value: str, sentence: str) -> None:
    before = form.fields[name].control.value
    form.fields[name].control.value = value
    assert form.button.disabled
    if sentence:
        assert sentence in unescape(form.fields[name].note.value)
    else:  # a problem of no single field stands beside the button
        assert "longer than the run" in form.message.value
    form.fields[name].control.value = before
    assert not form.button.disabled
    assert "alert" not in form.fields[name].note.value + form.message.value


def test_a_field_that_cannot_be_read_hides_no_mark_of_another(form: RunForm) -> None:
    form.fields["root"].control.value = "/no/such/folder"
    form.fields["epochs"].control.value = "0"
    form.fields["lr"].control.value = "fast"
    marks = {name: unescape(form.fields[name].note.value) for name in ("root", "epochs", "lr")}
    assert "does not exist" in marks["root"]
    assert "Must be" in marks["epochs"]
    assert "“fast”" in marks["lr"]


def test_the_steps_of_the_run_stand_beside_the_button(form: RunForm, few: TrainConfig) -> None:
    for epochs in (1, 7):
        form.fields["warmup_epochs"].control.value = "0"
        form.fields["epochs"].control.value = str(epochs)
        planned = preview(form.config, inspect_folder(few.root)).steps
        assert planned.total_steps == epochs * planned.steps_per_epoch
        assert f"{planned.steps_per_epoch:,} an epoch, {planned.total_steps:,} in all" in unescape(form.message.value)


def test_an_emptied_setting_is_none_where_that_has_a_meaning(form: RunForm) -> None:
    form.fields["image_size"].control.value = " "
    assert form.config.image_size is None


def test_launch_queues_the_run_and_shows_it(form: RunForm) -> None:
    form.name.value = "from the form"
    form.fields["epochs"].control.value = "1"
    form.fields["warmup_epochs"].control.value = "0"
    form.button.click()
    (run,) = lab.runs()
    assert (run.name, run.config.epochs, run.view.project) == ("from the form", 1, "default")
    assert form.run is not None


def test_a_new_form_starts_with_the_last_run(few: TrainConfig, idle: Settings) -> None:
    lab.launch(few.with_changes(lr=0.005))
    assert lab.form().config.lr == 0.005


def test_a_new_form_without_runs_starts_with_what_is_registered(idle: Settings) -> None:
    files = lab.demo.prepare()
    form = lab.form()
    assert form.config == files.config
    assert str(files.model) in form.fields["model_flavour"].control.options


def test_texts_of_others_are_no_markup(form: RunForm) -> None:
    form.fields["root"].control.value = "<img src=x onerror=alert(1)>"
    assert "<img" not in form.fields["root"].note.value


def test_a_failed_launch_is_said_beside_the_button(form: RunForm, few: TrainConfig, tmp_path: Path) -> None:
    form.project.value = "x" * 300
    form.button.click()
    assert "alert" in form.message.value
    assert len(lab.runs()) == 0
