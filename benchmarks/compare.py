"""Two submissions of labels on the same rows, compared row by row: both scores, the interval of their difference.

    python benchmarks/compare.py ONE.csv OTHER.csv TRUTH.csv [--metric macro_f1]

The files' first two columns are id and label. The interval is of the paired bootstrap over rows, 95 %.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
import pandas as pd

from kit.evaluation.bootstrap import compute_gains
from kit.kinds import Metric


def main() -> None:
    """Prints both scores, the difference and its interval."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("one", type=Path)
    parser.add_argument("other", type=Path)
    parser.add_argument("truth", type=Path)
    parser.add_argument("--metric", default="macro_f1")
    options = parser.parse_args()
    truth, one, other = (labels(path) for path in (options.truth, options.one, options.other))
    classes = sorted({*truth, *one[truth.index], *other[truth.index]})
    answers = [sure(table[truth.index], classes) for table in (one, other)]
    numbers, metric = pd.Index(classes).get_indexer(pd.Index(truth)), Metric.open(options.metric)
    (gain,) = compute_gains(metric, numbers, answers[0], {options.other.name: answers[1]})
    for path, answer in zip((options.one, options.other), answers, strict=True):
        print(f"{path.name}: {options.metric} {metric.score(numbers, answer):.4f} on {len(truth)} rows")
    print(f"difference {gain.value:+.4f} (95 % {gain.low or np.nan:+.4f} to {gain.high or np.nan:+.4f})")


def labels(path: Path) -> pd.Series:
    """The second column by the first."""
    table = pd.read_csv(path, dtype=str, keep_default_na=False)
    return table.set_index(table.columns[0])[table.columns[1]]


def sure(given: pd.Series, classes: list[str]) -> np.ndarray:
    """Labels as probabilities of 0 and 1, (rows, classes)."""
    return np.eye(len(classes), dtype=np.float32)[pd.Index(classes).get_indexer(pd.Index(given))]


if __name__ == "__main__":
    main()
