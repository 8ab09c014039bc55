"""sharing: a stream of batches is cut as if each reader had its rows to itself."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
import pytest
import torch

from kit.engine.batches import Batch
from kit.model.shared_pass import Rebatcher


def stream(rows: Sequence[int], size: int) -> Iterator[Batch]:
    """Batches of two-pixel images that are all of their row's number, in channels-last memory."""
    for start in range(0, len(rows), size):
        there = torch.tensor(rows[start : start + size])
        images = there.to(torch.uint8)[:, None, None, None].expand(-1, 1, 2, 3).contiguous()
        yield Batch(images.permute(0, 3, 1, 2), torch.full((len(there),), -1), there)


def cut(wanted: Sequence[int], size: int, batches: Iterator[Batch]) -> list[list[int]]:
    cutter, found, begun = Rebatcher(np.array(wanted, dtype=np.int64), size), [], 0
    for batch in batches:
        for part, images in cutter.rebatch(batch):
            assert part == slice(begun, begun + len(images))
            assert images.shape[1:] == (3, 1, 2)
            begun += len(images)
            found.append(images[:, 0, 0, 0].tolist())
    return found


@pytest.mark.parametrize("read", [1, 3, 4, 7, 100])
@pytest.mark.parametrize("size", [1, 4, 5, 100])
@pytest.mark.parametrize(
    "wanted", [range(20), range(0, 20, 3), (19,), (3, 4, 5, 17), range(5), range(15, 20)], ids=str
)
def test_batches_are_those_of_the_wanted_rows_alone(wanted: Sequence[int], size: int, read: int) -> None:
    alone = [list(wanted)[start : start + size] for start in range(0, len(wanted), size)]
    assert cut(wanted, size, stream(range(20), read)) == alone


def test_rows_need_not_follow_one_another() -> None:
    rows = [2, 5, 6, 9, 30, 31, 70]
    assert cut([5, 9, 30, 70], 3, stream(rows, 3)) == [[5, 9, 30], [70]]


def test_a_batch_that_fits_is_passed_on_as_it_is() -> None:
    (batch,) = stream(range(4), 4)
    ((part, images),) = Rebatcher(np.arange(4), 4).rebatch(batch)
    assert part == slice(0, 4)
    assert images.data_ptr() == batch.images.data_ptr()
