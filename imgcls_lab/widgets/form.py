"""The form of a training run as ipywidgets, made from TrainConfig's JSON Schema.

Made by `lab.form()`, which gives it what it cannot know, as a `Desk`: names to choose from, how to check a config, what
Launch and Stop do, the saved configs. It knows no field by name.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from html import escape
from threading import Event, Thread
from typing import Any, Protocol

import ipywidgets as widgets
import traitlets

from imgcls_lab.config import GROUPS, TrainConfig
from imgcls_lab.config.applies import applies
from imgcls_lab.errors import ImgclsError, InputError, Problem
from imgcls_lab.widgets.form_fields import NOTE, WRONG, Ask, Field, Lean, Look
from imgcls_lab.widgets.widget_output import WIDGET_TYPE

POLL = 2.0  # seconds between two looks at a run that was launched


class Stoppable(Protocol):
    """A run, as far as the form has to do with one."""

    def stop(self) -> object: ...


class Plot:
    """An output of the form, as the live cell of a run updates it.

    The kernel writes what it shows: a page's handle of an output reaches none that is within a widget. While a widget
    of the run stands there, it lives by itself, and is not made anew at each epoch.
    """

    def __init__(self, output: widgets.Output) -> None:
        self._output = output
        self._widget: Any = None

    def update(self, bundle: dict[str, Any], *, metadata: dict[str, Any], **_raw: Any) -> None:
        """Show it, as the handle of an output does."""
        widget = bundle.get(WIDGET_TYPE)
        if widget is None or widget != self._widget:
            self._widget = widget
            self._output.outputs = ({"output_type": "display_data", "data": bundle, "metadata": metadata},)


class Desk(Protocol):
    """What the form asks of the home it is for."""

    def suggestions(self) -> Mapping[str, Sequence[str]]:
        """Known values by field."""
        ...

    def projects(self) -> Sequence[str]: ...

    def check(self, config: TrainConfig) -> tuple[Sequence[Problem], Sequence[str]]:
        """Problems that the schema cannot know, and what is worth knowing if there are none."""
        ...

    def launch(self, config: TrainConfig, name: str | None, project: str | None) -> Stoppable: ...

    def show(self, run: Any, plot: Plot) -> None:
        """Show a run that was launched, and keep it up to date."""
        ...

    def standing(self, run: Any) -> tuple[str, bool]:
        """How a run stands, a sentence, and whether it can still be stopped. Raises ImgclsError."""
        ...

    def saved(self) -> Sequence[str]:
        """Names of saved configs."""
        ...

    def load(self, name: str) -> TrainConfig: ...

    def save(self, name: str, config: TrainConfig) -> None: ...


class RunForm(Lean, widgets.VBox):  # type: ignore[misc]
    """All settings, the first ones in sight, the rest folded by group; a name, a project, Launch, and what it started.

    `config` is what it holds, or None while something cannot be read; it can be set, observed and linked. `problems`:
    what is wrong now. `runs`: what was launched, the newest first, whose plots stand below.
    """

    config = traitlets.Instance(TrainConfig, allow_none=True)
    problems = traitlets.Tuple()
    runs = traitlets.Tuple()

    def __init__(self, start: Mapping[str, Any], desk: Desk) -> None:
        self._desk = desk
        self._look = look = Look()
        self._settled = True  # false while several fields change together
        self._left = Event()  # the form was closed
        self._seen: set[str] = set()  # fields in sight
        self._properties = properties = TrainConfig.model_json_schema()["properties"]
        known, ask = desk.suggestions(), Ask(look, self._changed)
        self.fields = {
            name: Field(name, schema, start.get(name, schema.get("default")), ask=ask, suggestions=known.get(name, ()))
            for name, schema in properties.items()
        }
        self._first = [name for name, schema in properties.items() if schema.get("first")]
        groups = {
            title: [n for n, schema in properties.items() if schema.get("group") == group and not schema.get("first")]
            for group, title in GROUPS.items()
        }
        self._groups = [names for names in groups.values() if names]
        self.folded = look.make(
            widgets.Accordion, children=[look.grid() for _ in self._groups], titles=[*filter(groups.get, groups)]
        )
        self.folded.observe(lambda _change: self.show_fields(), names="selected_index")
        self.in_sight, self.found = look.grid(), look.grid()
        self.search = look.control(widgets.Text, description="Find a setting", placeholder="decay, memory, mixup …")
        self.search.observe(lambda _change: self.show_fields(), names="value")
        self.name = look.control(widgets.Text, description="Name", placeholder="made up if empty")
        self.project = look.control(
            widgets.Combobox, description="Project", options=list(desk.projects()), value="default"
        )
        self.plots, blank = look.make(widgets.VBox), look.make(widgets.HTML)
        named = look.grid(*(part for control in (self.name, self.project, self.search) for part in (control, blank)))
        super().__init__(
            children=[
                self._make_saved(), self.in_sight, named, self.found, self.folded,
                self._make_foot(), self.code, self.plots,
            ],
            layout=look.plain,
        )  # fmt: skip
        self.check()

    def _make_saved(self) -> widgets.GridBox:
        """Load and save a config."""
        look = self._look
        self.saved = look.control(widgets.Dropdown, description="Saved config", options=self._saved_options())
        self.saved.observe(self._load, names="value")
        self.save_as = look.make(widgets.Text, placeholder="name of a config")
        self.save_button = look.make(widgets.Button, description="Save", icon="save")
        self.save_button.on_click(lambda _button: self.save())
        return look.grid(self.saved, look.row(self.save_as, self.save_button))

    def _make_foot(self) -> widgets.VBox:
        """Launch, Stop, how the launched run stands, and the same as code."""
        look = self._look
        self.button = look.make(widgets.Button, description="Launch", button_style="primary", icon="play")
        self.button.on_click(lambda _button: self.submit())
        self.stop_button = look.make(widgets.Button, description="Stop", icon="stop", disabled=True)
        self.stop_button.on_click(lambda _button: self.stop())
        self.as_code = look.make(widgets.ToggleButton, description="As code", icon="code")
        self.as_code.observe(lambda _change: self._show_code(), names="value")
        self.message, self.state, self.code = (look.make(widgets.HTML) for _ in range(3))
        buttons = look.row(self.button, self.stop_button, self.as_code, self.state)
        return look.make(widgets.VBox, children=[buttons, self.message])

    # ── what it holds ───────────────────────────────────────────────────────────────────────────────────────
    @property
    def values(self) -> dict[str, Any]:
        """What the controls hold now."""
        return {name: field.value for name, field in self.fields.items()}

    @traitlets.observe("config")
    def _take_config(self, change: Any) -> None:
        """Show a config that was set from outside."""
        if self._settled and change["new"] is not None:
            with self._together():
                for name, field in self.fields.items():
                    field.set(getattr(change["new"], name))

    @contextmanager
    def _together(self) -> Iterator[None]:
        """Change several fields, and look at them once."""
        self._settled = False
        try:
            yield
        finally:
            self._settled = True
        self.check()

    def _changed(self) -> None:
        if self._settled:
            self.check()

    def check(self) -> bool:
        """Show what is wrong beside each field; whether all is well."""
        config, problems, notes = self._problems()
        self._settled = False
        self.config, self.problems = config, tuple(problems)
        self._settled = True
        by_field: dict[str, str] = {}
        for problem in problems:
            by_field.setdefault(problem.field, problem.message)
        self.show_fields()
        values = self.values
        for name, field in self.fields.items():
            idle = not applies(self._properties, values, name)
            field.show_problem(by_field.pop(name, None), field.schema.get("applies_text", "") if idle else "")
        hints = NOTE.format(escape(" ".join(notes))) if notes else ""
        self.message.value = WRONG.format(escape(" ".join(by_field.values()))) if by_field else hints
        self.button.disabled = self.save_button.disabled = bool(problems)
        self._show_code()
        return not problems

    def _problems(self) -> tuple[TrainConfig | None, Sequence[Problem], Sequence[str]]:
        """The config, its problems, else the notes. A field that cannot be read does not hide problems of others."""
        problems: list[Problem] = []
        held: TrainConfig | None = None
        try:
            config = held = TrainConfig.parse(self.values)
        except InputError as error:
            problems = _problems_of(error)
            wrong = {problem.field for problem in problems}
            try:
                config = TrainConfig.parse({name: value for name, value in self.values.items() if name not in wrong})
            except InputError:  # the other fields are not valid without the wrong ones
                return None, problems, ()
        try:
            more, notes = self._desk.check(config)
        except InputError as error:
            more, notes = _problems_of(error), ()
        return held, [*problems, *more], () if problems else notes

    # ── what is in sight ────────────────────────────────────────────────────────────────────────────────────
    def show_fields(self) -> None:
        """Show the settings that have an effect, are changed or wrong; while one searches, those that are found."""
        values, words = self.values, self.search.value.lower().split()
        wrong = {problem.field for problem in self.problems}
        shown = {
            name
            for name, field in self.fields.items()
            if applies(self._properties, values, name) or not field.is_default or name in wrong
        }
        rest = [name for names in self._groups for name in names]
        self.folded.layout = self._look.hidden if words else self._look.plain
        opened = None if words else self.folded.selected_index
        wanted: list[tuple[widgets.GridBox, list[str]]] = [
            (self.in_sight, [name for name in self._first if name in shown]),
            (self.found, [name for name in rest if words and self.fields[name].matches(words)]),
            *(
                (box, [name for name in names if name in shown and number == opened])
                for number, (box, names) in enumerate(zip(self.folded.children, self._groups, strict=True))
            ),
        ]
        for box, names in wanted:
            rows = tuple(part for name in names for part in self.fields[name].row)
            if rows != box.children:
                box.children = rows
        now = {name for _, names in wanted for name in names}
        for name in self._seen - now:
            self.fields[name].fold()
        self._seen = now

    # ── saved configs, code ─────────────────────────────────────────────────────────────────────────────────
    def _saved_options(self) -> list[tuple[str, str]]:
        return [("none", ""), *((name, name) for name in self._desk.saved())]

    def _load(self, change: Any) -> None:
        if change["new"]:
            with self._said():
                self.config = self._desk.load(change["new"])

    def save(self) -> None:
        """Save what it holds under the name that stands beside the button; a name that is there gets a new version."""
        name = self.save_as.value.strip()
        if not name:
            self.message.value = WRONG.format("Name the config that is saved.")
        elif self.check() and (config := self.config) is not None:
            with self._said():
                self._desk.save(name, config)
                with self._together():
                    self.saved.options = self._saved_options()
                self.message.value = NOTE.format(escape(f"Saved as “{name}”."))

    def python(self) -> str:
        """The same launch as code, with the settings that differ from their defaults."""
        given = dict(self.config.differing()) if self.config is not None else {}
        named = {"name": self.name.value.strip(), "project": self.project.value.strip()}
        given |= {key: value for key, value in named.items() if value and value != "default"}
        lines = "".join(f"    {key}={value!r},\n" for key, value in given.items())
        return f"import imgcls_lab as lab\n\nrun = lab.launch(\n{lines})\nrun.watch()"

    def _show_code(self) -> None:
        self.code.value = f"<pre>{escape(self.python())}</pre>" if self.as_code.value else ""

    # ── what it starts ──────────────────────────────────────────────────────────────────────────────────────
    @property
    def run(self) -> Stoppable | None:
        """What was launched last."""
        return self.runs[0] if self.runs else None

    def submit(self) -> None:
        """What Launch does: launch, and show the run above those that were launched before."""
        if not self.check() or (config := self.config) is None:
            return
        self.button.disabled = True
        with self._said():
            run = self._desk.launch(config, self.name.value.strip() or None, self.project.value.strip() or None)
            output = self._look.make(widgets.Output)
            self.plots.children = (output, *self.plots.children)
            self.runs = (run, *self.runs)
            self._desk.show(run, Plot(output))
            Thread(target=self._follow, args=(run,), name="imgcls-form", daemon=True).start()
        self.button.disabled = False

    def stop(self) -> None:
        """What Stop does: the run that was launched last ends after a checkpoint."""
        if self.run is not None:
            with self._said():
                self.run.stop()

    def __repr__(self) -> str:
        """What a viewer without widgets shows."""
        return f"<Form of a run: {self.config!r}>"

    def close(self) -> None:
        """Take it away; what it launched goes on."""
        self._left.set()
        super().close()

    def _follow(self, run: Stoppable) -> None:
        """Say how the newest run stands, until it has ended."""
        alive = True
        while alive and run is self.run and not self._left.is_set():
            try:
                said, alive = self._desk.standing(run)
            except ImgclsError as error:  # it was deleted, or the store is away
                said, alive = str(error), False
            if run is self.run:
                self.state.value, self.stop_button.disabled = NOTE.format(escape(said)), not alive
            self._left.wait(POLL if alive else 0)

    @contextmanager
    def _said(self) -> Iterator[None]:
        """An error is said under the buttons."""
        try:
            yield
        except ImgclsError as error:
            self.message.value = WRONG.format(escape(str(error)))


def _problems_of(error: InputError) -> list[Problem]:
    return list(error.problems) or [Problem("", str(error))]
