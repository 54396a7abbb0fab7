"""`imgcls-lab executor start | stop | status | forget`, and `alerts`."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Annotated

import typer

from imgcls_lab.cli.output import Json, print_json, print_table, say
from imgcls_lab.plurals import counted

if TYPE_CHECKING:
    from imgcls_lab.schemas import ClusterView, DeviceView, NodeView

executor = typer.Typer(no_args_is_help=True, help="The background process that starts queued runs.")


@executor.command()
def start() -> None:
    """Start the executor, if none lives."""
    from imgcls_lab.api import context
    from imgcls_lab.executor import client

    settings = context.settings()
    context.store(settings)  # the daemon refuses a database without tables
    client.start(settings)
    say(f"The executor runs, for the home {settings.home_path}. Its log is {settings.executor_log}.")


@executor.command()
def stop(
    runs: Annotated[bool, typer.Option("--runs", help="Stop its runs too, each after a checkpoint.")] = False,
) -> None:
    """Stop the executor. Its runs go on, and the next executor adopts them, unless --runs."""
    from imgcls_lab.api import context
    from imgcls_lab.executor import client

    client.stop(context.settings(), stop_runs=runs)
    say("The executor has stopped.")


@executor.command()
def status(as_json: Json = False) -> None:
    """List the executors, their devices, and what holds them. Exit 1 if none lives."""
    from imgcls_lab.api import context
    from imgcls_lab.events import LIVE
    from imgcls_lab.executor import client, forkserver_manager
    from imgcls_lab.identity import user_name
    from imgcls_lab.settings import BACKENDS
    from imgcls_lab.store import deleted_objects

    settings = context.settings()
    store = context.store(settings)
    reply = client.status(settings)
    alive = any(item.here and item.state == "alive" for item in reply.executors)
    several = len({item.user for item in reply.executors} | {user_name()}) > 1
    if as_json:
        print_json(reply)
    else:
        rows = [
            (
                item.host,
                *([item.user] if several else []),
                item.pid,
                item.version,
                item.state,
                time.strftime("%d %b %H:%M", time.localtime(item.started_at)),
            )
            for item in reply.executors
        ]
        print_table(
            ["host", *(["user"] if several else []), "pid", "version", "state", "since"],
            rows,
            "No executor has been started yet.",
        )
        if reply.devices:
            say("")
            devices = [(item.host, item.name, item.title, _holder(item, several=several)) for item in reply.devices]
            print_table(["host", "device", "what", "held by"], devices, "")
        if reply.more_devices:
            say(f"and {counted(reply.more_devices, 'more device')}")
        if reply.cluster is not None:
            _show_cluster(reply.cluster)
        for run in store.runs.list(states=LIVE, limit=1000).items:
            if run.external:
                on = f" on {', '.join(run.devices)}" if run.devices else ""
                say(f"Outside the queue: {run.name} trains{on} of {run.host} in a kernel or shell, and holds no slot.")
            elif run.host != settings.run_host and run.host in BACKENDS:
                say(
                    f"Of before: {run.name} ({run.id}) lives on {run.host}, and IMGCLS_BACKEND is {settings.backend} "
                    "now. It is watched to its end there."
                )
        if alive and (sentence := forkserver_manager.status_sentence(settings)):
            say(f"\n{sentence}")
        if waits := deleted_objects.status_sentence(settings):
            say(f"\n{waits}")
        if reply.message:
            say(reply.message)
    if not alive:
        raise typer.Exit(1)


def _show_cluster(cluster: ClusterView) -> None:
    waiting = counted(cluster.waiting, "job waits", "jobs wait")
    say(f"\n{cluster.away or f'{cluster.title}: {waiting} in its own queue.'}")
    if cluster.away and not cluster.nodes:
        return
    rows = [(node.name, _capacity(node), _runs_of(node) or node.reason) for node in cluster.nodes]
    print_table(["node", "what", "runs"], rows, "It has no node.")
    total = cluster.totals
    if more := total.alive + total.down - len(cluster.nodes):
        say(f"and {counted(more, 'more node')}: in all {total.free_gpus} of {counted(total.gpus, 'GPU')} free")


def _capacity(node: NodeView) -> str:
    if not node.alive:
        return "takes no jobs"
    if not node.gpus:
        return counted(node.cpus, "CPU")
    return f"{node.free_gpus} of {counted(node.gpus, 'GPU')} free" + (f" ({node.kind})" if node.kind else "")


def _runs_of(node: NodeView) -> str:
    names = [run.run_name or run.run_id for run in node.runs]
    return ", ".join([*names, *([f"{node.more_runs} more"] if node.more_runs else [])])


def _holder(device: DeviceView, *, several: bool) -> str:
    """What holds a device; several: users share the devices."""
    if device.run_name is None:
        return device.held_by or "free"
    return f"{device.run_name} of {device.run_owner}" if several and device.run_owner else device.run_name


@executor.command()
def forget(host: Annotated[str, typer.Argument(help="Name of a host that will not come back.")]) -> None:
    """Declare a silent host gone for good: the runs of this home there are queued again, and free their devices."""
    from imgcls_lab.api import context
    from imgcls_lab.executor import client

    count = client.forget(context.settings(), host)
    say(f"Forgot {host}; {count} of its runs went back to the queue.")


def alerts(
    limit: Annotated[int, typer.Option(min=1, max=1000, help="How many at most.")] = 20, as_json: Json = False
) -> None:
    """List what happened, newest first: runs that finished, failed, were lost or stalled; a disk nearly full."""
    from imgcls_lab.api import context

    found = context.store().alerts.list(limit)
    if as_json:
        print_json(found)
        return
    rows = [
        (time.strftime("%d %b %H:%M", time.localtime(item.created_at)), item.kind, item.host or "", item.text)
        for item in found
    ]
    print_table(["when", "what", "host", ""], rows, "No alerts.")


def add_to(app: typer.Typer) -> None:
    app.add_typer(executor, name="executor")
    app.command()(alerts)
