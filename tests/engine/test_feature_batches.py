"""FeatureBatches: bags of vectors, padded with zeros; each epoch draws some instances of large bags."""

from __future__ import annotations

import numpy as np

from kit.data.embeddings import Vectors
from kit.data.vector_table import VectorTable
from kit.engine.feature_batches import Bags, FeatureBatches, pad_bags
from kit.plugins.sampler.shuffled import Shuffled

VALUES = np.arange(1, 25, dtype=np.float16).reshape(12, 2)
NAMES = np.array(list("abacabadabca"))  # a 6, b 3, c 2, d 1


def vectors(*parts: np.ndarray) -> VectorTable:
    ids = np.array([f"{row:02d}" for row in range(12)])
    return VectorTable.of([Vectors(ids[::-1], part[::-1]) for part in parts or (VALUES,)], ids)


def test_vectors_are_joined_by_id_over_sources() -> None:
    table = vectors(VALUES, VALUES * 10)
    assert table.features == 4
    np.testing.assert_array_equal(table.gather(np.array([3, 0])), [[7, 8, 70, 80], [1, 2, 10, 20]])
    mean, deviation = table.statistics(np.arange(12))
    whole = np.concatenate([VALUES, VALUES * 10], axis=1).astype(np.float64)
    np.testing.assert_allclose(mean, whole.mean(0))
    np.testing.assert_allclose(deviation, whole.std(0))


def test_a_bag_has_the_rows_of_its_name_in_the_order_of_their_places() -> None:
    rows = np.array([0, 1, 3, 4, 5, 10])
    bags = Bags.of_groups(rows, NAMES, order=-np.arange(12.0))
    assert bags.first.tolist() == [0, 1, 3]
    assert [bag.tolist() for bag in bags.rows] == [[4, 0], [5, 1], [10, 3]]
    expanded_rows, values = bags.expand(np.array([[1.0], [2.0], [3.0]]))
    assert expanded_rows.tolist() == rows.tolist()
    assert values[:, 0].tolist() == [1, 2, 3, 1, 2, 3]


def test_smaller_bags_are_filled_up_with_zeros() -> None:
    batch = pad_bags(vectors(), [np.array([2, 0]), np.array([7])])
    assert batch.tolist() == [[[5, 6], [1, 2]], [[15, 16], [0, 0]]]


def test_parts_have_at_most_so_many_bags_and_padded_instances() -> None:
    bags = Bags.of_groups(np.arange(12), NAMES)
    assert [[len(bag) for bag in part] for part in bags.split(2, 100)] == [[6, 3], [2, 1]]
    assert [[len(bag) for bag in part] for part in bags.split(9, 6)] == [[6], [3, 2], [1]]


def test_an_epoch_draws_some_instances_of_a_large_bag_again_and_in_their_order() -> None:
    bags = Bags.of_groups(np.arange(12), NAMES)

    def epoch(number: int) -> list[list[float]]:
        batches = FeatureBatches(
            vectors(), bags, np.zeros(12, np.int64), Shuffled(), 4, seed=1, max_instances=3
        )
        (batch,) = batches.epoch(number)
        order = batch.rows.numpy().argsort()
        return [bag[:, 0].tolist() for bag in batch.images.numpy()[order]]

    first, again, second = epoch(0), epoch(0), epoch(1)
    assert first == again
    assert first[0] == sorted(first[0])
    assert set(first[0]) < set(VALUES[NAMES == "a", 0].tolist())
    assert first[1] == VALUES[NAMES == "b", 0].tolist()
    assert first[2] == [*VALUES[NAMES == "c", 0].tolist(), 0]
    assert first[0] != second[0]


def test_a_bag_has_the_label_of_its_first_row() -> None:
    bags = Bags.of_groups(np.arange(12), NAMES)
    labels = np.array([{"a": 5, "b": 6, "c": 7, "d": 8}[name] for name in NAMES.tolist()])
    batches = FeatureBatches(vectors(), bags, labels, Shuffled(), 3)
    assert batches.steps == 2
    for batch in batches.epoch(0):
        assert batch.labels.tolist() == labels[batch.rows.numpy()].tolist()
        assert len(batch) == 2
