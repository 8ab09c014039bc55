"""One optimizer step where memory runs out, or what it computes is not finite."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from kit.device import memory
from kit.device.precision import Precision
from kit.engine import fit
from kit.engine.batches import Batch
from kit.engine.learner import Learner, learner
from kit.engine.out_of_memory import OutOfMemory
from kit.engine.step import OptimizerShortError, SkippedStep, StepPlan
from kit.errors import RunError
from kit.kinds import Classes, Loss, Optimizer, Scheduler
from kit.plugins.loss.cross_entropy import CrossEntropy

FLOAT = Precision("float32", "float32", "contiguous")
BFLOAT = Precision("bfloat16", "bfloat16", "channels_last")
HALF = Precision("float16", "float32", "contiguous")
TOLD = "[enforce fail at alloc_cpu.cpp:127] DefaultCPUAllocator: can't allocate memory: you tried to allocate 9 bytes"


class Drawn:
    """Three batches of ten rows, the same at every epoch."""

    steps = 3

    def __init__(self) -> None:
        draws = torch.Generator().manual_seed(1)
        self.batches = [
            Batch(
                torch.randint(0, 256, (10, 3, 6, 6), dtype=torch.uint8, generator=draws),
                torch.randint(0, 4, (10,), generator=draws),
                torch.arange(10) + 10 * step,
            )
            for step in range(3)
        ]

    def epoch(self, number: int, first_step: int = 0) -> Iterator[Batch]:
        yield from self.batches[first_step:]

    def close(self) -> None:
        pass


class Failing(torch.autograd.Function):
    """The identity, whose backward pass runs out of memory from so many rows on."""

    @staticmethod
    def forward(ctx: Any, values: Tensor, most: int) -> Tensor:
        ctx.most = most
        return values.clone()

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, None]:
        if len(gradients[0]) > ctx.most:
            raise RuntimeError(TOLD)
        return gradients[0], None


class Tight(nn.Module):
    """A small network that runs out of memory with more than so many images at a time, in one of its passes."""

    def __init__(self, most: int, where: str = "forward", norm: bool = False, cosines: bool = False) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.most, self.where, self.cosines = most, where, cosines
        self.seen: list[int] = []
        self.norm = nn.BatchNorm2d(3) if norm else nn.Identity()
        self.inner = nn.Linear(108, 16)
        self.head = nn.Linear(16, 4, bias=False)

    def forward(self, images: Tensor) -> Tensor:
        self.seen.append(len(images))
        features = self.inner(self.norm(images.float() / 255).flatten(1)).tanh()
        if self.where == "forward" and len(images) > self.most:
            raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB")
        if self.where == "backward":
            features = Failing.apply(features, self.most)  # type: ignore[no-untyped-call]  # exclude does not reach subclasses
        if not self.cosines:
            outputs: Tensor = self.head(features)
            return outputs
        return nn.functional.linear(
            nn.functional.normalize(features), nn.functional.normalize(self.head.weight)
        )


def new(network: nn.Module, ema: float = 0.9, **options: Any) -> Learner:
    spec = {"name": "adamw", "lr": 0.01, **options}
    optimizer = Optimizer.open(spec).build(list(network.named_parameters()))
    return learner(network, optimizer, FLOAT, ema_decay=ema)


def tight_network(trainer: Learner) -> Tight:
    """The learner's network."""
    assert isinstance(trainer.network, Tight)
    return trainer.network


def opened(spec: Any) -> Loss:
    return Loss.open(spec).with_classes(Classes(tuple("abcd"), (9, 7, 8, 6), (), (), 30))


def run(
    trainer: Learner, loss: Any = "cross_entropy", precision: Precision = FLOAT, **plan: Any
) -> list[Any]:
    stage = fit.FitStage(2, Drawn(), opened(loss), Scheduler.open("cosine"))
    return list(fit.fit(trainer, [stage], StepPlan(3, 0, **plan), precision))


LOSSES = [
    "label_smoothing",
    {"name": "cutmix", "base": "label_smoothing"},
    {"name": "arcface", "scale": 16.0},
    {"name": "cutmix", "base": {"name": "arcface", "scale": 16.0}},
]


