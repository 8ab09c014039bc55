"""Runs the tests on each installed Python, and with the lowest and Colab's versions: `make test-matrix`.

    python -m tools.matrix                                    every environment, all tests
    python -m tools.matrix --only lowest tests/data/test_table.py  one environment, some tests

Each environment is kept in .matrix/ and made again when setup.cfg or constraints.txt changes. The last lines say what
passed, what failed and what was skipped, with the reason.
"""

from __future__ import annotations

import argparse
import configparser
import hashlib
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[1]
FOLDER = ROOT / ".matrix"
PYTHONS = ("3.11", "3.12", "3.13")
LOWEST, COLAB = "lowest", "colab"
COLAB_VERSIONS = ROOT / "tools" / "colab.txt"
SEPARATORS = re.compile(r"\s*(>=|==|<)\s*")


@dataclass(frozen=True)
class Result:
    """What came of one environment: passed, failed or skipped, and why."""

    environment: str
    outcome: str
    reason: str = ""

    def __str__(self) -> str:
        return f"{self.environment:8} {self.outcome:8} {self.reason}".rstrip()


def lowest_versions(setup: str) -> dict[str, str]:
    """Package -> the lowest version that a setup.cfg allows; `>=2` is 2.0.0 for pip's `==2`."""
    parser = configparser.ConfigParser()
    parser.read_string(setup)
    versions = {}
    for line in parser["options"]["install_requires"].split("\n"):
        name, *rest = SEPARATORS.split(line.strip().replace(",", " "))
        if rest:
            versions[name] = rest[1].strip()
    return versions


def find_python(version: str) -> str | None:
    """A Python of that version: on PATH, or one that pyenv has installed."""
    name = f"python{version}"
    pyenv = Path(os.environ.get("PYENV_ROOT", Path.home() / ".pyenv")) / "versions"
    installed = sorted(pyenv.glob(f"{version}.*/bin/{name}")) if pyenv.is_dir() else []
    candidates = [shutil.which(name), *map(str, installed)]
    code = f"import sys; sys.exit(sys.version_info[:2] != ({version.replace('.', ', ')}))"
    for candidate in candidates:
        if candidate and subprocess.run([candidate, "-c", code], capture_output=True).returncode == 0:
            return candidate
    return None


def prepare(environment: str, python: str) -> Path:
    """The Python of an environment, which is made if it is missing or out of date. Raises CalledProcessError."""
    folder = FOLDER / environment
    sources = b"".join(
        (ROOT / name).read_bytes() for name in ("setup.cfg", "constraints.txt", COLAB_VERSIONS)
    )
    digest, stamp = hashlib.sha256(sources).hexdigest(), folder / "installed"
    if not (stamp.is_file() and stamp.read_text() == digest):
        shutil.rmtree(folder, ignore_errors=True)
        subprocess.run([python, "-m", "venv", folder], check=True)
        pip = [
            str(folder / "bin" / "python"),
            "-m",
            "pip",
            "install",
            "--quiet",
            "--disable-pip-version-check",
        ]
        constraints = COLAB_VERSIONS if environment == COLAB else ROOT / "constraints.txt"
        if environment == LOWEST:
            lowest = lowest_versions((ROOT / "setup.cfg").read_text())
            constraints = folder / "lowest.txt"
            constraints.write_text("".join(f"{name}=={version}\n" for name, version in lowest.items()))
        subprocess.run([*pip, "--constraint", str(constraints), "--editable", ".[dev]"], cwd=ROOT, check=True)
        stamp.write_text(digest)
    return folder / "bin" / "python"


def run_tests(environment: str, version: str, tests: Sequence[str]) -> Result:
    """The outcome of the tests in one environment."""
    python = find_python(version)
    if python is None:
        return Result(environment, "skipped", f"Python {version} is not installed")
    print(f"== {environment}: {python}", flush=True)
    try:
        prepared = prepare(environment, python)
    except subprocess.CalledProcessError as error:
        return Result(environment, "failed", f"pip could not install it (status {error.returncode})")
    command = [
        str(prepared),
        "-m",
        "pytest",
        "--numprocesses",
        "3",
        "--dist",
        "loadfile",
        "--no-loadscope-reorder",
        *tests,
    ]
    status = subprocess.run(command, cwd=ROOT, env=os.environ | {"PYTHONPATH": str(ROOT)}).returncode
    return Result(
        environment, "failed" if status else "passed", f"pytest ended with status {status}" if status else ""
    )


def main(arguments: Sequence[str]) -> int:
    """Runs the environments, prints what came of each, and returns 1 if one failed."""
    parser = argparse.ArgumentParser(
        prog="python -m tools.matrix", description="Test each Python, the lowest versions and Colab's."
    )
    parser.add_argument(
        "--only", action="append", choices=[*PYTHONS, LOWEST, COLAB], help="an environment; may be repeated"
    )
    parser.add_argument("tests", nargs="*", help="test files, all by default")
    options = parser.parse_args(arguments)
    environments = dict(zip(PYTHONS, PYTHONS, strict=True)) | {LOWEST: PYTHONS[0], COLAB: PYTHONS[1]}
    results = [
        run_tests(name, version, options.tests)
        if not options.only or name in options.only
        else Result(name, "skipped", "left out by --only")
        for name, version in environments.items()
    ]
    print("\n".join(map(str, results)))
    return int(any(result.outcome == "failed" for result in results))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
