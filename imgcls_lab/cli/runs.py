"""`imgcls-lab runs | show | wait | logs | retrain | claim | edit`: list and change runs."""

from __future__ import annotations

import json
import time
from collections import Counter
from typing import TYPE_CHECKING, Annotated, Any

import typer

from imgcls_lab.cli.output import (
    Json,
    Set,
    print_json,
    print_table,
    program,
    queued,
    read_settings,
    say,
    warn_unattended,
)
from imgcls_lab.errors import InputError
from imgcls_lab.plurals import counted

if TYPE_CHECKING:
    from imgcls_lab.api import Runs
    from imgcls_lab.schemas import ClaimView, RunDetail, RunView

WAITING = {"queued", "starting"}  # states in which a run's message says why it waits
MOST_REASONS = 3  # different sentences below a list

RunId = Annotated[str, typer.Argument(metavar="RUN", help="Id of the run, or the beginning of one.")]


def runs(  # noqa: PLR0917
    project: Annotated[str | None, typer.Option(help="Only those of this project.")] = None,
    state: Annotated[list[str] | None, typer.Option(help="Only those in this state. Repeatable.")] = None,
    owner: Annotated[str | None, typer.Option(help="Only those of this user.")] = None,
    text: Annotated[str | None, typer.Option("--search", help="Text in name, id, model, data or notes.")] = None,
    where: Annotated[
        str,
        typer.Option(help="A query: 'lr>1e-3 state=succeeded best>=90% created>7d optimizer=sgd loss/val<0.5'."),
    ] = "",
    sort: Annotated[
        str | None, typer.Option(help="created, started, name, best, size, lr, a field of the config, a metric ...")
    ] = None,
    columns: Annotated[
        str, typer.Option(help="Further ones, with commas: optimizer,size,tag,metric/macro_f1,best/metric/accuracy.")
    ] = "",
    view: Annotated[str | None, typer.Option(help="A saved view; `views` lists them.")] = None,
    ascending: Annotated[bool, typer.Option("--ascending", help="Smallest first.")] = False,
    limit: Annotated[int, typer.Option(min=1, help="How many at most.")] = 50,
    fold: Annotated[
        bool, typer.Option("--fold", help="One row for each sweep, and for runs that differ in their seed alone.")
    ] = False,
    as_json: Json = False,
) -> None:
    """List runs, newest first."""
    from imgcls_lab import api

    order: dict[str, Any] = {
        "sort": sort,
        "descending": False if ascending else None,
        "columns": [column for column in columns.split(",") if column],
        "view": view,
    }
    found = api.runs(project, state or None, limit, where=where, text=text, owner=owner, **order)
    warn_unattended(found.views)
    if fold:
        _print_folded(found, as_json)
        return
    if as_json:
        print_json(found.views)
        return
    _print_list(found)


def _print_list(found: Runs) -> None:
    from imgcls_lab.config.evaluation import format_metric

    several = len(found.owners) > 1
    rows = [
        (
            run.id,
            run.name,
            *([run.owner or "–"] if several else []),
            run.project,
            run.state.value,
            f"{run.epoch:.1f}/{run.epochs}" if run.epochs else "–",
            format_metric(run.best.metric, run.best.value) if run.best else "–",
            time.strftime("%Y-%m-%d %H:%M", time.localtime(run.created_at)),
            *(_cell(run, column) for column in found.columns),
        )
        for run in found.views
    ]
    titles = ["run", "name", *(["owner"] if several else []), "project", "state", "epochs", "best", "created"]
    titles += found.columns
    print_table(titles, rows, "No runs. `imgcls-lab demo` makes one.", spare=["project", "created", "epochs"])
    waiting = Counter(view.message for view in found.views if view.state in WAITING and view.message)
    for sentence, count in waiting.most_common(MOST_REASONS):
        say(f"{counted(count, 'run')}: {sentence}")
    if found.total > len(found):
        say(f"{len(found)} of {counted(found.total, 'run')}; --limit shows more.")


