"""The language in which runs are looked for: `lr>1e-3 state=succeeded best>=0.9 created>7d tag:x "two words"`.

One text for panel, REST, `imgcls-lab runs --where` and `lab.runs(where=...)`. Terms stand beside each other, and all
must hold. A term is a word, which is looked for in name, id, model, data and notes; or KEY OP VALUE, where KEY is a
column of runs, a field of their config or a metric's tag. Here the text becomes terms; `store.run_conditions` makes SQL
of them.
"""

from __future__ import annotations

import difflib
import math
import re
import time
from datetime import datetime, timedelta
from typing import Literal, NamedTuple, cast

from imgcls_lab.config import TrainConfig
from imgcls_lab.errors import InputError
from imgcls_lab.events import ACTIVE, ENDED, LIVE, RunState

Operator = Literal["=", "!=", ">", ">=", "<", "<=", ":"]
Kind = Literal["text", "number", "time", "seconds", "state", "tags", "flag", "bytes"]
Value = str | float | bool | None | frozenset[str]

MAX_TEXT = 1000  # characters; `schemas.limits.MAX_QUERY`
MAX_TERMS = 20
# What a run's columns are called here, and what they hold. More than one name is what people type.
COLUMNS: dict[str, Kind] = {
    "id": "text", "name": "text", "owner": "text", "project": "text", "kind": "text", "host": "text", "model": "text",
    "data": "text", "notes": "text", "message": "text", "parent": "text", "monitor": "text", "state": "state",
    "created": "time", "started": "time", "ended": "time", "ran": "seconds", "best": "number", "epoch": "number",
    "step": "number", "attempt": "number", "priority": "number", "lr": "number", "batch_size": "number",
    "tag": "tags", "archived": "flag", "size": "bytes", "repetition": "text", "sweep": "text",
    "lineage": "text",
}  # fmt: skip
CURVE = "curve"  # a column of lists that is drawn: it has no value, so that no query names it
NONE = ("none", "null")  # a key that has no value
GROUPS = {"live": LIVE, "ended": ENDED, "active": ACTIVE}  # of states, named as one
CONFIG = frozenset(TrainConfig.model_fields) - COLUMNS.keys()
METRICS = ("loss/", "metric/", "test/", "throughput/", "time/")  # how the tags of metrics begin
BEST = "best/"  # before such a tag: its best value instead of the last one
ANY = "any"  # archived=any: archived or not
_SECONDS = {"s": 1, "m": 60, "h": 3600, "d": 86_400, "w": 604_800}
_BYTES = {"": 1, "K": 10**3, "M": 10**6, "G": 10**9, "T": 10**12}
_QUOTED = r'"(?:[^"\\]|\\.)*"'
_TERM = re.compile(
    rf"""\s*(?:
      (?P<key>[A-Za-z_][\w/.-]*)\s*(?P<op>!=|>=|<=|=|>|<|:)\s*(?P<value>{_QUOTED}|[^\s"]+)
      |(?P<word>{_QUOTED}|[^\s"]+)
    )(?=\s|$)""",
    re.VERBOSE,
)


class Term(NamedTuple):
    """One condition. key: a column, `config.FIELD`, `latest.TAG`, `best_values.TAG`, or empty: a word, looked for
    everywhere.

    value: of the kind that the column holds; several texts or states are alternatives; None: it has no value.
    """

    key: str
    op: Operator
    value: Value


def parse(text: str, now: float | None = None) -> tuple[Term, ...]:
    """The terms of a query, none for an empty one. now: seconds since 1970, from which `7d` counts back.

    Raises InputError with the place and what could be meant.
    """
    if len(text) > MAX_TEXT:
        raise InputError(f"A query has at most {MAX_TEXT} characters, this one {len(text):,}.")
    terms: list[Term] = []
    place, text = 0, text.rstrip()
    while place < len(text):
        match = _TERM.match(text, place)
        if match is None:
            raise InputError(f"The query cannot be read from “{text[place:].strip()[:40]}” on. Is a quote missing?")
        terms += _terms(match, time.time() if now is None else now)
        place = match.end()
    if len(terms) > MAX_TERMS:
        raise InputError(f"A query has at most {MAX_TERMS} terms, this one {len(terms)}.")
    return tuple(terms)


