"""Cached embeddings in place of images."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

from pydantic import BeforeValidator, Field

from kit.config.data_blocks import one_or_several
from kit.errors import ConfigError
from kit.kinds import Backbone
from kit.kinds.network import CachedVectors

if TYPE_CHECKING:
    from torch import nn


class CachedEmbeddings(Backbone):
    """Vectors that `kit embed` has cached, so that only a head is trained: a linear probe, or a small network.

    Vectors of several runs are joined. If a run was trained, each fold gets the vectors of its own fold's
    network.

    Source: Alain & Bengio 2016, "Understanding intermediate layers using linear classifier probes", section 3.
    """

    run: Annotated[tuple[str, ...], BeforeValidator(one_or_several)] = Field(
        (), description="embedded runs, such as dino or dino@hflip; the vectors of several are joined"
    )
    standardise: bool = Field(
        True,
        description="subtract each feature's mean over a fold's training rows, and divide by its deviation",
    )

    def build(self) -> nn.Module:
        raise ConfigError(
            "backbone 'embeddings' reads no images: only kit train and kit sweep take it",
            code="C83",
            hint="another backbone for this command, such as backbone=timm",
        )

    def cached_vectors(self) -> CachedVectors:
        return CachedVectors(self.run, self.standardise)
