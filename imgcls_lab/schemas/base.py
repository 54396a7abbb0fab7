"""What all wire types are."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict

from imgcls_lab.schemas.record_table import record_html


class Wire(BaseModel):
    model_config = ConfigDict(extra="forbid", ser_json_inf_nan="null", protected_namespaces=())

    def _repr_html_(self) -> str:
        """For notebooks, where functions answer with these."""
        return record_html(self)
