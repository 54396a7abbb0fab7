"""What a notebook declares, and what is refused before anything is queued."""

from __future__ import annotations

from typing import Any

import pytest

from imgcls_lab.batch import source
from imgcls_lab.batch.parameters import checked, declared, read_texts
from imgcls_lab.errors import InputError, NotFoundError

from .conftest import Write

CELL = """
root = None  # type: str folder of images
epochs = 3  # passes
lr: float | None = 1e-3
smooth = None  # type: float
tags = ["a"]
settings = {}
flag: "bool" = False
steps = epochs * 2
hf_token = ""
"""
PARAMETERS = declared(CELL, "it.ipynb")


def test_names_kinds_defaults_and_comments_are_read_without_executing() -> None:
    found = {item.name: (item.kind, item.optional, item.default) for item in PARAMETERS}
    assert found == {
        "root": ("str", True, None),
        "epochs": ("int", False, 3),
        "lr": ("float", True, 1e-3),
        "smooth": ("float", True, None),
        "tags": ("list", False, ["a"]),
        "settings": ("dict", False, {}),
        "flag": ("bool", False, False),
        "steps": ("any", True, None),
        "hf_token": ("str", False, ""),
    }
    assert [item.help for item in PARAMETERS[:2]] == ["folder of images", "passes"]
    assert PARAMETERS[7].source == "epochs * 2"


@pytest.mark.parametrize(
    ("given", "sentence"),
    [
        ({"epoch": 3}, "There is no such parameter; did you mean epochs?"),
        ({"x = 1; import os": 3}, "This is no name of a parameter."),
        ({"class": 3}, "This is no name of a parameter."),
        ({"epochs": "3"}, "It must be a whole number, not “3”."),
        ({"epochs": True}, "It must be a whole number, not True."),
        ({"epochs": None}, "It must be a whole number, not None."),
        ({"lr": float("nan")}, "It must be a number, not nan."),
        ({"settings": {"lr": float("inf")}}, "It must be made of finite numbers"),
        ({"steps": object()}, "It must be made of finite numbers"),
        ({"tags": {"a": 1}}, "It must be a list"),
        ({"hf_token": "hf_abc"}, "It looks like a secret"),
    ],
)
def test_what_the_notebook_cannot_take_is_refused_with_the_list(given: dict[str, Any], sentence: str) -> None:
    with pytest.raises(InputError) as caught:
        checked(PARAMETERS, given, "it.ipynb")
    assert sentence in str(caught.value)
    assert "It declares root, epochs, lr, smooth, tags, settings, flag, steps, hf_token." in str(caught.value)
    assert [problem.field for problem in caught.value.problems] == list(given)


def test_the_value_of_a_secret_variable_is_refused_wherever_it_hides(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_TOKEN", "hf_0123456789")
    monkeypatch.setenv("IMGCLS_DB_URL", "postgresql://me:open-sesame@host/runs")
    with pytest.raises(InputError, match="value of the environment variable IMGCLS_DB_URL"):
        checked(PARAMETERS, {"root": "open-sesame"}, "it.ipynb")
    with pytest.raises(InputError, match="value of the environment variable HF_TOKEN"):
        checked(PARAMETERS, {"settings": {"hub": "x hf_0123456789"}}, "it.ipynb")


def test_texts_of_a_shell_become_values_of_the_kind() -> None:
    texts = [("epochs", "3"), ("lr", "1e-4"), ("root", "12"), ("flag", "True"), ("smooth", "None"), ("tags", '["b"]')]
    values = read_texts(PARAMETERS, texts)
    assert values == {"epochs": 3, "lr": 1e-4, "root": "12", "flag": True, "smooth": None, "tags": ["b"]}
    assert checked(PARAMETERS, values, "it.ipynb") == values


def test_only_a_local_notebook_in_python_with_a_kernel_of_this_machine_is_taken(write: Write) -> None:
    for name in ("https://host/a.ipynb", "s3://bucket/a.ipynb", "a.txt"):
        with pytest.raises(InputError):
            source.read(name)
    with pytest.raises(NotFoundError):
        source.read("/nowhere/a.ipynb")
    with pytest.raises(InputError, match=r"wants the kernel “julia-9”.*It has .*python3"):
        source.read(write("a = 1", kernel="julia-9"))
    with pytest.raises(InputError, match="not plain Python"):
        source.read(write("%matplotlib inline\na = 1"))
    broken = write("a = 1")
    broken.write_text("{")
    with pytest.raises(InputError, match="is no notebook"):
        source.read(broken)


def test_outputs_do_not_change_what_a_notebook_is_but_code_does(write: Write) -> None:
    first = source.read(write("a = 1", "print(a)"))
    again = source.read(write("a = 1", "print(a)", name="other.ipynb"))
    changed = source.read(write("a = 1", "print(a + 1)"))
    assert first.code == again.code
    assert first.code != changed.code
