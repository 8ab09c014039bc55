"""Messages in Python: commands become calls that a session takes, and options become keywords."""

from __future__ import annotations

import re
import warnings
from pathlib import Path

import pytest

from kit.errors import ConfigError, KitWarning
from kit.session.advice import in_python
from kit.session.calls import begin_call
from tests.advice_texts import every_text
from tests.advised_python import python_faults


@pytest.mark.parametrize(
    ("shell", "python"),
    [
        (
            "run kit tta --checkpoints runs/r --views d4, then kit final runs/r@d4",
            'run comp.tta("runs/r", views="d4"), then comp.final("runs/r@d4")',
        ),
        ("kit blend runs/a@d4 runs/b@d4", 'comp.blend(["runs/a@d4", "runs/b@d4"])'),
        ("use another --name, or --restart", "use another name=, or restart=True"),
        ("--hours 0.003 or more", "hours=0.003 or more"),
        ("kit train --seeds 0,1,2 trains three", "comp.train(seeds=[0, 1, 2]) trains three"),
        ("kit check creates it again", "comp.check creates it again"),
        (
            "kit train --name r epochs=20 loss=cutmix loss.base=arcface",
            'comp.train("r", epochs=20, loss={"name": "cutmix", "base": "arcface"})',
        ),
        ("set data.on_unreadable_test=class_prior", 'set data={"on_unreadable_test": "class_prior"}'),
        ("splitter=holdout, or epochs=3.", 'splitter="holdout", or epochs=3.'),
        ("kit runs export r --out r.zip", 'comp.export_runs("r", out="r.zip")'),
        ("kit submission send 3 --yes", "comp.submission.send(3, yes=True)"),
        ("kit board score 7 0.8123", "comp.board.score(7, 0.8123)"),
        ("kit init --label COLUMN", 'kit.init(label="COLUMN")'),
        ("run the same command again", "run the same call again"),
        # what no method runs stays as it is
        ("kit config schema lists all keys", "kit config schema lists all keys"),
        ("pip install --no-index", "pip install --no-index"),
        ("a gain of x=3 in kit", "a gain of x=3 in kit"),
    ],
)
def test_a_message_is_python(shell: str, python: str) -> None:
    assert in_python(shell) == python


def test_every_call_that_a_message_becomes_is_taken() -> None:
    count, faults = 0, list[str]()
    for text in every_text():
        if text.place.startswith("kit/") and not text.typed:
            changed = in_python(text.text)
            for call in re.findall(r"(?:comp|kit)\.[a-z_.]+\([^()]*\)", changed):
                count += 1
                # a message may name an option alone, as it does of the command
                call_faults = [
                    fault for fault in python_faults(call) if "missing a required argument" not in fault
                ]
                faults += [f"{text.place}: {call}: {fault}" for fault in call_faults]
    assert count > 30
    assert not faults, "\n".join(faults)


def test_errors_and_warnings_of_a_call_are_python(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(ConfigError) as caught, begin_call(progress=True):
        raise ConfigError("runs/r exists", code="C11", hint="use another --name")
    assert str(caught.value) == "C11 runs/r exists\ntry: use another name="
    assert caught.value.__cause__ is None
    with warnings.catch_warnings():
        warnings.simplefilter("always")
        with begin_call(progress=True):
            warnings.warn(KitWarning("W11 see kit check"), stacklevel=1)
    assert capsys.readouterr().err == "warning: W11 see comp.check\n"
