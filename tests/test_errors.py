"""Errors as every caller meets them: a sentence, a reason, what the sentence names, and the codes of each class."""

from __future__ import annotations

import pickle

from imgcls_lab import errors
from imgcls_lab.errors import ConflictError, ImgclsError, InputError, ModelError, Problem


def test_an_error_is_its_sentence_and_carries_reason_and_data() -> None:
    error = ModelError(
        "The model “a” needs code.", [Problem("model_flavour", "x")], reason="code_of_its_own", model="a"
    )
    assert str(error) == "The model “a” needs code."
    assert (error.reason, error.data, error.problems[0].field) == ("code_of_its_own", {"model": "a"}, "model_flavour")
    assert (ConflictError("x").reason, ConflictError("x").data) == ("", {})


def test_an_error_of_a_worker_process_arrives_whole() -> None:
    sent = InputError("a sentence", [Problem("lr", "too high")], reason="some_reason", limit=3)
    found = pickle.loads(pickle.dumps(sent))
    assert (type(found), str(found), found.problems) == (InputError, str(sent), sent.problems)
    assert (found.reason, found.data) == ("some_reason", {"limit": 3})


def test_bytes_of_a_name_that_are_no_utf8_are_written_out() -> None:
    assert str(ImgclsError("a \udcff name")) == "a \\udcff name"


def test_every_error_has_an_answer_for_rest_and_the_command_line() -> None:
    classes = {item for item in vars(errors).values() if isinstance(item, type) and issubclass(item, ImgclsError)}
    assert len(classes) > 10
    assert {item.status for item in classes} <= {400, 403, 404, 409, 500, 503}
    assert all(item.exit_code > 0 and item.kind for item in classes)
