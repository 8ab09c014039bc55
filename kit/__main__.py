"""The command line: `kit blend` is commands/blend.py, imported when it is called."""

from __future__ import annotations

import gc
import io
import sys

from kit.commands._menu import run

# new objects after which garbage is collected: at Python's 700, collections take a quarter of the time that
# importing torch takes, for objects that stay
GARBAGE = 50_000


def main() -> None:
    """Runs the command line, and exits with the status of the error tree."""
    if sys.platform == "win32":
        sys.exit("kit needs Linux: it uses POSIX file locks. On Windows, run it in WSL.")
    gc.set_threshold(GARBAGE)
    for stream in (sys.stdout, sys.stderr):
        if isinstance(
            stream, io.TextIOWrapper
        ):  # a name that is not UTF-8, or beyond the terminal's encoding
            stream.reconfigure(errors="backslashreplace")
    sys.exit(run(sys.argv[1:]))


if __name__ == "__main__":
    main()
