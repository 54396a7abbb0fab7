"""What Tab, `?` and type checkers know of the functions that take the fields of a config."""

from __future__ import annotations

import inspect
import pydoc
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from IPython.core.completer import provisionalcompleter, rectify_completions
from IPython.core.interactiveshell import InteractiveShell

import imgcls_lab as lab
from imgcls_lab import TrainConfig
from imgcls_lab.api.resolving import config_of
from imgcls_lab.config.__main__ import FILE, source
from imgcls_lab.errors import ConfigError, InputError
from imgcls_lab.run_query import parse, term_of

FUNCTIONS = [lab.launch, lab.train, lab.find_lr, lab.find_batch_size, lab.form, lab.Run.resume, lab.Run.retrain]


@pytest.mark.parametrize("function", FUNCTIONS, ids=lambda function: function.__qualname__)
def test_a_signature_names_each_field_once_with_its_type(function: Callable[..., Any]) -> None:
    parameters = inspect.signature(function).parameters
    assert set(TrainConfig.model_fields) <= set(parameters)
    assert not any(each.kind is inspect.Parameter.VAR_KEYWORD for each in parameters.values())
    assert str(parameters["epochs"].annotation) == "int"


def test_defaults_are_those_of_the_config_except_where_another_config_has_them() -> None:
    launch, resume = (inspect.signature(each).parameters for each in (lab.launch, lab.Run.resume))
    assert launch["lr"].default == TrainConfig.model_fields["lr"].default
    assert repr(resume["lr"].default) == "..."


def test_what_type_checkers_read_is_what_the_config_has() -> None:
    assert FILE.read_text(encoding="utf-8") == source(), "python -m imgcls_lab.config"


def test_help_says_what_each_field_means() -> None:
    text = pydoc.plain(pydoc.render_doc(TrainConfig))
    words = " ".join(text.replace("|", " ").split())
    for name, item in TrainConfig.model_fields.items():
        assert f"{name} (" in words, name
        assert " ".join(f"{item.title}. {item.description}".split()) in words, name


def prepared() -> InteractiveShell:
    shell = InteractiveShell()  # type: ignore[no-untyped-call]
    shell.run_cell("import imgcls_lab as lab; config = lab.TrainConfig(root='r')")  # type: ignore[no-untyped-call]
    return shell


@pytest.fixture(scope="module")
def complete() -> Callable[[str], set[str]]:
    """What IPython offers at the end of some code, with jedi and without."""
    shell = prepared()

    def completions(code: str) -> set[str]:
        found = []
        for jedi in (True, False):
            shell.Completer.use_jedi = jedi
            with provisionalcompleter():
                every = rectify_completions(code, list(shell.Completer.completions(code, len(code))))
                found.append({code[: each.start] + each.text for each in every})
        return found[0] & found[1]

    return completions


@pytest.mark.parametrize(
    ("code", "offered"),
    [
        ("lab.lau", "lab.launch"),
        ("lab.launch(ba", "batch_size="),
        ("lab.train(config, gradient_acc", "gradient_accumulation_steps="),
        ("lab.find_lr(root='x', model_fl", "model_flavour="),
        ("lab.runs(opti", "optimizer="),
        ("lab.runs(whe", "where="),
        ("lab.TrainConfig(label_sm", "label_smoothing="),
        ("lab.Run.resume(run, num_w", "num_workers="),
        ("lab.Run.set(run, early_st", "early_stopping_patience="),
        ("lab.Run.mistakes(run, pred", "predicted="),
    ],
)
def test_tab_knows_the_fields(complete: Callable[[str], set[str]], code: str, offered: str) -> None:
    assert any(each.endswith(offered) for each in complete(code))


def test_tab_knows_the_fields_of_a_changed_copy() -> None:
    shell = prepared()
    code = "config.with_changes(weight_d"
    with provisionalcompleter():
        assert "weight_decay=" in {each.text for each in shell.Completer.completions(code, len(code))}


def test_a_config_shows_what_differs_from_its_defaults() -> None:
    config = TrainConfig(root=Path("/data"), lr=0.01)
    assert repr(config) == "TrainConfig(root='/data', lr=0.01)"
    assert eval(repr(config), {"TrainConfig": TrainConfig}) == config
    page = config._repr_html_()
    assert page.count("<tr>") == 3
    assert "0.0003" in page


def test_fields_make_a_config_or_change_one() -> None:
    config = config_of(None, {"root": "/data", "epochs": 3})
    assert config_of(config, {"epochs": 4}) == config_of({"root": "/data"}, {"epochs": 4})
    with pytest.raises(ConfigError, match="root: is needed"):
        config_of(None, {"lr": 1})
    with pytest.raises(ConfigError, match="did you mean epochs"):
        config_of(config, {"epoch": 1})
    with pytest.raises(ConfigError, match="given by their names"):
        config_of("digits", {})  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("field", "value", "meant"),
    [("optimizer", "adamwx", "adamw"), ("precision", "b16", "bf16"), ("monitor_metric", "acuracy", "accuracy"),
     ("schedule", "cosin", "cosine"), ("loss", "focall", "focal"), ("augmentation", "hevy", "heavy")],
)  # fmt: skip
def test_a_wrong_name_says_which_one_is_meant(field: str, value: str, meant: str) -> None:
    with pytest.raises(ConfigError) as caught:
        TrainConfig.parse({"root": "r", field: value})
    assert meant in caught.value.problems[0].message.lower().partition("did you mean")[2]


@pytest.mark.parametrize(
    ("value", "term"),
    [(1e-3, "lr=0.001"), (">1e-3", "lr>1e-3"), ("<= 5", "lr<=5"), (None, "lr=none"), (["a", "b"], "lr=a,b"),
     (True, "lr=true"), ("two words", 'lr="two words"'), ('say "no"', 'lr="say \\"no\\""'), ("", 'lr=""')],
)  # fmt: skip
def test_a_keyword_is_a_term_of_the_query(value: object, term: str) -> None:
    assert term_of("lr", value) == term


def test_a_keyword_looks_for_the_very_text() -> None:
    text = 'a "b" \\ c'
    assert parse(term_of("name", text))[0].value == text
    for wrong in (["a b"], [1, 2], {"a": 1}, object()):
        with pytest.raises(InputError):
            term_of("name", wrong)
