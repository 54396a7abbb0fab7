"""What a notebook declares, and what is refused before anything is queued."""

from __future__ import annotations

import datetime
from typing import Any

import numpy as np
import pytest

from imgcls_lab.batch import notebook_source
from imgcls_lab.batch.parameters import checked, declared, read_texts, warnings
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
ENDLESS: list[Any] = []
ENDLESS.append(ENDLESS)
PARAMETERS, DERIVED = declared(CELL, "it.ipynb")


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
        ({"lr": float("nan")}, "It must be made of finite numbers, texts, lists and mappings, not nan."),
        ({"settings": {"lr": float("inf")}}, "[“lr”] must be made of finite numbers"),
        ({"steps": object()}, "It must be made of finite numbers"),
        ({"settings": {0: "ant"}}, "A key is 0; keys must be texts"),
        ({"settings": {"a": [{None: 1}]}}, "A key of [“a”][0] is None; keys must be texts"),
        ({"settings": {True: 1}}, "A key is True; keys must be texts"),
        ({"tags": [{1.5: 1}]}, "A key of [0] is 1.5; keys must be texts"),
        ({"settings": {("a", "b"): 1}}, "A key is ('a', 'b'); keys must be texts"),
        ({"tags": [{1, 2}]}, "[0] must be made of finite numbers"),
        ({"steps": datetime.date(2026, 1, 2)}, "not datetime.date(2026, 1, 2)"),
        ({"tags": ENDLESS}, "It is nested more than 50 levels deep."),
        ({"epochs": 10**5000}, "It is too large a number."),
        ({"root": "a\ud800"}, "half a surrogate pair"),
        ({"settings": {"api_key": "abc"}}, "[“api_key”] looks like a secret by its name."),
        ({"tags": {"a": 1}}, "It must be a list"),
        ({"hf_token": "hf_abc"}, "It looks like a secret"),
    ],
)
def test_what_the_notebook_cannot_take_is_refused_with_the_list(given: dict[str, Any], sentence: str) -> None:
    with pytest.raises(InputError) as caught:
        checked(PARAMETERS, given, "it.ipynb")
    assert sentence in str(caught.value)
    assert "root, epochs, lr, smooth, tags, settings, flag, steps, hf_token" in str(caught.value)
    assert [problem.field for problem in caught.value.problems] == list(given)


