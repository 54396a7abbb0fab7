"""The form of a run: every setting, problems beside their fields, and a launch."""

from __future__ import annotations

import json
from html import unescape
from pathlib import Path
from typing import Any

import ipywidgets as widgets
import pytest
import traitlets

import imgcls_lab as lab
from imgcls_lab import TrainConfig
from imgcls_lab.config.applies import applies
from imgcls_lab.imagefolder import inspect_folder
from imgcls_lab.planning.preview import preview
from imgcls_lab.settings import Settings
from imgcls_lab.widgets.form import Plot, RunForm
from imgcls_lab.widgets.widget_output import WIDGET_TYPE
from tests.waiting import until

PROPERTIES = TrainConfig.model_json_schema()["properties"]


def in_sight(form: RunForm) -> set[str]:
    """The fields whose controls are shown."""
    boxes = (form.in_sight, form.found, *form.folded.children)
    shown = {id(widget) for box in boxes for widget in box.children}
    return {name for name, field in form.fields.items() if field.is_made and id(field.control) in shown}


@pytest.fixture
def form(few: TrainConfig, idle: Settings) -> RunForm:
    return lab.form(few)


def test_the_form_holds_every_setting_of_the_config(form: RunForm, few: TrainConfig) -> None:
    assert set(form.fields) == set(TrainConfig.model_fields)
    assert form.config == few
    assert not form.button.disabled


def test_first_settings_are_in_sight_and_the_others_folded_by_group(form: RunForm) -> None:
    assert {"root", "model_flavour", "epochs", "batch_size", "lr"} <= in_sight(form)
    assert "seed" not in in_sight(form)
    assert form.folded.titles[0] == "Data"
    assert form.folded.selected_index is None
    seen: set[str] = set()
    for number in range(len(form.folded.titles)):
        form.folded.selected_index = number
        seen |= in_sight(form)
    assert "seed" in seen
    effective = {name for name in form.fields if applies(PROPERTIES, form.values, name)}
    assert seen == effective


def test_a_setting_without_effect_is_hidden_until_it_has_one_or_is_searched(form: RunForm) -> None:
    group = next(number for number, title in enumerate(form.folded.titles) if title == "Regularisation")
    form.folded.selected_index = group
    assert "focal_gamma" not in in_sight(form)
    form.search.value = "focal"
    assert "focal_gamma" in in_sight(form)
    assert "mixup" not in in_sight(form)
    assert "Has an effect only" in unescape(form.fields["focal_gamma"].said)
    form.search.value = ""
    assert "focal_gamma" not in in_sight(form)
    assert "mixup" in in_sight(form)
    form.fields["loss"].control.value = "focal"
    assert "focal_gamma" in in_sight(form)
    form.fields["focal_gamma"].control.value = "3"
    form.fields["loss"].control.value = "cross_entropy"
    assert "focal_gamma" in in_sight(form)  # what was changed stays in sight


def test_a_setting_that_is_folded_away_keeps_its_value(form: RunForm) -> None:
    form.folded.selected_index = next(n for n, title in enumerate(form.folded.titles) if title == "Optimisation")
    form.fields["seed"].control.value = "7"
    control = form.fields["seed"].control
    form.folded.selected_index = None
    assert form.config is not None
    assert form.config.seed == 7
    assert control.comm is None  # closed: a form stores what is in sight
    form.search.value = "seed"
    assert form.fields["seed"].control.value == "7"


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
        assert sentence in unescape(form.fields[name].said)
    else:  # a problem of no single field stands beside the button
        assert "longer than the run" in form.message.value
    form.fields[name].control.value = before
    assert not form.button.disabled
    assert "alert" not in form.fields[name].said + form.message.value


def test_a_field_that_cannot_be_read_hides_no_mark_of_another(form: RunForm) -> None:
    form.fields["root"].control.value = "/no/such/folder"
    form.fields["epochs"].control.value = "0"
    form.fields["lr"].control.value = "fast"
    marks = {name: unescape(form.fields[name].said) for name in ("root", "epochs", "lr")}
    assert "does not exist" in marks["root"]
    assert "Must be" in marks["epochs"]
    assert "“fast”" in marks["lr"]


def test_the_steps_of_the_run_stand_beside_the_button(form: RunForm, few: TrainConfig) -> None:
    for epochs in (1, 7):
        form.fields["warmup_epochs"].control.value = "0"
        form.fields["epochs"].control.value = str(epochs)
        assert form.config is not None
        planned = preview(form.config, inspect_folder(few.root)).steps
        assert planned.total_steps == epochs * planned.steps_per_epoch
        assert f"{planned.steps_per_epoch:,} an epoch, {planned.total_steps:,} in all" in unescape(form.message.value)


def test_an_emptied_setting_is_none_where_that_has_a_meaning(form: RunForm) -> None:
    form.fields["image_size"].control.value = " "
    assert form.config is not None
    assert form.config.image_size is None


def test_launch_queues_the_run_and_shows_it(form: RunForm) -> None:
    form.name.value = "from the form"
    form.fields["epochs"].control.value = "1"
    form.fields["warmup_epochs"].control.value = "0"
    form.button.click()
    (run,) = lab.runs()
    assert (run.name, run.config.epochs, run.view.project) == ("from the form", 1, "default")
    assert form.run is not None
    assert form.runs == (form.run,)


