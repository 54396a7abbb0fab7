"""Fair share of the devices between users on one database, by the product's store, queue and scheduler.

Three users' daemons look at the queue in turn on a simulated clock. Printed are each user's part of the device time,
while all three have runs that wait, and when the last submitted run of each starts. The target of the parts is 5 % of
what the weights give; that of the start is twice the time at which devices that can be divided at will would start it.
"""

from __future__ import annotations

import random
import sys
from collections.abc import Callable, Iterator
from itertools import pairwise
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parents[1] / "store"))

from fair_share_simulation import Simulation, ideal_start_of_last

EQUAL = {"ada": 1.0, "bob": 1.0, "carol": 1.0}
ONE_TWO_THREE = {"ada": 1.0, "bob": 2.0, "carol": 3.0}
Length = Callable[[random.Random], float]
SAME: dict[str, Length] = dict.fromkeys(EQUAL, lambda _: 600.0)
MIXED: dict[str, Length] = {
    "ada": lambda dice: dice.expovariate(1 / 300),
    "bob": lambda dice: dice.expovariate(1 / 600),
    "carol": lambda dice: dice.expovariate(1 / 1200),
}
DEVICES = 4


@pytest.fixture(params=["sqlite", "postgresql"])
def simulation(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Simulation]:
    url = f"sqlite:///{tmp_path}/shared.db"
    if request.param == "postgresql":
        url = request.getfixturevalue("postgres").url()
    with Simulation.of(tmp_path, url, monkeypatch, DEVICES) as made:
        yield made


def show(what: str, reached: str, target: str) -> None:
    print(f"{what}: {reached} (target {target})")


def play(simulation: Simulation, weights: dict[str, float], lengths: dict[str, Length], each: int) -> None:
    """Queue so many runs of each user at once, let them run, and check both targets."""
    dice = random.Random(17)
    work: dict[str, list[tuple[float, float]]] = {}
    for name, weight in weights.items():
        simulation.add(name, weight)
    for name in weights:
        work[name] = [(0.0, lengths[name](dice)) for _ in range(each)]
        for _, length in work[name]:
            simulation.submit(name, length)
    simulation.run()
    last = {name: simulation.started_at([*person.runs][-1]) for name, person in simulation.people.items()}
    used = simulation.device_seconds(0, min(last.values()))
    print()
    for name, weight in weights.items():
        due, part = weight / sum(weights.values()), used[name] / sum(used.values())
        show(f"{name}, weight {weight:g}, {each} runs: part of the devices", f"{part:.1%}", f"{due:.1%} ± 5 % of that")
        assert part == pytest.approx(due, rel=0.05)
    check_last(last, ideal_start_of_last(work, weights, DEVICES))


def check_last(last: dict[str, float], ideal: dict[str, float]) -> None:
    for name, start in last.items():
        show(f"{name}: the last run starts after", f"{start:.0f} s", f"at most twice {ideal[name]:.0f} s")
        assert start <= 2 * ideal[name]


def test_equal_users_get_equal_parts(simulation: Simulation) -> None:
    play(simulation, EQUAL, SAME, 24)


@pytest.mark.slow
@pytest.mark.timeout(3600)
@pytest.mark.parametrize("lengths", [SAME, MIXED], ids=["same", "mixed"])
@pytest.mark.parametrize("weights", [EQUAL, ONE_TWO_THREE], ids=["equal", "1-2-3"])
def test_parts_are_the_weights_with_1000_runs_each(
    simulation: Simulation, weights: dict[str, float], lengths: dict[str, Length]
) -> None:
    play(simulation, weights, lengths, 1000)


@pytest.mark.parametrize("simulation", ["sqlite", pytest.param("postgresql", marks=pytest.mark.slow)], indirect=True)
def test_users_who_come_and_go_take_nothing_from_the_others_for_long(simulation: Simulation) -> None:
    """bob comes when ada has had all devices for half a day; carol comes for an hour and leaves."""
    hour = 3600.0
    for name, weight in ONE_TWO_THREE.items():
        simulation.add(name, weight)
    dice = random.Random(5)
    work: dict[str, list[tuple[float, float]]] = {name: [] for name in ONE_TWO_THREE}

    def come(name: str, at: float, runs: int) -> None:
        work[name] = [(at, dice.uniform(1000, 4000)) for _ in range(runs)]
        simulation.at(at, lambda: [simulation.submit(name, length) for _, length in work[name]] and None)

    come("ada", 0.0, 110)
    come("bob", 12 * hour, 30)
    come("carol", 14 * hour, 6)
    simulation.run()
    last = {name: simulation.started_at([*person.runs][-1]) for name, person in simulation.people.items()}
    ideal = ideal_start_of_last(work, ONE_TWO_THREE, DEVICES)
    print()
    came = {"ada": 0.0, "bob": 12 * hour, "carol": 14 * hour}
    check_last(
        {name: start - came[name] for name, start in last.items()},
        {name: start - came[name] for name, start in ideal.items()},
    )
    starts = sorted(part.begin for part in simulation.held if part.user == "ada")
    pause = max(later - start for start, later in pairwise(starts))
    show("ada, who had all devices before: longest pause between two starts", f"{pause / hour:.1f} h", "under 4 h")
    assert pause < 4 * hour