@pytest.mark.parametrize("where", ["forward", "backward"])
@pytest.mark.parametrize("loss", LOSSES, ids=["smoothing", "cutmix", "arcface", "cutmix-arcface"])
def test_a_step_that_runs_out_of_memory_continues_in_halves_to_the_same_weights(
    loss: Any, where: str
) -> None:
    cosines = "arcface" in str(loss)
    free, tight = new(Tight(10, where, cosines=cosines)), new(Tight(3, where, cosines=cosines))
    undisturbed, events = run(free, loss, clip_grad_norm=1.0), run(tight, loss, clip_grad_norm=1.0)
    short = [event for event in events if isinstance(event, OutOfMemory)]
    assert [(event.tried, event.smaller, event.where) for event in short] == [(10, 5, where), (5, 3, where)]
    assert tight_network(tight).seen[-4:] == [3, 3, 2, 2]
    torch.testing.assert_close(tight.network.state_dict(), free.network.state_dict(), rtol=1e-5, atol=1e-6)
    torch.testing.assert_close(
        tight.predictor.state_dict(), free.predictor.state_dict(), rtol=1e-5, atol=1e-6
    )
    losses = [[e.loss for e in each if isinstance(e, fit.EpochEvent)] for each in (undisturbed, events)]
    assert losses[0] == pytest.approx(losses[1], rel=1e-5)


def test_it_holds_in_bfloat16_too() -> None:
    free, tight = new(Tight(10)), new(Tight(4))
    run(free, "cutmix", BFLOAT), run(tight, "cutmix", BFLOAT)
    torch.testing.assert_close(tight.network.state_dict(), free.network.state_dict(), rtol=0.05, atol=0.01)


def test_dropout_draws_are_begun_again_with_the_step() -> None:
    class Dropping(Tight):
        def forward(self, images: Tensor) -> Tensor:
            self.drawn = torch.rand(2)
            return super().forward(images)

    network = Dropping(9)
    tight = new(network)
    firsts: list[Tensor] = []
    stage = fit.FitStage(1, Drawn(), opened("cross_entropy"), Scheduler.open("constant"))
    for event in fit.fit(tight, [stage], StepPlan(3, 0), FLOAT):
        if isinstance(event, OutOfMemory):
            firsts.append(network.drawn)
            handle = network.register_forward_hook(lambda module, *_: firsts.append(module.drawn))
    handle.remove()
    assert torch.equal(firsts[0], firsts[1])


def test_batch_norm_s_buffers_count_the_failed_pass_no_time_and_the_message_says_what_differs() -> None:
    tight = new(Tight(5, "forward", norm=True), ema=0.0)
    (short,) = [event for event in run(tight) if isinstance(event, OutOfMemory)]
    assert (
        tight.network.get_buffer("norm.num_batches_tracked") == 2 * 6
    )  # two parts of each of six steps, the failed one not
    assert "(forward, epoch 1, step 1) with 10 images at a time: weights" in str(short)
    assert (
        "continuing with 5 at a time, which batch norm now uses for its statistics, the batch stays 10"
        in str(short)
    )
    assert short.device_memory.taken > 0
    assert short.device_memory.free > 0


def test_what_the_failed_step_held_is_freed_before_it_begins_again() -> None:
    import weakref

    held: list[weakref.ref[Tensor]] = []

    class Holding(Tight):
        def forward(self, images: Tensor) -> Tensor:
            big = images.float() * self.head.weight.sum()
            held.append(weakref.ref(big))
            return super().forward(images) + big.sum() * 0

    alive = []
    trainer = new(Holding(5))
    stage = fit.FitStage(1, Drawn(), opened("cross_entropy"), Scheduler.open("constant"))
    for event in fit.fit(trainer, [stage], StepPlan(3, 0), FLOAT):
        if isinstance(event, OutOfMemory):
            alive = [reference() is not None for reference in held]
    assert alive == [False]


def test_a_resumed_learner_keeps_the_size_that_fits() -> None:
    tight, resumed = new(Tight(5)), new(Tight(5))
    run(tight)
    assert tight.average is not None
    resumed.load(tight.state(), tight.network.state_dict(), tight.average.module.state_dict())
    assert resumed.micro_batch_size == 5


def test_one_image_that_does_not_fit_ends_the_run_and_says_where() -> None:
    with pytest.raises(
        RunError, match=r"R02 out of memory \(backward, epoch 1, step 1\) with one image at a time"
    ):
        run(new(Tight(0, "backward")))


