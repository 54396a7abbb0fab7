"""`imgcls-lab projects | configs | datasets | models`, each with list, show, add, edit and rm; `datasets rescan`.

An entry is named by its name or its number. `REGISTRIES` is the table: a row says how a list shows an entry, and which
fields `add` and `edit` take. The commands themselves are made once for all rows.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Mapping, Sequence
from inspect import Parameter, Signature
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, NamedTuple

import typer

from imgcls_lab.cli import config_versions, models, project_archives, revisions
from imgcls_lab.cli.output import ConfigOption, Json, Set, print_json, print_table, read_config, say
from imgcls_lab.plurals import counted

if TYPE_CHECKING:
    from imgcls_lab.store import Store
    from imgcls_lab.store.collection import Collection

Entry = Annotated[str, typer.Argument(metavar="NAME", help="Its name, or its number.")]
Values = dict[str, Any]


class Field(NamedTuple):
    """A field of an entry as the commands take it. A field that is not given keeps its value, or its default.

    add, edit: the parameter's type in each command; required: `add` does not go without it; read: the field's value
    from what was typed.
    """

    name: str
    add: Any
    edit: Any
    required: bool = False
    read: Callable[[Any], Any] = lambda typed: typed


class Registry(NamedTuple):
    """A collection of the store: what a list shows, what `rm` does, which fields there are.

    combine: fields that follow from several parameters and from the old entry, None in `add`; look: whether `add` looks
    at the entry's files, with its option --no-audit.
    """

    name: str
    columns: tuple[str, ...]
    row: Callable[[Any], tuple[object, ...]]
    rm: str
    fields: tuple[Field, ...]
    combine: Callable[[Store, Values, Any], Values] = lambda _store, given, _old: given
    look: bool = False

    def collection(self, store: Store) -> Collection[Any, Any, Any]:
        found: Collection[Any, Any, Any] = getattr(store, self.name)
        return found

    @property
    def noun(self) -> str:
        return {"datasets": "data set"}.get(self.name, self.name.removesuffix("s"))


# ── the table ───────────────────────────────────────────────────────────────────────────────────────────────────────
def _time(t: float) -> str:
    return time.strftime("%Y-%m-%d %H:%M", time.localtime(t))


def _absolute(path: Path) -> str:
    return str(path.expanduser().absolute())


def _flavour(text: str) -> str:
    """A local folder by its whole path, a hub id as it is."""
    path = Path(text).expanduser()
    return _absolute(path) if path.is_dir() else text


def _config(store: Store, given: Values, old: Any) -> Values:
    """`--config` and `--set` give the config; without `--config`, `--set` changes the old one."""
    source, settings, project = given.pop("config", None), given.pop("settings", None), given.pop("project", None)
    base = dict(old.config) if old is not None and source is None else None
    given["config"] = read_config(source, settings, store, base=base).model_dump(mode="json")
    if project is not None:
        given["project_id"] = store.projects.find(project).id
    return given


_Text = Annotated[str | None, typer.Option("--description", help="A few words about it.")]
_Project = Annotated[str | None, typer.Option("--project", help="Project it belongs to.")]
_Revision = Annotated[str | None, typer.Option("--revision", help="Branch, tag or commit of the hub model.")]
_Pretrained = Annotated[bool | None, typer.Option("--pretrained/--from-scratch", help="Start from its weights or not.")]
_MaxRunning = Annotated[
    int | None, typer.Option("--max-running", min=-1, help="Its runs at once, on all hosts; 0: on hold, -1: no limit.")
]
NAME = Field(
    "name",
    Annotated[str, typer.Argument(metavar="NAME", help="A name that no other has.")],
    Annotated[str | None, typer.Option("--name", help="A new name.")],
    required=True,
)
DESCRIPTION = Field("description", _Text, _Text)
LOOK = Parameter(
    "audit",
    Parameter.KEYWORD_ONLY,
    annotation=Annotated[bool, typer.Option("--audit/--no-audit", help="Look at its files, and wait for that.")],
    default=True,
)
REGISTRIES = (
    Registry(
        "projects",
        ("id", "name", "runs", "at once", "description"),
        lambda item: (item.id, item.name, item.runs, item.max_running, item.description),
        "Remove a project in which nothing is left. `imgcls-lab edit RUN --project NAME` moves a run to another.",
        (
            NAME,
            DESCRIPTION,
            Field("max_running", _MaxRunning, _MaxRunning, read=lambda typed: None if typed < 0 else typed),
        ),
    ),
    Registry(
        "configs",
        ("id", "name", "project", "changed", "description"),
        lambda item: (item.id, item.name, item.project, _time(item.updated_at), item.description),
        "Remove a config; runs made from it keep their own copy.",
        (
            NAME,
            Field("config", ConfigOption, ConfigOption),
            Field("settings", Set, Set),
            Field("project", _Project, _Project),
            DESCRIPTION,
        ),
        _config,
    ),
    Registry(
        "datasets",
        ("id", "name", "classes", "images", "folder", "problem"),
        lambda item: (
            item.id,
            item.name,
            len(item.classes),
            ", ".join(f"{split} {count}" for split, count in item.images.items()),
            item.root,
            item.problem or "",
        ),
        "Forget a data set; its folder stays.",
        (
            NAME,
            Field(
                "root",
                Annotated[
                    Path, typer.Argument(help="Folder with train/CLASS and val/CLASS, or with the classes alone.")
                ],
                Annotated[Path | None, typer.Option("--root", help="Another folder.")],
                required=True,
                read=_absolute,
            ),
            DESCRIPTION,
        ),
        look=True,
    ),
    Registry(
        "models",
        ("id", "name", "model", "revision", "weights", "runs", "what its files say", "problem"),
        lambda item: (
            item.id,
            item.name,
            item.flavour,
            item.revision,
            "pretrained" if item.load_pretrained else "from scratch",
            item.runs,
            models.facts_text(item.facts),
            item.problem or "",
        ),
        "Forget a model; its files stay.",
        (
            NAME,
            Field(
                "flavour",
                Annotated[str, typer.Argument(help="Model of the Hugging Face hub, or a local folder.")],
                Annotated[str | None, typer.Option("--flavour", help="Another model.")],
                required=True,
                read=_flavour,
            ),
            Field("revision", _Revision, _Revision),
            Field("load_pretrained", _Pretrained, _Pretrained),
            DESCRIPTION,
        ),
    ),
)


# ── the commands of each row ────────────────────────────────────────────────────────────────────────────────────────
def _store() -> Store:
    from imgcls_lab.api import context

    return context.store()


def _registry_app(registry: Registry) -> typer.Typer:
    """The commands of a registry: `list`, `show`, `rm`, `add` and `edit`."""
    noun = registry.noun
    app = typer.Typer(no_args_is_help=True, help=f"List, add, change and remove {noun}s.")

    @app.command("list", help=f"List the {noun}s.")
    def list_(as_json: Json = False) -> None:
        entries = registry.collection(_store()).list()
        if as_json:
            print_json(entries)
            return
        columns, rows = list(registry.columns), [[*registry.row(entry)] for entry in entries]
        if len({entry.owner for entry in entries if entry.owner}) > 1:
            columns.insert(2, "owner")
            for entry, row in zip(entries, rows, strict=True):
                row.insert(2, entry.owner or None)
        print_table(columns, rows, f"No {noun}s yet.")

    @app.command(help=f"Show one {noun}.")
    def show(name: Entry, as_json: Json = False) -> None:
        entry = registry.collection(_store()).find(name)
        if as_json:
            print_json(entry)
        else:
            _say_values(entry.model_dump(mode="json"))

    @app.command(help=registry.rm)
    def rm(name: Entry) -> None:
        collection = registry.collection(_store())
        entry = collection.find(name)
        collection.delete(entry.id)
        say(f"Removed the {noun} {entry.name}.")

    _add_changing_commands(app, registry)
    return app


def _add_changing_commands(app: typer.Typer, registry: Registry) -> None:
    """`add` and `edit`, whose parameters are the fields of the registry."""
    noun = registry.noun

    def add(**typed: Any) -> None:
        store = _store()
        looks = typed.pop(LOOK.name, False)
        collection = registry.collection(store)
        entry = collection.add(_edit(registry, store, typed, None))
        say(f"Added the {noun} {entry.name}.")
        for note in filter(None, [getattr(entry, "problem", None), *getattr(entry, "notes", ())]):
            say(f"Note: {note}")
        if looks:
            _look_at_files(store, entry)

    def edit(found_by: str, **typed: Any) -> None:
        store = _store()
        collection = registry.collection(store)
        old = collection.find(found_by)
        entry = collection.edit(old.id, _edit(registry, store, typed, old))
        say(f"Changed the {noun} {entry.name}.")

    entry = Parameter("found_by", Parameter.POSITIONAL_OR_KEYWORD, annotation=Entry)
    fields = [_parameter(field, new=False) for field in registry.fields]
    look = [LOOK] if registry.look else []
    app.command(help=f"Add a {noun}.")(
        _with_parameters(add, [*(_parameter(field, new=True) for field in registry.fields), *look])
    )
    app.command(help=f"Change a {noun}. What is not given stays.")(_with_parameters(edit, [entry, *fields]))


def _look_at_files(store: Store, entry: Any) -> None:
    """Audit the files of a data set, and say what is wrong with them. Without an executor that is left for later."""
    from imgcls_lab.api.audits import Audit
    from imgcls_lab.cli import audits
    from imgcls_lab.executor import client

    store.audits.refresh(entry.id)
    client.ensure(store.settings)
    if not store.settings.autostart and not client.lives(store.settings):
        say("Its files are looked at as soon as an executor runs.", err=True)
        return
    started = Audit(entry, store)
    audits.follow(started)
    audits.report(started)


def _parameter(field: Field, *, new: bool) -> Parameter:
    return Parameter(
        field.name,
        Parameter.POSITIONAL_OR_KEYWORD,
        annotation=field.add if new else field.edit,
        default=Parameter.empty if new and field.required else None,
    )


def _with_parameters(command: Callable[..., None], parameters: Sequence[Parameter]) -> Callable[..., None]:
    """Give a command the signature that typer reads its arguments and options from."""
    command.__signature__ = Signature(parameters)  # type: ignore[attr-defined]
    command.__annotations__ = {parameter.name: parameter.annotation for parameter in parameters}
    return command


def _edit(registry: Registry, store: Store, typed: Mapping[str, Any], old: Any) -> Any:
    """The request that `add` or `edit` sends to the store. Raises InputError."""
    from imgcls_lab.api.validation import request

    kind = registry.collection(store).edit_type
    given = {field.name: field.read(typed[field.name]) for field in registry.fields if typed[field.name] is not None}
    kept = {} if old is None else {name: getattr(old, name) for name in kind.model_fields}
    return request(kind, **{**kept, **registry.combine(store, given, old)})


def _say_values(values: Values, indent: str = "") -> None:
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


# ── commands that only one registry has ─────────────────────────────────────────────────────────────────────────────
def config_fields(
    words: Annotated[list[str] | None, typer.Argument(help="Only settings that have to do with these words.")] = None,
    as_json: Json = False,
) -> None:
    """List what a config can set, with defaults: the names that --set takes."""
    from imgcls_lab.config import TrainConfig

    found = [
        {
            "name": name,
            "title": item["title"],
            "default": item.get("default"),
            "unit": item.get("unit", ""),
            "meaning": item["description"],
            "applies": item.get("applies_text", ""),
        }
        for name, item in TrainConfig.model_json_schema()["properties"].items()
    ]
    wanted = [word.lower() for word in words or ()]
    found = [item for item in found if all(word in " ".join(map(str, item.values())).lower() for word in wanted)]
    if as_json:
        print_json(found)
    else:
        rows = [
            (item["name"], json.dumps(item["default"]), item["unit"], f"{item['meaning']} {item['applies']}".strip())
            for item in found
        ]
        print_table(["name", "default", "unit", "meaning"], rows, "No setting has to do with these words.")


def rescan(
    name: Entry,
    audit: Annotated[bool, typer.Option("--audit/--no-audit", help="Look at its files, and wait for that.")] = True,
    as_json: Json = False,
) -> None:
    """Inspect a data set's folder again: its classes, images and files. Exit 1 if it cannot be trained on."""
    store = _store()
    found = store.datasets.rescan(store.datasets.find(name).id)
    if as_json:
        print_json(found)
        if audit:
            store.audits.refresh(found.id)
    else:
        images = ", ".join(f"{split} {count:,}" for split, count in found.images.items()) or "no images"
        say(f"{found.name}: {counted(len(found.classes), 'class', 'classes')}; {images}.")
        for note in found.notes:
            say(note)
        if found.problem:
            say(found.problem, err=True)
        if audit:
            _look_at_files(store, found)
    if found.problem:
        raise typer.Exit(1)


def members(
    name: Entry,
    add: Annotated[list[str] | None, typer.Option(metavar="USER", help="A user to add. Repeatable.")] = None,
    remove: Annotated[list[str] | None, typer.Option(metavar="USER", help="A user to remove. Repeatable.")] = None,
    as_json: Json = False,
) -> None:
    """Show who may change a project's runs and configs, beside its owner; add and remove such users."""
    from imgcls_lab import api

    found = api.project(name, add=add or (), remove=remove or ())
    if as_json:
        print_json(found)
    else:
        say(f"{found.name}: owner {found.owner or 'nobody'}; members {', '.join(found.members) or 'none'}.")


def add_to(app: typer.Typer) -> None:
    for registry in REGISTRIES:
        part = _registry_app(registry)
        if registry.name == "configs":
            part.command("fields")(config_fields)
            config_versions.add_to(part)
        if registry.name == "projects":
            part.command()(members)
            project_archives.add_to(part)
        if registry.name == "models":
            models.add_to(part)
        if registry.name == "datasets":
            part.command()(rescan)
            revisions.add_to(part)
        app.add_typer(part, name=registry.name)
