"""The kinds of plugin: one base class per kind, with one main method.

A kind has one name everywhere: the folder, the config key, the entry-point group.

Shapes: N rows, A answers, K classes, M members, H and W pixels, C channels, T tokens. Labels and truth are
class numbers (N,). Plugins whose `label_kinds` include multi-hot labels also receive (N, K): a row then has
any number of labels.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from kit.kinds.aggregation import Aggregator, AnswerImages
    from kit.kinds.base_classes import KINDS
    from kit.kinds.classes import Classes
    from kit.kinds.data import Augmenter, Sampler, Splitter
    from kit.kinds.executor import Executor, Function, JobEvents, JobProgress, JobResult
    from kit.kinds.network import (
        Adapter,
        Backbone,
        ColumnLayout,
        Columns,
        ColumnSpan,
        Head,
        Instances,
        Outputs,
        Pooling,
    )
    from kit.kinds.plugin import Plugin, bound_field
    from kit.kinds.prediction import Ensembler, Format, Metric, Views
    from kit.kinds.reader import Decoded, Reader, ReadRules
    from kit.kinds.retrieval import Reranker, RetrievedNeighbours, Scorer
    from kit.kinds.score_context import ScoreContext
    from kit.kinds.several_target import AnswerPart, SeveralTarget
    from kit.kinds.targets import LabelKind, Target
    from kit.kinds.tracker import Log, Tracked, Tracker
    from kit.kinds.training import Loss, Optimizer, Scheduler

# the module that defines each name; it is imported when the name is first used, so that `kit --help` stays
# fast
PUBLIC = {
    "Adapter": "network",
    "Aggregator": "aggregation",
    "AnswerPart": "several_target",
    "AnswerImages": "aggregation",
    "Augmenter": "data",
    "Backbone": "network",
    "Classes": "classes",
    "ColumnLayout": "network",
    "ColumnSpan": "network",
    "Columns": "network",
    "Decoded": "reader",
    "JobResult": "executor",
    "Ensembler": "prediction",
    "Executor": "executor",
    "Format": "prediction",
    "Function": "executor",
    "Head": "network",
    "Instances": "network",
    "KINDS": "base_classes",
    "LabelKind": "targets",
    "Log": "tracker",
    "Loss": "training",
    "Metric": "prediction",
    "RetrievedNeighbours": "retrieval",
    "Optimizer": "training",
    "Outputs": "network",
    "Plugin": "plugin",
    "Pooling": "network",
    "Reader": "reader",
    "ReadRules": "reader",
    "Reranker": "retrieval",
    "JobProgress": "executor",
    "Sampler": "data",
    "Scheduler": "training",
    "ScoreContext": "score_context",
    "Scorer": "retrieval",
    "Splitter": "data",
    "SeveralTarget": "several_target",
    "Target": "targets",
    "JobEvents": "executor",
    "Tracked": "tracker",
    "Tracker": "tracker",
    "Views": "prediction",
    "bound_field": "plugin",
}

__all__ = [
    "KINDS",
    "Adapter",
    "Aggregator",
    "AnswerImages",
    "AnswerPart",
    "Augmenter",
    "Backbone",
    "Classes",
    "ColumnLayout",
    "ColumnSpan",
    "Columns",
    "Decoded",
    "Ensembler",
    "Executor",
    "Format",
    "Function",
    "Head",
    "Instances",
    "JobEvents",
    "JobProgress",
    "JobResult",
    "LabelKind",
    "Log",
    "Loss",
    "Metric",
    "Optimizer",
    "Outputs",
    "Plugin",
    "Pooling",
    "ReadRules",
    "Reader",
    "Reranker",
    "RetrievedNeighbours",
    "Sampler",
    "Scheduler",
    "ScoreContext",
    "Scorer",
    "SeveralTarget",
    "Splitter",
    "Target",
    "Tracked",
    "Tracker",
    "Views",
    "bound_field",
]

if not TYPE_CHECKING:  # a type checker sees the imports above, and reports a wrong name here

    def __getattr__(name: str) -> object:
        if name not in PUBLIC:
            raise AttributeError(f"module 'kit.kinds' has no attribute {name!r}")
        return getattr(importlib.import_module(f"kit.kinds.{PUBLIC[name]}"), name)


def __dir__() -> list[str]:
    return sorted([*globals(), *PUBLIC])
