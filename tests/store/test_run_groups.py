"""A folded list: sweeps, seeds and children, each summed up from the runs of the list that it has."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from store_steps import claim, epoch, feed, finish, started

from imgcls_lab.config import TrainConfig
from imgcls_lab.errors import InputError
from imgcls_lab.events import DesiredState, RunKind, RunState
from imgcls_lab.schemas import ChangeRequest, GroupKind, RunEdit, RunGroups, SubmitRequest
from imgcls_lab.store import Store, queries, run_groups, states

Submit = Callable[..., str]
ALL: tuple[GroupKind, ...] = ("sweep", "seeds", "children")


def folded(store: Store, where: str = "", kinds: tuple[GroupKind, ...] = ALL, **order: object) -> RunGroups:
    return store.run_lists.groups(kinds, queries.filter_of(where), queries.RunOrder(**order))


def names(page: RunGroups) -> list[tuple[str, str, int]]:
    return [
        (row.group.kind, row.group.name, row.group.runs) if row.group else ("run", row.run.name if row.run else "", 1)
        for row in page.rows
    ]


@pytest.mark.parametrize("where", ["", "lr>0.003", "name:vit", "owner=ada kind=train", "best>0.9 batch_size=64"])
def test_sqlite_folds_a_list_by_date_without_a_look_at_the_rows(sqlite: Store, where: str) -> None:
    wanted, order = queries.filter_of(where), queries.RunOrder(sort="created")
    with sqlite.database.read() as session:
        asked = run_groups.keyed(queries.all_of(session, queries.conditions(session, wanted), order), ALL[:2])
        bound = asked.compile(session.get_bind(), compile_kwargs={"literal_binds": True})
        explained = session.connection().exec_driver_sql(f"EXPLAIN QUERY PLAN {bound}")
        plan = "\n".join(str(row[-1]) for row in explained)
    assert "COVERING INDEX ix_runs_listed" in plan, plan
    assert "TEMP B-TREE" not in plan, "it is sorted anew"


@pytest.fixture
def sweep(store: Store, submit: Submit) -> str:
    """A sweep of three learning rates, two seeds, a parent with a child, and a run that is in no group."""
    trained = [submit(f"seed {seed}", config={"seed": seed, "epochs": 7}) for seed in (0, 1)]
    for number, run_id in enumerate(trained):
        claim(store, f"cpu:{number}")
        feed(store, run_id, 1, started(), epoch(1, 0.5 + number / 10))
    parent = submit("parent", config={"epochs": 8})
    submit("child", config={"epochs": 2}, parent_id=parent)
    submit("alone", config={"epochs": 9})
    found = store.runs.submit(SubmitRequest(kind=RunKind.SWEEP, name="rates")).id
    for lr in (0.1, 0.01, 0.001):
        submit(f"lr={lr}", config={"lr": lr}, parent_id=found)
    return found


def test_runs_are_folded_by_sweep_seeds_and_children(store: Store, sweep: str) -> None:
    page = folded(store)
    assert names(page) == [
        ("sweep", "rates", 3), ("run", "alone", 1), ("children", "parent", 1), ("seeds", "seed 1", 2)
    ]  # fmt: skip
    assert (page.total, page.runs) == (4, 9)
    rates, _, children, seeds = page.rows
    assert rates.run is not None
    assert rates.group is not None
    assert (rates.run.id, rates.group.head, rates.group.lr) == (sweep, sweep, (0.001, 0.1))
    assert rates.group.states == {RunState.QUEUED: 3}
    assert children.run is not None
    assert children.run.name == "parent"
    assert seeds.run is None
    group = seeds.group
    assert group is not None
    assert (group.metric, group.best, group.mean) == ("accuracy", 0.6, pytest.approx(0.55))
    assert group.deviation == pytest.approx(0.0707, abs=1e-4)
    assert store.runs.get(group.best_run or "").name == "seed 1"
    for row in page.rows:
        if row.group is not None:
            inside = store.runs.list(where=row.group.where)
            assert inside.total == row.group.runs


def test_only_runs_of_the_list_are_folded_and_in_its_order(store: Store, sweep: str) -> None:
    assert names(folded(store, "lr>0.005")) == [("sweep", "rates", 2)]
    assert names(folded(store, "lr>0.05")) == [("run", "lr=0.1", 1)], "one run is no group"
    assert names(folded(store, "kind=train", ("seeds",)))[-1] == ("seeds", "seed 1", 2)
    assert names(folded(store, sort="lr", limit=1)) == [("sweep", "rates", 3)]
    assert names(folded(store, limit=2, offset=2)) == names(folded(store))[2:]
    plain = folded(store, "lr=0.1", columns=("optimizer",), curves=True).rows[0].run
    assert plain is not None
    assert plain.values == {"optimizer": "adamw"}
    with pytest.raises(InputError):
        folded(store, sort="nothing")


@pytest.mark.parametrize(
    ("names", "common"),
    [
        (["vit lr 2e-3 seed 3", "vit lr 2e-3 seed 12"], "vit lr 2e-3"),
        (["birds #1", "birds #2"], "birds"),
        (["night 12", "night 13"], "night"),
        (["same", "same"], "same"),
        (["a", "b"], "a"),
        (["seed 1", "seed 2"], "seed 1"),
    ],
)
def test_repetitions_are_called_by_what_their_names_share(names: list[str], common: str) -> None:
    assert run_groups._common_name(names) == common


def test_a_list_that_is_asked_for_again_is_as_the_runs_are_by_then(store: Store, sweep: str, submit: Submit) -> None:
    """The rows of before are kept; another store of the same database has none."""

    def rename() -> None:
        store.runs.edit(first, RunEdit(name="zz"))

    def archive() -> None:
        store.runs.set_desired_state(first, DesiredState.STOP)
        store.runs.edit(first, RunEdit(archived=True))

    first = submit("aa", config={"epochs": 11})
    orders = ({"sort": "name"}, {"sort": "created_at", "descending": False}, {"sort": "best"}, {"sort": "created"},
              {"where": "zz"}, {"where": "epochs<12 state=queued"}, {"where": "project=default ran>1h"})  # fmt: skip
    for change in (lambda: None, lambda: submit("bb"), rename, archive, lambda: store.runs.delete(first)):
        change()
        with Store.open(store.settings) as other:
            for order in orders:
                assert names(folded(store, **order)) == names(folded(other, **order)) == names(folded(store, **order))


def test_a_list_is_folded_once_for_all_of_its_windows(
    store: Store, sweep: str, submit: Submit, monkeypatch: pytest.MonkeyPatch
) -> None:
    made, fold = [], run_groups.rows_of
    monkeypatch.setattr(run_groups, "rows_of", lambda *asked: made.append(asked) or fold(*asked))
    for where, sort in (("", "created"), ("lr>0.005 seed", "name"), ("metric/accuracy>0.1", "metric/accuracy")):
        for offset in (0, 1, 0):
            folded(store, where, sort=sort, limit=1, offset=offset)
    assert len(made) == 3, "as the panel asks"
    submit("another")
    folded(store, sort="created")
    assert len(made) == 4
    for where in ("created>1h", "project=default", "ran>1s"):
        for _ in range(2):
            folded(store, where)
    assert len(made) == 10, "what these mean changes by itself"


def test_forks_and_their_forks_are_one_group(store: Store, submit: Submit) -> None:
    root, one, two = (submit(name) for name in ("root", "fork", "fork of the fork"))
    with store.database.write() as session:
        for run_id, parent, best in ((root, None, 0.9), (one, root, 0.8), (two, one, 0.7)):
            values = {"best_metric": "metric/accuracy", "best_value": best}
            states.change_run(session, run_id, lineage=root, parent_id=parent, repetition="", **values)
    (row,) = folded(store).rows
    assert row.group is not None
    assert (row.group.best, row.group.best_run) == (0.9, root), "no other row shows what the first run reached"
    assert (row.group.key, row.group.head, row.group.runs) == (f"children:{root}", root, 2)
    assert {run.id for run in store.runs.list(where=row.group.where).items} == {one, two}
    assert store.runs.list(where=f"lineage={root}").total == 3


def test_the_best_of_a_sweep_with_replicates_is_the_best_mean_of_whole_trials(store: Store, submit: Submit) -> None:
    payload = {"request": {"replicates": 2}}
    head = store.runs.submit(SubmitRequest(kind=RunKind.SWEEP, name="seeds", payload=payload)).id
    given = {(0.1, 0): 0.9, (0.1, 1): 0.3, (0.01, 0): 0.8, (0.01, 1): 0.7, (0.001, 0): 0.99}
    ids = {}
    for number, ((lr, seed), value) in enumerate(given.items()):
        config = {"lr": lr, "seed": seed}
        ids[lr, seed] = submit(f"lr={lr} seed={seed}", config=config, parent_id=head, priority=1)
        claim(store, f"cpu:{number}")
        feed(store, ids[lr, seed], 1, started(), epoch(1, value))
        finish(store, ids[lr, seed], 1, RunState.SUCCEEDED)
    group = folded(store).rows[0].group
    assert group is not None
    assert (group.kind, group.runs) == ("sweep", 5)
    assert group.best == pytest.approx(0.75)  # neither 0.99, whose second run is missing, nor 0.9
    assert group.best_deviation == pytest.approx(0.1 / 2**0.5)
    assert group.best_run == ids[0.01, 0]
    listed = store.project_pages.detail(store.projects.find("default").id).sweeps[0]
    assert listed.best is not None
    assert listed.best.value == group.best  # on the page of the project, too


def ended(store: Store, run_id: str, value: float) -> str:
    """A run that waits alone, to its end."""
    claim(store, f"cpu:{run_id}")
    feed(store, run_id, 1, started(), epoch(1, value))
    finish(store, run_id, 1, RunState.SUCCEEDED)
    return run_id


def sweep_of(store: Store, **request: object) -> str:
    payload = {"request": {"base": {"seed": 4}, **request}}
    sweep = store.runs.submit(SubmitRequest(kind=RunKind.SWEEP, name="seeds", payload=payload)).id
    claim(store, f"cpu:{sweep}")
    return sweep


def test_a_sweep_that_extends_another_has_the_best_mean_of_all_its_replicates(store: Store, submit: Submit) -> None:
    with Store.open(store.settings, way="sweep") as driver:
        first, longer = sweep_of(store, replicates=2), sweep_of(store, replicates=3)

        def trial(sweep: str, lr: float, seed: int, value: float) -> str:
            config = {"root": "/data/pets", "model_flavour": "tiny", "lr": lr, "seed": seed}
            asked = SubmitRequest(config=config, parent_id=sweep, idempotency_key=f"trial:{lr}:{seed}")
            return ended(store, driver.runs.submit(asked).id, value)

        for lr, values in ((0.1, (0.9, 0.3)), (0.01, (0.8, 0.6))):
            for seed, value in zip((4, 5), values, strict=True):
                trial(first, lr, seed, value)
        finish(store, first, 1, RunState.SUCCEEDED)
        best = trial(longer, 0.1, 6, 0.99)
        trial(longer, 0.01, 6, 0.4)
        trial(first, 0.1, 7, 0.0)  # of another sweep's seed

    def row() -> tuple[float | None, str | None]:
        groups = {each.group.head: each.group for each in folded(store).rows if each.group is not None}
        return groups[longer].best, groups[longer].best_run

    assert row() == (None, None)  # a run of its own with such a seed may still come
    finish(store, longer, 1, RunState.SUCCEEDED)
    assert row() == (pytest.approx((0.9 + 0.3 + 0.99) / 3), best)
    listed = {each.id: each for each in store.project_pages.detail(store.projects.find("default").id).sweeps}
    assert listed[longer].best is not None
    assert listed[longer].best.value == row()[0]


def test_notebooks_of_a_sweep_are_one_trial_by_their_parameters_but_for_the_seed(store: Store) -> None:
    sweep = sweep_of(store, replicates=2)
    ids = {}
    for (lr, seed), value in {(0.1, 0): 0.9, (0.1, 1): 0.3, (0.01, 0): 0.8, (0.01, 1): 0.7, (0.001, 0): 0.99}.items():
        payload = {"notebook": "a.ipynb", "parameters": {"lr": lr, "seed": seed}}
        asked = SubmitRequest(kind=RunKind.NOTEBOOK, payload=payload, parent_id=sweep)
        ids[lr, seed] = store.runs.submit(asked).id
        folder = store.settings.run_dir(ids[lr, seed])
        # what its training says is the same for all: the notebook does something else with its parameters
        (folder / "config.json").write_text(TrainConfig(root="/data/pets", model_flavour="tiny").model_dump_json())
        ended(store, ids[lr, seed], value)
    finish(store, sweep, 1, RunState.SUCCEEDED)
    group = next(each.group for each in folded(store).rows if each.group is not None)
    assert (group.best, group.best_run) == (pytest.approx(0.75), ids[0.01, 0])


def test_a_replicate_that_was_changed_while_it_trained_is_none_any_more(store: Store, submit: Submit) -> None:
    sweep = sweep_of(store, replicates=2)
    for seed in (4, 5):
        run = submit(f"seed={seed}", config={"lr": 0.1, "seed": seed}, parent_id=sweep)
        if seed == 5:
            store.runs.change(run, ChangeRequest(fields={"lr": 0.5}))
        ended(store, run, 0.5)
    group = next(each.group for each in folded(store).rows if each.group is not None)
    assert (group.best, group.best_run) == (None, None)
