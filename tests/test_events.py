"""Events: gap-free, exact, and never torn."""

from __future__ import annotations

import errno
import math
import os
import resource
import signal
import subprocess
import sys
import textwrap
import tracemalloc
from collections.abc import Callable
from pathlib import Path

import pytest

from imgcls_lab.events import LONGEST_LINE, EventWriter, Finished, Metrics, Notice, Stopped, read_events, scan_events
from imgcls_lab.run_layout import events_name, is_run_id, new_run_id, write_atomic


def point(step: int, **values: float) -> Metrics:
    return Metrics(step=step, epoch=step / 10, values=values or {"lr": 0.1})


def test_what_is_written_is_read_in_order_and_gap_free(tmp_path: Path) -> None:
    with EventWriter(tmp_path, 1) as writer:
        for step in range(1, 101):
            writer.write(point(step))
    events, _ = read_events(writer.path)
    assert [event.seq for event in events] == list(range(1, 101))
    assert {event.attempt for event in events} == {1}


def test_reading_from_an_offset_gives_each_event_once(tmp_path: Path) -> None:
    seen, offset = [], 0
    with EventWriter(tmp_path, 1) as writer:
        for step in range(1, 50):
            writer.write(point(step))
            new, offset = read_events(writer.path, offset, limit=100)
            seen += new
    rest, _ = read_events(writer.path, offset)
    assert [event.seq for event in seen + rest] == list(range(1, 50))


def test_numbers_that_are_not_finite_survive(tmp_path: Path) -> None:
    with EventWriter(tmp_path, 1) as writer:
        writer.write(point(1, nan=math.nan, up=math.inf, down=-math.inf))
    assert b'"NaN"' in writer.path.read_bytes()
    (event,) = read_events(writer.path)[0]
    assert isinstance(event, Metrics)
    assert math.isnan(event.values["nan"])
    assert (event.values["up"], event.values["down"]) == (math.inf, -math.inf)


def test_a_torn_last_line_is_not_there_and_is_cut_by_the_next_writer(tmp_path: Path) -> None:
    with EventWriter(tmp_path, 1) as writer:
        writer.write(point(1))
    whole = writer.path.stat().st_size
    with writer.path.open("ab") as file:
        file.write(b'{"v":1,"attempt":1,"se')
    assert read_events(writer.path)[1] == whole
    with EventWriter(tmp_path, 1) as writer:
        writer.write(point(2))
    assert [event.seq for event in read_events(writer.path)[0]] == [1, 2]


def lines_of(folder: Path, count: int = 9) -> list[bytes]:
    with EventWriter(folder, 1) as writer:
        for step in range(1, count + 1):
            writer.write(point(step, loss=step / 8))
    return writer.path.read_bytes().splitlines(keepends=True)


