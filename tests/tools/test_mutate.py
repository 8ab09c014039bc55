"""tools.mutate: the changes it makes of a module, and that tests notice one or do not."""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

import pytest

from tools import mutate
from tools.mutate import TESTS, mutants

ROOT = Path(__file__).parents[2]


@pytest.fixture
def changed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A root with one module of kit/, where mutants are made of its text."""
    monkeypatch.setattr(mutate, "ROOT", tmp_path)
    (tmp_path / "kit").mkdir()
    return tmp_path / "kit" / "some.py"


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("a < b", {"a <= b"}),
        ("a == b != c", {"a != b != c", "a == b == c"}),
        ("a not in b", {"a in b"}),
        ("a + b", {"a - b"}),
        ("a and b", {"a or b"}),
        ("-a", {"a"}),
        ("f(axis=1)", {"f(axis=2)", "pass"}),
        ("a = 0.5", {"a = 1.0"}),
        ("a = True", {"a = False"}),
        ("raise E", {"pass"}),
        ("b if a else c", {"b if not a else c"}),
        ("[a for a in b if a]", {"[a for a in b if not a]"}),
        ("a += b", {"a -= b"}),
        ("a: Literal[1] = b", set()),
        ("f'{a:.3f}'", set()),
        ("'text'", set()),
    ],
)
def test_each_change_is_one_mutant(text: str, expected: set[str], changed: Path) -> None:
    changed.write_text(text)
    changes = list(mutants(Path("kit/some.py")))
    assert {ast.unparse(ast.parse(mutant.code)) for mutant in changes} == {
        ast.unparse(ast.parse(code)) for code in expected
    }
    assert all(mutant.line == 1 for mutant in changes)


def test_a_mutant_that_no_test_notices_ends_with_0(tmp_path: Path) -> None:
    """In a process of its own, which has not imported kit."""
    file = tmp_path / "test_x.py"
    file.write_text("import kit.core.batching as b\ndef test(): assert b.X == 1\n")
    code = (
        "from pathlib import Path\nfrom tools.mutate import Mutant, ends\n"
        "made = [Mutant(Path('kit/core/batching.py'), 1, 'X', f'X = {value}') for value in (2, 1)]\n"
        f"print(dict(ends(made, [{str(file)!r}, '--rootdir', {str(tmp_path)!r}], 60, 2)) == {{0: 1, 1: 0}})"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=False)
    assert (done.stdout, done.stderr) == ("True\n", "")


@pytest.mark.parametrize("pattern", TESTS)
def test_the_modules_and_their_tests_are_there(pattern: str) -> None:
    (first, *_) = ROOT.glob(pattern)
    for name in mutate.tests_of(first.relative_to(ROOT)):
        assert (ROOT / name.removeprefix("--deselect=").partition("::")[0]).is_file()
