"""Assembling: a run's out-of-fold predictions, put together from those of its folds."""

from __future__ import annotations

from kit.data.predictions import Predictions
from kit.experiment.run_context import Setting
from kit.kinds import Views
from kit.runs.reuse import tags
from kit.runs.scoring import described, joined, scored


def assemble(setting: Setting) -> Predictions:
    """Writes predictions/plain/oof.parquet from the folds that are there, with their scores."""
    run = setting.run
    parts = {k: Predictions.read(run.part(k)) for k in range(setting.folds.count) if run.part(k).is_file()}
    plugins = [Views.open("plain"), *setting.techniques.parts.bare().all()]
    about = described(run, "plain", "mean", setting.loaded.table, plugins)
    about |= {"rows": "oof", "folds": setting.folds.fingerprint(), "images": setting.loaded.fingerprint()}
    about |= {"checkpoints": tags(parts)}
    whole = scored(joined(list(parts.values()), about), setting.metric, setting.loaded.table)
    whole.write(run.predictions("plain") / "oof.parquet")
    return whole