def test_a_loss_that_compares_rows_is_not_split() -> None:
    class Whole(CrossEntropy):
        splittable = False

    stage = fit.FitStage(1, Drawn(), Whole(), Scheduler.open("constant"))
    with pytest.raises(RunError, match="with 10 images, which the loss compares"):
        list(fit.fit(new(Tight(5)), [stage], StepPlan(0, 0), FLOAT))


def test_memory_that_runs_out_while_weights_move_is_distinguished(monkeypatch: pytest.MonkeyPatch) -> None:
    trainer = new(Tight(10))
    monkeypatch.setattr(trainer.optimizer, "step", lambda: (_ for _ in ()).throw(RuntimeError(TOLD)))
    with pytest.raises(
        OptimizerShortError, match=r"R02 .*\(optimizer, epoch 1, step 1\): weights .*gradients"
    ):
        run(trainer)


def test_another_error_of_the_network_is_no_shortage_of_memory() -> None:
    class Broken(Tight):
        def forward(self, images: Tensor) -> Tensor:
            raise RuntimeError("mat1 and mat2 shapes cannot be multiplied")

    with pytest.raises(RuntimeError, match="cannot be multiplied"):
        run(new(Broken(10)))


# ------------------------------------------------------------------------------------------ not finite


class Spoilt(Tight):
    """Gives NaN, or an infinite gradient of a finite loss, for the batches of some steps."""

    def __init__(self, steps: set[int], gradient: bool = False) -> None:
        super().__init__(10, norm=True)
        self.calls, self.steps, self.gradient = -1, steps, gradient

    def forward(self, images: Tensor) -> Tensor:
        self.calls += 1
        outputs = super().forward(images)
        if self.calls not in self.steps:
            return outputs
        # the square root of 0 is finite, its slope is not
        return outputs + (outputs * 0).abs().sqrt() if self.gradient else outputs * float("nan")