def test_each_launched_run_keeps_its_plot_the_newest_first(form: RunForm) -> None:
    for epochs in ("3", "4"):
        form.fields["epochs"].control.value = epochs
        form.button.click()
    first, second = form.plots.children
    assert [run.config.epochs for run in form.runs] == [4, 3]
    assert first is not second
    until(lambda: "waits in the queue" in form.state.value and not form.stop_button.disabled)
    form.stop_button.click()
    until(lambda: form.stop_button.disabled)
    assert [run.state.value for run in form.runs] == ["cancelled", "queued"]


def test_a_plot_is_what_the_live_cell_shows_last_and_a_widget_in_it_is_left_alone() -> None:
    output = widgets.Output()
    plot, live = Plot(output), {"model_id": "a"}
    shown = [{"text/plain": "epoch 1", WIDGET_TYPE: live}, {"text/plain": "epoch 2", WIDGET_TYPE: live}]
    for bundle in shown:
        plot.update(bundle, raw=True, metadata={})
    (found,) = output.outputs
    assert found["data"]["text/plain"] == "epoch 1"  # the widget shows the second by itself
    for text in ("has finished", "was resumed"):
        plot.update({"text/plain": text}, raw=True, metadata={"image/png": {"width": 5}})
    (found,) = output.outputs
    assert found == {
        "output_type": "display_data",
        "data": {"text/plain": "was resumed"},
        "metadata": {"image/png": {"width": 5}},
    }


def test_the_config_can_be_observed_set_and_linked(form: RunForm, few: TrainConfig) -> None:
    seen: list[TrainConfig | None] = []
    form.observe(lambda change: seen.append(change["new"]), names="config")
    form.fields["lr"].control.value = "0.5"
    assert seen == [few.with_changes(lr=0.5)]
    form.config = few.with_changes(epochs=9, image_size=None, hflip=True)
    assert form.fields["epochs"].control.value == "9"
    assert form.fields["hflip"].control.value is True
    assert form.config == few.with_changes(epochs=9, image_size=None, hflip=True)
    other = lab.form(few)
    traitlets.link((form, "config"), (other, "config"))
    other.fields["batch_size"].control.value = "8"
    assert form.values["batch_size"] == 8
    form.fields["batch_size"].control.value = "none"
    assert (seen[-1], [problem.field for problem in form.problems]) == (None, ["batch_size"])


def test_configs_are_saved_and_loaded(form: RunForm, few: TrainConfig) -> None:
    form.save_button.click()
    assert "Name the config" in form.message.value
    form.fields["epochs"].control.value = "5"
    form.save_as.value = "five epochs"
    form.save_button.click()
    assert lab.configs()["five epochs"].config == few.with_changes(epochs=5)
    form.fields["epochs"].control.value = "6"
    form.saved.value = "five epochs"
    assert form.config == few.with_changes(epochs=5)


def test_the_code_launches_the_same(form: RunForm, few: TrainConfig) -> None:
    form.name.value = 'it\'s "code"'
    form.fields["lr"].control.value = "0.002"
    form.as_code.value = True
    assert "lab.launch(" in unescape(form.code.value)
    names: dict[str, Any] = {}
    exec(form.python().replace("run.watch()", ""), names)
    assert names["run"].config == few.with_changes(lr=0.002)
    assert names["run"].name == 'it\'s "code"'


def test_a_form_is_few_widgets_and_stores_little(form: RunForm) -> None:
    every = {form, *descendants(form)}
    stored = json.dumps([{"state": each.get_state(), "model_name": each._model_name} for each in every])
    print(f"a form: {len(every)} widgets (at most 300), {len(stored):,} bytes stored (at most 40,000)")
    assert len(every) <= 300
    assert len(stored) <= 40_000


def descendants(widget: widgets.Widget) -> set[widgets.Widget]:
    """The widgets that a widget refers to, and those that these refer to."""
    found: set[widgets.Widget] = set()
    for name in widget.keys:
        value = getattr(widget, name)
        for each in value if isinstance(value, tuple) else (value,):
            if isinstance(each, widgets.Widget):
                found |= {each, *descendants(each)}
    return found


def test_a_new_form_starts_with_the_last_run(few: TrainConfig, idle: Settings) -> None:
    lab.launch(few.with_changes(lr=0.005))
    config = lab.form().config
    assert config is not None
    assert config.lr == 0.005


def test_a_new_form_without_runs_starts_with_what_is_registered(idle: Settings) -> None:
    files = lab.demo.prepare()
    form = lab.form()
    assert form.config == files.config
    assert str(files.model) in form.fields["model_flavour"].control.options


def test_texts_of_others_are_no_markup(form: RunForm) -> None:
    form.fields["root"].control.value = "<img src=x onerror=alert(1)>"
    assert "<img" not in form.fields["root"].said


def test_a_failed_launch_is_said_beside_the_button(form: RunForm, few: TrainConfig, tmp_path: Path) -> None:
    form.project.value = "x" * 300
    form.button.click()
    assert "alert" in form.message.value
    assert len(lab.runs()) == 0
