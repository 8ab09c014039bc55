"""Mutation run: changes one operator, number or call of a module at a time, and lists the changes no test notices.

Run `make mutate`, or `python -m tools.mutate kit/data/folds.py --jobs 2`. Each mutant is tried in a forked process. It
imports the changed module and runs the test files that TESTS names. No file is written.
"""

from __future__ import annotations

import argparse
import ast
import copy
import fnmatch
import importlib.abc
import importlib.machinery
import os
import random
import signal
import sys
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType

ROOT = Path(__file__).parents[1]
# Test files of each module, tried in this order until one fails; those that train networks are left out.
EVALUATION = (
    "tests/evaluation/test_crossfit.py",
    "tests/evaluation/test_bootstrap.py",
)
BLENDING = (
    "tests/stages/blending/test_members.py",
    "tests/stages/blending/test_blend.py",
    "tests/stages/blending/test_blend_result.py",
    "tests/stages/blending/test_unscored.py",
    "tests/stages/blending/test_diversity.py",
    "tests/commands/test_blend.py",
)
TESTS = {
    "kit/data/folds.py": (
        "tests/data/test_folds.py",
        "tests/plugins/splitter/test_column.py",
        "tests/data/test_rows.py",
        "--deselect=tests/data/test_folds.py::test_stratified_groups_are_balanced_as_sklearn_does_or_better",
    ),
    "kit/evaluation/answers.py": ("tests/evaluation/test_answers.py",),
    "kit/evaluation/bootstrap.py": (*EVALUATION, *BLENDING),
    "kit/evaluation/competition.py": (
        "tests/evaluation/test_competition.py",
        "tests/evaluation/test_score_context.py",
        "tests/evaluation/test_answers.py",
        "tests/kinds/test_decision.py",
        "tests/kinds/test_registry.py",
        *BLENDING,
    ),
    "kit/evaluation/crossfit.py": (*EVALUATION, "tests/plugins/ensembler/test_auto.py"),
    "kit/evaluation/hill_climbing.py": ("tests/evaluation/test_hill_climbing.py",),
    "kit/evaluation/pair_classifier.py": ("tests/evaluation/test_pair_classifier.py",),
    "kit/evaluation/standard_error.py": ("tests/stages/leaderboard/test_noise.py",),
    "kit/stages/blending/*.py": BLENDING,
    "kit/stages/blending/scores.py": ("tests/evaluation/test_unbiased_scores.py",),
}
SKIPPED = ("kit/stages/blending/heat_map.py",)  # colours and sizes of a picture
PREPARED = (
    "cv2",
    "click",
    "pandas",
    "pyarrow.parquet",
    "pydantic",
    "pytest",
    "rich.table",
    "scipy.optimize",
    "sklearn.linear_model",
    "torch",
)
LEAST_SECONDS, TIMES_SLOWER, TOO_LONG = 60, 10, 99
SWAPS: dict[type[ast.AST], type[ast.AST]] = {
    ast.Lt: ast.LtE,
    ast.LtE: ast.Lt,
    ast.Gt: ast.GtE,
    ast.GtE: ast.Gt,
    ast.Eq: ast.NotEq,
    ast.NotEq: ast.Eq,
    ast.Is: ast.IsNot,
    ast.IsNot: ast.Is,
    ast.In: ast.NotIn,
    ast.NotIn: ast.In,
    ast.Add: ast.Sub,
    ast.Sub: ast.Add,
    ast.Mult: ast.Div,
    ast.Div: ast.Mult,
    ast.FloorDiv: ast.Mult,
    ast.Mod: ast.Mult,
    ast.Pow: ast.Mult,
    ast.BitAnd: ast.BitOr,
    ast.BitOr: ast.BitAnd,
    ast.And: ast.Or,
    ast.Or: ast.And,
}


@dataclass(frozen=True)
class Mutant:
    """One change of a module."""

    file: Path
    line: int
    what: str
    code: str  # the whole changed module

    def __str__(self) -> str:
        return f"{self.file}:{self.line}: {self.what}"


def changes(node: ast.AST) -> Iterator[ast.AST]:
    """The changed versions of one node; the rest of the tree stays."""
    new = copy.deepcopy(node)
    if isinstance(new, ast.Compare):
        for index, operator in enumerate(new.ops):
            if type(operator) in SWAPS:
                other = copy.deepcopy(new)
                other.ops[index] = SWAPS[type(operator)]()  # type: ignore[call-overload]
                yield other
    elif isinstance(new, ast.BinOp | ast.AugAssign | ast.BoolOp) and type(new.op) in SWAPS:
        new.op = SWAPS[type(new.op)]()  # type: ignore[assignment]
        yield new
    elif isinstance(new, ast.UnaryOp):
        yield new.operand
    elif isinstance(new, ast.Constant) and isinstance(new.value, bool):
        yield ast.Constant(not new.value)
    elif isinstance(new, ast.Constant) and isinstance(new.value, int | float):
        yield ast.Constant(new.value + 1 if isinstance(new.value, int) else new.value * 2 or 1.0)
    elif isinstance(new, ast.If | ast.IfExp | ast.While):
        new.test = ast.UnaryOp(ast.Not(), new.test)
        yield new
    elif isinstance(new, ast.comprehension):
        for index, test in enumerate(new.ifs):
            altered = copy.deepcopy(new)
            altered.ifs[index] = ast.UnaryOp(ast.Not(), test)
            yield altered
    elif isinstance(new, ast.Raise) or (isinstance(new, ast.Expr) and isinstance(new.value, ast.Call)):
        yield ast.Pass()


