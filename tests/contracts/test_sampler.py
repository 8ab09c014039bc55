"""Every sampler keeps the laws, and the laws notice one that does not."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from kit.contracts import sampler as laws
from kit.kinds import Sampler
from kit.kinds.registry import locations

LAWS = [law for name, law in vars(laws).items() if name.startswith("law_")]


@pytest.mark.parametrize("law", LAWS, ids=lambda law: law.__name__)
@pytest.mark.parametrize("name", locations("sampler"))
def test_every_sampler_keeps_the_law(name: str, law: Callable[[Sampler], None]) -> None:
    law(Sampler.open(name))


class _Broken(Sampler):
    """Breaks the law that a test asks for."""

    fault: str

    def order(self, labels: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        order = rng.permutation(len(labels))
        if self.fault == "changes":
            labels[:] = 9
        return {
            "empty": order[:0],
            "outside": order + 1,
            "float": order.astype(float),
            "flat": order[None],
            "global": np.random.default_rng().permutation(1000) % len(labels),
            "length": order[: 1 + int(rng.integers(len(labels)))],
        }.get(self.fault, order)


@pytest.mark.parametrize(
    ("fault", "law"),
    [
        ("empty", laws.law_orders_rows_that_exist),
        ("outside", laws.law_orders_rows_that_exist),
        ("float", laws.law_orders_rows_that_exist),
        ("flat", laws.law_orders_rows_that_exist),
        ("global", laws.law_same_rng_same_order),
        ("length", laws.law_epochs_are_equally_long),
        ("changes", laws.law_leaves_the_labels_as_they_were),
    ],
)
def test_the_law_notices(fault: str, law: Callable[[Sampler], None]) -> None:
    law(_Broken(fault=""))
    with pytest.raises(AssertionError):
        law(_Broken(fault=fault))
