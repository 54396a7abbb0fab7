"""A process whose torch was set to compute otherwise trains the same run, and is left as it was."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from torch.backends import mkldnn

from imgcls_lab.engine import Outcome
from imgcls_lab.engine.training.torch_settings import _openmp_settings, torch_defaults

from .conftest import curve, same_files

Run = Callable[..., Outcome]
OTHERWISE: dict[str, tuple[Callable[[], Any], Callable[[Any], object], Any]] = {
    "products from bf16": (torch.get_float32_matmul_precision, torch.set_float32_matmul_precision, "medium"),
    "another default type": (torch.get_default_dtype, torch.set_default_dtype, torch.float64),
    "no oneDNN": (lambda: mkldnn.enabled, lambda value: setattr(mkldnn, "enabled", value), False),
    "no gradients": (torch.is_grad_enabled, torch.set_grad_enabled, False),
    "autocast": (
        lambda: torch.is_autocast_enabled("cpu"),
        lambda value: torch.set_autocast_enabled("cpu", value),
        True,
    ),
}


@pytest.fixture
def otherwise(request: pytest.FixtureRequest) -> Iterator[tuple[Callable[[], Any], Any]]:
    read, write, value = OTHERWISE[request.param]
    before = read()
    write(value)
    yield read, value
    write(before)


@pytest.fixture(scope="module")
def plain() -> dict[str, Path]:
    return {}


@pytest.mark.parametrize("otherwise", list(OTHERWISE), indirect=True)
def test_a_kernel_set_to_other_arithmetic_trains_the_same_run(
    run: Run, tiny_vit: Path, otherwise: tuple[Callable[[], Any], Any], plain: dict[str, Path]
) -> None:
    read, value = otherwise
    one = run("otherwise", model_flavour=str(tiny_vit), epochs=1, augmentation="standard").folder
    assert read() == value
    if not plain:
        with torch_defaults():
            plain["folder"] = run("plain", model_flavour=str(tiny_vit), epochs=1, augmentation="standard").folder
    assert curve(one) == curve(plain["folder"])
    assert same_files(one / "checkpoints/last", plain["folder"] / "checkpoints/last", "model.safetensors")


def test_denormals_count_and_openmp_takes_the_threads_that_it_is_told() -> None:
    tiny = torch.tensor(1e-40)
    torch.set_flush_denormal(True)
    switches = _openmp_settings()
    for switch in switches:
        switch.write(True)
    try:
        assert float(tiny * 0.5) == 0
        with torch_defaults():
            assert float(tiny * 0.5) > 0
            assert [switch.read() for switch in switches] == [False] * len(switches)
        assert float(tiny * 0.5) == 0
        assert [switch.read() for switch in switches] == [True] * len(switches)
    finally:
        torch.set_flush_denormal(False)
        for switch in switches:
            switch.write(False)
