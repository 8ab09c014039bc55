"""`kit plugins`: what exists, what its options are, a new one that works, and which laws one's own breaks."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from kit import contracts
from kit.commands._menu import run
from kit.errors import ConfigError, PluginError
from kit.kinds import KINDS, Loss, registry
from kit.kinds.catalogue import describe, list_plugins, open_file, type_name
from kit.kinds.scaffold import camel_case, new_plugin
from kit.kinds.targets import LABEL_KINDS
from tests.kinds.test_registry import BROKEN, install, put

Kit = Callable[..., tuple[int, str, str]]


@pytest.fixture
def kit(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Kit:
    """Runs a command in a workspace and returns its exit status, stdout and stderr."""
    (tmp_path / "config.json").write_text("{}")
    monkeypatch.chdir(tmp_path)

    def call(*arguments: str) -> tuple[int, str, str]:
        capsys.readouterr()
        status = run(["plugins", *arguments])
        said = capsys.readouterr()
        return status, said.out, said.err

    return call


# --------------------------------------------------------------------------------------------- list


def test_every_plugin_is_listed_with_its_summary(kit: Kit) -> None:
    listed = json.loads(kit("--json")[1])
    assert {one["kind"] for one in listed} == set(KINDS)
    mean = next(one for one in listed if (one["kind"], one["name"]) == ("ensembler", "mean"))
    assert mean["summary"] == "Arithmetic mean of the members' probabilities."
    assert all(one["summary"] and not one["error"] for one in listed)


def test_a_kind_is_listed_alone(kit: Kit) -> None:
    status, out, _ = kit("metric")
    assert status == 0
    names = [
        file.stem
        for file in sorted(Path(contracts.__file__).parents[1].joinpath("plugins/metric").glob("[a-z]*.py"))
    ]
    assert {"accuracy", "log_loss", "macro_f1"} < set(names)
    assert [line.split()[:2] for line in out.splitlines() if line.startswith("metric")] == [
        ["metric", name] for name in names
    ]


def test_a_broken_plugin_is_shown_with_its_error_and_stops_no_other(kit: Kit, tmp_path: Path) -> None:
    put(tmp_path, "metric", "half")
    put(tmp_path, "metric", "sick", BROKEN)
    put(tmp_path, "metric", "torn", "def def\n")
    status, out, _ = kit("metric", "--json")
    plugins = {one["name"]: one for one in json.loads(out)}
    assert status == 0
    assert plugins["half"]["error"] == ""
    assert plugins["half"]["plugin_source"] == "workspace"
    assert plugins["sick"]["error"].startswith("P01 metric 'sick'")
    assert "No module named 'a_module_that_is_missing'" in plugins["sick"]["error"]
    assert "torn.py:1: SyntaxError" in plugins["torn"]["error"]
    assert "cannot be used: P01" in kit()[1]


def test_two_of_a_name_are_both_shown(kit: Kit, tmp_path: Path) -> None:
    put(tmp_path, "metric", "accuracy")
    rows = [one for one in json.loads(kit("metric", "--json")[1]) if one["name"] == "accuracy"]
    assert [one["plugin_source"] for one in rows] == ["workspace", "kit"]
    assert {one["error"] for one in rows} == {"P03 2 plugins have this name"}


def test_an_installed_package_appears(kit: Kit, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    install(tmp_path / "site", monkeypatch, "guest")
    (one,) = [one for one in json.loads(kit("--json")[1]) if one["plugin_source"] == "installed"]
    assert (one["kind"], one["name"], one["where"]) == ("metric", "guest", "kit-guest")
    assert one["summary"] == "Half, whatever the answer."


def test_a_config_that_is_wrong_does_not_hide_the_plugins(kit: Kit, tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text("{ nonsense")
    put(tmp_path, "metric", "half")
    assert "half" in kit("metric")[1]


def test_without_a_workspace_kits_own_are_listed(tmp_path: Path, kit: Kit) -> None:
    (tmp_path / "config.json").unlink()
    assert "accuracy" in kit("metric")[1]


def test_stock_plugins_are_listed_without_importing_them() -> None:
    code = (
        "import sys\nfrom kit.commands._menu import run\nrun(['plugins', '--json'])\n"
        "print(sorted(name for name in sys.modules if name.startswith(('kit.plugins.', 'torch'))), file=sys.stderr)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60
    )
    assert done.stderr == "[]\n"


# ----------------------------------------------------------------------------------------- describe


def test_one_plugin_is_shown_with_options_limits_and_source(kit: Kit) -> None:
    status, out, _ = kit("loss", "cutmix")
    assert status == 0
    assert out.startswith("loss cutmix\n\nReplaces a box of each image by another image's")
    assert "  alpha: float = 1.0 (above 0)\n" in out
    assert '  base: loss = {"name": "cross_entropy"}\n' in out
    assert "\n\nAccepts: one label per row, any number of labels per row, numbers" in out
    assert ", if the inner plugins do too\nWith pseudo-labels: " in out
    assert "\nSource: Yun et al. 2019" in out
    assert str(registry.BUILTIN_DIR / "loss" / "cutmix.py") in out


def test_one_plugin_speaks_json(kit: Kit) -> None:
    said = json.loads(kit("format", "top_k", "--json")[1])
    assert said["options"] == [
        {
            "name": "k",
            "type": "int | None",
            "default": None,
            "required": False,
            "limits": "at least 1",
            "description": "labels per row; by default as many as in the sample",
        }
    ]


def test_every_plugin_can_be_described() -> None:
    for one in list_plugins(registry.kinds()):
        described = describe(one.kind, one.name)
        assert described.source, one
        assert described.summary == one.summary


def test_an_option_without_a_default_is_required(tmp_path: Path) -> None:
    put(
        tmp_path,
        "metric",
        "needy",
        "from kit.kinds import Metric\n\n\nclass Needy(Metric):\n    share: float\n",
    )
    (option,) = describe("metric", "needy", tmp_path).options
    assert (option.required, option.default, option.type) == (True, None, "float")


def test_types_are_written_as_a_user_writes_them() -> None:
    assert [type_name(kind) for kind in (float, Loss, int | None, tuple[str, ...], type(None))] == [
        "float",
        "loss",
        "int | None",
        "tuple[str, ...]",
        "None",
    ]


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["los"], "no kind of plugin named 'los'; did you mean 'loss'?"),
        (["loss", "cutmx"], "no loss named 'cutmx'; did you mean 'cutmix'?"),
        (["new", "los", "x"], "no kind of plugin named 'los'; did you mean 'loss'?"),
        (["check", "nowhere.py"], "there is no file"),
        (["check", "config.json"], "is not a plugin file"),
    ],
)
def test_mistakes_are_usage_errors(arguments: list[str], words: str, kit: Kit) -> None:
    status, out, err = kit(*arguments)
    assert (status, out) == (2, "")
    assert words in err


# ------------------------------------------------------------------------------------ new and check


@pytest.mark.parametrize("kind", KINDS)
def test_a_new_plugin_of_any_kind_keeps_all_laws(kind: str, tmp_path: Path) -> None:
    plugin, test = new_plugin(tmp_path, kind, "my_own")
    assert plugin == tmp_path / "plugins" / kind / "my_own.py"
    assert test == tmp_path / "tests" / "plugins" / kind / "test_my_own.py"
    findings = contracts.check(open_file(plugin))
    assert [finding for finding in findings if not finding.holds] == []
    assert describe(kind, "my_own", tmp_path).options


OF_LABELS = {"numbers": "numbers", "shares": "soft", "several": "several"}  # data.target and the label kind


@pytest.mark.parametrize("target", OF_LABELS)
@pytest.mark.parametrize("kind", ["loss", "metric", "ensembler"])
def test_a_new_plugin_for_other_labels_keeps_all_laws(kind: str, target: str, tmp_path: Path) -> None:
    plugin, _ = new_plugin(tmp_path, kind, "my_own", target)
    instance = open_file(plugin)
    assert [finding for finding in contracts.check(instance) if not finding.holds] == []
    taken = [labels for labels in LABEL_KINDS if instance.takes_labels(labels)]
    assert taken == [OF_LABELS[target]]
    assert describe(kind, "my_own", tmp_path).options


def test_new_takes_what_the_labels_are(kit: Kit, tmp_path: Path) -> None:
    status, out, _ = kit("new", "metric", "mine", "--target", "numbers")
    assert status == 0
    assert 'label_kinds = ("numbers",)' in Path(out.splitlines()[0]).read_text()
    status, out, err = kit("new", "sampler", "mine", "--target", "several")
    assert (status, out) == (2, "")
    assert "P08 no template for a sampler of several; the kinds with one: ensembler, loss, metric" in err
    assert not (tmp_path / "plugins" / "sampler").exists()


def test_new_plugins_and_tests_pass_the_linter(tmp_path: Path) -> None:
    for kind in KINDS:
        new_plugin(tmp_path, kind, "my_own")
    for kind in ("loss", "metric", "ensembler"):
        for target in OF_LABELS:
            new_plugin(tmp_path, kind, f"my_{target}", target)
    done = subprocess.run(
        [
            sys.executable,
            "-m",
            "ruff",
            "check",
            "--isolated",
            "--select=E,F,W,B,UP,RUF",
            "--line-length=110",
            ".",
        ],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert done.returncode == 0, done.stdout


def test_the_test_of_a_new_plugin_runs_and_can_fail(tmp_path: Path) -> None:
    plugin, test = new_plugin(tmp_path, "metric", "my_own")

    def tried() -> int:
        done = subprocess.run(
            [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", str(test)],
            cwd=tmp_path,
            capture_output=True,
            check=False,
            timeout=60,
        )
        return done.returncode

    assert tried() == 0
    plugin.write_text(plugin.read_text().replace("return float(", "return -float("))
    assert tried() == 1


def test_new_prints_both_files(kit: Kit, tmp_path: Path) -> None:
    status, out, err = kit("new", "loss", "my_loss")
    assert status == 0
    assert out.splitlines() == [
        str(tmp_path / "plugins" / "loss" / "my_loss.py"),
        str(tmp_path / "tests" / "plugins" / "loss" / "test_my_loss.py"),
    ]
    assert "kit plugins check" in err
    assert json.loads(kit("new", "loss", "other", "--json")[1])["plugin"].endswith("other.py")
    assert "class MyLoss(Loss):" in Path(out.splitlines()[0]).read_text()


def test_nothing_is_overwritten(tmp_path: Path) -> None:
    plugin, test = new_plugin(tmp_path, "loss", "my_loss")
    plugin.write_text("mine")
    with pytest.raises(ConfigError, match="C23 the name is already used by a loss 'my_loss'"):
        new_plugin(tmp_path, "loss", "my_loss")
    plugin.unlink()
    with pytest.raises(ConfigError, match=r"test_my_loss\.py already exists and is not overwritten"):
        new_plugin(tmp_path, "loss", "my_loss")
    assert not plugin.exists()
    assert test.exists()


def test_a_name_that_kit_has_is_taken(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="the name is already used by a loss 'cutmix'"):
        new_plugin(tmp_path, "loss", "cutmix")


@pytest.mark.parametrize("name", ["MyLoss", "my-loss", "1st", "_mine", "class", "loss", "../x", "größe", ""])
def test_a_name_must_be_a_modules(name: str, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="is not a valid name for a loss"):
        new_plugin(tmp_path, "loss", name)


def test_a_kind_is_known(tmp_path: Path) -> None:
    with pytest.raises(PluginError, match="P02"):
        new_plugin(tmp_path, "losses", "mine")


def test_a_class_is_named_after_its_file() -> None:
    assert camel_case("my_top5_loss") == "MyTop5Loss"


def test_check_prints_a_line_a_law(kit: Kit) -> None:
    file = kit("new", "metric", "my_own")[1].splitlines()[0]
    status, out, _ = kit("check", file)
    assert status == 0
    assert all(line.startswith("holds  ") for line in out.splitlines())
    assert "holds  Perfect predictions score at least as well as any other." in out


def test_check_shows_the_numbers_of_a_law_that_does_not_hold(kit: Kit) -> None:
    file = Path(kit("new", "metric", "my_own")[1].splitlines()[0])
    file.write_text(file.read_text().replace("return float(", "return -float("))
    status, out, _ = kit("check", str(file))
    lines = out.splitlines()
    broken = lines.index("BROKEN Perfect predictions score at least as well as any other.")
    assert status == 1
    assert lines[broken + 1].strip().startswith("2 classes: perfect predictions score -1.0, others -")
    findings = json.loads(kit("check", str(file), "--json")[1])
    assert [finding["law"] for finding in findings if not finding["holds"]] == [
        "Perfect predictions score at least as well as any other."
    ]


def test_check_takes_files_of_other_workspaces(kit: Kit, tmp_path: Path) -> None:
    file = put(tmp_path / "elsewhere", "metric", "half")
    assert "holds  A score is a finite number" in kit("check", str(file))[1]


def test_check_says_why_a_plugin_cannot_be_loaded(kit: Kit, tmp_path: Path) -> None:
    status, out, err = kit("check", str(put(tmp_path, "metric", "sick", BROKEN)))
    assert (status, out) == (2, "")
    assert "P01 metric 'sick'" in err


def test_check_takes_kits_own_files() -> None:
    assert open_file(registry.BUILTIN_DIR / "metric" / "auc.py").spec() == {"name": "auc"}