def _print_folded(found: Runs, as_json: bool) -> None:
    """The rows of a folded list; of seeds mean ± standard deviation."""
    from imgcls_lab.config.evaluation import format_metric

    frame = found.folded()
    known = frame.astype(object).where(frame.notna(), None).to_dict("records")
    rows = [{str(name): value for name, value in row.items()} for row in known]
    if as_json:
        print_json(rows)
        return

    def value(row: dict[str, Any]) -> str:
        shown = ("mean", "sd") if row["kind"] == "seeds" else ("best", "best sd")
        return format_metric(row["metric"], row[shown[0]], row[shown[1]]) if row["metric"] else "–"

    table = [(row["kind"], row["name"], row["runs"], value(row), row["id"] or "–", row["where"]) for row in rows]
    print_table(["kind", "name", "runs", "best", "run", "query"], table, "No runs. `imgcls-lab demo` makes one.")


def _cell(run: RunView, column: str) -> str:
    """The value of a further column, as a table shows it."""
    from imgcls_lab.api.run_list import column_value

    value = column_value(run, column)
    if value is None:
        return "–"
    if isinstance(value, float):
        return f"{value:.6g}"
    return ", ".join(map(str, value)) if isinstance(value, list) else str(value)


def show(run_id: RunId, as_json: Json = False) -> None:
    """Show one run: its state, its last metrics, its checkpoints."""
    from imgcls_lab import api
    from imgcls_lab.run_sentence import duration, line

    view = api.run(run_id).view
    warn_unattended([view])
    if as_json:
        print_json(view)
        return
    say(line(view))
    took = view.seconds(time.time())
    devices = ", ".join(view.devices)
    if view.external and not view.view_only:
        devices = f"{devices or 'none any more'}, outside the queue"
    facts = {
        "run": view.id,
        **({"owner": view.owner} if view.owner else {}),
        "project": view.project,
        "state": f"{view.state.value}, view only until `imgcls-lab claim {view.id}`"
        if view.view_only
        else view.state.value,
        "data": view.root or "–",
        **_corrections(view),
        "model": view.model_flavour or "–",
        "device": f"{devices}, on {view.host}" if devices and view.host else devices or "–",
        **({"after": ", ".join(view.after)} if view.after else {}),
        **({"waits": view.message} if view.state in WAITING and view.message else {}),
        "steps": f"{view.step} of {view.total_steps}" if view.total_steps else "–",
        "time": duration(took) if took is not None else "–",
        "attempts": str(len(view.attempts)),
        "folder": view.folder,
    }
    for tag, latest in sorted(view.latest.items()):
        facts[tag] = "not finite" if latest is None else f"{latest:.6g}"
    width = max(len(name) for name in facts)
    for name, value in facts.items():
        say(f"  {name:<{width}}  {value}")
    for item in view.checkpoints:
        links = f"  ({', '.join(item.links)})" if item.links else ""
        say(f"  {'checkpoint':<{width}}  {item.name}{links}")


def _corrections(view: RunDetail) -> dict[str, str]:
    """On which revision of its data set a run trained, and which came after."""
    later, newer = len(view.later_revisions), ""
    if later:
        from imgcls_lab.api.revisions import since

        newest = view.later_revisions[0].number
        newer = f"; {counted(later, 'newer one')}, {newest} the newest: {since(view.id).summary} since"
    if view.data_revision is not None:
        return {"corrections": f"revision {view.data_revision}{newer}"}
    if view.data_revision_digest:
        return {"corrections": f"from a file{newer}"}
    return {"corrections": f"none{newer}"} if later else {}


def wait(
    run_id: RunId,
    timeout: Annotated[float | None, typer.Option(help="Give up after this many seconds; the run goes on.")] = None,
    as_json: Json = False,
) -> None:
    """Wait until a run has ended, with a line of progress. Exit 1 if it failed."""
    from imgcls_lab import api
    from imgcls_lab.errors import ImgclsError

    run = api.run(run_id)
    try:
        run.wait(timeout)
    except TimeoutError as error:
        raise ImgclsError(str(error)) from None
    finally:
        if as_json:
            print_json(run.view)
    if not as_json:
        say_line(run.view)


