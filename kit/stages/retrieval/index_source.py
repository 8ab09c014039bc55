"""Embeddings of index images, which `kit embed --index` writes beside those of training and test rows."""

from __future__ import annotations

from kit.config.workspace import Workspace
from kit.data.csv_file import read_csv
from kit.data.embeddings import Embeddings, Vectors
from kit.errors import Case, InvalidError
from kit.kinds.advice import predict_command
from kit.runs.run import STATE_UNTRAINED
from kit.stages.retrieval.source import EmbeddedRun

INDEX_SUFFIX = "-index"  # of the folder beside that of the views


def read_index(workspace: Workspace, source: EmbeddedRun, index: str) -> dict[int, Vectors]:
    """Returns a run's vectors of the index images by fold.

    Raises InvalidError D47, D48 for none or those of other rows.
    """
    folder = source.run.embeddings(source.views + INDEX_SUFFIX)
    hint = f"{predict_command(source.run.name, source.views, command='embed')} --index {index}"
    data = workspace.competition.data
    file = read_csv(workspace.path(index), data.sep, data.encoding)
    wanted = set(file.column(data.id if data.id in file.columns else file.columns[0]))
    vectors_by_fold: dict[int, Vectors] = {}
    vectors_by_name: dict[str, Vectors] = {}
    for fold in source.by_fold:
        names = [name for name in (str(fold), STATE_UNTRAINED) if (folder / name / "manifest.json").is_file()]
        if not names:
            raise InvalidError(
                f"{source.member} has no embeddings of {index} by fold {fold}", code="D48", hint=hint
            )
        if names[0] not in vectors_by_name:
            embeddings = Embeddings.read(folder / names[0])
            if embeddings.provenance.checkpoint != source.by_fold[fold].provenance.checkpoint:
                raise InvalidError(
                    f"the embeddings of {index} and of the test rows come from different checkpoints",
                    code="D48",
                    cases=[Case(f"fold {fold}", source.member)],
                    hint=hint,
                )
            vectors_by_name[names[0]] = embeddings.test
        vectors_by_fold[fold] = vectors_by_name[names[0]]
        if set(vectors_by_fold[fold].ids.tolist()) != wanted:
            raise InvalidError(
                f"the embeddings of {source.member} are of other images than those of {index}",
                code="D48",
                hint=hint,
            )
    return vectors_by_fold
