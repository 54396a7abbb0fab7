"""One setting of the form in a notebook: its control, its unit, and what it means or what is wrong with it.

A control is made when its row is first seen: a form that was not opened holds few widgets, and stores little.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from functools import cached_property
from html import escape
from typing import Any, NamedTuple

import ipywidgets as widgets

from imgcls_lab.config.applies import value_text

LABEL_WIDTH = "12em"
_TEXT = "display: block; line-height: 1.4; padding: 4px 0; color: var"
NOTE = f'<span style="{_TEXT}(--jp-ui-font-color2, #767676)">{{}}</span>'
WRONG = f'<span role="alert" style="{_TEXT}(--jp-error-color1, #c62828)">{{}}</span>'


class Lean:
    """A widget that sends what differs from the defaults alone: programs that execute a notebook store what is sent."""

    def get_state(self, key: Any = None, drop_defaults: bool = False) -> dict[str, Any]:
        state: dict[str, Any] = super().get_state(key, drop_defaults)  # type: ignore[misc]
        if key is not None:
            return state
        rest: dict[str, Any] = super().get_state(None, drop_defaults=True)  # type: ignore[misc]
        return {name: value for name, value in state.items() if name in rest or name.startswith(("_model_", "_view_n"))}


def lean(kind: Any) -> Any:
    """A kind of widgets that is `Lean`."""
    if kind not in _lean:
        _lean[kind] = type(kind.__name__, (Lean, kind), {})
    return _lean[kind]


_lean: dict[Any, Any] = {}


class Look:
    """Layouts and styles that the controls of a form share: each is a widget of its own."""

    def __init__(self) -> None:
        self.wide = lean(widgets.Layout)(width="auto")
        self.plain = lean(widgets.Layout)()
        self.hidden = lean(widgets.Layout)(display="none")
        self._grid = lean(widgets.Layout)(grid_template_columns="minmax(24em, 3fr) minmax(12em, 4fr)", grid_gap="0 1em")
        self._styles: dict[type, Any] = {}

    def control(self, kind: type[widgets.DOMWidget], **values: Any) -> Any:
        """A control, as wide as its column, with its label before it."""
        return self.make(kind, **{"layout": self.wide, **values})

    def make(self, kind: type[widgets.DOMWidget], **values: Any) -> Any:
        """A widget of a kind, with the style of the others of its kind."""
        if "style" in kind.class_trait_names() and kind not in self._styles:
            style = lean(kind.class_traits()["style"].klass)()
            if style.has_trait("description_width"):
                style.description_width = LABEL_WIDTH
            self._styles[kind] = style
        style = {"style": self._styles[kind]} if kind in self._styles else {}
        return lean(kind)(**{"layout": self.plain, **style, **values})

    def row(self, *children: widgets.Widget) -> Any:
        return self.make(widgets.HBox, children=children)

    def grid(self, *children: widgets.Widget) -> Any:
        """A box of controls, each with what stands beside it."""
        return self.make(widgets.GridBox, layout=self._grid, children=children)


class Ask(NamedTuple):
    """What a field asks its form. look: of its widgets; changed: its user has given it another value."""

    look: Look
    changed: Callable[[], None]


class Field:
    """One setting. `control` and `note` are made when they are first used."""

    def __init__(
        self, name: str, schema: Mapping[str, Any], value: Any, *, ask: Ask, suggestions: Sequence[str] = ()
    ) -> None:
        self.name = name
        self.schema = schema
        self.kinds = _kinds(schema)
        self.title = str(schema.get("title", name))
        self._help = str(schema.get("description", ""))
        self._known = [*suggestions, *schema.get("suggestions", [])]
        self._value = value
        self._ask = ask
        self._said = ""
        self.show_problem(None)

    # ── widgets ─────────────────────────────────────────────────────────────────────────────────────────────
    @cached_property
    def control(self) -> Any:
        control = self._make_control()
        control.observe(lambda _change: self._ask.changed(), names="value")
        return control

    @cached_property
    def note(self) -> widgets.HTML:
        made: widgets.HTML = self._ask.look.make(widgets.HTML, value=self._said)
        return made

    @property
    def row(self) -> tuple[Any, widgets.HTML]:
        """What stands in a line."""
        return self.control, self.note

    def fold(self) -> None:
        """Close the widgets: it holds its value without them, and makes them anew when it is seen again."""
        self._value = self.value
        for part in ("note", "control"):
            if part in self.__dict__:
                self.__dict__.pop(part).close()

    @property
    def is_made(self) -> bool:
        return "control" in self.__dict__

    def _make_control(self) -> Any:
        schema, value = self.schema, self._value
        named = {"description": self.title, "description_allow_html": False}
        choices: Sequence[Any] = schema.get("enum", ())
        if not choices and self.kinds == {"boolean", "null"}:
            choices = (None, True, False)
        elif self.kinds == {"boolean"} and "labels" in schema:
            choices, value = (True, False), bool(value)
        if choices:
            options = [(value_text(schema, each), each) for each in choices]
            return self._ask.look.control(widgets.Dropdown, options=options, value=value, **named)
        if self.kinds == {"boolean"}:
            return self._ask.look.control(widgets.Checkbox, value=bool(value), indent=True, **named)
        if self._known:
            return self._ask.look.control(
                widgets.Combobox, options=self._known, value=text_of(value), ensure_option=False, **named
            )
        empty = str(schema.get("labels", {}).get("", ""))
        return self._ask.look.control(
            widgets.Text, value=text_of(value), continuous_update=False, placeholder=empty, **named
        )

    # ── value ───────────────────────────────────────────────────────────────────────────────────────────────
    @property
    def value(self) -> Any:
        """The value as JSON would give it; a text that is not a number stays, and the config refuses it."""
        given = self.control.value if self.is_made else self._value
        if not isinstance(given, str) or not self._is_text:
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

    def set(self, value: Any) -> None:
        """Give it a value, as a config has it."""
        self._value = value
        if self.is_made:
            self.control.value = text_of(value) if self._is_text else value

    @property
    def _is_text(self) -> bool:
        """Whether its control is one to type in."""
        return "enum" not in self.schema and "boolean" not in self.kinds

    @property
    def is_default(self) -> bool:
        """Whether it holds what it holds in a new config."""
        return "default" in self.schema and text_of(self.value) == text_of(self.schema["default"])

    def matches(self, words: Sequence[str]) -> bool:
        """Whether each word stands in its title, name or help."""
        text = f"{self.title} {self.name} {self.name.replace('_', ' ')} {self._help}".lower()
        return all(word in text for word in words)

    def show_problem(self, problem: str | None, note: str = "") -> None:
        """Show a problem beside the control, or the unit and meaning; note: what is worth knowing before these."""
        hint = " · ".join(filter(None, (note, str(self.schema.get("unit", "")), self._help)))
        self._said = WRONG.format(escape(problem)) if problem else NOTE.format(escape(hint))
        if "note" in self.__dict__:
            self.note.value = self._said

    @property
    def said(self) -> str:
        """What stands beside it, as HTML."""
        return self._said


def _kinds(schema: Mapping[str, Any]) -> set[str]:
    """JSON types that a field takes."""
    if "anyOf" in schema:
        return {str(option.get("type")) for option in schema["anyOf"]}
    return {str(schema.get("type", "string"))}


def text_of(value: Any) -> str:
    """A value as one types it."""
    if value is None:
        return ""
    if isinstance(value, list | tuple):
        return ", ".join(map(str, value))
    return value if isinstance(value, str) else json.dumps(value)
