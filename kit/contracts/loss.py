"""Contract tests of losses, on outputs drawn from the kind of head that each names and labels of the kinds it takes."""

from __future__ import annotations

from dataclasses import dataclass, replace
from itertools import product
from typing import TYPE_CHECKING

from kit.kinds import Classes, LabelKind, Loss
from kit.kinds.levels import Level
from kit.kinds.several_target import SeveralTarget
from kit.kinds.targets import ONE_CLASS, PLAIN_TARGETS

if TYPE_CHECKING:
    from torch import Tensor

ROWS, FEATURES, COUNTS = 24, 8, (12, 6, 3, 2, 1)
FACTORS = (("p", "u"), ("p", "v"), ("q", "u"), ("r", "v"), ("s", "u"))
NUMBERS_MEAN = 20.0
PARTS = SeveralTarget((("all", len(COUNTS)),))  # one part, which is a softmax over all classes
CLASSES = Classes(
    ("a", "b", "c", "d", "e"),
    COUNTS,
    ("x", "x", "x", "y", "z"),
    FACTORS,
    ROWS,
    means=(NUMBERS_MEAN,) * 5,
    scales=(5.0,) * 5,
    target_range=(-40.0, 80.0),
    levels=(Level("genus", ("x", "x", "y", "y", "z")), Level("family", ("p", "p", "p", "p", "q"))),
)


@dataclass(frozen=True)
class _Case:
    """The loss bound to five classes, outputs in its head's form, and labels of a kind that it takes."""

    loss: Loss
    outputs: Tensor  # (ROWS, width)
    # (ROWS,), every class occurs; multi-hot (ROWS, classes), with rows of none and of all labels; soft rows;
    # a label and a teacher's probabilities (ROWS, 1 + classes)
    labels: Tensor
    hot: Tensor  # (ROWS, classes) bool, the labels by class
    kind: LabelKind

    @property
    def several(self) -> bool:
        """Whether a row may have several labels."""
        return self.kind == "multi_hot"

    def with_logits(self, logits: Tensor) -> Tensor:
        """Returns the outputs with these logits; unit vectors beside them stay."""
        import torch

        return torch.cat([logits, self.outputs[:, logits.shape[1] :]], dim=1)

    @property
    def logits(self) -> Tensor:
        """The outputs without the unit vectors beside them."""
        return self.outputs[:, : self.loss.width(len(COUNTS))]

    @property
    def extreme(self) -> Tensor:
        """Outputs at their extremes."""
        import torch

        edge = 1.0 if self.loss.outputs() == "cosines" else 30.0
        return self.with_logits(torch.where(self.logits > 0, edge, -edge))


def _cases(loss: Loss) -> list[_Case]:
    """Returns a case for each kind of labels that the loss takes."""
    import torch

    numbers, places = torch.arange(ROWS), torch.arange(len(COUNTS))
    classes, several = numbers % len(COUNTS), numbers[:, None] * 4 // 3 >> places & 1  # 0 to 30 in base 2
    hot = classes[:, None] == places
    soft = 0.7 * hot + 0.3 / len(COUNTS)
    with_teacher = torch.cat(
        [classes[:, None], soft * (numbers[:, None] > 4)], dim=1
    )  # no teacher saw the first five
    kinds: dict[LabelKind, tuple[Tensor, Tensor]] = {
        "class_index": (classes, hot),
        "multi_hot": (several.float(), several == 1),
        "soft": (soft, hot),
        "taught": (with_teacher, hot),
        "numbers": (
            NUMBERS_MEAN + 5 * torch.randn(ROWS, len(COUNTS), generator=torch.Generator().manual_seed(2)),
            hot,
        ),
        "several": (hot.float(), hot),
    }
    cases = [_case(loss, *kinds[kind], kind) for kind in kinds if loss.takes_labels(kind)]
    assert cases, "it takes no kind of labels"
    return cases


def _cases_of_classes(loss: Loss) -> list[_Case]:
    """Returns the cases whose labels are classes."""
    return [case for case in _cases(loss) if case.kind != "numbers"]


