"""A DataFrame as a page or a terminal shows it: a dash where a value is missing, and not None, NaN or NaT."""

from __future__ import annotations

from typing import TYPE_CHECKING

from imgcls_lab.schemas.record_table import MISSING

if TYPE_CHECKING:
    import pandas as pd


def table_html(frame: pd.DataFrame) -> str:
    """As HTML, whose texts are no markup."""
    return str(readable(frame).to_html(border=0, escape=True))


def readable(frame: pd.DataFrame) -> pd.DataFrame:
    """The same rows and columns; times to the second, which is as exact as one reads them."""
    import pandas as pd

    return pd.DataFrame({name: _readable(column) for name, column in frame.items()}, index=frame.index)


def _readable(column: pd.Series) -> pd.Series:
    import pandas as pd

    if isinstance(column.dtype, pd.DatetimeTZDtype):
        column = column.dt.floor("s")
    missing = column.isna()
    if not missing.any():
        return column
    # numbers of such a column are no whole ones to pandas: 2 epochs would be 2.0
    shown = [
        MISSING if gap else f"{value:.6g}" if isinstance(value, float) else value
        for value, gap in zip(column, missing, strict=True)
    ]
    return pd.Series(shown, index=column.index, dtype=object)
