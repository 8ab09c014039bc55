"""Base classes: every kind of plugin by its name."""

from __future__ import annotations

from kit.kinds.aggregation import Aggregator
from kit.kinds.data import Augmenter, Sampler, Splitter
from kit.kinds.executor import Executor
from kit.kinds.network import Adapter, Backbone, Columns, Head, Instances, Pooling
from kit.kinds.plugin import Plugin
from kit.kinds.prediction import Ensembler, Format, Metric, Views
from kit.kinds.reader import Reader
from kit.kinds.retrieval import Reranker, Scorer
from kit.kinds.tracker import Tracker
from kit.kinds.training import Loss, Optimizer, Scheduler

KINDS: dict[str, type[Plugin]] = {
    base.kind: base
    for base in (
        Reader,
        Splitter,
        Sampler,
        Augmenter,
        Backbone,
        Adapter,
        Pooling,
        Instances,
        Columns,
        Head,
        Loss,
        Optimizer,
        Scheduler,
        Views,
        Metric,
        Aggregator,
        Ensembler,
        Format,
        Tracker,
        Executor,
        Scorer,
        Reranker,
    )
}

# kinds that a key of the data section names; data.columns lists columns of a table
DATA_KINDS = ("reader",)
