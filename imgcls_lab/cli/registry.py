"""`imgcls-lab projects | configs | datasets | models`, each with list, show, add, edit and rm; `datasets rescan`.

An entry is named by its name or its number. One `Shelf` a kind says how the store calls it; the commands differ only
in what an entry is made of.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, NamedTuple

import typer

from imgcls_lab.cli.output import ConfigOption, Json, Set, print_json, print_table, read_config, say
from imgcls_lab.plurals import counted

if TYPE_CHECKING:
    from imgcls_lab.store import Store

Entry = Annotated[str, typer.Argument(metavar="NAME", help="Its name, or its number.")]
NewName = Annotated[str, typer.Argument(metavar="NAME", help="A name that no other has.")]
Rename = Annotated[str | None, typer.Option("--name", help="A new name.")]
Text = Annotated[str | None, typer.Option("--description", help="A few words about it.")]
Root = Annotated[Path, typer.Argument(help="Folder with train/CLASS and val/CLASS, or with the classes alone.")]
NewRoot = Annotated[Path | None, typer.Option("--root", help="Another folder.")]
Flavour = Annotated[str, typer.Argument(help="Model of the Hugging Face hub, or a local folder.")]
NewFlavour = Annotated[str | None, typer.Option("--flavour", help="Another model.")]
Revision = Annotated[str | None, typer.Option("--revision", help="Branch, tag or commit of the hub model.")]
Pretrained = Annotated[bool | None, typer.Option("--pretrained/--from-scratch", help="Start from its weights or not.")]
Project = Annotated[str | None, typer.Option("--project", help="Project it belongs to.")]
MaxRunning = Annotated[
    int | None, typer.Option("--max-running", min=-1, help="Its runs at once, on all hosts; 0: on hold, -1: no limit.")
]


class Shelf(NamedTuple):
    """A kind of entry: how it is called, its columns in a list, the row of an entry, and what `rm` does."""

    one: str
    many: str
    title: str
    columns: tuple[str, ...]
    row: Callable[[Any], tuple[object, ...]]
    rm: str

    def all(self, store: Store) -> list[Any]:
        return list(getattr(store, self.many)())

    def find(self, store: Store, name: str) -> Any:
        """The entry of a name, else of a number, looked at anew. Raises NotFoundError."""
        from imgcls_lab.errors import NotFoundError

        entries = self.all(store)
        for match in (lambda item: item.name == name, lambda item: str(item.id) == name):
            for item in filter(match, entries):
                return getattr(store, self.one)(item.id)
        raise NotFoundError(f"There is no {self.title} “{name}”. `imgcls-lab {self.many} list` lists them.")


def _time(t: float) -> str:
    return time.strftime("%Y-%m-%d %H:%M", time.localtime(t))


PROJECTS = Shelf(
    "project", "projects", "project", ("id", "name", "runs", "at once", "description"),
    lambda item: (
        item.id, item.name, item.runs, "–" if item.max_running is None else item.max_running, item.description,
    ),
    "Remove a project in which nothing is left. `imgcls-lab edit RUN --project NAME` moves a run to another.",
)  # fmt: skip
CONFIGS = Shelf(
    "config", "configs", "config", ("id", "name", "project", "changed", "description"),
    lambda item: (item.id, item.name, item.project, _time(item.updated_at), item.description),
    "Remove a config; runs made from it keep their own copy.",
)  # fmt: skip
DATASETS = Shelf(
    "dataset", "datasets", "data set", ("id", "name", "classes", "images", "folder", "problem"),
    lambda item: (
        item.id, item.name, len(item.classes),
        ", ".join(f"{split} {count}" for split, count in item.images.items()), item.root, item.problem or "",
    ),
    "Forget a data set; its folder stays.",
)  # fmt: skip
MODELS = Shelf(
    "model", "models", "model", ("id", "name", "model", "revision", "weights", "problem"),
    lambda item: (
        item.id, item.name, item.flavour, item.revision,
        "pretrained" if item.load_pretrained else "from scratch", item.problem or "",
    ),
    "Forget a model; its files stay.",
)  # fmt: skip


def _store() -> Store:
    from imgcls_lab.api import context

    return context.store()


def _shelf_app(shelf: Shelf) -> typer.Typer:
    """`list`, `show` and `rm`, which are the same for every kind."""
    app = typer.Typer(no_args_is_help=True, help=f"List, add, change and remove {shelf.title}s.")

    @app.command("list", help=f"List the {shelf.title}s.")
    def list_(as_json: Json = False) -> None:
        entries = shelf.all(_store())
        if as_json:
            print_json(entries)
        else:
            print_table(shelf.columns, map(shelf.row, entries), f"No {shelf.title}s yet.")

    @app.command(help=f"Show one {shelf.title}.")
    def show(name: Entry, as_json: Json = False) -> None:
        entry = shelf.find(_store(), name)
        if as_json:
            print_json(entry)
            return
        _say_values(entry.model_dump(mode="json"))

    @app.command(help=shelf.rm)
    def rm(name: Entry) -> None:
        store = _store()
        entry = shelf.find(store, name)
        getattr(store, f"delete_{shelf.one}")(entry.id)
        say(f"Removed the {shelf.title} {entry.name}.")

    return app


def _say_values(values: dict[str, Any], indent: str = "") -> None:
    """A line a value; what a value holds in turn is indented below it."""
    width = max(map(len, values), default=0)
    for key, value in values.items():
        if isinstance(value, dict) and value:
            say(f"{indent}{key}")
            _say_values(value, f"{indent}  ")
            continue
        if key.endswith("_at") and isinstance(value, int | float):
            shown = _time(value)
        elif isinstance(value, list):
            sentences = all(str(item).endswith(".") for item in value)
            shown = (" " if sentences else ", ").join(map(str, value)) or "–"
        else:
            shown = "–" if value in (None, "", {}) else str(value).lower() if isinstance(value, bool) else str(value)
        say(f"{indent}{key:<{width}}  {shown}")


def _added(shelf: Shelf, entry: Any) -> None:
    say(f"Added the {shelf.title} {entry.name}.")
    for note in filter(None, [getattr(entry, "problem", None), *getattr(entry, "notes", ())]):
        say(f"Note: {note}")


def _changed(shelf: Shelf, entry: Any) -> None:
    say(f"Changed the {shelf.title} {entry.name}.")


def _kept(new: Any, old: Any) -> Any:
    """An option that was not given keeps what there is."""
    return old if new is None else new


def _projects() -> typer.Typer:
    app = _shelf_app(PROJECTS)

    def limit(given: int | None) -> dict[str, int | None]:
        return {} if given is None else {"max_running": None if given < 0 else given}

    @app.command(help="Add a project.")
    def add(name: NewName, description: Text = None, max_running: MaxRunning = None) -> None:
        from imgcls_lab.api.validation import request
        from imgcls_lab.schemas import ProjectEdit

        new = request(ProjectEdit, name=name, description=description or "", **limit(max_running))
        _added(PROJECTS, _store().add_project(new))

    @app.command(help="Rename, describe or limit a project.")
    def edit(name: Entry, new_name: Rename = None, description: Text = None, max_running: MaxRunning = None) -> None:
        from imgcls_lab.api.validation import request
        from imgcls_lab.schemas import ProjectEdit

        store = _store()
        old = PROJECTS.find(store, name)
        texts = {"name": _kept(new_name, old.name), "description": _kept(description, old.description)}
        change = request(ProjectEdit, **texts, **limit(max_running))
        _changed(PROJECTS, store.edit_project(old.id, change))

    return app


def _configs() -> typer.Typer:
    app = _shelf_app(CONFIGS)

    @app.command(help="List what a config can set, with defaults: the names that --set takes.")
    def fields(as_json: Json = False) -> None:
        from imgcls_lab.config import TrainConfig

        found = [
            {"name": name, "default": None if item.is_required() else item.default, "meaning": item.description or ""}
            for name, item in TrainConfig.model_fields.items()
        ]
        if as_json:
            print_json(found)
        else:
            rows = [(item["name"], json.dumps(item["default"]), item["meaning"]) for item in found]
            print_table(["name", "default", "meaning"], rows, "")

    @app.command(help="Save a config under a name.")
    def add(
        name: NewName,
        config: ConfigOption = None,
        settings: Set = None,
        project: Project = None,
        description: Text = None,
    ) -> None:
        from imgcls_lab.api.validation import request
        from imgcls_lab.schemas import ConfigEdit

        store = _store()
        values = read_config(config, settings, store).model_dump(mode="json")
        of = PROJECTS.find(store, project).id if project else None
        edit = request(ConfigEdit, name=name, config=values, project_id=of, description=description or "")
        _added(CONFIGS, store.add_config(edit))

    @app.command(help="Change a saved config; each --set changes one setting of it.")
    def edit(  # noqa: PLR0917
        name: Entry,
        config: ConfigOption = None,
        settings: Set = None,
        new_name: Rename = None,
        project: Project = None,
        description: Text = None,
    ) -> None:
        from imgcls_lab.api.validation import request
        from imgcls_lab.schemas import ConfigEdit

        store = _store()
        old = CONFIGS.find(store, name)
        values = read_config(config or old.name, settings, store).model_dump(mode="json")
        change = request(
            ConfigEdit,
            name=_kept(new_name, old.name),
            config=values,
            project_id=PROJECTS.find(store, project).id if project else old.project_id,
            description=_kept(description, old.description),
        )
        _changed(CONFIGS, store.edit_config(old.id, change))

    return app


def _datasets() -> typer.Typer:
    app = _shelf_app(DATASETS)

    @app.command(help="Register a folder of images.")
    def add(name: NewName, root: Root, description: Text = None) -> None:
        from imgcls_lab.api.validation import request
        from imgcls_lab.schemas import DatasetEdit

        edit = request(DatasetEdit, name=name, root=str(root.expanduser().absolute()), description=description or "")
        _added(DATASETS, _store().add_dataset(edit))

    @app.command(help="Change a data set's name, folder or description.")
    def edit(name: Entry, new_name: Rename = None, root: NewRoot = None, description: Text = None) -> None:
        from imgcls_lab.api.validation import request
        from imgcls_lab.schemas import DatasetEdit

        store = _store()
        old = DATASETS.find(store, name)
        change = request(
            DatasetEdit,
            name=_kept(new_name, old.name),
            root=str(root.expanduser().absolute()) if root else old.root,
            description=_kept(description, old.description),
        )
        _changed(DATASETS, store.edit_dataset(old.id, change))

    @app.command(help="Look at a data set's folder again: its classes and images. Exit 1 if it cannot be trained on.")
    def rescan(name: Entry, as_json: Json = False) -> None:
        store = _store()
        found = store.rescan_dataset(DATASETS.find(store, name).id)
        if as_json:
            print_json(found)
        else:
            images = ", ".join(f"{split} {count:,}" for split, count in found.images.items()) or "no images"
            say(f"{found.name}: {counted(len(found.classes), 'class', 'classes')}; {images}.")
            for note in found.notes:
                say(note)
            if found.problem:
                say(found.problem, err=True)
        if found.problem:
            raise typer.Exit(1)

    return app


def _models() -> typer.Typer:
    app = _shelf_app(MODELS)

    @app.command(help="Register a model.")
    def add(
        name: NewName,
        flavour: Flavour,
        revision: Revision = None,
        pretrained: Pretrained = True,
        description: Text = None,
    ) -> None:
        from imgcls_lab.api.validation import request
        from imgcls_lab.schemas import ModelEdit

        edit = request(
            ModelEdit,
            name=name,
            flavour=_flavour(flavour),
            revision=revision,
            load_pretrained=bool(pretrained),
            description=description or "",
        )
        _added(MODELS, _store().add_model(edit))

    @app.command(help="Change a registered model.")
    def edit(  # noqa: PLR0917
        name: Entry,
        new_name: Rename = None,
        flavour: NewFlavour = None,
        revision: Revision = None,
        pretrained: Pretrained = None,
        description: Text = None,
    ) -> None:
        from imgcls_lab.api.validation import request
        from imgcls_lab.schemas import ModelEdit

        store = _store()
        old = MODELS.find(store, name)
        change = request(
            ModelEdit,
            name=_kept(new_name, old.name),
            flavour=_flavour(flavour) if flavour else old.flavour,
            revision=_kept(revision, old.revision),
            load_pretrained=_kept(pretrained, old.load_pretrained),
            description=_kept(description, old.description),
        )
        _changed(MODELS, store.edit_model(old.id, change))

    return app


def _flavour(text: str) -> str:
    """A local folder by its whole path, a hub id as it is."""
    path = Path(text).expanduser()
    return str(path.absolute()) if path.is_dir() else text


def add_to(app: typer.Typer) -> None:
    for name, part in (
        ("projects", _projects()),
        ("configs", _configs()),
        ("datasets", _datasets()),
        ("models", _models()),
    ):
        app.add_typer(part, name=name)