@pytest.mark.parametrize("fused", [False, True])
@pytest.mark.parametrize("gradient", [False, True])
def test_a_step_that_is_not_finite_leaves_everything_as_it_was(
    gradient: bool, fused: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(
        "kit.engine.step._waits", lambda learner: not fused
    )  # what a GPU does with a fused optimizer
    trainer = new(Spoilt({1}, gradient))
    for group in trainer.optimizer.param_groups:
        group["fused"] = fused or None
        group["foreach"] = not fused
    stage = fit.FitStage(1, Drawn(), opened("cross_entropy"), Scheduler.open("constant"))
    kept: list[Any] = []
    for event in fit.fit(trainer, [stage], StepPlan(0, 0), FLOAT):
        state = {name: value.clone() for name, value in trainer.network.state_dict().items()}
        moments = [value.clone() for entry in trainer.optimizer.state.values() for value in entry.values()]
        kept.append((event, state, moments))
    first, skipped, after, *_ = kept
    assert isinstance(skipped[0], SkippedStep)
    assert skipped[0].step == 1
    assert skipped[0].rows.tolist() == list(range(10, 20))
    torch.testing.assert_close(skipped[1], first[1], rtol=0, atol=0)
    torch.testing.assert_close(skipped[2], first[2], rtol=0, atol=0)
    assert isinstance(after[0], fit.StepEvent)
    assert after[0].number == 2
    assert all(torch.isfinite(value).all() for value in trainer.predictor.state_dict().values())
    (epoch,) = [event for event, *_ in kept if isinstance(event, fit.EpochEvent)]
    losses = [float(event.loss) for event, *_ in kept if isinstance(event, fit.StepEvent)]
    assert epoch.loss == pytest.approx((losses[0] + losses[2]) / 2, rel=1e-6)


def test_the_fit_gives_up_after_so_many_in_a_row_and_not_of_so_many_in_all() -> None:
    assert sum(isinstance(event, SkippedStep) for event in run(new(Spoilt({0, 1, 3, 4})), skips=3)) == 4
    with pytest.raises(
        fit.NotFiniteError, match=r"R01 the loss is nan .*step 3, .*as were the 2 steps before"
    ) as error_info:
        run(new(Spoilt({0, 1, 2})), skips=3)
    assert error_info.value.last.rows.tolist() == list(range(20, 30))


def test_what_was_left_out_of_an_epoch_is_counted_apart_from_what_float16_overflowed() -> None:
    epochs = [event for event in run(new(Spoilt({1, 4})), skips=3) if isinstance(event, fit.EpochEvent)]
    assert [(epoch.skipped, epoch.overflowed) for epoch in epochs] == [(1, 0), (1, 0)]
    network = Tight(10)
    optimizer = Optimizer.open({"name": "sgd", "lr": 0.01}).build(list(network.named_parameters()))
    trainer = learner(network, optimizer, HALF)
    trainer.scaler = torch.amp.GradScaler(
        "cpu", init_scale=2.0**40
    )  # far more than float16 can hold: the first steps overflow, each halves it
    events = run(trainer, precision=HALF)
    assert not [event for event in events if isinstance(event, SkippedStep)]
    assert [event.overflowed for event in events if isinstance(event, fit.EpochEvent)] == [3, 3]
    assert trainer.scaler.get_scale() == 2.0**34


@pytest.fixture
def uninitialised_memory_is_nan() -> Iterator[None]:
    """torch fills what it does not initialise with NaN."""
    torch.use_deterministic_algorithms(True)
    yield
    torch.use_deterministic_algorithms(False)


@pytest.mark.usefixtures("uninitialised_memory_is_nan")
@pytest.mark.parametrize("nesterov", [False, True])
def test_momentum_starts_at_zeros_even_if_the_first_step_overflows(nesterov: bool) -> None:
    trainer = new(Tight(10), name="sgd", nesterov=nesterov)
    # the first step overflows, and the scale of the next ones is 1
    trainer.scaler = torch.amp.GradScaler("cpu", init_scale=2.0**40, backoff_factor=2.0**-40)
    epochs = [event for event in run(trainer, precision=HALF) if isinstance(event, fit.EpochEvent)]
    assert [epoch.overflowed for epoch in epochs] == [1, 0]
    assert all(torch.isfinite(weight).all() for weight in trainer.network.parameters())


def test_zeros_as_the_first_momentum_change_no_bit_of_the_weights() -> None:
    trainer, plain = new(Tight(10), name="sgd"), new(Tight(10), name="sgd")
    plain.optimizer.state.clear()
    run(trainer), run(plain)
    for one, other in zip(trainer.network.parameters(), plain.network.parameters(), strict=True):
        assert torch.equal(one, other)
    assert all(
        torch.equal(
            trainer.optimizer.state[one]["momentum_buffer"], plain.optimizer.state[other]["momentum_buffer"]
        )
        for one, other in zip(trainer.network.parameters(), plain.network.parameters(), strict=True)
    )


@pytest.mark.parametrize("optimizer", [{"name": "adamw"}, {"name": "timm", "opt": "adamw"}], ids=str)
def test_float16_with_clipping_continues_after_a_loss_that_is_nan(optimizer: dict[str, Any]) -> None:
    network = Spoilt({1})
    trainer = learner(network, Optimizer.open(optimizer).build(list(network.named_parameters())), HALF)
    events = run(trainer, precision=HALF, clip_grad_norm=1.0)
    assert [event.step for event in events if isinstance(event, SkippedStep)] == [1]
    assert sum(isinstance(event, fit.StepEvent) for event in events) == 6
    assert trainer.scaler.get_scale() == 2.0**15  # half of what it begins with: the gradients were not finite


def test_an_epoch_of_nothing_but_such_steps_ends_the_fit() -> None:
    with pytest.raises(fit.NotFiniteError, match="R01 the loss is nan"):
        run(new(Spoilt({0, 1, 2})), skips=50)


# ---------------------------------------------------------------------------------------------- memory


def test_out_of_memory_is_known_by_its_type_or_its_words() -> None:
    said = [
        torch.OutOfMemoryError("CUDA"),
        MemoryError(),
        RuntimeError(TOLD),
        RuntimeError("std::bad_alloc"),
        RuntimeError("CUDA error: CUBLAS_STATUS_ALLOC_FAILED when calling cublasCreate"),
    ]
    assert all(memory.is_out_of_memory(error) for error in said)
    assert not memory.is_out_of_memory(RuntimeError("size mismatch"))
    assert not memory.is_out_of_memory(ValueError(TOLD))


@pytest.mark.parametrize(
    "text",
    [
        "GET was unable to find an engine to execute this computation",
        "FIND was unable to find an engine to execute this computation",
        "Unable to find a valid cuDNN algorithm to run convolution",
        "CUDA error: CUBLAS_STATUS_NOT_INITIALIZED when calling `cublasCreate(handle)`",
        "cuDNN error: CUDNN_STATUS_EXECUTION_FAILED",
        "cuDNN error: CUDNN_STATUS_INTERNAL_ERROR",
    ],
)
def test_a_gpu_library_that_fails_is_out_of_memory_if_memory_is_scarce(
    monkeypatch: pytest.MonkeyPatch, text: str
) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(memory, "device_memory", lambda device: memory.DeviceMemory(0, 2**30))
    assert not memory.is_out_of_memory(RuntimeError(text))
    monkeypatch.setattr(memory, "device_memory", lambda device: memory.DeviceMemory(0, 2**20))
    assert memory.is_out_of_memory(RuntimeError(text))


@pytest.mark.parametrize("where", ["copied", "mixed"])
def test_memory_that_ends_while_a_batch_is_copied_or_mixed_costs_no_step(
    monkeypatch: pytest.MonkeyPatch, where: str
) -> None:
    free, tight = new(Tight(10)), new(Tight(10))
    mixup = {"name": "mixup", "base": "label_smoothing"}
    run(free, mixup)
    loss = opened(mixup)
    owner, name = (Precision, "to_layout") if where == "copied" else (type(loss), "mix")
    real, left = getattr(owner, name), [1]

    def once(self: Any, *given: Any) -> Any:
        if left:
            left.clear()
            raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB")
        return real(self, *given)

    monkeypatch.setattr(owner, name, once)
    stage = fit.FitStage(2, Drawn(), loss, Scheduler.open("cosine"))
    (short,) = [e for e in fit.fit(tight, [stage], StepPlan(3, 0), FLOAT) if isinstance(e, OutOfMemory)]
    assert "out of memory (batch, epoch 1, step 1) with 10 images at a time" in str(short)
    assert tight.mixes_on_host
    torch.testing.assert_close(tight.network.state_dict(), free.network.state_dict(), rtol=1e-5, atol=1e-6)


def test_a_batch_that_never_fits_ends_the_run(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(self: Precision, images: Tensor, device: torch.device) -> Tensor:
        raise torch.OutOfMemoryError("CUDA out of memory")

    monkeypatch.setattr(Precision, "to_layout", fail)
    with pytest.raises(RunError, match=r"R02 out of memory \(batch, epoch 1, step 1\) with one image"):
        run(new(Tight(10)))


def test_onednn_s_one_text_for_everything_is_out_of_memory_where_memory_is_scarce(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    error = RuntimeError("could not create a primitive")
    monkeypatch.setattr(memory, "device_memory", lambda device: memory.DeviceMemory(0, 2**30))
    assert not memory.is_out_of_memory(error)
    monkeypatch.setattr(memory, "device_memory", lambda device: memory.DeviceMemory(0, 2**20))
    assert memory.is_out_of_memory(error)


def test_what_a_learner_holds_is_counted_by_hand() -> None:
    trainer = new(Tight(10))
    weights = 4 * (108 * 16 + 16 + 16 * 4)
    assert memory.learner_bytes(trainer) == {
        "weights": weights,
        "gradients": 0,
        "optimizer": 0,
        "average": weights,
    }
    run(trainer)
    assert memory.learner_bytes(trainer) == {
        "weights": weights,
        "gradients": weights,
        "optimizer": 2 * weights + 3 * 4,  # two moments, and the step count of each of three tensors
        "average": weights,
    }


def test_memory_that_ends_beside_synchronised_batch_norm_ends_the_run() -> None:
    """Another rank waits within its forward pass for this one's statistics: none of them can begin the step again."""
    network = Tight(4)
    network.add_module("norm", nn.SyncBatchNorm(3))
    with pytest.raises(RunError, match="with sync_batch_norm ranks cannot repeat a step") as caught:
        run(new(network))
    assert caught.value.code == "R02"
    assert caught.value.hint == "micro_batch_size=5 under another --name"
