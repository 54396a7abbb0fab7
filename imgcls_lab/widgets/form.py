"""The form of a training run as ipywidgets, made from TrainConfig's JSON Schema.

Made by `lab.form()`, which gives it what it cannot know: the names it may suggest, how to check a config, and what
Launch does. It knows no field by name but `root` and `model_flavour`, which it has suggestions for.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence, Set
from html import escape
from typing import Any, Protocol

import ipywidgets as widgets

from imgcls_lab.config import GROUPS, TrainConfig
from imgcls_lab.config.applies import applies, value_text
from imgcls_lab.errors import ImgclsError, InputError, Problem

LABEL = {"description_width": "11em"}
WIDE = widgets.Layout(width="34em")
NOTE = '<span style="color: var(--jp-ui-font-color2, #767676)">{}</span>'
WRONG = '<span role="alert" style="color: var(--jp-error-color1, #c62828)">{}</span>'


class Field:
    """One setting: its control, its unit, and beside it what it means or what is wrong with it."""

    def __init__(self, name: str, schema: Mapping[str, Any], value: Any, suggestions: Sequence[str] = ()) -> None:
        self.name = name
        self.schema = schema
        self.kinds = _kinds(schema)
        self._help = str(schema.get("description", ""))
        self._unit = str(schema.get("unit", ""))
        title = str(schema.get("title", name))
        choices = schema.get("enum")
        known = [*suggestions, *schema.get("suggestions", [])]
        if choices:
            control = widgets.Dropdown(options=[(value_text(schema, each), each) for each in choices], value=value)
        elif self.kinds == {"boolean", "null"}:
            options = [(value_text(schema, each), each) for each in (None, True, False)]
            control = widgets.Dropdown(options=options, value=value)
        elif self.kinds == {"boolean"} and "labels" in schema:
            options = [(value_text(schema, each), each) for each in (True, False)]
            control = widgets.Dropdown(options=options, value=bool(value))
        elif self.kinds == {"boolean"}:
            control = widgets.Checkbox(value=bool(value), indent=True)
        elif known:
            control = widgets.Combobox(options=known, value=_text(value), ensure_option=False)
        else:
            empty = str(schema.get("labels", {}).get("", ""))
            control = widgets.Text(value=_text(value), continuous_update=False, placeholder=empty)
        control.description = title
        control.description_allow_html = False
        control.tooltip = self._help
        control.style.description_width = LABEL["description_width"]
        control.layout = WIDE
        self.control = control
        self.note = widgets.HTML()
        self.show_problem(None)
        self.box = widgets.HBox([control, self.note])

    @property
    def value(self) -> Any:
        """The value as JSON would give it; a text that is not a number stays, and the config refuses it."""
        given = self.control.value
        if not isinstance(given, str) or isinstance(self.control, widgets.Dropdown):
            return given
        text = given.strip()
        if text == "" and "null" in self.kinds:
            return None
        if self.kinds & {"integer", "number"}:
            try:
                return json.loads(text)
            except ValueError:
                return text
        return text

    @property
    def is_default(self) -> bool:
        """Whether it holds what it holds in a new config."""
        return "default" in self.schema and _text(self.value) == _text(self.schema["default"])

    def matches(self, words: Sequence[str]) -> bool:
        """Whether each word stands in its title, name or help."""
        text = f"{self.control.description} {self.name} {self.name.replace('_', ' ')} {self._help}".lower()
        return all(word in text for word in words)

    def show_problem(self, problem: str | None, note: str = "") -> None:
        """Show a problem beside the control, or the unit and meaning; note: what is worth knowing before these."""
        hint = " · ".join(filter(None, (note, self._unit, self._help)))
        self.note.value = WRONG.format(escape(problem)) if problem else NOTE.format(escape(hint))


class Watchable(Protocol):
    def watch(self) -> None: ...


class RunForm(widgets.VBox):  # type: ignore[misc]
    """All settings, the first ones in sight, the rest folded by group; a name, a project, Launch, and what it started.

    check: problems of a config that the schema cannot know, and what is worth knowing if there are none; launch:
    (config, name, project) -> what is shown below.
    """

    def __init__(
        self,
        start: Mapping[str, Any],
        *,
        suggestions: Mapping[str, Sequence[str]],
        projects: Sequence[str],
        check: Callable[[TrainConfig], tuple[Sequence[Problem], Sequence[str]]],
        launch: Callable[[TrainConfig, str | None, str | None], Watchable],
    ) -> None:
        self._check = check
        self._launch = launch
        self.run: Watchable | None = None  # what was launched last
        self._properties = properties = TrainConfig.model_json_schema()["properties"]
        self.fields = {
            name: Field(name, schema, start.get(name, schema.get("default")), suggestions.get(name, ()))
            for name, schema in properties.items()
        }
        first = [self.fields[name].box for name, schema in properties.items() if schema.get("first")]
        groups = {
            title: [
                self.fields[name].box
                for name, schema in properties.items()
                if schema.get("group") == group and not schema.get("first")
            ]
            for group, title in GROUPS.items()
        }
        groups = {title: boxes for title, boxes in groups.items() if boxes}
        self.folded = widgets.Accordion([widgets.VBox(boxes) for boxes in groups.values()], titles=list(groups))
        self.search = widgets.Text(description="Find a setting", placeholder="decay, memory, mixup …", layout=WIDE)
        self.search.observe(lambda _change: self.show_fields(), names="value")
        self.name = widgets.Text(description="Name", placeholder="made up if empty", layout=WIDE)
        self.project = widgets.Combobox(description="Project", options=list(projects), layout=WIDE, value="default")
        for control in (self.name, self.project, self.search):
            control.style.description_width = LABEL["description_width"]
        self.button = widgets.Button(description="Launch", button_style="primary", icon="play")
        self.message = widgets.HTML()
        self.output = widgets.Output()
        self.button.on_click(lambda _button: self.submit())
        for field in self.fields.values():
            field.control.observe(lambda _change: self.check(), names="value")
        row = widgets.HBox([self.button, self.message])
        super().__init__([*first, self.name, self.project, self.search, self.folded, row, self.output])
        self.check()

    @property
    def values(self) -> dict[str, Any]:
        """What the controls hold now."""
        return {name: field.value for name, field in self.fields.items()}

    @property
    def config(self) -> TrainConfig:
        """The config that the form holds. Raises ConfigError."""
        return TrainConfig.parse(self.values)

    def check(self) -> bool:
        """Show what is wrong beside each field; whether all is well."""
        problems, notes = self._problems()
        by_field: dict[str, str] = {}
        for problem in problems:
            by_field.setdefault(problem.field, problem.message)
        self.show_fields(wrong=set(by_field))
        values = self.values
        for name, field in self.fields.items():
            idle = not applies(self._properties, values, name)
            field.show_problem(by_field.pop(name, None), field.schema.get("applies_text", "") if idle else "")
        hints = NOTE.format(escape(" ".join(notes))) if notes else ""
        self.message.value = WRONG.format(escape(" ".join(by_field.values()))) if by_field else hints
        self.button.disabled = bool(problems)
        return not problems

    def show_fields(self, wrong: Set[str] = frozenset()) -> None:
        """Show the settings that have an effect, are changed or wrong; while one searches, those that are found."""
        values, words = self.values, self.search.value.lower().split()
        for name, field in self.fields.items():
            if words and not field.schema.get("first"):
                shown = field.matches(words)
            else:
                shown = applies(self._properties, values, name) or not field.is_default or name in wrong
            field.box.layout.display = None if shown else "none"
        if words:
            boxes = [any(box.layout.display is None for box in group.children) for group in self.folded.children]
            self.folded.selected_index = boxes.index(True) if any(boxes) else None

    def _problems(self) -> tuple[Sequence[Problem], Sequence[str]]:
        """The problems, else the notes. A field that cannot be read does not hide the problems of others."""
        problems: list[Problem] = []
        try:
            config = self.config
        except InputError as error:
            problems = _problems_of(error)
            wrong = {problem.field for problem in problems}
            try:
                config = TrainConfig.parse({name: value for name, value in self.values.items() if name not in wrong})
            except InputError:  # the other fields are not valid without the wrong ones
                return problems, ()
        try:
            more, notes = self._check(config)
        except InputError as error:
            more, notes = _problems_of(error), ()
        return [*problems, *more], () if problems else notes

    def submit(self) -> None:
        """What the button does: launch, and show the run under the form."""
        if not self.check():
            return
        self.button.disabled = True
        self.output.clear_output()
        try:
            self.run = self._launch(self.config, self.name.value.strip() or None, self.project.value.strip() or None)
        except ImgclsError as error:
            self.message.value = WRONG.format(escape(str(error)))
            return
        finally:
            self.button.disabled = False
        with self.output:
            self.run.watch()


def _problems_of(error: InputError) -> list[Problem]:
    return list(error.problems) or [Problem("", str(error))]


def _kinds(schema: Mapping[str, Any]) -> set[str]:
    """JSON types that a field takes."""
    if "anyOf" in schema:
        return {str(option.get("type")) for option in schema["anyOf"]}
    return {str(schema.get("type", "string"))}


def _text(value: Any) -> str:
    if value is None:
        return ""
    if isinstance(value, list | tuple):
        return ", ".join(map(str, value))
    return value if isinstance(value, str) else json.dumps(value)