def _case(loss: Loss, labels: Tensor, hot: Tensor, kind: LabelKind) -> _Case:
    import torch

    target = PARTS if kind == "several" else PLAIN_TARGETS.get(kind, ONE_CLASS)
    bound = loss.with_classes(replace(CLASSES, target=target))
    draws = torch.Generator().manual_seed(0)
    outputs = torch.randn(ROWS, bound.width(len(COUNTS)), generator=draws)
    if loss.outputs() == "logits_and_embedding":
        vectors = torch.randn(ROWS, FEATURES, generator=draws)
        outputs = torch.cat([outputs, vectors / vectors.norm(dim=1, keepdim=True)], dim=1)
    return _Case(bound, torch.tanh(outputs) if loss.outputs() == "cosines" else outputs, labels, hot, kind)


def law_every_row_has_a_finite_loss(loss: Loss) -> None:
    """`rows` gives one finite number per row, also for extreme outputs."""
    import torch

    for case in _cases(loss):
        for given in (case.outputs, case.extreme):
            losses = case.loss.rows(given, case.labels)
            assert losses.shape == (ROWS,), f"the shape is {tuple(losses.shape)}, not ({ROWS},)"
            wrong = int((~torch.isfinite(losses)).sum())
            assert wrong == 0, f"{wrong} of {ROWS} rows are not finite"


def law_its_gradient_is_finite(loss: Loss) -> None:
    """The gradient of the mean is finite, also for extreme outputs."""
    import torch

    for case in _cases(loss):
        for given in (case.outputs, case.extreme):
            leaf = given.clone().requires_grad_()
            case.loss.rows(leaf, case.labels).mean().backward()
            assert leaf.grad is not None, "no gradient reaches the outputs"
            wrong = int((~torch.isfinite(leaf.grad)).sum())
            assert wrong == 0, f"{wrong} of {leaf.numel()} gradients are not finite"


def law_the_right_answer_costs_less(loss: Loss) -> None:
    """If outputs are per class: a confident right prediction costs less than a confident wrong one, for every class."""
    for case in _cases_of_classes(loss):
        if not case.loss.is_per_class():
            continue
        size = 0.9 if loss.outputs() == "cosines" else 6.0
        right = size * (2 * case.hot.float() - 1)
        wrong = -right if case.several else right.roll(1, dims=1)
        costs, wrong_costs = case.loss.rows(right, case.labels), case.loss.rows(wrong, case.labels)
        assert bool((costs < wrong_costs).all()), f"right {costs.tolist()}, wrong {wrong_costs.tolist()}"


def law_down_its_gradient_the_true_class_is_likeliest(loss: Loss) -> None:
    """From uninformative outputs, a step against the gradient makes the true classes the most probable."""
    import torch

    for case in _cases_of_classes(loss) if not loss.is_ordered() else []:
        leaf = case.with_logits(torch.zeros_like(case.logits)).requires_grad_()
        case.loss.rows(leaf, case.labels).sum().backward()
        gradient = torch.zeros_like(leaf) if leaf.grad is None else leaf.grad
        probabilities = case.loss.probabilities(leaf.detach() - 0.01 * gradient)
        least = (
            probabilities.masked_fill(~case.hot, 2).min(dim=1).values
        )  # 2 if no class is true, -1 if all are
        most = probabilities.masked_fill(case.hot, -1).max(dim=1).values
        wrong = int((least <= most).sum())
        assert wrong == 0, f"{wrong} of {ROWS} rows end at another class"


def law_rows_do_not_see_each_other_unless_it_says_so(loss: Loss) -> None:
    """A splittable loss gives a row the same cost in any batch."""
    import torch

    if not loss.is_splittable():
        return
    for case in _cases(loss):
        pairs = zip(case.outputs, case.labels, strict=True)
        alone = torch.cat([case.loss.rows(output[None], label[None]) for output, label in pairs])
        worst = float((case.loss.rows(case.outputs, case.labels) - alone).abs().max())
        assert worst < 1e-4, f"a row's cost differs by {worst} between a batch and alone"


