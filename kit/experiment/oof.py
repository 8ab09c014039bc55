"""Assembling: a run's out-of-fold predictions, put together from those of its folds."""

from __future__ import annotations

from kit.data.predictions import Predictions
from kit.experiment.run_context import RunContext
from kit.kinds import Views
from kit.runs.reuse import checkpoint_tags
from kit.runs.scoring import concat_predictions, prediction_metadata, with_scores


def assemble(setting: RunContext) -> Predictions:
    """Writes predictions/plain/oof.parquet from the folds that are there, with their scores."""
    run = setting.run
    parts = {
        k: Predictions.read(run.fold_predictions_file(k))
        for k in range(setting.folds.count)
        if run.fold_predictions_file(k).is_file()
    }
    plugins = [Views.open("plain"), *setting.techniques.parts.without_pretrained().all()]
    about = prediction_metadata(run, "plain", "mean", setting.loaded.table, plugins)
    about |= {"rows": "oof", "folds": setting.folds.fingerprint(), "images": setting.loaded.fingerprint()}
    about |= {"checkpoints": checkpoint_tags(parts)}
    whole = with_scores(concat_predictions(list(parts.values()), about), setting.metric, setting.loaded.table)
    whole.write(run.predictions("plain") / "oof.parquet")
    return whole
