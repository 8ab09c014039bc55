"""Advice: what a message, a hint, a help text or a page tells a reader to type is taken by kit as it stands."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from kit.config.models import keys
from kit.core.error_codes import codes
from tests.advice_texts import (
    ROOT,
    Text,
    every_page,
    every_text,
    python_of_page,
    texts_of_module,
    texts_of_page,
)
from tests.advised import faults


def test_every_command_and_key_that_kit_advises_is_taken() -> None:
    problems = [fault for text in every_text() for fault in faults(text)]
    assert not problems, "\n".join(problems)


def test_the_texts_are_those_of_messages_help_and_pages() -> None:
    texts = list(every_text())
    places = {text.place.partition(":")[0] for text in texts}
    assert len(texts) > 5000
    assert {
        "kit/stages/checks/labels.py",
        "kit/data/folds.py",
        "kit/core/codes.md",
        "README.md",
        "docs/cookbook.md",
    } <= places
    lists = {"docs/index.md", "docs/decisions/README.md"}
    assert {str(page.relative_to(ROOT)) for page in (ROOT / "docs").rglob("*.md")} <= places | lists


@pytest.mark.parametrize("page", every_page(), ids=lambda page: str(page.relative_to(ROOT)))
def test_a_page_names_codes_that_exist_and_json_that_kit_reads(page: Path) -> None:
    text = page.read_text()
    assert set(re.findall(r"\b[CDKPRW]\d\d\b", text)) <= set(codes())
    for block in re.findall(r"^```json\n(.*?)^```", text, flags=re.DOTALL | re.MULTILINE):
        config = json.loads(block)
        if set(config) & set(keys()):
            pairs = [f"{key}={json.dumps(value)}" for key, value in config.items() if key != "$schema"]
            assert not faults(Text(str(page), " ".join(pairs)))


# ------------------------------------------------------------------------------- the test finds what is wrong


WRONG = [
    "sampler=class_balanced, or loss=class_weighted",
    "splitter=stratified_kfolds",
    "splitter.fold=5",
    "splitter=column splitter.held_out=[val]",
    "'splitter.folds=[2]'",
    "stages.1.los=focal",
    "data.on_unreadable_trains=skip",
    "data.on_unreadable_train=drop",
    "batchsize=32",
    "batch_size=many",
    "epochs=20 los=focal",
    "loss=cutmix loss.base.margin=0.3",
    "scorer.unknown_rates=<expected rate>",
    "a lower optimizer.rate, or fewer splitter.fold",
    "kit tta runs/r --views d4",
    "kit tta --checkpoints runs/r --view d4",
    "kit tta --checkpoints runs/r --views d5",
    "kit trian makes one",
    "kit board scores 3 0.5",
    "kit cache clear",
    "kit blend runs/a runs/b --ensembler bests",
    "kit train --name r sampler=class_balanced",
    "kit train --name r --seed 1",
    "kit board score 7 settles it",
    "kit check of it: kit check --csv",
    "without --wheel",
    "--ensembler weigthed lets a member count more",
    "kit explain D99",
    "kit plugins looss",
    "kit sweep lr optimizer.rl=0.1,0.2",
    "kit final runs/a@d4 --hour 9",
]

RIGHT = [
    "sampler=balanced, or loss=class_weighted",
    "splitter=stratified_group_kfold splitter.folds=5",
    "data.group=<column>, or splitter=stratified_kfold",
    "data.label=COLUMN",
    "splitter=column splitter.column=COLUMN 'splitter.held_out=[\"val\"]'",
    "stages.1.loss=focal",
    "kit predicts a row; kit blends members",
    "loss=cutmix loss.base=arcface loss.base.margin=0.3",
    "ensembler.weights=[2,1]",
    "a lower optimizer.lr, or fewer splitter.folds",
    "kit tta --checkpoints runs/r --views d4, then kit blend runs/r@d4",
    "kit tta for it again; kit train creates one",
    "kit board score 7 0.81 settles it",
    "kit board score N VALUE",
    "kit stops at them; kit reads JPEG and PNG",
    "without --wheels",
    "use --ensembler weighted to give a member more weight",
    "kit explain D03 (kit plugins loss)",
    "kit sweep lr optimizer.lr=0.1,0.2 or optimizer.lr=log:1e-4..1e-2 --trials 9",
    'kit retrieve runs/r --scorer \'{"name": "power", "k": 20}\'',
    "torchrun --nproc-per-node 2 -m kit train --name r",
]


@pytest.mark.parametrize("advice", WRONG)
def test_wrong_advice_is_found(advice: str) -> None:
    assert faults(Text("planted", advice))


@pytest.mark.parametrize("advice", RIGHT)
def test_right_advice_is_taken(advice: str) -> None:
    assert faults(Text("planted", advice)) == []


def test_wrong_advice_is_found_in_a_module(tmp_path: Path) -> None:
    file = tmp_path / "planted.py"
    file.write_text(
        "def f(name, best):\n"
        '    """Answers as `kit blends` does.\n\n    \\b\n    kit train --names r      trains r\n    """\n'
        '    raise DataError("no", hint=f"splitter.fold={best}, or " + name)\n'
        '    return f"kit tta --checkpoint runs/{name} --views {best}", f"batch_sizes={best}", f"loss={name}"\n'
    )
    texts = list(texts_of_module(file, tmp_path))
    problems = [fault for text in texts for fault in faults(text)]
    assert len(problems) == 5, problems
    for part in ("kit blends", "--names", "splitter.fold={best}", "--checkpoint ", "batch_sizes"):
        assert sum(part in fault for fault in problems) == 1, part


def test_wrong_advice_is_found_in_a_page(tmp_path: Path) -> None:
    file = tmp_path / "page.md"
    file.write_text(
        "Take `sampler=class_balanced`, or `kit tta runs/r`.\n\n```console\n$ kit train --name r los=focal  # wrong\n"
        "$ kit train --name r loss=focal\n```\n\n```python\nimport kit\nfrom kit.kinds import Losses\n"
        'kit.opens("x")\ncomp.train("x", label="y")\ncomp.tta(["r"])\ncomp.trains("x")\n```\n'
    )
    texts = [*texts_of_page(file, tmp_path), *python_of_page(file, tmp_path)]
    problems = [fault for text in texts for fault in faults(text)]
    assert [fault.split(": ")[0] for fault in problems] == [
        "page.md:4",
        "page.md:1",
        "page.md:1",
        *["page.md:9"] * 4,
    ]
