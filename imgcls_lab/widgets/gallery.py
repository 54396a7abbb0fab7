"""Images in a cell as a grid with a lightbox, where the Lab extension or the server cannot show them.

Made by `api/galleries.py`. The page asks for a picture by the id of its image, of this gallery alone.
"""

from __future__ import annotations

from collections.abc import Callable
from threading import Thread
from typing import Any

import traitlets

from imgcls_lab.data_files import FoundImage
from imgcls_lab.errors import ImgclsError, InputError
from imgcls_lab.widgets.comm import picture_of
from imgcls_lab.widgets.shared_code import CellWidget


class GalleryWidget(CellWidget):
    """The images of an answer. data: title, total, and items with image, name and lines; find: a file by its image."""

    view = traitlets.Unicode("gallery").tag(sync=True)
    gallery = traitlets.Dict().tag(sync=True)

    def __init__(self, data: dict[str, Any], find: Callable[[str], FoundImage]) -> None:
        super().__init__(gallery=data)
        self._known = {item["image"] for item in data["items"]}
        self._find = find
        self.on_msg(self._on_message)

    def answer(self, message: dict[str, Any]) -> None:
        """Handle one question of the page: for a picture."""
        reply: dict[str, Any] = {"op": "reply", "id": message.get("id")}
        buffers = None
        try:
            buffers = [self._picture(message)]
        except ImgclsError as error:
            reply["error"] = {"message": str(error), "status": error.status}
        if self.comm is not None:
            self.send(reply, buffers=buffers)

    def _picture(self, message: dict[str, Any]) -> bytes:
        request = message.get("request")
        if message.get("op") != "picture" or not isinstance(request, dict) or request.get("image") not in self._known:
            raise InputError("This gallery shows its own images alone.")
        return picture_of(request, self._find)

    def _on_message(self, _widget: Any, content: dict[str, Any], _buffers: list[memoryview]) -> None:
        Thread(target=self.answer, args=(content,), daemon=True).start()  # a disk may be slow