def test_one_flipped_bit_anywhere_costs_its_line_and_is_said(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """Also where what is left is JSON: another value, step, type or seq."""
    lines, path = lines_of(tmp_path, 5), tmp_path / events_name(1)
    hurt = lines[2]
    for at in range(len(hurt) - 1):
        for bit in (1, 16, 128):
            flipped = bytes([*hurt[:at], hurt[at] ^ bit, *hurt[at + 1 :]])
            path.write_bytes(b"".join([*lines[:2], flipped, *lines[3:]]))
            events = [event for event in read_events(path)[0] if isinstance(event, Metrics)]
            known = [(event.seq, event.step, event.values["loss"]) for event in events]
            assert set(known) <= {(n, n, n / 8) for n in range(1, 6)}, (at, bit)
            assert {n for n, _, _ in known} >= {1, 2, 4, 5}, (at, bit)
    assert f"{path}: the line at byte {len(lines[0] + lines[1])}" in caplog.text


@pytest.mark.parametrize(
    ("damage", "left"),
    [
        (lambda line: line[:-1], {1, 2, 3, 6, 7, 8, 9}),  # the next line hangs on it
        (lambda line: b"\0" * 4096 + b"\n", {1, 2, 3, 5, 6, 7, 8, 9}),
        (lambda line: line[:20] + b"\xff\xfe\xc3" + line[20:], {1, 2, 3, 5, 6, 7, 8, 9}),
        (lambda line: line[:20] + b"\n" + line[20:], {1, 2, 3, 5, 6, 7, 8, 9}),
        (lambda line: b'{"type":"no such"}\n', {1, 2, 3, 5, 6, 7, 8, 9}),
        (lambda line: b"[" * 100_000 + b"\n", {1, 2, 3, 5, 6, 7, 8, 9}),
        (lambda line: line.replace(b'"attempt":1', b'"attempt":2'), {1, 2, 3, 5, 6, 7, 8, 9}),
    ],
    ids=["no end", "zeros", "no UTF-8", "cut in two", "no type", "nested", "another attempt"],
)
def test_what_is_around_the_damage_is_read(tmp_path: Path, damage: Callable[[bytes], bytes], left: set[int]) -> None:
    lines, path = lines_of(tmp_path), tmp_path / events_name(1)
    lines[3] = damage(lines[3])
    path.write_bytes(b"".join(lines))
    assert {event.seq for event in read_events(path)[0]} == left
    assert scan_events(path).damaged
    seen, offset = [], 0
    while (found := read_events(path, offset, limit=50))[0] or found[1] > offset:
        seen += found[0]
        offset = found[1]
    assert {event.seq for event in seen} == left
    assert offset == path.stat().st_size


def test_a_line_of_100_mb_is_left_out_and_never_held_in_memory(tmp_path: Path) -> None:
    lines, path = lines_of(tmp_path), tmp_path / events_name(1)
    with path.open("wb") as file:
        file.write(b"".join(lines[:3]))
        file.truncate(file.tell() + 100_000_000)
        file.seek(0, os.SEEK_END)
        file.write(b"\n" + b"".join(lines[4:]))
    tracemalloc.start()
    seen = {event.seq for event in read_events(path)[0]}
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert seen == {1, 2, 3, 5, 6, 7, 8, 9}
    assert peak < 6 * LONGEST_LINE


def test_events_of_versions_before_the_sum_are_read(tmp_path: Path) -> None:
    path = tmp_path / events_name(1)
    path.write_bytes(Metrics(attempt=1, seq=1, step=1, epoch=0, values={"lr": 0.1}).model_dump_json().encode() + b"\n")
    assert [event.seq for event in read_events(path)[0]] == [1]


def test_a_kill_9_loses_no_event_that_was_written(tmp_path: Path) -> None:
    code = f"""
        from pathlib import Path
        from imgcls_lab.events import EventWriter, Metrics
        writer = EventWriter(Path({str(tmp_path)!r}), 1)
        for step in range(1, 10**9):
            writer.write(Metrics(step=step, epoch=0, values={{"lr": 0.1}}))
            print(step, flush=True)
    """
    process = subprocess.Popen([sys.executable, "-c", textwrap.dedent(code)], stdout=subprocess.PIPE, text=True)
    assert process.stdout
    for _ in range(500):
        process.stdout.readline()
    process.send_signal(signal.SIGKILL)
    acknowledged = 500 + len(process.stdout.read().splitlines())
    process.wait()
    process.stdout.close()
    events, _ = read_events(tmp_path / events_name(1))
    assert [event.seq for event in events[:acknowledged]] == list(range(1, acknowledged + 1))


def test_a_full_disk_leaves_whole_lines_only(tmp_path: Path) -> None:
    code = f"""
        import resource, signal
        from pathlib import Path
        from imgcls_lab.events import EventWriter, Metrics
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        resource.setrlimit(resource.RLIMIT_FSIZE, (1000, 1000))
        writer = EventWriter(Path({str(tmp_path)!r}), 1)
        try:
            while True:
                writer.write(Metrics(step=1, epoch=0, values={{"lr": 0.1}}))
        except OSError as error:
            print(error.errno)
    """
    done = subprocess.run([sys.executable, "-c", textwrap.dedent(code)], capture_output=True, text=True, check=True)
    assert int(done.stdout) in (errno.ENOSPC, errno.EFBIG)
    data = (tmp_path / events_name(1)).read_bytes()
    assert 0 < len(data) <= 1000
    assert data.endswith(b"\n")


def test_event_files_are_for_their_owner_alone(tmp_path: Path) -> None:
    with EventWriter(tmp_path, 1) as writer:
        writer.write(Stopped(step=1))
    assert writer.path.stat().st_mode & 0o777 == 0o600


def test_texts_of_any_kind_stay_one_line(tmp_path: Path) -> None:
    text = "line\nbreak\r\u2028 <b>\x1b[31m “ö” \x00"
    with EventWriter(tmp_path, 1) as writer:
        writer.write(Notice(text=text))
        writer.write(Finished(step=1, best_epoch=1, values={}))
    notice, finished = read_events(writer.path)[0]
    assert isinstance(notice, Notice)
    assert notice.text == text
    assert finished.type == "finished"


def test_run_ids_are_safe_folder_names_that_sort_by_age() -> None:
    ids = [new_run_id() for _ in range(100)]
    assert all(is_run_id(run_id) for run_id in ids)
    assert len(set(ids)) == 100
    assert [i[:15] for i in ids] == sorted(i[:15] for i in ids)
    for bad in ("", "..", "../x", ids[0] + "/", ids[0].upper(), ids[0] + "\n"):
        assert not is_run_id(bad)


def test_an_atomic_write_that_fails_leaves_the_old_file_and_no_other(tmp_path: Path) -> None:
    target = tmp_path / "config.json"
    write_atomic(target, "old")
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    handler = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (10, hard))
    try:
        with pytest.raises(OSError):
            write_atomic(target, "n" * 100)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
        signal.signal(signal.SIGXFSZ, handler)
    assert target.read_text() == "old"
    assert os.listdir(tmp_path) == ["config.json"]
