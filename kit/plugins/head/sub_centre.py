"""The cosine to the nearest of several vectors per class."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from pydantic import Field

from kit.kinds import Head, Outputs

if TYPE_CHECKING:
    from torch import nn


class SubCentre(Head):
    """The largest cosine of each class to its k vectors, so that one class may have several appearances.

    Weights are (classes * k, features), class by class; float32 under AMP. It is meant for ArcFace and other
    margin losses.

    Source: Deng et al. 2020, "Sub-center ArcFace: Boosting Face Recognition by Large-Scale Noisy Web Faces", 3.2.
    """

    gives: ClassVar[Outputs] = "cosines"

    centres: int = Field(3, ge=1, le=20, description="k, number of vectors per class; winners used 2 and 3")

    def build(self, features: int, classes: int) -> nn.Module:
        from kit.plugins.head._cosines import SubCentres

        return SubCentres(features, classes, self.centres)
