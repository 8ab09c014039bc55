"""Contract tests of aggregators on drawn images; one with a fitted option is fitted on their truth first."""

from __future__ import annotations

import numpy as np

from kit.contracts._parts import draw_labels, draw_predictions, find_fault, part_targets
from kit.core.randomness import generator
from kit.kinds import Aggregator, AnswerImages
from kit.kinds.several_target import SeveralTarget
from kit.kinds.targets import PLAIN_TARGETS, Target

ANSWERS, CLASSES, PART_COLUMNS = 30, 3, 4
TOLERANCE = 1e-9  # float64 sums in another order


def _draw(target: Target) -> tuple[AnswerImages, np.ndarray]:
    """Returns images of answers with one to five each, and their truth; an answer's images are noisy pictures of it."""
    rng = generator(0, "laws of aggregators", target.kind)
    counts = rng.integers(1, 6, ANSWERS)
    owners = np.repeat(np.arange(ANSWERS), counts)
    if isinstance(target, SeveralTarget):
        labels = draw_labels(target, ANSWERS, rng)
        return AnswerImages.of(draw_predictions(target, labels[owners], rng), owners), labels
    truth = rng.permutation(np.arange(ANSWERS) % CLASSES)
    hot = np.eye(CLASSES)[truth]
    noise = rng.dirichlet(np.ones(CLASSES), counts.sum())
    shares = (noise + np.repeat(hot, counts, axis=0)) / 2
    truths = {"class_index": truth, "multi_hot": hot.astype(np.int8), "numbers": 9 * hot - 3, "soft": hot}
    if target.kind == "numbers":
        shares = 9 * shares - 3
    return AnswerImages.of(shares.astype(np.float32), owners), truths[target.kind]


def _ways(plugin: Aggregator) -> list[tuple[Aggregator, AnswerImages]]:
    """Returns the plugin, fitted, for each kind of labels of a table that it takes."""
    fitted_plugins = []
    for target in (*PLAIN_TARGETS.values(), *part_targets(PART_COLUMNS)):
        if plugin.takes_labels(target.kind):
            images, truth = _draw(target)
            bound = plugin.model_copy(update={"target": target})
            fitted_plugins.append((bound.fit(images, truth), images))
    return fitted_plugins


def law_answers_are_probabilities(plugin: Aggregator) -> None:
    """An answer (K,) is finite; probabilities are from 0 to 1, and sum to 1 if `target.sums_to_one` is true.

    Of several parts the probabilities of each part with classes sum to 1.
    """
    for aggregator, images in _ways(plugin):
        answers = images.join(aggregator.combine)
        expected = (ANSWERS, images.predictions.shape[1])
        assert answers.shape == expected, f"{ANSWERS} answers became {answers.shape}"
        assert np.isfinite(answers).all(), f"{(~np.isfinite(answers)).sum()} values are not finite"
        if isinstance(aggregator.target, SeveralTarget):
            fault = find_fault(aggregator.target, answers)
            assert not fault, fault
            continue
        if not aggregator.target.is_probability:
            continue
        assert answers.min() >= 0, f"the least probability is {answers.min()}"
        over = np.abs(answers.sum(axis=1) - 1).max() if aggregator.target.sums_to_one else answers.max() - 1
        assert over < 1e-6, f"an answer is {over} away from 1"


def law_the_order_of_images_does_not_matter(plugin: Aggregator) -> None:
    """The order of an answer's images does not change the answer."""
    for aggregator, images in _ways(plugin):
        backwards = AnswerImages(images.predictions, images.rows[::-1], images.counts[::-1])
        off = np.abs(images.join(aggregator.combine) - backwards.join(aggregator.combine)[::-1]).max()
        assert off < TOLERANCE, f"a probability is {off} away"


def law_an_answer_does_not_depend_on_the_others(plugin: Aggregator) -> None:
    """An answer joined alone is the same as among others."""
    for aggregator, images in _ways(plugin):
        whole = images.join(aggregator.combine)
        for answer in range(0, ANSWERS, 7):
            off = np.abs(images.take(np.array([answer])).join(aggregator.combine)[0] - whole[answer]).max()
            assert off < TOLERANCE, f"answer {answer} is {off} away"


def law_one_image_keeps_its_most_probable_class(plugin: Aggregator) -> None:
    """The most probable class of an answer with one image is that of the image."""
    for aggregator, images in _ways(plugin):
        single = images.take(images.counts == 1)
        wrong = single.join(aggregator.combine).argmax(axis=1) != single.predictions[single.rows].argmax(
            axis=1
        )
        assert not wrong.any(), f"{wrong.sum()} of {len(wrong)} answers have another class than their image"


def law_a_fitted_one_is_fitted(plugin: Aggregator) -> None:
    """After `fit` no option is left to be fitted."""
    for aggregator, _ in _ways(plugin):
        assert not aggregator.needs_fit(), "needs_fit is still true"
