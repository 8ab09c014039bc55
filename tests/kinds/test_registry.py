"""The tree is the registry: three sources, one plugin a name, and a broken one stops only its users."""

from __future__ import annotations

import multiprocessing
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

from kit.errors import PluginError
from kit.kinds import Loss, Metric, registry

GOOD = '''
    """Half of everything."""

    from pydantic import Field

    from kit.kinds import Metric


    class Half(Metric):
        """Half, whatever the answer.

        Source: this test.
        """

        share: float = Field(0.5, ge=0, le=1, description="what is scored")

        def score(self, truth, probabilities):
            return self.share
'''


def put(root: Path, kind: str, name: str, text: str = GOOD) -> Path:
    file = root / "plugins" / kind / f"{name}.py"
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(textwrap.dedent(text).lstrip())
    return file


def install(site: Path, monkeypatch: pytest.MonkeyPatch, name: str = "third", text: str = GOOD) -> None:
    """A package with one plugin, as pip leaves it: a module and its dist-info with an entry point."""
    site.mkdir(exist_ok=True)
    (site / f"kit_{name}.py").write_text(textwrap.dedent(text).lstrip())
    info = site / f"kit_{name}-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: kit-{name}\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text(f"[kit.metric]\n{name} = kit_{name}\n")
    monkeypatch.syspath_prepend(str(site))


def test_a_file_is_a_plugin_of_its_name(tmp_path: Path) -> None:
    put(tmp_path, "metric", "half")
    metric = Metric.open({"name": "half", "share": 0.25}, tmp_path)
    assert metric.spec() == {"name": "half", "share": 0.25}
    assert registry.location_of(type(metric)).source == "workspace"


def test_a_workspace_plugin_is_unknown_elsewhere(tmp_path: Path) -> None:
    put(tmp_path, "metric", "half")
    with pytest.raises(PluginError, match="P02 no metric named 'half'"):
        Metric.open("half")


def test_two_workspaces_may_have_plugins_of_one_name(tmp_path: Path) -> None:
    put(tmp_path / "a", "metric", "half")
    put(tmp_path / "b", "metric", "half", GOOD.replace("0.5", "0.75"))
    one, other = (Metric.open("half", tmp_path / name) for name in "ab")
    assert (one.spec()["share"], other.spec()["share"]) == (0.5, 0.75)
    assert one != other


def test_files_that_begin_with_an_underscore_are_no_plugins(tmp_path: Path) -> None:
    put(tmp_path, "metric", "_shared")
    assert "_shared" not in registry.locations("metric", tmp_path)


def test_a_plugin_may_import_what_stands_beside_it(tmp_path: Path) -> None:
    put(tmp_path, "metric", "_shared", "SHARE = 0.125\n")
    imported = "from kit.kinds import Metric\n    from ._shared import SHARE"
    put(
        tmp_path,
        "metric",
        "half",
        GOOD.replace("from kit.kinds import Metric", imported).replace("0.5", "SHARE"),
    )
    assert Metric.open("half", tmp_path).spec()["share"] == 0.125


def test_names_are_known_without_importing(tmp_path: Path) -> None:
    put(tmp_path, "metric", "loud", "raise SystemExit('imported')\n")
    assert "loud" in registry.locations("metric", tmp_path)


def test_an_unknown_name_gets_the_nearest_one() -> None:
    with pytest.raises(PluginError) as caught:
        Metric.open("acuracy")
    assert caught.value.summary == "no metric named 'acuracy'; did you mean 'accuracy'?"
    assert caught.value.exit_code == 2
    assert "accuracy, any_part, auc, average_precision, balanced_accuracy" in caught.value.hint


def test_an_unknown_kind_gets_the_nearest_one() -> None:
    with pytest.raises(PluginError, match=r"no kind of plugin named 'los'; did you mean 'loss'\?"):
        registry.locations("los")


BROKEN = GOOD.replace("class Half", "import a_module_that_is_missing\n\n\n    class Half")


def test_a_broken_plugin_stops_only_its_users_and_is_named_with_its_line(tmp_path: Path) -> None:
    file = put(tmp_path, "metric", "half", BROKEN)
    assert Metric.open("auc", tmp_path).spec() == {"name": "auc"}
    with pytest.raises(PluginError, match=r"P01 metric 'half' .* fails on import") as caught:
        Metric.open("half", tmp_path)
    line = file.read_text().splitlines().index("import a_module_that_is_missing") + 1
    assert str(caught.value.cases[0]) == (
        f"{file}:{line}: ModuleNotFoundError: No module named 'a_module_that_is_missing'"
    )


