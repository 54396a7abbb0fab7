"""`GET users`: the users of the database. It sets nothing; that is for the command line."""

from __future__ import annotations

from typing import Any

import pytest
from serving import Api

from imgcls_lab.identity import user_name
from imgcls_lab.schemas import SubmitRequest, UserEdit, UserView
from imgcls_lab.store import Store


async def test_users_are_listed_with_parts_and_limits(api: Api, store: Store, config: dict[str, Any]) -> None:
    assert (await api("GET", "users")).json == []
    store.runs.submit(SubmitRequest(config=config))
    store.users.edit("bob", UserEdit(weight=3, max_devices=2, max_disk_gb=5))
    reply = await api("GET", "users")
    assert reply.status == 200
    users = {user.name: user for user in map(UserView.model_validate, reply.json)}
    assert users.keys() == {"bob", user_name()}
    assert (users["bob"].weight, users["bob"].max_devices, users["bob"].max_disk_gb) == (3.0, 2, 5.0)
    assert (users[user_name()].queued, users[user_name()].due, users["bob"].due) == (1, 1.0, None)


@pytest.mark.parametrize("method", ["POST", "PUT", "PATCH", "DELETE"])
async def test_no_request_sets_a_limit(api: Api, store: Store, method: str) -> None:
    reply = await api(method, "users", {"name": "bob", "max_devices": 100})
    assert reply.status == 405
    assert store.users.list() == []


async def test_a_stranger_sees_no_users(api: Api) -> None:
    assert (await api("GET", "users", headers={})).status == 403