def law_probabilities_are_probabilities(loss: Loss) -> None:
    """Outputs become class probabilities, in the order of the outputs if these are per class.

    Rows sum to 1, unless a row may have several labels.
    """
    import torch

    for case in _cases_of_classes(loss):
        probabilities = case.loss.probabilities(case.outputs)
        wanted = (ROWS, len(COUNTS))
        assert probabilities.shape == wanted, f"the shape is {tuple(probabilities.shape)}, not {wanted}"
        assert bool(((probabilities >= 0) & (probabilities <= 1)).all()), "some are below 0 or above 1"
        worst = float((probabilities.sum(1) - 1).abs().max())
        assert case.several or worst < 1e-4, f"a row's sum is off by {worst}"
        if case.loss.is_per_class():
            same = torch.equal(probabilities.argsort(1), case.outputs.argsort(1))
            assert same, "the likeliest class is not that of the largest output, or the next not of the next"


def law_down_its_gradient_grades_are_nearer(loss: Loss) -> None:
    """If classes are grades: a step against the gradient brings the expected grade nearer to the true one."""
    import torch

    for case in _cases(loss) if loss.is_ordered() else []:
        grades = torch.arange(len(COUNTS)).float()
        leaf = torch.zeros_like(case.logits).requires_grad_()
        case.loss.rows(leaf, case.labels).sum().backward()
        assert leaf.grad is not None, "no gradient reaches the outputs"
        before = (case.loss.probabilities(leaf.detach()) @ grades - case.hot.float() @ grades).abs()
        after = case.loss.probabilities(leaf.detach() - 0.01 * leaf.grad) @ grades
        wrong = int(((after - case.hot.float() @ grades).abs() > before + 0.01).sum())
        assert wrong == 0, f"{wrong} of {ROWS} rows end at a farther grade"


def law_down_its_gradient_numbers_are_nearer(loss: Loss) -> None:
    """Of numbers: from outputs of 0, a step against the gradient brings predictions nearer to the labels."""
    import torch

    for case in (candidate for candidate in _cases(loss) if candidate.kind == "numbers"):
        leaf = torch.zeros_like(case.logits).requires_grad_()
        case.loss.rows(leaf, case.labels).sum().backward()
        assert leaf.grad is not None, "no gradient reaches the outputs"
        before = (case.loss.probabilities(leaf.detach()) - case.labels).abs()
        after = (case.loss.probabilities(leaf.detach() - 0.001 * leaf.grad) - case.labels).abs()
        wrong = int((after > before + 1e-5).sum())
        assert after.shape == case.labels.shape, f"the shape is {tuple(after.shape)}"
        assert wrong == 0, f"{wrong} of {after.numel()} numbers are farther away"


def law_mixed_shares_sum_to_one(loss: Loss) -> None:
    """`mix` keeps the shape of any batch, its shares sum to 1, and equal draws give equal mixtures."""
    import torch

    from kit.core.randomness import generator

    for case, count in product(_cases(loss), (1, 2, 7)):
        images = torch.randint(
            0, 256, (count, 3, 9, 11), dtype=torch.uint8, generator=torch.Generator().manual_seed(1)
        )
        before = images.clone()
        given = case.labels[:count]
        mixed, shares = case.loss.mix(images, given, generator(0, "law"))
        again, _ = case.loss.mix(images, given, generator(0, "law"))
        assert mixed.shape == images.shape, (
            f"{count} images of {tuple(images.shape)} became {tuple(mixed.shape)}"
        )
        assert torch.equal(images, before), "the images that were given are changed in place"
        assert torch.equal(mixed, again), "the same draws give another mixture"
        total = sum(share for share, _ in shares)
        assert abs(total - 1) < 1e-9, f"the shares sum to {total}"
        assert all(labels.shape == given.shape for _, labels in shares), (
            "a share's labels are not one per row"
        )
