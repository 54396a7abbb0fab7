"""What the processor of a machine is, asked of a made-up one."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from imgcls_lab import cpu


@pytest.fixture
def flags(monkeypatch: pytest.MonkeyPatch) -> Iterator[set[str]]:
    found: set[str] = {"sse2", "avx2"}
    monkeypatch.setattr(cpu, "_flags", lambda: frozenset(found))
    monkeypatch.setattr("platform.machine", lambda: "x86_64")
    for name in cpu._SET:
        monkeypatch.delenv(name, raising=False)
    return found


def test_the_unit_that_multiplies_bf16_is_amx_before_avx(flags: set[str]) -> None:
    assert cpu.bf16_unit() is None
    flags.add("avx512_bf16")
    assert cpu.bf16_unit() == "avx512_bf16"
    flags.add("amx_bf16")
    assert cpu.bf16_unit() == "amx_bf16"


def test_arithmetic_names_what_bits_depend_on(flags: set[str], monkeypatch: pytest.MonkeyPatch) -> None:
    assert cpu.arithmetic() == "x86_64 avx2"
    flags |= {"avx512f", "avx512_bf16"}
    assert cpu.arithmetic() == "x86_64 avx2 avx512f avx512_bf16"
    monkeypatch.setenv("ONEDNN_MAX_CPU_ISA", "AVX2")
    assert cpu.arithmetic() == "x86_64 avx2 avx512f avx512_bf16 ONEDNN_MAX_CPU_ISA=AVX2"


@pytest.mark.parametrize(("slots", "threads"), [(0, 8), (1, 8), (2, 4), (3, 2), (64, 1)])
def test_a_slot_has_its_share_of_the_cores(monkeypatch: pytest.MonkeyPatch, slots: int, threads: int) -> None:
    monkeypatch.setattr(cpu, "cores", lambda: 8)
    assert cpu.share_of_cores(slots) == threads
