"""Seven tasks by Tab and `?` alone, as one does them who knows pandas and transformers but not this package.

The user of this test types no name that Tab did not offer before and no argument that `?` did not show; both are asked
of the IPython that a kernel has.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
from api.conftest import few, own
from IPython.core.completer import provisionalcompleter, rectify_completions
from IPython.core.interactiveshell import InteractiveShell

from imgcls_lab import TrainConfig
from imgcls_lab.settings import Settings

__all__ = ["few", "own"]
pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]


class User:
    """Types code in which each name was offered by Tab: `name⇥` is completed to what begins so."""

    def __init__(self) -> None:
        self.shell = InteractiveShell()  # type: ignore[no-untyped-call]
        self.pressed = self.asked = 0

    def offered(self, code: str) -> list[str]:
        """What Tab offers at the end of some code: the whole line each time."""
        with provisionalcompleter():
            found = list(self.shell.Completer.completions(code, len(code)))
            return [code[: each.start] + each.text for each in rectify_completions(code, found)]

    def types(self, line: str, **also: Any) -> Any:
        """Execute a line in which ⇥(name) is a Tab that must offer this name. Returns its value."""
        self.shell.push(also)  # type: ignore[no-untyped-call]
        written = ""
        for part in re.split(r"(\w*⇥\([\w=]+\))", line):
            match = re.fullmatch(r"(\w*)⇥\(([\w=]+)\)", part)
            if match is None:
                written += part
                continue
            begun, name = match.groups()
            assert name.startswith(begun)
            assert written + name in self.offered(written + begun), f"Tab at “{written + begun}” does not offer {name}"
            written += name
            self.pressed += 1
        done = self.shell.run_cell(written)  # type: ignore[no-untyped-call]
        done.raise_error()
        return done.result

    def asks(self, name: str, *words: str) -> None:
        """`name?`: the words must stand in what it shows."""
        self.asked += 1
        shown = self.shell.object_inspect_text(name)  # type: ignore[no-untyped-call]
        text = " ".join(re.sub(r"\x1b\[[0-9;]*m", "", shown).split())
        missing = [word for word in words if word not in text]
        assert not missing, f"{name}? does not say {missing}:\n{shown[:3000]}"


@pytest.fixture
def user(few: TrainConfig, own: Settings) -> User:
    made = User()
    made.types("import imgcls_lab as lab")
    made.shell.push({"images": few.root, "model": few.model_flavour})  # type: ignore[no-untyped-call]
    return made


def test_seven_tasks_by_tab_and_question_mark(user: User, tmp_path: Path) -> None:
    # 1. train a model on a folder of images, at another learning rate
    user.asks("lab.launch", "Queue a run", "root: str", "lr: float", ">>> ", "lab.launch(root=")
    settings = "root=images, model_⇥(model_flavour=)model, load_⇥(load_pretrained=)False, ep⇥(epochs=)2, l⇥(lr=)2e-3"
    user.types(f"run = lab.lau⇥(launch)({settings}, name='mine')")
    user.asks("run.wait", "Wait until it has ended", ">>> ")
    user.types("run.wa⇥(wait)()")
    user.types("again = lab.tr⇥(train)(run.con⇥(config), epo⇥(epochs=)1, name='short')")

    # 2. the runs with a high learning rate that succeeded, as a DataFrame
    user.asks("lab.runs", "where", "lr>1e-3 state=succeeded", "frame()")
    frame = user.types("lab.ru⇥(runs)(l⇥(lr=)'>1e-3', sta⇥(state=)'succeeded').fr⇥(frame)()")
    assert sorted(frame["name"]) == ["mine", "short"]

    # 3. the images that it is most surely wrong about
    user.asks("run.mistakes", "confidence", ">>> ")
    found = user.types("found = run.mis⇥(mistakes)(5, by='confidence'); found")
    assert not found.frame["correct"].any()
    assert "data:image/webp" in found._repr_mimebundle_()["text/html"]

    # 4. two runs beside each other: what differs, and which is better
    user.asks("lab.compare", "beside each other", ">>> lab.compare(")
    compared = user.types("lab.com⇥(compare)(run, again)")
    assert compared.frame["epochs"].tolist() == [2, 1]
    assert "<svg" in compared._repr_mimebundle_()["text/html"]

    # 5. the model in transformers, and what it says of new images
    user.asks("run.model", "transformers", "id2label", ">>> ")
    model = user.types("run.mod⇥(model)()")
    assert model.config.num_labels == 10
    answers = user.types("run.pre⇥(predict)(images + '/val/3')")
    assert len(answers) == 6

    # 6. one of those images has a wrong label: it is corrected, and the next run trains on that
    user.asks("lab.dataset", "A data set by its name, number or folder", ">>> ")
    user.types("data = lab.dat⇥(dataset)(images)")
    user.asks("data.relabel", "Give images another class", "ids, or paths", ">>> ")
    user.types("wrong = found.fra⇥(frame)['image'][0]")
    user.types("made = data.rel⇥(relabel)(wrong, '7', mes⇥(message=)'it is a 7')")
    assert user.types("made.fra⇥(frame)['label'].tolist()") == ["7"]
    user.asks("run.retrain", "goes on from its best model", "by default the newest", "epochs: int", ">>> ")
    later = user.types("later = run.retr⇥(retrain)(epo⇥(epochs=)1, name='corrected'); later.view")
    assert later.data_revision == user.types("made.num⇥(number)")

    # 7. the model as a folder for other programs
    user.asks("run.export", "Write its best model for other programs", "hf, onnx or torch-export", ">>> ")
    user.types("folder = run.exp⇥(export)('hf', ou⇥(out=)out)", out=str(tmp_path / "model"))
    user.types("from transformers import AutoModelForImageClassification")
    exported = user.types("AutoModelForImageClassification.from_pretrained(folder)")
    assert exported.config.id2label == model.config.id2label
    print(f"seven tasks, {user.pressed} names by Tab, {user.asked} questions")
