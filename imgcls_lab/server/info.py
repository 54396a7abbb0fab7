"""Routes about this server: its folders, and the demo data."""

from __future__ import annotations

from pathlib import Path

from imgcls_lab import demo_data
from imgcls_lab._version import __version__
from imgcls_lab.identity import user_name
from imgcls_lab.schemas import ServerInfo
from imgcls_lab.server.backend import Backend
from imgcls_lab.server.handlers import ApiHandler, to_json
from imgcls_lab.server.permissions import Route, permitted, route
from imgcls_lab.settings import Settings
from imgcls_lab.store import Store


def demo_folders(settings: Settings) -> tuple[Path, Path] | None:
    """The demo's images and model, if they are there."""
    root = Path(settings.datasets_dir).expanduser().absolute() / demo_data.DATASET
    model = settings.models_dir / demo_data.MODEL
    return (root, model) if (root / "train").is_dir() and (model / "config.json").is_file() else None


def server_info(settings: Settings) -> ServerInfo:
    return ServerInfo(
        version=__version__,
        datasets_dir=str(Path(settings.datasets_dir).expanduser().absolute()),
        roots=[str(root) for root in settings.roots],
        home=str(settings.home_path),
        user=user_name(),
        demo_ready=demo_folders(settings) is not None,
    )


class InfoHandler(ApiHandler):
    """Version, folders, whether the demo data is there."""

    @permitted
    async def get(self) -> None:
        info = await self.backend.run(lambda: server_info(self.backend.settings))
        self.reply(to_json(info))


class DemoHandler(ApiHandler):
    """Write and register the demo data; answers as /info does."""

    @permitted
    async def post(self) -> None:
        def prepare(store: Store) -> ServerInfo:
            demo_data.prepare(self.backend.settings, store)
            return server_info(self.backend.settings)

        await self.answer(prepare, work="slow")


def routes(backend: Backend) -> list[Route]:
    return [route("api/info", InfoHandler, backend=backend), route("api/demo", DemoHandler, backend=backend)]