def places(tree: ast.AST) -> Iterator[tuple[ast.AST, str, int | None]]:
    """Parent, field and index of each node that may change: neither annotations nor decorators nor f-strings."""
    for field, value in ast.iter_fields(tree):
        if field in ("annotation", "returns", "decorator_list", "type_params") or isinstance(
            tree, ast.JoinedStr
        ):
            continue
        for index, child in enumerate(value) if isinstance(value, list) else [(None, value)]:
            if isinstance(child, ast.AST):
                yield tree, field, index
                yield from places(child)


def mutants(file: Path) -> Iterator[Mutant]:
    """All changes of a module, in the order of its text."""
    tree = ast.parse((ROOT / file).read_text())
    for parent, field, index in list(places(tree)):
        holder = getattr(parent, field)
        old = holder if index is None else holder[index]
        line = getattr(old, "lineno", getattr(parent, "lineno", 0)) or old.ifs[0].lineno
        for new in changes(old):
            put(parent, field, index, new)
            what = f"{first_line(old)} -> {first_line(new)}"
            yield Mutant(file, line, what, ast.unparse(ast.fix_missing_locations(tree)))
        put(parent, field, index, old)


def put(parent: ast.AST, field: str, index: int | None, node: ast.AST) -> None:
    if index is None:
        setattr(parent, field, node)
    else:
        getattr(parent, field)[index] = node


def first_line(node: ast.AST) -> str:
    return ast.unparse(node).strip().split("\n")[0][:90]


class Changed(importlib.abc.MetaPathFinder, importlib.abc.Loader):
    """Imports one module from changed source."""

    def __init__(self, mutant: Mutant) -> None:
        self.mutant, self.name = mutant, ".".join(mutant.file.with_suffix("").parts)

    def find_spec(
        self, fullname: str, path: object, target: object = None
    ) -> importlib.machinery.ModuleSpec | None:
        if fullname != self.name:
            return None
        return importlib.machinery.ModuleSpec(fullname, self, origin=str(ROOT / self.mutant.file))

    def exec_module(self, module: ModuleType) -> None:
        module.__file__ = str(ROOT / self.mutant.file)
        exec(compile(self.mutant.code, module.__file__, "exec"), module.__dict__)


def start(mutant: Mutant | None, tests: Sequence[str], seconds: int) -> int:
    """The id of a forked process that runs the tests on a mutant; its exit status is 0 if no test fails."""
    child = os.fork()
    if child:
        return child
    import pytest

    signal.signal(signal.SIGALRM, lambda *_: os._exit(TOO_LONG))
    signal.alarm(seconds)
    null = os.open(os.devnull, os.O_RDWR)
    for stream in (0, 1, 2):
        os.dup2(null, stream)
    if mutant is not None:
        sys.meta_path.insert(0, Changed(mutant))
    os._exit(int(pytest.main(["-x", "-q", "-p", "no:cacheprovider", "--no-header", *tests])))


def ends(
    every: Sequence[Mutant | None], tests: Sequence[str], seconds: int, jobs: int
) -> Iterator[tuple[int, int]]:
    """Place and exit status of each mutant, as its tests end; `jobs` of them run at a time."""
    waiting, running = list(range(len(every)))[::-1], dict[int, int]()
    while waiting or running:
        if waiting and len(running) < jobs:
            index = waiting.pop()
            running[start(every[index], tests, seconds)] = index
        else:
            child, status = os.wait()
            yield running.pop(child), os.waitstatus_to_exitcode(status)


def tests_of(file: Path) -> tuple[str, ...]:
    if str(file) in SKIPPED:
        return ()
    test_lists = [tests for pattern, tests in TESTS.items() if fnmatch.fnmatch(str(file), pattern)]
    return tuple(test for tests in test_lists for test in tests)


def try_mutants(file: Path, share: float, jobs: int, lines: Sequence[int] = ()) -> tuple[int, int]:
    """How many mutants of a module were tried and killed; prints the others."""
    tests = tests_of(file)
    begin = time.monotonic()
    if list(ends([None], tests, 3600, 1)) != [(0, 0)]:
        raise SystemExit(f"{file}: {' '.join(tests)} fail without any change")
    seconds = max(LEAST_SECONDS, TIMES_SLOWER * int(time.monotonic() - begin))
    every = [mutant for mutant in mutants(file) if not lines or mutant.line in lines]
    places_drawn = random.Random(0).sample(range(len(every)), round(share * len(every)))
    chosen, killed = [every[index] for index in sorted(places_drawn)], 0
    for index, status in ends(chosen, tests, seconds, jobs):
        killed += status != 0
        if status == 0:
            print(f"  {chosen[index]}", flush=True)
    print(f"{file}: {killed} of {len(chosen)} mutants killed", flush=True)
    return len(chosen), killed


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("files", nargs="*", type=Path, help="modules; by default all of TESTS")
    parser.add_argument("--lines", type=int, nargs="+", default=(), help="only the mutants of these lines")
    parser.add_argument("--jobs", type=int, default=2)
    parser.add_argument("--share", type=float, default=1.0, help="share of the mutants, drawn at random")
    options = parser.parse_args()
    os.chdir(ROOT)
    for name in PREPARED:  # before the fork, once for all mutants; nothing of kit
        __import__(name)
    every = sorted(file.relative_to(ROOT) for file in (ROOT / "kit").rglob("*.py"))
    tried = killed = 0
    for file in options.files or [file for file in every if tests_of(file)]:
        counts = try_mutants(file, options.share, options.jobs, options.lines)
        tried, killed = tried + counts[0], killed + counts[1]
    print(f"{killed} of {tried} mutants killed ({killed / max(tried, 1):.1%})")


if __name__ == "__main__":
    main()