def logs(
    run_id: RunId,
    follow: Annotated[bool, typer.Option("-f", "--follow", help="Go on until the run has ended.")] = False,
    tail: Annotated[int, typer.Option(min=0, help="How many of the last lines.")] = 50,
    node: Annotated[int, typer.Option(min=0, help="Of a run on several nodes: 1, 2 ... are the further ones.")] = 0,
    as_json: Json = False,
) -> None:
    """Print what a run printed."""
    from imgcls_lab import api
    from imgcls_lab.api.run_handle import OVER
    from imgcls_lab.errors import InputError

    if as_json and follow:
        raise InputError("Ask for --json, which gives the lines that there are, or for --follow.")
    run = api.run(run_id)
    chunk = run.output(node=node)
    text = "".join(chunk.text.splitlines(keepends=True)[-tail:]) if tail else ""
    if as_json:
        cut = len(chunk.text.encode()) - len(text.encode())
        print_json(chunk.model_copy(update={"text": text, "offset": chunk.offset + cut}))
        return
    if follow:
        warn_unattended([run.view])
    _say_log(text)
    if text and not text.endswith("\n") and not follow:
        say()
    while follow:
        over = run.state in OVER
        while (chunk := run.output(chunk.end, node)).text:
            _say_log(chunk.text)
        if over:
            break
        time.sleep(0.5)


def _say_log(text: str) -> None:
    """Each state of an overwritten line, as of a progress bar, is printed as a line."""
    say(text.replace("\r\n", "\n").replace("\r", "\n"), newline=False)


def retrain(  # noqa: PLR0917
    run_id: RunId,
    revision: Annotated[
        int | None, typer.Option(min=0, help="Of its data set's corrections; by default the newest; 0: the folders.")
    ] = None,
    settings: Set = None,
    name: Annotated[str | None, typer.Option(help="Its name.")] = None,
    wait: Annotated[bool, typer.Option("--wait", help="Wait until it has ended; exit 1 if it failed.")] = False,
    as_json: Json = False,
) -> None:
    """Train again from a run's best model, on the corrected data set: a third of the epochs, a lower rate."""
    from imgcls_lab import api

    since = time.time()
    child = api.run(run_id).retrain(revision, name=name, **read_settings(settings))
    hint = f"What it fixed and broke, once it has ended: {program()} flips {child.id}"
    queued(child, hint, since=since, wait=wait, as_json=as_json)


def claim(
    run_id: Annotated[str | None, typer.Argument(metavar="RUN", help="Id of a view-only run.")] = None,
    every: Annotated[bool, typer.Option("--all", help="All view-only runs.")] = False,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")] = False,
) -> None:
    """Say that a run whose folder came from elsewhere is yours, after a look at what it would execute."""
    from imgcls_lab.api import run_queue

    if (run_id is None) != every:
        raise InputError("Name one run, or give --all.")
    found = run_queue.view_only_runs() if every else [run_queue.run(run_id or "")]
    for run in found:
        _say_claim(run.claim_view())
    if not found:
        say("No run is view only.")
        return
    if not yes:
        typer.confirm("Is this yours, and may it be executed when it is resumed?", abort=True)
    for run in found:
        run.claim()
    say(f"{counted(len(found), 'run')} claimed.")


def _say_claim(shown: ClaimView) -> None:
    say(f"{shown.run_id} “{shown.name}”, a {shown.kind.value} run in {shown.folder}")
    for file in [*shown.plugins, *([shown.notebook] if shown.notebook else [])]:
        say(f"  executes {file.path} (SHA-256 {file.sha256[:16] or 'unreadable'})")
    if shown.notebook_folder:
        say(f"  works in {shown.notebook_folder}")
    if shown.parameters:
        say(f"  with the parameters {json.dumps(shown.parameters, ensure_ascii=False)}")
    say(f"  with {shown.python}; reads {shown.root or 'no data set'}; model {shown.model_flavour or 'none'}")


def edit(  # noqa: PLR0917
    run_id: RunId,
    name: Annotated[str | None, typer.Option(help="A new name.")] = None,
    notes: Annotated[str | None, typer.Option(help="New notes.")] = None,
    priority: Annotated[int | None, typer.Option(help="A run with a higher priority starts first.")] = None,
    project: Annotated[str | None, typer.Option(help="Move it to this project; made if there is none.")] = None,
    as_json: Json = False,
) -> None:
    """Change name, notes, priority or project of a run."""
    from imgcls_lab import api

    view = api.run(run_id).edit(name=name, notes=notes, priority=priority, project=project).view
    if as_json:
        print_json(view)
    else:
        say_line(view)


def say_line(view: RunView) -> None:
    from imgcls_lab.run_sentence import line

    asked = (
        f"; asked to {view.desired_state.value}" if view.desired_state.value != "run" and view.ended_at is None else ""
    )
    say(f"{line(view)}{asked}.")


def add_to(app: typer.Typer) -> None:
    for command in (runs, show, wait, logs, retrain, claim, edit):
        app.command()(command)