def _terms(match: re.Match[str], now: float) -> list[Term]:
    """What a written term means: one condition, or the two ends of a day."""
    if match["word"] is not None:
        return [Term("", ":", _unquoted(match["word"]))]
    key, op, text = match["key"].lower(), cast("Operator", match["op"]), match["value"]
    value = _unquoted(text)
    if COLUMNS.get(key) == "time":
        return _of_time(key, op, value, now)
    if key in COLUMNS:
        return [_of_column(key, op, value, is_quoted=text.startswith('"'))]
    if key in CONFIG:
        return [Term(f"config.{key}", op, _of_config(key, op, value, is_quoted=text.startswith('"')))]
    if (of := _of_metric(match["key"])) is not None:
        return [Term(of, _comparing(key, op), None if value.lower() in NONE else _number(key, value))]
    raise unknown_key(key)


def unknown_key(key: str) -> InputError:
    """That runs have nothing of this name, and what could be meant."""
    close = difflib.get_close_matches(key, [*COLUMNS, *CONFIG], 3, 0.6)
    meant = f" Did you mean {' or '.join(close)}?" if close else ""
    return InputError(
        f"Runs have no “{key[:40]}”.{meant} A query knows {', '.join(COLUMNS)}, the fields of a config, and "
        "metrics by their tags, such as metric/accuracy, loss/val or best/metric/accuracy."
    )


def _of_metric(text: str) -> str | None:
    """Where the value of a metric stands; None: the text names no metric."""
    if text.startswith(METRICS):
        return f"latest.{text}"
    tag = text.removeprefix(BEST)
    return f"best_values.{tag}" if tag != text and tag.startswith(METRICS) else None


def key_of(text: str) -> str | None:
    """What a name stands for, as the keys of terms: a column, `config.FIELD`, `latest.TAG` ...; None: nothing."""
    if text in COLUMNS:
        return text
    return f"config.{text}" if text in CONFIG else _of_metric(text)


def without_archived(terms: tuple[Term, ...], default: bool | None = False) -> tuple[tuple[Term, ...], bool | None]:
    """The other terms, and which runs are wanted: the archived ones, the others, or (None) both.

    default: where no term says it.
    """
    said = [term for term in terms if term.key == "archived"]
    if not said:
        return terms, default
    last = said[-1]
    wanted = last.value if last.value is None or last.op == "=" else not last.value
    return tuple(term for term in terms if term.key != "archived"), None if wanted is None else bool(wanted)


def _of_column(key: str, op: Operator, text: str, *, is_quoted: bool) -> Term:
    kind = COLUMNS[key]
    if kind == "state":
        return Term(key, _equality(key, op), _states(text))
    if kind == "flag":
        return Term(key, _equality(key, op), _flag(key, text))
    if kind in ("text", "tags"):
        if kind == "tags" and text.lower() in NONE and not is_quoted:
            return Term(key, _equality(key, op), None)
        if op not in ("=", "!=", ":"):
            raise InputError(f"{key} is text: {key}=TEXT is the whole of it (* stands for any), {key}:TEXT a part.")
        return Term(key, op, text if is_quoted or op == ":" else frozenset(filter(None, text.split(","))))
    if text.lower() in NONE:
        return Term(key, _equality(key, op), None)
    if kind == "bytes":
        return Term(key, _comparing(key, op), _bytes(key, text))
    return Term(key, _comparing(key, op), _duration(key, text) if kind == "seconds" else _number(key, text))


def _of_config(key: str, op: Operator, text: str, *, is_quoted: bool) -> Value:
    """A value as JSON has it: true, false, null and numbers are what they look like, unless they are quoted."""
    if op == ":" or is_quoted:
        return text
    if text.lower() in NONE:
        return None
    if text.lower() in ("true", "false"):
        return text.lower() == "true"
    try:
        return _number(key, text)
    except InputError:
        if op not in ("=", "!="):
            raise
        return frozenset(filter(None, text.split(",")))


def _equality(key: str, op: Operator) -> Operator:
    if op in ("=", ":", "!="):
        return "!=" if op == "!=" else "="
    raise InputError(f"{key} can be = or != here, not {op}.")


def _comparing(key: str, op: Operator) -> Operator:
    if op == ":":
        raise InputError(f"{key} is no text, so there is nothing to look for in it: write {key}=, {key}> or {key}<.")
    return op


def _states(text: str) -> frozenset[str]:
    found: set[str] = set()
    for name in filter(None, text.lower().split(",")):
        if name in GROUPS:
            found |= {state.value for state in GROUPS[name]}
        elif name in {state.value for state in RunState}:
            found.add(name)
        else:
            known = [*GROUPS, *(state.value for state in RunState)]
            raise InputError(f"There is no state “{name[:40]}”; choose of {', '.join(known)}.")
    return frozenset(found)


def _number(key: str, text: str) -> float:
    """Also `90%` and `1_000`."""
    try:
        value = float(text[:-1]) / 100 if text.endswith("%") else float(text)
    except ValueError:
        raise InputError(f"{key} is compared with a number, and “{text[:40]}” is none.") from None
    if not math.isfinite(value):
        raise InputError(f"{key} is compared with a finite number.")
    return value