def test_the_value_of_a_secret_variable_is_refused_wherever_it_hides(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_TOKEN", "hf_0123456789")
    monkeypatch.setenv("IMGCLS_DB_URL", "postgresql://me:open-sesame@host/runs")
    with pytest.raises(InputError, match="IMGCLS_DB_URL"):
        checked(PARAMETERS, {"root": "open-sesame"}, "it.ipynb")
    with pytest.raises(InputError, match="HF_TOKEN"):
        checked(PARAMETERS, {"settings": {"hub": "x hf_0123456789"}}, "it.ipynb")


@pytest.mark.parametrize(
    ("token", "what"),
    [
        ("hf_" + "aB3" * 11, "a token of the Hugging Face hub"),
        ("ghp_" + "aB3" * 12, "a token of GitHub"),
        ("github_pat_" + "aB3_" * 12, "a token of GitHub"),
        ("sk-" + "aB3" * 16, "an API key"),
        ("sk-proj-" + "aB3_-" * 8, "an API key"),
        ("sk-ant-api03-" + "aB3_-" * 8, "an API key"),
        ("AKIA" + "ABCD2345" * 2, "a key of AWS"),
        ("eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxMjM0In0.dozjgNryP4J3jVmNHl0w", "a JSON web token"),
        ("xoxb-123456789012-abcdef", "a token of Slack"),
        ("AIza" + "aB3_-" * 7, "a key of Google"),
        ("postgresql://me:open-sesame@host/runs", "an address with a password"),
    ],
)
def test_what_has_the_shape_of_a_token_is_refused_at_any_depth_and_never_repeated(token: str, what: str) -> None:
    deep = {"settings": {"a": [f"Bearer {token}"]}}
    for given in ({"root": token}, deep, {"tags": (token,)}, {"settings": {token: 1}}, {"epochs": token}):
        with pytest.raises(InputError, match=what) as caught:
            checked(PARAMETERS, given, "it.ipynb")
        assert token not in str(caught.value)


@pytest.mark.parametrize(
    "text",
    ["hf_internal_testing_tiny", "sk-learn-digits-dataset", "google/vit-base-patch16-224-in21k", "risk-assessment-2026",
     "https://host:8080/a@b", "0123456789abcdef0123456789abcdef01234567", "eyJ", "AKIA", "task-0123456789abcdefghij"],
)  # fmt: skip
def test_ordinary_texts_are_no_tokens(text: str) -> None:
    assert checked(PARAMETERS, {"root": text}, "it.ipynb") == {"root": text}


def test_scalars_of_numpy_are_numbers_and_tuples_lists() -> None:
    given = {"epochs": np.int64(3), "lr": np.float32(0.5), "flag": np.bool_(True), "tags": ("a", (1, np.int8(2)))}
    values = checked(PARAMETERS, given, "it.ipynb")
    assert values == {"epochs": 3, "lr": 0.5, "flag": True, "tags": ["a", [1, 2]]}
    assert [type(values[name]) for name in ("epochs", "lr", "flag")] == [int, float, bool]
    assert warnings(PARAMETERS, DERIVED, given)[0].startswith("tags: a tuple")


@pytest.mark.parametrize(
    ("cell", "told"),
    [
        ("epochs = 3\nsteps = epochs * 10", ["steps"]),
        ('epochs = 3\nname = f"run of {epochs:02d}"', ["name"]),
        ("epochs = 3\nsteps = max(1, round(epochs))", ["steps"]),
        ("epochs = 3\nsteps = epochs * 10\nhalf = steps // 2", ["steps", "half"]),
        ("epochs = 3\nsettings = {}\nsettings['steps'] = epochs", ["settings"]),
        ("epochs = 3\nsettings = {}\nsettings.update(steps=epochs)", ["settings"]),
        ("epochs = 3\nsteps = 1\nsteps += epochs", ["steps"]),
        ("epochs = 3\nif epochs > 2:\n    steps = 9", ["steps"]),
        ("epochs = 3\na, b = epochs, 1", ["a", "b"]),
        ("epochs = 3\nsteps = [epochs * n for n in (1, 2)]", ["steps"]),
        ("epochs = 3\ndef steps():\n    return epochs\ntotal = steps()", ["total"]),
        ("epochs = 3\nsteps = lambda: epochs", []),
        ("epochs = 3\ndef steps():\n    return epochs", []),
        ("epochs = 3\nsteps = epochs * 10\nsteps = 5", []),
        ("epochs = 3\nsteps = 10\nprint(epochs)", []),
        ("lr = 3\nsteps = lr * 10\nepochs = 1", []),
    ],
)
def test_what_the_cell_computes_from_a_given_parameter_is_said(cell: str, told: list[str]) -> None:
    parameters, made = declared(cell, "it.ipynb")
    found = warnings(parameters, made, {"epochs": 7})
    assert [item.name for item in made if item.sentence in found] == told
    assert warnings(parameters, made, {"epochs": 7, **dict.fromkeys(told, 1)}) == []
    (usual,) = (parameter.default for parameter in parameters if parameter.name == "epochs")
    assert warnings(parameters, made, {"epochs": usual}) == []


@pytest.mark.parametrize("deep", ["(" * 5000 + "1" + ")" * 5000, "[" * 5000, "-" * 20_000 + "1", "+".join("1" * 9999)])
def test_a_cell_nested_without_end_is_a_sentence(deep: str) -> None:
    with pytest.raises(InputError, match=r"it.ipynb"):
        declared(f"a = {deep}", "it.ipynb")


def test_texts_of_a_shell_become_values_of_the_kind() -> None:
    texts = [("epochs", "3"), ("lr", "1e-4"), ("root", "12"), ("flag", "True"), ("smooth", "None"), ("tags", '["b"]')]
    values = read_texts(PARAMETERS, texts)
    assert values == {"epochs": 3, "lr": 1e-4, "root": "12", "flag": True, "smooth": None, "tags": ["b"]}
    assert checked(PARAMETERS, values, "it.ipynb") == values


def test_only_a_local_notebook_in_python_with_a_kernel_of_this_machine_is_taken(write: Write) -> None:
    for name in ("https://host/a.ipynb", "s3://bucket/a.ipynb", "a.txt"):
        with pytest.raises(InputError):
            notebook_source.read(name)
    with pytest.raises(NotFoundError):
        notebook_source.read("/nowhere/a.ipynb")
    with pytest.raises(InputError, match=r"“julia-9”.*python3"):
        notebook_source.read(write("a = 1", kernel="julia-9"))
    with pytest.raises(InputError, match="not plain Python"):
        notebook_source.read(write("%matplotlib inline\na = 1"))
    broken = write("a = 1")
    broken.write_text("{")
    with pytest.raises(InputError, match="is no notebook"):
        notebook_source.read(broken)


def test_outputs_do_not_change_what_a_notebook_is_but_code_does(write: Write) -> None:
    first = notebook_source.read(write("a = 1", "print(a)"))
    again = notebook_source.read(write("a = 1", "print(a)", name="other.ipynb"))
    changed = notebook_source.read(write("a = 1", "print(a + 1)"))
    assert first.code == again.code
    assert first.code != changed.code
