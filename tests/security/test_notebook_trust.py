"""An executed notebook is trusted by Jupyter's signature alone. `tests/browser/test_notebook_trust.py` opens it."""

from __future__ import annotations

import json
import sqlite3
from pathlib import Path
from typing import Any

import nbformat
import pytest
from nbformat.sign import NotebookNotary
from planted_notebook import planted, planted_text
from serving import Api

from imgcls_lab import run_layout
from imgcls_lab.batch.notebook_trust import NotebookSigner
from imgcls_lab.events import RunKind
from imgcls_lab.schemas import SubmitRequest
from imgcls_lab.store import Store


@pytest.fixture
def own(jp_serverapp: Any) -> NotebookSigner:
    """As the notebook runner has it, with the server's key and signatures."""
    return NotebookSigner(jp_serverapp.contents_manager.notary)


def notary(folder: Path) -> Any:
    folder.mkdir(exist_ok=True)
    return NotebookNotary(data_dir=str(folder))


class Executed:
    """A run whose executed notebook anybody may have written."""

    def __init__(self, api: Api, store: Store) -> None:
        self.api = api
        self.id = store.runs.submit(SubmitRequest(kind=RunKind.NOTEBOOK, payload={"notebook": "/a.ipynb"})).id
        self.file = store.settings.run_dir(self.id) / run_layout.NOTEBOOK
        self.file.parent.mkdir(parents=True, exist_ok=True)

    async def opened(self, text: str | bytes) -> Any:
        self.file.write_bytes(text if isinstance(text, bytes) else text.encode())
        return await self.api("GET", f"runs/{self.id}/notebook")


@pytest.fixture
def executed(api: Api, store: Store) -> Executed:
    return Executed(api, store)


def claims(value: Any) -> list[Any]:
    """What a notebook says of its trust, anywhere in it."""
    if isinstance(value, dict):
        return [v for k, v in value.items() if k == "trusted"] + [c for v in value.values() for c in claims(v)]
    return [c for v in value for c in claims(v)] if isinstance(value, list) else []


async def test_what_a_file_says_of_its_own_trust_counts_nowhere(executed: Executed) -> None:
    notebook = (await executed.opened(planted_text())).json
    assert set(claims(notebook)) == {False}
    assert not {"widgets", "signature", "trusted"} & set(notebook["metadata"])
    assert len(notebook["cells"][1]["outputs"]) == len(planted()["cells"][1]["outputs"])  # shown, but not executed


async def test_what_this_users_jupyter_signed_is_trusted(executed: Executed, own: NotebookSigner) -> None:
    text = planted_text()
    own.sign(text)
    notebook = (await executed.opened(text)).json
    assert [cell["metadata"].get("trusted") for cell in notebook["cells"]] == [None, True]
    assert "widgets" in notebook["metadata"]


async def test_what_was_changed_since_or_signed_by_another_is_not(
    executed: Executed, own: NotebookSigner, tmp_path: Path
) -> None:
    text = planted_text()
    NotebookSigner(notary(tmp_path / "other")).sign(text)
    assert set(claims((await executed.opened(text)).json)) == {False}
    own.sign(text)
    changed = planted()
    changed["cells"][1]["outputs"][0]["data"]["text/html"] += " "
    assert set(claims((await executed.opened(json.dumps(changed))).json)) == {False}
    assert True in claims((await executed.opened(text)).json)


async def test_nor_is_a_notebook_of_an_older_format(executed: Executed) -> None:
    old = nbformat.convert(nbformat.from_dict(planted()), 3)
    old["metadata"]["trusted"] = True
    for cell in old["worksheets"][0]["cells"]:
        cell["metadata"]["trusted"] = True
    notebook = (await executed.opened(json.dumps(old))).json
    assert notebook["nbformat"] == 4
    assert True not in claims(notebook)


async def test_a_damaged_notebook_is_refused_with_a_sentence(executed: Executed) -> None:
    odd: list[str | bytes] = [
        "", "{", "null", "[]", "5", '{"nbformat": 4}', '{"nbformat": 99, "cells": []}', "[" * 100_000, b"\xff\xfe",
        '{"nbformat": 4, "nbformat_minor": 5, "metadata": {}, "cells": 5}',
        '{"nbformat": 4, "nbformat_minor": 5, "metadata": [], "cells": []}',
        '{"nbformat": 4, "nbformat_minor": 5, "metadata": {}, "cells": [5]}',
        '{"nbformat": 4, "nbformat_minor": 5, "metadata": {}, "cells": [{"cell_type": "code", "metadata": 5}]}',
        '{"nbformat": 4, "nbformat_minor": 5, "metadata": {}, "cells": [{"cell_type": "code"}]}',
        '{"nbformat": 4, "nbformat_minor": 5, "metadata": {}, "cells": [{"metadata": {}, "source": ""}]}',
        '{"nbformat": 4, "nbformat_minor": 5, "metadata": {}, "cells": [{"cell_type": "code", "metadata": {}, '
        '"source": "", "outputs": [[]]}]}',
        '{"nbformat": "4", "nbformat_minor": {}, "metadata": {}, "cells": []}',
        '{"nbformat": {}, "metadata": {}, "cells": []}',
        '{"nbformat": 2, "worksheets": 5}',
    ]  # fmt: skip
    for text in odd:
        reply = await executed.opened(text)
        assert reply.status == 409, (text[:80], reply.body[:200])
        assert "damaged" in reply.json["message"]


def test_a_notebook_that_is_saved_often_has_one_signature(tmp_path: Path) -> None:
    signer = NotebookSigner(notary(tmp_path / "notary"))
    for number in range(5):
        notebook = planted()
        notebook["cells"][1]["execution_count"] = number
        signer.sign(json.dumps(notebook))
        signer.sign(json.dumps(notebook))
    with sqlite3.connect(tmp_path / "notary" / "nbsignatures.db") as database:
        assert database.execute("select count(*) from nbsignatures").fetchone() == (1,)


def test_a_run_goes_on_where_nothing_can_be_signed(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    broken = notary(tmp_path / "notary")
    broken.store.db.close()
    NotebookSigner(broken).sign(planted_text())
    assert "not trusted" in caplog.text