def _flag(key: str, text: str) -> bool | None:
    values: dict[str, bool | None] = {"true": True, "false": False, ANY: None}
    if text.lower() not in values:
        raise InputError(f"{key} is true, false or {ANY}, not “{text[:40]}”.")
    return values[text.lower()]


def _bytes(key: str, text: str) -> float:
    """Bytes of `1GB`, `500 MB` without the space, `1.5GiB` or `1e9`."""
    match = re.fullmatch(r"(?i)(\d+(?:\.\d*)?)([KMGT]?)(i?)B?", text)
    if match is None:
        return _number(key, text)
    unit = match[2].upper()
    return float(match[1]) * (1024 ** " KMGT".index(unit) if match[3] and unit else _BYTES[unit])


def _duration(key: str, text: str) -> float:
    """Seconds of `90`, `90s`, `5m`, `2h`, `1.5d` or `2w`."""
    match = re.fullmatch(r"(\d+(?:\.\d*)?)([smhdw]?)", text)
    if match is None:
        raise InputError(f"{key} is compared with a time such as 90s, 5m, 2h or 1d; “{text[:40]}” is none.")
    return float(match[1]) * _SECONDS[match[2] or "s"]


def _of_time(key: str, op: Operator, text: str, now: float) -> list[Term]:
    """Before or after a moment; = and : are within a day."""
    if text.lower() in NONE:
        return [Term(key, _equality(key, op), None)]
    if op not in ("=", ":", "!="):
        return [Term(key, op, _moment(key, text, now))]
    day = _day(text, now)
    if day is None:
        _moment(key, text, now)  # refuses what is no time
    if day is None or op == "!=":
        raise InputError(f"{key}= is a day: {key}=today, {key}=2026-11-29. Write {key}> or {key}< for other times.")
    return [Term(key, ">=", day.timestamp()), Term(key, "<", (day + timedelta(days=1)).timestamp())]


def _day(text: str, now: float) -> datetime | None:
    """The beginning of a day in this machine's time zone: a date, today, yesterday. None: the text is none."""
    if text.lower() in ("today", "yesterday"):
        midnight = datetime.fromtimestamp(now).replace(hour=0, minute=0, second=0, microsecond=0)
        return midnight - timedelta(days=text.lower() == "yesterday")
    try:
        return datetime.strptime(text, "%Y-%m-%d")
    except ValueError:
        return None


def _moment(key: str, text: str, now: float) -> float:
    """A moment in seconds since 1970: a date of this machine's time zone, today, yesterday, or so long ago (7d)."""
    day = _day(text, now)
    if day is not None:
        return day.timestamp()
    if re.fullmatch(r"\d+(\.\d*)?[smhdw]", text):
        return now - _duration(key, text)
    try:
        return datetime.fromisoformat(text).timestamp()
    except (ValueError, OverflowError):
        raise InputError(
            f"{key} is compared with a date (2026-11-29, 2026-11-29T18:30), today, yesterday, or how long ago it is "
            f"(7d, 3h); “{text[:40]}” is none."
        ) from None


def quoted(text: str) -> str:
    """A term that looks for this very text."""
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"'


def term_of(key: str, value: object) -> str:
    """A term from a keyword of Python: `lr=1e-3`, `lr=">1e-3"`, `optimizer=["adamw", "sgd"]`, `image_size=None`.

    Raises InputError for a value that no query can hold.
    """
    if value is None or isinstance(value, bool):
        return f"{key}={str(value).lower()}"
    if isinstance(value, int | float):
        return f"{key}={value!r}"
    if isinstance(value, list | tuple | set | frozenset) and value:
        several = [str(part) for part in value]
        if not all(isinstance(part, str) for part in value) or any(re.search(r'[\s,"]', part) for part in several):
            raise InputError(f"{key}: only words without spaces and commas can stand beside each other, not {value!r}.")
        return f"{key}={','.join(several)}"
    if not isinstance(value, str):
        raise InputError(f"{key} is compared with a text or a number, not with {value!r}.")
    match = re.fullmatch(r"\s*(!=|>=|<=|=|>|<|:)?\s*(.*?)\s*", value, re.DOTALL)
    op, text = (match[1], match[2]) if match else (None, value)
    plain = text and not re.search(r'[\s"]', text)
    return f"{key}{op or '='}{text if plain else quoted(text)}"


def _unquoted(text: str) -> str:
    return re.sub(r"\\(.)", r"\1", text[1:-1]) if text.startswith('"') else text
