"""A page is answered while its kernel executes a cell, as *Stop* must be under `run.wait()`."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from jupyter_client.blocking.client import BlockingKernelClient
from jupyter_client.manager import KernelManager, start_new_kernel

from imgcls_lab import TrainConfig, run_layout
from imgcls_lab.events import EventWriter, Started

PATIENCE = 120.0  # seconds: a kernel starts, and imports what a cell needs

BUSY = """
import time
from pathlib import Path
from imgcls_lab.api.run_folder import RunFolder
from imgcls_lab.widgets.live import LiveRunWidget

widget = LiveRunWidget(RunFolder(Path({folder!r})))
widget._pusher.batch()  # it speaks by itself, from the cell and from its thread
print("model", widget.model_id, flush=True)
while True:
    time.sleep(0.05)
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    made = tmp_path / "20260101-000000-000000"
    made.mkdir()
    (made / run_layout.CONFIG).write_text(TrainConfig(root="flowers", model_flavour="m").model_dump_json())
    with EventWriter(made, 1) as events:
        events.write(
            Started(
                total_steps=20, steps_per_epoch=10, epochs=2, train_images=100, val_images=20, classes=2,
                device="cpu", precision="fp32", threads=1,
            )
        )  # fmt: skip
    return made


@pytest.fixture
def kernel() -> Iterator[tuple[KernelManager, BlockingKernelClient]]:
    manager, client = start_new_kernel(startup_timeout=PATIENCE)
    yield manager, client
    client.stop_channels()
    manager.shutdown_kernel(now=True)


def heard(client: BlockingKernelClient, kind: str, found: Any) -> dict[str, Any]:
    """The next message of a kind on iopub of which `found` is true."""
    until = time.monotonic() + PATIENCE
    while time.monotonic() < until:
        message: dict[str, Any] = client.get_iopub_msg(timeout=PATIENCE)
        assert message["msg_type"] != "error", message["content"]
        if message["msg_type"] == kind and found(message["content"]):
            return message
    raise AssertionError(f"no {kind}")


def subshell_of(client: BlockingKernelClient) -> str:
    """A subshell as JupyterLab makes one for the messages of widgets."""
    request = client.session.msg("create_subshell_request")
    client.control_channel.send(request)
    made = client.get_control_msg(timeout=PATIENCE)["content"]["subshell_id"]
    return str(made)


@pytest.mark.parametrize("page_has_subshell", [True, False])
def test_a_page_is_answered_while_a_cell_is_executed(
    kernel: tuple[KernelManager, BlockingKernelClient], folder: Path, page_has_subshell: bool
) -> None:
    manager, client = kernel
    # the cell at the end may arrive while the kernel still refuses what was queued behind an error
    client.execute(BUSY.format(folder=str(folder)), stop_on_error=False)
    said = heard(client, "stream", lambda content: "model" in content["text"])
    model = said["content"]["text"].partition("model ")[2].split()[0]
    subshell = subshell_of(client) if page_has_subshell else None
    for number in (1, 2):  # the answer to the first is a word of the widget, too
        question = {"op": "query", "kind": "log", "id": number, "params": {"id": folder.name}}
        message = client.session.msg("comm_msg", {"comm_id": model, "data": {"method": "custom", "content": question}})
        message["header"]["subshell_id"] = subshell
        client.shell_channel.send(message)
        reply = heard(client, "comm_msg", lambda content: content["data"].get("content", {}).get("op") == "reply")
        answer = reply["content"]["data"]["content"]
        assert (answer["id"], answer["result"]["text"]) == (number, "")
    # and the cell was executed all the time, as the ones after it wait for it
    manager.interrupt_kernel()
    ended = client.get_shell_msg(timeout=PATIENCE)
    while ended["msg_type"] != "execute_reply":  # late answers to what the client asked while the kernel started
        ended = client.get_shell_msg(timeout=PATIENCE)
    assert ended["content"]["ename"] == "KeyboardInterrupt"
    client.execute("widget.close(); print('went on')")
    until = time.monotonic() + PATIENCE
    while client.get_iopub_msg(timeout=PATIENCE)["msg_type"] != "stream":  # the widget speaks on meanwhile
        assert time.monotonic() < until, "the kernel went on with no cell"
