"""Warnings before training of what would stop `kit tta` or `kit blend` after it."""

from __future__ import annotations

import warnings

from kit.config.workspace import Workspace
from kit.data.duplicates import warn_train_test_overlap
from kit.data.table import Table, test_table
from kit.errors import KitError, KitWarning, format_cases
from kit.experiment.sample_fit import misfits


def warn_about_prediction(workspace: Workspace, table: Table) -> None:
    """Warns before training of what would stop `kit tta` (W12) or `kit blend` (W41, W42) after it, and of copies.

    Copies are images that are in train and test alike.
    """
    data = workspace.competition.data
    if data.test is None and data.sample is None:
        return
    test = None
    try:
        test = test_table(workspace.root, data, table.classes)
    except KitError as error:
        text = f"W12 the test rows cannot be used as they are, kit tta will stop: {error}"
        warnings.warn(KitWarning(text), stacklevel=2)
    else:
        warn_train_test_overlap(table, test)
    try:
        found = list(misfits(workspace, table, test))
    except KitError as error:
        if test is not None:  # else W12 has said it
            warnings.warn(
                KitWarning(f"W42 the sample cannot be read, kit blend will stop: {error}"), stacklevel=2
            )
        return
    for misfit in found:
        code = "W41" if misfit.about == "rows" else "W42"
        lines = [
            f"{code} kit blend will stop: {misfit.summary}",
            *format_cases(misfit.cases),
            f"try: {misfit.hint}",
        ]
        warnings.warn(KitWarning("\n".join(lines)), stacklevel=2)
