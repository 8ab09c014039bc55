"""The Python interface: each stage takes a Workspace, a str or a Path, and the pages' examples run."""

from __future__ import annotations

import inspect
import os
import re
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest

import kit
from kit.config.workspace import Workspace
from kit.errors import ConfigError
from kit.kinds import Splitter
from kit.runs.records import RunRef, resolve_run, split_ref
from kit.stages.blending.blend import blend
from kit.stages.discovery.initialise import initialise
from kit.stages.prediction.tta import tta
from kit.stages.pseudo_labelling.pseudo import PseudoRequest, pseudo
from kit.stages.pseudo_labelling.rule import Rule
from kit.stages.training.train import train
from tests.blends import submit_blend
from tests.drawing import draw_competition
from tests.written_runs import CLASSES, LABELS, TEST, TRAIN, competition

ROOT = Path(__file__).parents[1]
FORMS: Mapping[str, Callable[[Workspace], Any]] = {
    "workspace": lambda space: space,
    "path": lambda space: space.root,
    "text": lambda space: str(space.root),
}


@pytest.fixture
def space(tmp_path: Path) -> Workspace:
    """A workspace with runs a and b, written by hand."""
    return competition(tmp_path)


form = pytest.mark.parametrize("given", FORMS.values(), ids=FORMS)


@form
def test_blend_and_board_take_each_form(space: Workspace, given: Callable[[Workspace], Any]) -> None:
    submitted = submit_blend(given(space), ["runs/a@d4", "runs/b"], name="x")
    assert submitted.number == 1
    assert submitted.path.is_file()
    assert [entry.number for entry in kit.Board.read(given(space)).entries] == [1]
    assert kit.Board.read(str(space.submissions)) == kit.Board.read(space.submissions)


@form
def test_tables_take_each_form_and_read_the_config(
    space: Workspace, given: Callable[[Workspace], Any]
) -> None:
    train, test = kit.train_table(given(space)), kit.test_table(given(space))
    assert train.ids.tolist() == list(TRAIN)
    assert [train.label_names(row)[0] for row in range(9)] == list(LABELS)
    assert test.ids.tolist() == list(TEST)
    assert test.classes == CLASSES
    data = space.competition.data
    assert kit.train_table(given(space), data).ids.tolist() == list(TRAIN)
    assert kit.test_table(given(space), data, CLASSES).ids.tolist() == list(TEST)


@form
def test_initialise_takes_each_form(space: Workspace, given: Callable[[Workspace], Any]) -> None:
    result = initialise(given(space), force=True)
    assert result.path == space.root / "config.json"


@form
def test_plugins_open_with_each_form(space: Workspace, given: Callable[[Workspace], Any]) -> None:
    (space.root / "plugins" / "ensembler").mkdir(parents=True)
    text = (ROOT / "plugins" / "ensembler" / "median.py").read_text()
    (space.root / "plugins" / "ensembler" / "mine.py").write_text(text)
    assert kit.KINDS["ensembler"].open("mine", given(space)).plugin_name() == "mine"
    assert space.experiment.open(Splitter, given(space)).plugin_name() == "stratified_kfold"
    splitter = kit.KINDS["splitter"].open({"name": "group_kfold", "folds": 3})
    assert isinstance(splitter, Splitter)
    for row in TRAIN:  # which are copies otherwise
        (space.root / "data" / "images" / f"{row}.png").write_text(row)
    folds = kit.make_folds(kit.train_table(given(space)), splitter)
    assert folds.count == 3


@pytest.mark.parametrize("stage", [train, tta, pseudo, blend])
def test_what_names_a_workspace_is_annotated_alike(stage: Callable[..., Any]) -> None:
    first = next(iter(inspect.signature(stage).parameters.values()))
    assert (first.name, first.annotation) == ("workspace", "Workspace | StrPath")


def test_files_are_read_from_text_and_paths_alike(space: Workspace) -> None:
    run = kit.Run(str(space.runs / "a"))
    assert run == kit.Run(space.runs / "a")
    assert os.fspath(run) == str(space.runs / "a")
    file = run.predictions("d4") / "oof.parquet"
    one, other = kit.Predictions.read(str(file)), kit.Predictions.read(file)
    assert one.ids.tolist() == other.ids.tolist()
    one.write(str(space.root / "copy.parquet"))
    folds = kit.Folds.read(str(run.folder / "folds.csv"))
    folds.write(str(space.root / "copy.csv"))
    assert kit.Folds.read(space.root / "copy.csv").fingerprint() == run.folds().fingerprint()


@pytest.mark.parametrize(
    "members", ["a@d4", "runs/a@d4", ["runs/a@d4"], [Path("runs/a@d4")], Path("runs/a@d4")]
)
def test_one_member_needs_no_list_and_may_be_a_path(space: Workspace, members: Any) -> None:
    assert "a" in submit_blend(space, members).path.name


