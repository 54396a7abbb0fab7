"""Long curves are read thinned: nothing that a plot shows may be lost by it, whatever a run does meanwhile."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable

import pytest
from sqlmodel import func, select
from store_steps import claim, finish, started

from imgcls_lab.events import EventWriter, Metrics, RunState
from imgcls_lab.schemas import Series
from imgcls_lab.store import Store, ingest, rebuild
from imgcls_lab.store.tables import ThinnedMetric

COUNT = 9000
SPIKE = 4321


@pytest.fixture(autouse=True)
def often(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ingest, "SEAL_EVERY", 2**14)


class Long:
    """A run with a long curve, written and taken in piece by piece."""

    def __init__(self, store: Store, run_id: str) -> None:
        self.store, self.id = store, run_id
        self._begin(0)

    def _begin(self, resume_step: int) -> None:
        claimed = claim(self.store, device=self.id)
        assert claimed is not None
        self.attempt = claimed.attempt
        folder = self.store.settings.run_dir(self.id)
        folder.mkdir(mode=0o700, exist_ok=True)
        self.writer = EventWriter(folder, self.attempt)
        self.writer.write(started(resume_step, total=COUNT))

    def end(self) -> None:
        self.writer.close()
        assert finish(self.store, self.id, self.attempt, RunState.STOPPED)

    def again(self, resume_step: int) -> None:
        self.end()
        self.store.runs.resume(self.id)
        self._begin(resume_step)

    def log(self, steps: Iterable[int], value=math.sin) -> None:
        for step in steps:
            self.writer.write(Metrics(step=step, epoch=step / 10, values={"loss/train": value(step)}))
        assert ingest.ingest(self.store.database, self.store.settings, self.id, self.attempt)

    def series(self, **query) -> Series:
        return self.store.metrics.series([self.id], ["loss/train"], **query).series[0]

    def kept(self) -> int:
        with self.store.database.read() as session:
            return session.exec(select(func.count()).select_from(ThinnedMetric)).one()


@pytest.fixture
def run(store: Store, submit: Callable[..., str]) -> Long:
    return Long(store, submit())


def spiked(step: int) -> float:
    return 9.0 if step == SPIKE else -9.0 if step == SPIKE + 1 else math.sin(step)


def test_a_thinned_curve_has_both_ends_and_its_extremes(run: Long) -> None:
    run.log(range(1, COUNT + 1), spiked)
    found = run.series(max_points=200)
    assert found.thinned
    assert 100 < len(found.step) <= 200
    assert (found.step[0], found.step[-1]) == (1, COUNT)
    assert (max(found.value), min(found.value)) == (9.0, -9.0)
    whole = run.series(max_points=0)
    assert (whole.step, whole.thinned) == (list(range(1, COUNT + 1)), False)


@pytest.mark.parametrize("max_points", [20, 200, 2000])
@pytest.mark.parametrize("width", [50, 700, 4000])
def test_a_window_shows_what_lies_in_it_and_nothing_else(run: Long, width: int, max_points: int) -> None:
    run.log(range(1, COUNT + 1), spiked)
    low, high = SPIKE - width // 2, SPIKE + width // 2
    found = run.series(low=low, high=high, max_points=max_points)
    assert found.thinned == (high - low + 1 > max_points)
    assert (found.step[0], found.step[-1]) == (low, high)
    assert (max(found.value), min(found.value)) == (9.0, -9.0)
    by_epoch = run.series(axis="epoch", low=low / 10, high=high / 10, max_points=max_points)
    assert (by_epoch.step[0], by_epoch.step[-1]) == (low, high)
    assert max(by_epoch.value) == 9.0


def test_a_window_by_time_finds_its_points(run: Long) -> None:
    run.log(range(1, COUNT + 1), spiked)
    whole = run.series(max_points=0)
    low, high = whole.time[3000], whole.time[6000]
    found = run.series(axis="time", low=low, high=high, max_points=100)
    assert all(low <= time <= high for time in found.time)
    assert (found.time[0], found.time[-1]) == (low, high)


def test_a_curve_that_grows_is_thinned_as_one_that_came_at_once(
    run: Long, store: Store, submit: Callable[..., str]
) -> None:
    for start in range(0, COUNT, 150):
        run.log(range(start + 1, min(start + 150, COUNT) + 1), spiked)
    assert run.kept() > 0
    found = run.series(max_points=200)
    at_once = Long(store, submit())
    at_once.log(range(1, COUNT + 1), spiked)
    other = at_once.series(max_points=200)
    assert max(found.value) == max(other.value) == 9.0
    assert min(found.value) == min(other.value) == -9.0


def test_points_that_a_resume_took_back_are_in_no_curve(run: Long) -> None:
    run.log(range(1, COUNT + 1), spiked)
    run.again(resume_step=4000)
    run.log([4001], math.cos)
    found = run.series(max_points=100)
    assert max(found.value) <= 1.0
    assert found.step[-1] == 4001
    run.log(range(4002, COUNT + 1), math.cos)
    assert run.series(max_points=0).step == list(range(1, COUNT + 1))
    again = run.series(low=3900, high=COUNT, max_points=100)
    assert max(again.value) <= 1.0
    assert (again.step[0], again.step[-1]) == (3900, COUNT)


def test_a_point_that_comes_late_is_in_the_curve(run: Long) -> None:
    run.log(step for step in range(1, COUNT + 1) if step != SPIKE)
    run.log([SPIKE], spiked)
    assert max(run.series(max_points=100).value) == 9.0
    run.log(range(COUNT + 1, COUNT + 600))
    assert max(run.series(max_points=100).value) == 9.0


def test_what_is_not_a_number_hides_no_number(run: Long) -> None:
    run.log(range(1, COUNT + 1), lambda step: math.nan if step % 16 else float(step))
    found = run.series(max_points=100)
    assert [value for value in found.value if value is not None][-1] > COUNT - 300
    run.again(resume_step=0)
    run.log(range(1, COUNT + 1), lambda step: math.inf)
    assert set(run.series(max_points=100).value) == {None}


def test_what_is_kept_thinned_goes_with_the_run_and_comes_with_a_rebuild(run: Long, store: Store) -> None:
    run.log(range(1, COUNT + 1), spiked)
    kept = run.kept()
    assert COUNT / 8 < kept < COUNT / 5
    run.end()
    rebuild(store.settings)
    assert run.kept() == kept
    assert max(run.series(max_points=100).value) == 9.0
    store.runs.delete(run.id)
    assert run.kept() == 0
