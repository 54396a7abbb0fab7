"""A TensorBoard's socket that another user of the machine puts in the place of ours is never asked. Needs root."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from serving import Api

from imgcls_lab.schemas import SubmitRequest
from imgcls_lab.server.app import ImgclsLab
from imgcls_lab.store import Store
from tests.waiting import until

pytestmark = pytest.mark.skipif(os.getuid() != 0, reason="only root can become another user")

OTHER = 61_500
EVIL = b"<script>the page of another user</script>"
BECOME = f"import os, socket, sys; os.setgroups([]); os.setgid({OTHER}); os.setuid({OTHER})"
# Makes the folder of a path anew for everybody, if it can, and serves a page on the path.
SERVE = f"""
import os, socket, sys
path = sys.argv[1]
os.umask(0)
try:
    os.mkdir(os.path.dirname(path))
except OSError:
    pass
if len(sys.argv) > 2:
    print("made", flush=True)
    sys.stdin.readline()
try:
    os.unlink(path)
except OSError:
    pass
listener = socket.socket(socket.AF_UNIX)
try:
    listener.bind(path)
except OSError as error:
    sys.exit(print(error, flush=True))
listener.listen()
print("serves", flush=True)
while True:
    client, _ = listener.accept()
    client.recv(65536)
    client.sendall(b"HTTP/1.1 200 OK\\r\\nContent-Type: text/html\\r\\nConnection: close\\r\\n\\r\\n" + {EVIL!r})
    client.close()
"""


class Attacker:
    """The other user's process."""

    def __init__(self, path: Path, *words: str) -> None:
        self.process = subprocess.Popen(
            [sys.executable, "-c", f"{BECOME}\n{SERVE}", str(path), *words],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
        )  # fmt: skip

    def says(self) -> str:
        assert self.process.stdout is not None
        return self.process.stdout.readline().strip()

    def go_on(self) -> None:
        assert self.process.stdin is not None
        self.process.stdin.write("\n")
        self.process.stdin.flush()

    def end(self) -> None:
        self.process.kill()
        self.process.communicate()


@pytest.fixture
def attackers() -> Iterator[list[Attacker]]:
    started: list[Attacker] = []
    yield started
    for attacker in started:
        attacker.end()


@pytest.fixture
def places_for_all(tmp_path: Path) -> None:
    """Other users can search the folders above the home, as those above real homes."""
    for path in (tmp_path, *tmp_path.parents):
        if path.owner() == "root" and path not in (Path("/"), Path("/tmp")):
            path.chmod(path.stat().st_mode | 0o011)


async def board_of(api: Api, store: Store) -> str:
    run_id = store.runs.submit(SubmitRequest(config={"root": "/data"})).id
    (store.settings.run_dir(run_id) / "tensorboard").mkdir(parents=True)
    reply = await api("POST", "tensorboards", {"run_ids": [run_id]})
    return str(reply.json["id"])


async def page(api: Api, board: str) -> bytes:
    reply = await api("GET", f"/imgcls/tensorboard/{board}/")
    assert EVIL not in reply.body
    return reply.body


@pytest.mark.usefixtures("places_for_all")
async def test_a_folder_that_another_user_made_anew_after_the_last_board_ended_is_not_used(
    api: Api, store: Store, extension: ImgclsLab, attackers: list[Attacker]
) -> None:
    board = await board_of(api, store)
    assert b"TensorBoard" in await page(api, board)
    boards = extension.boards._manager
    assert boards is not None
    socket = boards.ensure(board)
    assert (await api("POST", f"tensorboards/{board}/stop")).status == 200
    until(lambda: not socket.exists())
    attackers.append(Attacker(socket, "wait"))
    assert attackers[0].says() == "made"
    assert b"TensorBoard" in await page(api, board)
    attackers[0].go_on()
    assert attackers[0].says() != "serves", "nobody else can put a socket there"
    assert b"TensorBoard" in await page(api, board)


async def test_a_folder_in_tmp_that_was_removed_and_made_anew_by_another_user_is_not_used(
    api: Api, store: Store, extension: ImgclsLab, attackers: list[Attacker], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("imgcls_lab.private_folder.runtime_parents", lambda _: [Path("/tmp")])
    board = await board_of(api, store)
    assert b"TensorBoard" in await page(api, board)
    boards = extension.boards._manager
    assert boards is not None
    socket = boards.ensure(board)
    assert socket.is_relative_to("/tmp")
    shutil.rmtree(socket.parent)  # as a system that clears /tmp does
    attackers.append(Attacker(socket))
    assert attackers[0].says() == "serves"
    try:
        assert b"TensorBoard" in await page(api, board)
        assert boards.ensure(board).parent != socket.parent
        boards.close()
    finally:
        attackers[0].end()
        shutil.rmtree(socket.parent)


async def test_a_socket_of_another_user_in_our_own_folder_is_not_asked(
    api: Api, store: Store, extension: ImgclsLab, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As if every check of the folder had been passed: the uid at the other end is the last one."""
    board = await board_of(api, store)
    assert b"TensorBoard" in await page(api, board)
    boards = extension.boards._manager
    assert boards is not None
    socket = boards.ensure(board)
    monkeypatch.setattr(type(boards), "ensure", lambda *_, **__: socket)
    code = SERVE.replace("listener.listen()", f"os.setuid({OTHER}); listener.listen()")
    evil = subprocess.Popen([sys.executable, "-c", code, str(socket)], stdout=subprocess.PIPE, text=True)
    assert evil.stdout is not None
    assert evil.stdout.readline() == "serves\n"
    reply = await api("GET", f"/imgcls/tensorboard/{board}/")
    assert (reply.status, EVIL in reply.body) == (503, False)
    evil.kill()
    evil.communicate()