def test_a_file_that_is_no_python_is_named_with_its_line(tmp_path: Path) -> None:
    file = put(tmp_path, "metric", "half", "x = 1\ndef def\n")
    with pytest.raises(PluginError) as caught:
        Metric.open("half", tmp_path)
    assert caught.value.cases[0].path == f"{file}:2"


@pytest.mark.parametrize(
    ("text", "names"),
    [("x = 1\n", "none"), (GOOD + "\n\n    class Third(Metric):\n        pass\n", "Half, Third")],
    ids=["none", "two"],
)
def test_a_file_defines_one_class_of_its_kind(text: str, names: str, tmp_path: Path) -> None:
    put(tmp_path, "metric", "half", text)
    with pytest.raises(
        PluginError, match=f"P04 .* must define one public class of its kind, it defines {names}"
    ):
        Metric.open("half", tmp_path)


def test_two_of_a_name_are_an_error_when_used(tmp_path: Path) -> None:
    file = put(tmp_path, "metric", "accuracy")
    assert Metric.open("auc", tmp_path).spec() == {"name": "auc"}
    with pytest.raises(
        PluginError, match="P03 2 plugins have the name metric 'accuracy': rename all but one"
    ) as caught:
        Metric.open("accuracy", tmp_path)
    assert [case.path for case in caught.value.cases] == [
        str(file),
        str(registry.BUILTIN_DIR / "metric" / "accuracy.py"),
    ]


def test_an_installed_package_brings_a_plugin(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    install(tmp_path / "site", monkeypatch)
    metric = Metric.open({"name": "third", "share": 0.25})
    place = registry.location_of(type(metric))
    assert (place.source, place.distribution, place.name) == ("installed", "kit-third", "third")
    assert metric.spec() == {"name": "third", "share": 0.25}
    assert registry.summary(place) == "Half, whatever the answer."


def test_a_broken_package_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    install(tmp_path / "site", monkeypatch, "faulty", "import a_module_that_is_missing\n")
    with pytest.raises(PluginError, match=r"P01 metric 'faulty' \(kit-faulty\) fails on import"):
        Metric.open("faulty")


def test_plugins_of_a_workspace_can_be_switched_off(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    put(tmp_path, "metric", "half")
    monkeypatch.setenv("KIT_PLUGINS", "off")
    assert "half" not in registry.locations("metric", tmp_path)


def test_a_class_in_no_source_has_no_name() -> None:
    class Own(Metric):
        pass

    with pytest.raises(PluginError, match=r"P05 Own .* is not defined in a plugin file"):
        Own.plugin_name()


@pytest.mark.parametrize("spec", [3, None, {"share": 1}, {"name": 3}, ["accuracy"]])
def test_what_is_no_spec_is_refused(spec: object) -> None:
    with pytest.raises(PluginError, match="P06 a metric is a name or"):
        Metric.open(spec)


def _score(metric: Metric) -> float:
    import numpy as np

    return metric.score(np.zeros(1), np.zeros((1, 2)))


def test_a_workspace_plugin_pickles_to_processes_that_never_saw_it(tmp_path: Path) -> None:
    put(tmp_path, "metric", "half")
    metric = Metric.open({"name": "half", "share": 0.25}, tmp_path)
    with multiprocessing.get_context("spawn").Pool(1) as pool:
        assert pool.apply(_score, (metric,)) == 0.25


def test_summaries_are_read_without_importing(tmp_path: Path) -> None:
    put(tmp_path, "metric", "loud", f"{textwrap.dedent(GOOD)}\nraise SystemExit\n")
    assert registry.summary(registry.find("metric", "loud", tmp_path)) == "Half, whatever the answer."


def test_listing_names_imports_nothing_heavy() -> None:
    code = (
        "import sys\nfrom kit.kinds import registry\n"
        "[registry.summary(p) for k in registry.kinds() for ps in registry.locations(k).values() for p in ps]\n"
        "print(sorted({'torch', 'numpy', 'pandas', 'pydantic'} & set(sys.modules)))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60
    )
    assert done.stdout == "[]\n"


@pytest.mark.parametrize(
    ("value", "words"),
    [
        (
            "joint",
            "takes = 'joint' is not one of 'logits', 'cosines', 'logits_and_embedding'; head 'joint' gives "
            "'logits_and_embedding'",
        ),
        ("logit", "did you mean 'logits'?"),
    ],
)
def test_a_loss_that_takes_unknown_outputs_is_named(value: str, words: str, tmp_path: Path) -> None:
    text = f"from kit.kinds import Loss\n\n\nclass Mine(Loss):\n    takes = {value!r}\n"
    put(tmp_path, "loss", "mine", text)
    with pytest.raises(PluginError, match="P04") as caught:
        Loss.open("mine", tmp_path)
    assert words in str(caught.value)
