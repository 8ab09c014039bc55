"""tools/: the matrix of tests, commit subjects, and what the habits' files say of versions and systems."""

from __future__ import annotations

import configparser
import subprocess
import sys
from importlib.metadata import version
from pathlib import Path

import pytest
import yaml

from kit.__main__ import main
from tools import commit_subjects, matrix

ROOT = Path(__file__).parents[2]
SETUP = (ROOT / "setup.cfg").read_text()
WORKFLOW = yaml.safe_load((ROOT / ".github" / "workflows" / "ci.yml").read_text())


def run_git(folder: Path, *arguments: str) -> None:
    identity = ["-c", "user.name=a", "-c", "user.email=a@example.org"]
    subprocess.run(["git", *identity, *arguments], cwd=folder, check=True, capture_output=True)


def test_subjects_of_more_than_60_characters_are_found() -> None:
    subjects = ["a" * 60, "b" * 61, "Merge branch " + "c" * 60]
    assert commit_subjects.find_long(subjects) == ["b" * 61]


def test_only_commits_that_are_not_upstream_are_checked(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    run_git(tmp_path, "init", "-b", "main")
    run_git(tmp_path, "commit", "--allow-empty", "-m", "old " + "x" * 60)
    monkeypatch.chdir(tmp_path)
    assert commit_subjects.main([]) == 0
    assert "no upstream" in capsys.readouterr().err
    run_git(tmp_path, "checkout", "-b", "work", "--track", "main")
    assert commit_subjects.main([]) == 0
    run_git(tmp_path, "commit", "--allow-empty", "-m", "y" * 61)
    assert commit_subjects.main([]) == 1
    assert "61 characters" in capsys.readouterr().err


def test_a_message_is_checked_by_its_first_line(tmp_path: Path) -> None:
    message = tmp_path / "message"
    message.write_text("# a comment of git\nShort\n\n" + "a long line of the body " * 9)
    assert commit_subjects.main(["--file", str(message)]) == 0
    message.write_text("z" * 61)
    assert commit_subjects.main(["--file", str(message)]) == 1


def test_the_lowest_versions_are_those_of_setup() -> None:
    setup = "[options]\ninstall_requires =\n    numpy >=2\n    timm >=1.0.20,<2\n    ttach ==0.0.3\n"
    assert matrix.lowest_versions(setup) == {"numpy": "2", "timm": "1.0.20", "ttach": "0.0.3"}
    assert {"torch", "pandas", "scikit-learn", "pydantic"} <= set(matrix.lowest_versions(SETUP))


def test_what_is_installed_is_not_below_the_lowest_version() -> None:
    for name, lowest in matrix.lowest_versions(SETUP).items():
        if name == "opencv-python-headless":  # another distribution of OpenCV is as good
            continue
        installed = [int(part) for part in version(name).split("+")[0].split(".")[:3]]
        assert installed >= [int(part) for part in lowest.split(".")], name


def test_a_python_that_is_missing_is_skipped_with_its_reason() -> None:
    assert matrix.find_python("3.99") is None
    result = matrix.run_tests("3.99", "3.99", [])
    assert str(result) == "3.99     skipped  Python 3.99 is not installed"


def test_this_python_is_found() -> None:
    python = matrix.find_python(f"{sys.version_info[0]}.{sys.version_info[1]}")
    assert python is None or Path(python).exists()


def test_the_workflow_the_matrix_and_the_classifiers_name_the_same_pythons() -> None:
    parser = configparser.ConfigParser()
    parser.read_string(SETUP)
    classifiers = parser["metadata"]["classifiers"].split("\n")
    named = [line.rsplit(" ", 1)[1] for line in classifiers if "Python :: 3." in line]
    assert tuple(named) == matrix.PYTHONS
    assert WORKFLOW["jobs"]["test"]["strategy"]["matrix"]["python"] == named
    assert parser["options"]["python_requires"] == f">={named[0]}"


def test_on_windows_kit_names_the_systems_that_it_supports(monkeypatch: pytest.MonkeyPatch) -> None:
    with monkeypatch.context() as patch:
        patch.setattr(sys, "platform", "win32")
        with pytest.raises(SystemExit, match="kit needs Linux"):
            main()


@pytest.mark.parametrize("name", ["bug", "idea"])
def test_issue_templates_ask_for_version_command_and_message(name: str) -> None:
    form = yaml.safe_load((ROOT / ".github" / "ISSUE_TEMPLATE" / f"{name}.yml").read_text())
    assert {"version", "command", "message"} <= {part["id"] for part in form["body"]}


def test_the_changelog_has_one_unreleased_section_by_kind_of_change() -> None:
    lines = (ROOT / "CHANGELOG.md").read_text().splitlines()
    assert next(line for line in lines if line.startswith("## ")) == "## Unreleased"
    kinds = {"### Added", "### Changed", "### Deprecated", "### Removed", "### Fixed", "### Security"}
    assert {line for line in lines if line.startswith("### ")} <= kinds
