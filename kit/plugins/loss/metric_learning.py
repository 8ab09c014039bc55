"""Every loss of pytorch-metric-learning that compares rows of a batch, with its miners, by name."""

from __future__ import annotations

import importlib
import importlib.util
import inspect
from collections.abc import Mapping
from functools import lru_cache
from typing import TYPE_CHECKING, Any, Self

from pydantic import Field, model_validator

from kit.errors import ConfigError, did_you_mean
from kit.plugins.loss._auxiliary import AuxiliaryLoss

if TYPE_CHECKING:
    from torch import Tensor

Spec = Mapping[str, Any]
Frozen = tuple[tuple[str, Any], ...]
# the endings of the classes' names
ENDINGS = {
    "losses": ("Loss",),
    "miners": ("Miner",),
    "distances": ("Distance", "Similarity"),
    "reducers": ("Reducer",),
    "regularizers": ("Regularizer",),
}
# arguments that are objects of the library, written as {"name": ..., arguments}
NESTED = {"distance": "distances", "reducer": "reducers", "embedding_regularizer": "regularizers"}


class MetricLearning(AuxiliaryLoss):
    """A loss of pytorch-metric-learning on the unit vectors, with a miner's choice of pairs or triplets.

    `{"name": "TripletMarginLoss", "margin": 0.1}` with the miner `{"name": "BatchHardMiner"}` is the loss of
    mined triplets. The arguments `distance`, `reducer` and `embedding_regularizer` are written the same way.
    Each is tried on four drawn vectors. Losses with trained weights are refused: use kit's `arcface`,
    `proxy_anchor` and similar losses.

    Source: Musgrave, Belongie and Lim 2020, "PyTorch Metric Learning"; the default is Wang et al. 2019,
    "Multi-Similarity Loss with General Pair Weighting", with its miner.
    """

    loss: Spec = Field(
        {"name": "MultiSimilarityLoss"}, description="name and arguments of the library's loss"
    )
    miner: Spec | None = Field(
        {"name": "MultiSimilarityMiner"}, description="name and arguments of the library's miner, or null"
    )

    @model_validator(mode="after")
    def _build(self) -> Self:
        if importlib.util.find_spec("pytorch_metric_learning") is not None:
            _try_out(_freeze(self.loss), None if self.miner is None else _freeze(self.miner))
        return self

    def among(self, vectors: Tensor, labels: Tensor) -> Tensor:
        picked = None if self.miner is None else _make("miners", _freeze(self.miner))(vectors, labels)
        loss_value: Tensor = _make("losses", _freeze(self.loss))(vectors, labels, picked)
        return loss_value


def _freeze(spec: Spec) -> tuple[tuple[str, Any], ...]:
    """Returns the entries of a spec and of nested specs as tuples, so that they can be a key."""
    return tuple(
        (
            key,
            _freeze(value)
            if isinstance(value, Mapping)
            else tuple(value)
            if isinstance(value, list)
            else value,
        )
        for key, value in sorted(spec.items())
    )


@lru_cache(maxsize=32)
def _try_out(loss: Frozen, miner: Frozen | None) -> None:
    """Raises ConfigError C02 for a loss or miner that fails on four vectors of two classes."""
    import torch

    vectors = torch.nn.functional.normalize(torch.tensor([[1.0, 0.1], [1.0, 0.3], [0.2, 1.0], [0.4, 1.0]]))
    vectors.requires_grad_()
    labels = torch.tensor([0, 0, 1, 1])
    criterion, mine = _make("losses", loss), None if miner is None else _make("miners", miner)
    names = " with ".join(str(dict(options).get("name")) for options in (loss, miner) if options is not None)
    try:
        values = [criterion(vectors, labels)]
        if mine is not None:
            values.append(criterion(vectors, labels, mine(vectors, labels)))
        torch.stack(values).sum().backward()
    except Exception as error:  # the library decides what it raises for its options
        raise ConfigError(f"{names} fails on four drawn vectors: {error}", code="C02") from error
    if not all(torch.isfinite(value) for value in values):
        raise ConfigError(f"{names} is {values[0].item()} on four drawn vectors", code="C02")


@lru_cache(maxsize=32)
def _make(module_name: str, spec: Frozen) -> Any:
    """Returns a loss, miner or part of them of the library, without state.

    Raises ConfigError C24 if the library is missing, C07 for an unknown name or argument.
    """
    options = dict(spec)
    name = str(options.pop("name", ""))
    if importlib.util.find_spec("pytorch_metric_learning") is None:
        raise ConfigError(
            "loss 'metric_learning' needs the package pytorch-metric-learning, which is not installed",
            code="C24",
            hint="pip install 'kit-competitions[metric-learning]'",
        )
    module = importlib.import_module(f"pytorch_metric_learning.{module_name}")
    known = {key: value for key, value in vars(module).items() if key.endswith(ENDINGS[module_name])}
    if name not in known:
        raise ConfigError(
            f"pytorch-metric-learning has no {name!r} among its {module_name}{did_you_mean(name, known)}",
            code="C07",
        )
    arguments = _arguments(known[name])
    wrong = next((key for key in options if key not in arguments), None)
    if wrong is not None:
        raise ConfigError(
            f"{name} has no argument {wrong!r}{did_you_mean(wrong, arguments)} (it has {', '.join(arguments)})",
            code="C02",
        )
    options = {
        key: _make(NESTED[key], value) if key in NESTED and isinstance(value, tuple) else value
        for key, value in options.items()
    }
    try:
        instance = known[name](**options)
    except (TypeError, ValueError, AssertionError) as error:
        raise ConfigError(f"{name} cannot be made: {error}", code="C02") from None
    if any(True for _ in instance.parameters()):
        raise ConfigError(
            f"{name} has weights of its own, which no optimizer would train",
            code="C02",
            hint="loss=arcface, loss=cosface or loss=proxy_anchor, whose weights are the head's",
        )
    return instance


def _arguments(kind: type) -> list[str]:
    """Returns the arguments of a class and of the base classes that receive the rest."""
    names: dict[str, None] = {}
    for base in kind.__mro__:
        init = vars(base).get("__init__")
        if init is None or not base.__module__.startswith("pytorch_metric_learning"):
            continue
        parameters = inspect.signature(init).parameters.values()
        names |= dict.fromkeys(
            p.name for p in parameters if p.kind is p.POSITIONAL_OR_KEYWORD and p.name != "self"
        )
        if not any(p.kind is p.VAR_KEYWORD for p in parameters):
            break
    return list(names)
