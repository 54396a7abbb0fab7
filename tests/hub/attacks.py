"""What one user of a hub tries on another: by token, by cookies, by a page of his, and as another Linux user.

Each function asserts that nothing worked, and gives how many things of each kind were tried.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

from tests.hub import stranger
from tests.hub.hub_process import ask
from tests.hub.people import Person

REFUSED = {302, 401, 403, 404, 405}  # 302: to the login page
ROUTES = """
GET imgcls/api/runs
GET imgcls/api/runs/RUN
GET imgcls/api/runs/RUN/log
GET imgcls/api/series?run=RUN&tag=loss/train
GET imgcls/api/info
GET imgcls/api/devices
GET imgcls/api/tensorboards
GET imgcls/api/configs/schema
GET imgcls/tensorboard/run-RUN/
GET api/contents
GET lab
POST imgcls/api/runs
POST imgcls/api/runs/RUN/stop
POST imgcls/api/notebooks
POST imgcls/api/executor/start
POST imgcls/api/tensorboards
POST imgcls/tensorboard/run-RUN/data/plugin/timeseries/timeSeries
POST api/kernels
POST api/terminals
DELETE imgcls/api/runs/RUN
"""


def requests(victim: Person, other: Person, run_id: str) -> dict[str, int]:
    """Requests with the other user's token, with none, and with one that was made up."""
    routes = ROUTES.replace("RUN", run_id).split()
    tried = 0
    for verb, path in zip(routes[::2], routes[1::2], strict=True):
        for token in (other.token, "", "0" * 32):
            status, reply = ask(f"{victim.seat.root}{path}", token, verb, {} if verb == "POST" else None)
            assert status in REFUSED, (verb, path, status, reply)
            tried += 1
    return {"requests with another user's token, or none": tried}


def pages(victim: Person, other: Person, run_id: str) -> dict[str, int]:
    """Addresses of one user in the browser of the other, who is logged in."""
    page = other.context.new_page()
    paths = ["lab", "imgcls/api/runs", f"imgcls/tensorboard/run-{run_id}/", "api/contents"]
    for path in paths:
        reply = page.goto(f"{victim.seat.root}{path}")
        assert reply is not None
        assert reply.status == 403, (path, reply.status, reply.url)
    page.close()
    return {"pages with another user's cookies": len(paths)}


PLANTED = """async (target) => {
  const worked = [];
  const get = async (path, init) => { try {
      const reply = await fetch(target.root + path, { credentials: "include", ...init });
      if (reply.ok) worked.push(`${init?.method ?? "GET"} ${path}`);
    } catch { /* refused by the browser */ } };
  for (const path of target.paths) {
    await get(path);
    await get(path, { mode: "no-cors" });
    await get(path, { method: "POST", body: "{}", headers: { "Content-Type": "text/plain" } });
    await get(path, { method: "POST", body: "{}", mode: "no-cors" });
  }
  const opened = await new Promise(resolve => {
    const socket = new WebSocket(target.root.replace("http", "ws") + "imgcls/api/stream");
    socket.onopen = () => resolve(true);
    socket.onerror = socket.onclose = () => resolve(false);
  });
  if (opened) worked.push("the stream's WebSocket");
  for (const path of target.frames) {
    const frame = document.body.appendChild(document.createElement("iframe"));
    await new Promise(resolve => {
      frame.onload = resolve;
      frame.src = target.root + path;
      setTimeout(resolve, 8000);
    });
    try { if (frame.contentDocument && frame.contentDocument.body.childElementCount) worked.push(`frame ${path}`); }
    catch { /* another origin: nothing of it can be read */ }
  }
  return worked;
}"""


def planted_page(victim: Person, other: Person, run_id: str) -> dict[str, int]:
    """What a page on the other user's origin can do in a browser in which the first is logged in."""
    page = victim.context.new_page()
    trap = f"{other.seat.root}files/trap.html"
    page.route(
        trap, lambda route: route.fulfill(body="<body>a page of the other user</body>", content_type="text/html")
    )
    page.goto(trap)
    target = {
        "root": victim.seat.root,
        "paths": ["imgcls/api/runs", f"imgcls/api/runs/{run_id}/stop", f"imgcls/tensorboard/run-{run_id}/data/runs"],
        "frames": ["lab", f"imgcls/tensorboard/run-{run_id}/"],
    }
    assert page.evaluate(PLANTED, target) == []
    page.wait_for_timeout(3000)
    assert len(page.frames) == 1 + len(target["frames"])
    assert [frame.url for frame in page.frames if frame.url.startswith(victim.seat.root)] == []
    page.close()
    return {"requests, sockets and frames of another user's page in one's own browser": 4 * 3 + 1 + 2}


def stranger_tries(victim: Person, other: Person) -> dict[str, int]:
    """What the other Linux user can do to the first one's files, sockets and processes."""
    for folder in (victim.home, *[p for p in victim.imgcls_home.parents if p.is_relative_to(victim.home)]):
        folder.chmod(0o755)  # as where homes are open to all: then our own modes must hold
    paths = [path for path in victim.imgcls_home.rglob("*") if not path.is_symlink()]
    sockets = {line.split()[-1] for line in Path("/proc/net/unix").read_text().splitlines() if len(line.split()) > 7}
    own = {process.pid for process in victim.processes()}
    targets = {
        "files": [str(path) for path in paths if path.is_file()],
        "folders": [str(path) for path in [victim.imgcls_home, *paths] if path.is_dir()],
        "sockets": sorted(name for name in sockets if belongs(name, victim)),
        "pids": sorted(own),
    }
    assert all(targets.values()), {name: len(found) for name, found in targets.items()}
    server = other.server_process()
    script = Path(stranger.__file__)
    said = other.as_user([sys.executable, str(script)], server.pid, {}, json.dumps(targets))
    found = json.loads(said)
    assert found["worked"] == []
    return dict(found["tried"])


def belongs(socket: str, person: Person) -> bool:
    """Whether a unix socket with this name was made by one of the user's processes."""
    try:
        return Path(socket).stat().st_uid == person.uid
    except OSError:
        return False