def test_a_run_is_a_member_by_its_absolute_path_too(tmp_path: Path) -> None:
    space = competition(tmp_path / "data@home")  # an @ in a folder above is no set of views
    run = kit.Run(space.runs / "a")
    assert submit_blend(space, [run, f"{run.folder}@d4"]).number == 1


@pytest.mark.parametrize(
    ("text", "parts"),
    [
        ("r", ("r", "plain")),
        ("r/", ("r", "plain")),
        ("runs/r@d4", ("runs/r", "d4")),
        ("/a@b/runs/r", ("/a@b/runs/r", "plain")),
    ],
)
def test_a_members_text_is_a_run_and_views(text: str, parts: tuple[str, str]) -> None:
    assert split_ref(text) == parts


def test_overrides_change_a_workspace_that_is_given(space: Workspace) -> None:
    assert Workspace.of(space) is space
    assert Workspace.of(space, ["epochs=3"]).experiment.epochs == 3
    assert Workspace.of(space, "epochs=3").experiment.epochs == 3
    assert Workspace.of(str(space.root), "epochs=3").experiment.epochs == 3
    with pytest.raises(ConfigError, match="no config key 'epoch'"):
        Workspace.of(space, "epoch=3")


# ------------------------------------------------------------------------------------------ one run


@pytest.mark.parametrize("text", ["a", "runs/a", "runs/a/", "{root}/runs/a", "{root}/runs/../runs/a"])
def test_a_run_is_found_by_name_and_by_path(space: Workspace, text: str) -> None:
    assert resolve_run(space, text.format(root=space.root)).folder == (space.runs / "a").resolve()


@pytest.mark.parametrize("text", ["a", "runs/a", "runs/a/", "{root}/runs/a"])
@pytest.mark.parametrize("views", ["d4", "plain", ""])
def test_a_reference_is_a_run_and_views(space: Workspace, text: str, views: str) -> None:
    ref = RunRef.parse(text.format(root=space.root).rstrip("/") + (views and f"@{views}"), space)
    assert (ref.run.folder, ref.views) == ((space.runs / "a").resolve(), views or "plain")
    assert str(ref) == f"a@{views or 'plain'}"
    assert ref.predictions == ref.run.folder / "predictions" / (views or "plain")


@pytest.mark.parametrize(
    "text", ["/nowhere/at/all/a", "nowhere/a", "../runs/a", "runs/a/predictions", "{other}/runs/a", "", "."]
)
def test_a_path_elsewhere_is_not_the_run_of_that_name(
    space: Workspace, text: str, tmp_path_factory: pytest.TempPathFactory
) -> None:
    other = competition(tmp_path_factory.mktemp("other"))
    with pytest.raises(ConfigError) as caught:
        resolve_run(space, text.format(other=other.root))
    assert caught.value.code == "C15"
    with pytest.raises(ConfigError) as caught:
        RunRef.parse(f"{text.format(other=other.root)}@d4", space)
    assert caught.value.code == "C15"


def test_a_path_elsewhere_is_no_member(space: Workspace, tmp_path_factory: pytest.TempPathFactory) -> None:
    other = competition(tmp_path_factory.mktemp("other"))
    with pytest.raises(ConfigError, match="no run"):
        blend(space, [other.runs / "a"])


# ---------------------------------------------------------------------------------- the documented lines


def documented(text: str) -> list[str]:
    """The statements of a page's Python example that begins with `import kit`."""
    (block,) = re.findall(
        r"^( *)import kit\n(.*?)(?:```|\n\n(?=\S)|\Z)", text, flags=re.DOTALL | re.MULTILINE
    )
    return [line.strip() for line in ("import kit\n" + block[1]).splitlines() if line.strip()]


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return draw_competition(tmp_path_factory.mktemp("api"), epochs=1)


@pytest.mark.parametrize("text", [(ROOT / "README.md").read_text(), kit.__doc__ or ""], ids=["README", "kit"])
def test_the_documented_lines_run(text: str, trained: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    lines = documented(text)
    calls = re.findall(r"(?:kit|comp)\.(\w+)\(", "\n".join(lines))
    assert calls == ["open", "train", "tta", "blend"]
    small = "epochs=1"  # in place of a network and epochs that take minutes
    code = "\n".join(lines).replace('backbone="resnet18", epochs=20', small)
    assert small in code
    (trained.parent / "my-competition").unlink(missing_ok=True)
    (trained.parent / "my-competition").symlink_to(trained)
    monkeypatch.chdir(trained.parent)
    namespace: dict[str, Any] = {}
    exec(compile(code, "page", "exec"), namespace)
    assert namespace["run"].name == "r"
    assert (trained / "runs" / "r" / "predictions" / "d4" / "test.parquet").is_file()
    assert list((trained / "submissions").glob("*.csv"))


def test_pseudo_takes_a_path(trained: Path) -> None:
    train(trained, "epochs=1", name="r")
    tta(trained, Path("runs/r"))
    result = pseudo(str(trained), "runs/r", request=PseudoRequest(Rule(threshold=0.1)))
    assert result.teachers == ("r@plain",)
