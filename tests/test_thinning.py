"""Fewer points, and no spike lost."""

from __future__ import annotations

import math

import numpy as np
import pytest

from imgcls_lab.thinning import StreamThinner, bucket_width, thin


@pytest.mark.parametrize("gap", [None, slice(100, 400), slice(0, 1000)])
def test_thinning_keeps_extremes_and_ends(gap: slice | None):
    rng = np.random.default_rng(0)
    values = rng.normal(size=1000)
    if gap:
        values[gap] = np.nan
    keep = thin(np.arange(1000.0), values, 100)
    assert len(keep) <= 100
    assert {0, 999} <= set(keep.tolist())
    assert (np.diff(keep) > 0).all()
    if not np.isnan(values).all():
        assert {int(np.nanargmin(values)), int(np.nanargmax(values))} <= set(keep.tolist())


def test_every_point_is_kept_up_to_1024_steps_and_then_512_each_time_the_steps_double() -> None:
    assert [bucket_width(step) for step in (1, 1023, 1024, 2047, 2048, 1_000_000)] == [1, 1, 4, 4, 8, 2048]
    thinner, written = StreamThinner(), 0
    values = np.random.default_rng(0).random(1 << 17).tolist()
    for step in range(1, 1 << 17):
        written += len(thinner.add(step, 0.0, {"loss": values[step]}))
        if step == 1023:
            assert written == 1023
    assert 7 * 512 <= written - 1023 + len(thinner.drain()) <= 7 * 512 + 1


def test_a_thinned_curve_keeps_every_spike_of_every_tag_in_order() -> None:
    thinner = StreamThinner()
    spikes = {5_001: 9.0, 50_002: -9.0, 99_999: 7.0}
    due = []
    for step in range(1, 100_001):
        due += thinner.add(step, float(step), {"a": spikes.get(step, 0.5), "b": -spikes.get(step + 1, 0.5)})
    due += thinner.drain()
    steps = [step for step, _, _ in due]
    assert steps == sorted(set(steps))
    assert {step: values["a"] for step, _, values in due if abs(values.get("a", 0)) > 1} == spikes
    assert {s + 1: -v["b"] for s, _, v in due if abs(v.get("b", 0)) > 1} == spikes
    assert all(seconds == step for step, seconds, _ in due)


def test_a_number_goes_before_a_nan_and_infinity_is_a_peak() -> None:
    thinner = StreamThinner()
    for step, value in ((4096, math.nan), (4097, 2.0), (4098, math.nan), (4099, math.inf)):
        assert thinner.add(step, 0.0, {"norm": value}) == []
    assert [(step, values["norm"]) for step, _, values in thinner.drain()] == [(4097, 2.0), (4099, math.inf)]
