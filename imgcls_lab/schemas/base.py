"""What all wire types are."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict


class Wire(BaseModel):
    model_config = ConfigDict(extra="forbid", ser_json_inf_nan="null", protected_namespaces=())
