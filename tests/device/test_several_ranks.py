"""Two ranks train what one process does: the same rows, steps and scores, and they end together."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import time
from contextlib import nullcontext
from datetime import timedelta
from pathlib import Path

import numpy as np
import pytest
import torch
import torch.distributed as dist
from torch import Tensor, nn
from torch.nn.parallel import DistributedDataParallel

from kit.commands._menu import run
from kit.core.progress import finish
from kit.data.predictions import Predictions
from kit.device import memory
from kit.device.precision import Precision
from kit.device.ranks import ALONE, Ranks, process_group
from kit.engine import gradient_exchange
from kit.engine.batches import batch
from kit.engine.learner import learner
from kit.engine.step import StepPlan, optimizer_step
from kit.errors import ConfigError
from kit.kinds import Loss, Optimizer
from kit.model import checkpoints, network
from kit.stages.training.train import train
from tests.drawing import draw_competition
from tests.engine.test_step import Failing
from tests.ranked import ranked, with_plugins
from tests.slow_steps import add_slow_loss

BARE = ("backbone=bare", "augmenter=light")
FAULTY = (*BARE, "loss=faulty")
VARIANTS = {
    "plain": (),
    "parts": ("micro_batch_size=3", "clip_grad_norm=0.5", "optimizer=sgd"),
    "arcface": ("loss=arcface", "pooling=gem", "sampler=balanced"),
    "swa": ("swa_start=0.4",),
}


@pytest.fixture
def space(tmp_path: Path) -> Path:
    return with_plugins(draw_competition(tmp_path / "space"))


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A workspace with runs of one process, by variant, and of two, `faulty2`, of the loss that does nothing."""
    root = with_plugins(draw_competition(tmp_path_factory.mktemp("several") / "space"))
    for name, overrides in VARIANTS.items():
        train(root, [*BARE, *overrides], name=name)
    train(root, FAULTY, name="faulty")
    assert [each.status for each in ranked(root, "train", "--name", "faulty2", *FAULTY)] == [0, 0]
    return root


def oof(root: Path, name: str) -> Predictions:
    return Predictions.read(root / "runs" / name / "predictions" / "plain" / "oof.parquet")


def weights(root: Path, name: str) -> list[Tensor]:
    tensors = []
    for fold in (0, 1):
        last = checkpoints.load(checkpoints.place(root / "runs" / name / f"fold-{fold}", 2))
        tensors += [value for _, value in sorted({**last.weights, **(last.average or {})}.items())]
    return tensors


def assert_close(root: Path, one: str, two: str, other: Path | None = None) -> None:
    """Weights, averages and predictions agree, but for the order in which floats were added."""
    for mine, theirs in zip(weights(root, one), weights(other or root, two), strict=True):
        torch.testing.assert_close(mine, theirs, atol=2e-4, rtol=1e-3)
    first, second = oof(root, one), oof(other or root, two)
    assert first.ids.tolist() == second.ids.tolist()
    np.testing.assert_allclose(first.probabilities, second.probabilities, atol=2e-3)


def assert_same(root: Path, one: str, two: str, other: Path) -> None:
    for mine, theirs in zip(weights(root, one), weights(other, two), strict=True):
        assert torch.equal(mine, theirs)
    assert np.array_equal(oof(root, one).probabilities, oof(other, two).probabilities)


def files(folder: Path) -> set[str]:
    return {str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file()}


def log(root: Path, name: str) -> list[dict[str, float]]:
    lines = (root / "runs" / name / "fold-0" / "log.jsonl").read_text().splitlines()
    return [json.loads(line) for line in lines]


@pytest.mark.parametrize("name", VARIANTS)
def test_two_ranks_train_to_what_one_process_does(undisturbed: Path, name: str) -> None:
    """30 rows a fold in batches of 8, 8, 7 and 7, and 30 held-out rows: neither divides by two."""
    first, second = ranked(undisturbed, "train", "--name", f"{name}2", *BARE, *VARIANTS[name])
    assert (first.status, second.status) == (0, 0), first.err + second.err
    assert_close(undisturbed, name, f"{name}2")
    ids = oof(undisturbed, f"{name}2").ids.tolist()
    assert len(ids) == len(set(ids)) == 60
    for one, two in zip(log(undisturbed, name), log(undisturbed, f"{name}2"), strict=True):
        assert one["step"] == two["step"]
        assert one["train_loss"] == pytest.approx(two["train_loss"], abs=1e-3)
    assert files(undisturbed / "runs" / name) == files(undisturbed / "runs" / f"{name}2")
    assert first.out == f"runs/{name}2\n"
    assert (second.out, second.err) == ("", "")  # one writes and speaks


PIXELS = torch.randint(
    0, 256, (12, 8, 8, 3), dtype=torch.uint8, generator=torch.Generator().manual_seed(3)
).permute(0, 3, 1, 2)


def _as_ddp_does() -> int:
    """Whether a step's weights are those that DistributedDataParallel gives from the same rows, batch norm and all."""
    gradient_exchange.BUCKET = 600  # so that there are several
    with process_group() as ranks:
        pixels, rows = PIXELS, np.arange(12)
        mine = np.array_split(rows, 2)[ranks.rank]
        torch.manual_seed(1)
        ours = nn.Sequential(
            nn.Conv2d(3, 6, 3), nn.BatchNorm2d(6), nn.ReLU(), nn.Flatten(), nn.Linear(216, 4)
        )
        torch.manual_seed(1)
        theirs = nn.Sequential(
            nn.Conv2d(3, 6, 3), nn.BatchNorm2d(6), nn.ReLU(), nn.Flatten(), nn.Linear(216, 4)
        )
        floats = Cast(ours)
        recipe, precision = (
            Optimizer.open({"name": "sgd", "lr": 0.1}),
            Precision("float32", "float32", "contiguous"),
        )
        kit = learner(floats, recipe.build(list(floats.named_parameters())), precision, ranks=ranks)
        reference = DistributedDataParallel(Cast(theirs))
        optimizer = recipe.build(list(reference.module.named_parameters()))
        for _ in range(3):
            shown = batch(pixels[mine], mine, rows % 4, rows)
            finish(optimizer_step(kit, Loss.open("cross_entropy"), shown, StepPlan(0, 0), precision, 0.0))
            kit.step += 1
            optimizer.zero_grad()
            nn.functional.cross_entropy(reference(pixels[mine]), torch.from_numpy(mine % 4)).backward()
            optimizer.step()
        for one, two in zip(ours.parameters(), theirs.parameters(), strict=True):
            torch.testing.assert_close(one, two, atol=1e-6, rtol=1e-5)
        running = torch.stack([one.float() for one in ranks.all_gather(ours.get_buffer("1.running_mean"))])
        assert torch.equal(running[0], running[1])
        own = torch.stack(ranks.all_gather(theirs.get_buffer("1.running_mean"))).mean(
            0
        )  # DDP keeps the first rank's alone
        torch.testing.assert_close(running[0], own, atol=1e-2, rtol=0.1)
    return 0


def _goes_on_where_a_backward_pass_fails_in_the_middle() -> int:
    """Whether the weights are those of one process, though one rank has sent some of its gradients, and then fails."""
    gradient_exchange.BUCKET = 100
    precision, rows = Precision("float32", "float32", "contiguous"), np.arange(12)
    recipe, loss = Optimizer.open({"name": "sgd", "lr": 0.1}), Loss.open("cross_entropy")

    def trained(mine: np.ndarray, most: int, ranks: Ranks) -> tuple[list[Tensor], int]:
        torch.manual_seed(1)
        network = Cast(
            nn.Sequential(nn.Conv2d(3, 6, 3), Fails(most), nn.Tanh(), nn.Flatten(), nn.Linear(216, 4))
        )
        trainer = learner(network, recipe.build(list(network.named_parameters())), precision, ranks=ranks)
        step_count = 0
        for _ in range(3):
            whole = rows if len(mine) < len(rows) else None
            steps = optimizer_step(
                trainer, loss, batch(PIXELS[mine], mine, rows % 4, whole), StepPlan(0, 0), precision, 0.0
            )
            step_count += len(list(steps))
            trainer.step += 1
        return list(network.parameters()), step_count

    with process_group() as ranks:
        mine = np.array_split(rows, 2)[ranks.rank]
        parameters, steps_run = trained(mine, 4 if ranks.is_zero else 2, ranks)
        assert steps_run == 2  # six images at a time, then three, then two
        assert len(set(ranks.all_gather(tuple(float(one.sum()) for one in parameters)))) == 1
        wanted, _ = trained(rows, 99, ALONE)
        for one, two in zip(parameters, wanted, strict=True):
            torch.testing.assert_close(one, two, atol=1e-6, rtol=1e-5)
    return 0


class Fails(nn.Module):
    """The identity, whose backward pass runs out of memory from so many rows on."""

    def __init__(self, most: int) -> None:
        super().__init__()
        self.most = most

    def forward(self, values: Tensor) -> Tensor:
        outputs: Tensor = Failing.apply(values, self.most)  # type: ignore[no-untyped-call]  # exclude does not reach subclasses
        return outputs


class Cast(nn.Module):
    """A network of uint8 images."""

    def __init__(self, inner: nn.Module) -> None:
        super().__init__()
        self.inner = inner

    def forward(self, images: Tensor) -> Tensor:
        given: Tensor = self.inner(images.float() / 255)
        return given


def test_a_step_of_two_ranks_is_that_of_distributed_data_parallel(tmp_path: Path) -> None:
    ended = ranked(tmp_path, work=_as_ddp_does)
    assert [each.status for each in ended] == [0, 0], "\n".join(each.err for each in ended)


def test_a_backward_pass_that_fails_in_one_rank_when_others_have_sent_begins_again_in_all(
    tmp_path: Path,
) -> None:
    ended = ranked(tmp_path, work=_goes_on_where_a_backward_pass_fails_in_the_middle)
    assert [each.status for each in ended] == [0, 0], "\n".join(each.err for each in ended)


def test_memory_that_ends_in_one_rank_is_a_line_and_smaller_parts_in_all(
    undisturbed: Path, space: Path
) -> None:
    first, second = ranked(
        space, "train", "--name", "r", *BARE, "loss=faulty", "loss.what=short", "loss.most=2"
    )
    assert (first.status, second.status) == (0, 0), first.err + second.err
    said = "R02 out of memory (rank 1, forward, epoch 1, step 1) with 4 images at a time"
    assert said in first.err
    assert first.err.count("R02 out of memory") == 2  # once a fold: the next steps are small from the start
    assert "continuing with 2 at a time, the batch stays 8" in first.err
    assert_close(undisturbed, "faulty", "r", space)


def test_a_rank_with_no_memory_for_one_image_ends_all_with_one_message(space: Path) -> None:
    first, second = ranked(space, "train", "--name", "r", *FAULTY, "loss.what=short", "loss.most=0")
    assert (first.status, second.status) == (1, 1)
    assert "error: R02 out of memory (rank 1, forward, epoch 1, step 1) with one image at a time" in first.err
    assert second.err == ""


def test_a_step_that_is_not_finite_in_one_rank_is_left_out_in_all(space: Path) -> None:
    first, second = ranked(space, "train", "--name", "r", "--folds", "0", *FAULTY, "loss.what=nan")
    assert (first.status, second.status) == (0, 0), first.err + second.err
    assert first.err.count("the loss is nan in epoch 2, step 6, at lr") == 1
    assert [line.get("left_out") for line in log(space, "r")] == [None, 1]


def test_a_signal_to_one_rank_stops_both_and_either_number_of_ranks_continues(
    undisturbed: Path, space: Path
) -> None:
    command = ("train", "--name", "r", *FAULTY, "loss.what=term")
    first, second = ranked(space, *command)
    assert (first.status, second.status) == (143, 143), first.err + second.err
    assert "R05 stopped after fold 0 epoch 2, step 2, saved" in first.err
    assert second.err == ""
    assert checkpoints.within(space / "runs" / "r" / "fold-0") == [(1, 2)]
    other = Path(shutil.copytree(space, space.with_name("other")))
    assert [each.status for each in ranked(space, *command)] == [
        143,
        143,
    ]  # of the second fold, at its sixth step
    assert [each.status for each in ranked(space, *command)] == [0, 0]
    assert_same(undisturbed, "faulty2", "r", space)
    train(other, command[3:], name="r")
    assert_close(undisturbed, "faulty", "r", other)


def test_a_rank_that_dies_ends_the_other_at_once_and_the_same_command_continues(
    undisturbed: Path, space: Path
) -> None:
    command = ("train", "--name", "r", *FAULTY, "save_every_steps=2", "loss.what=die")
    begun = time.monotonic()
    first, second = ranked(space, *command)
    assert time.monotonic() - begun < 50
    assert (first.status, second.status) == (1, 9)
    assert "error: R13 one of the 2 ranks has ended or does not respond" in first.err
    assert "run the same command again to resume from the last checkpoint" in first.err
    train(space, command[3:], name="r")
    assert_close(undisturbed, "faulty", "r", space)


def test_what_ends_one_rank_is_reported_by_the_other(space: Path) -> None:
    first, second = ranked(space, "train", "--name", "r", *FAULTY, "loss.what=raise")
    assert (first.status, second.status) == (1, 1)
    assert "R13 one of the 2 ranks has ended or does not respond: rank 1: ValueError of no use" in first.err


def test_what_stops_the_first_rank_before_training_is_said_once(space: Path) -> None:
    train(space, BARE, name="r", folds=[0])
    first, second = ranked(space, "train", "--name", "r", *BARE, "epochs=3")
    assert (first.status, second.status) == (2, 2)
    assert "error: C11 runs/r was started with a different config" in first.err
    assert second.err == ""


@pytest.mark.parametrize(
    ("overrides", "said"),
    [
        (("loss=contrastive",), "C35 loss 'contrastive' compares the rows of a batch"),
        (("batch_size=3",), "C35 a batch of 3 has fewer than two rows for each of 2 ranks"),
        (("sync_batch_norm=true",), "C35 sync_batch_norm needs GPUs"),
    ],
)
def test_what_ranks_cannot_share_is_refused(space: Path, overrides: tuple[str, ...], said: str) -> None:
    first, second = ranked(space, "train", "--name", "r", *overrides)
    assert (first.status, second.status) == (2, 2)
    assert said in first.err


def test_ranks_that_share_no_folder_are_refused(space: Path) -> None:
    train(space, BARE, name="r", folds=[0])
    other = Path(shutil.copytree(space, space.with_name("other")))
    for place in (space, other):
        (place / "runs" / "r" / "fold-0" / "oof.parquet").unlink()
    shutil.rmtree(other / "runs" / "r" / "fold-0" / "0002")
    first, second = ranked(space, "train", "--name", "r", *BARE, roots=(space, other))
    assert (first.status, second.status) == (1, 1)
    assert "R14 the ranks do not see the same checkpoint: rank 0 (2, 0), rank 1 (1, 0)" in first.err


ENVIRONMENT = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[2]), "OMP_NUM_THREADS": "1"}


def test_devices_starts_the_ranks_and_ends_with_their_status(undisturbed: Path, space: Path) -> None:
    command = [sys.executable, "-m", "kit", "train", "--name", "r", "--devices", "2", *FAULTY]
    process = subprocess.run(command, cwd=space, env=ENVIRONMENT, capture_output=True, text=True, timeout=120)
    assert process.returncode == 0, process.stderr
    assert process.stdout == "runs/r\n"
    assert "Traceback" not in process.stderr
    assert "torch" not in process.stderr
    assert_same(undisturbed, "faulty2", "r", space)


def test_a_signal_to_torchrun_saves_once_and_leaves_no_process(undisturbed: Path, space: Path) -> None:
    """As Slurm and docker send it, to the launcher; kit train --devices continues where torchrun stopped."""
    torchrun = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2"]
    command = ["train", "--name", "r", *FAULTY, "loss.what=parent"]
    started = subprocess.Popen(
        [*torchrun, "-m", "kit", *command],
        cwd=space,
        env=ENVIRONMENT,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    said = started.communicate(timeout=120)[1]
    assert started.returncode != 0
    assert said.count("R05 stopped after fold 0 epoch 2") == 1, said
    with pytest.raises(ProcessLookupError):
        os.killpg(started.pid, 0)
    assert checkpoints.within(space / "runs" / "r" / "fold-0")
    train(space, command[3:], name="r")
    assert_close(undisturbed, "faulty", "r", space)


def test_other_commands_are_not_for_torchrun(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("TORCHELASTIC_RUN_ID", "x")
    assert run(["board"]) == 2
    assert "kit board runs in one process: torchrun supports only kit train" in capsys.readouterr().err


def test_devices_beside_another_number_of_ranks_is_refused(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], space: Path
) -> None:
    monkeypatch.chdir(space)
    monkeypatch.setenv("WORLD_SIZE", "2")
    assert run(["train", "--devices", "3"]) == 2
    assert "--devices 3 does not match the 2 ranks: omit --devices" in capsys.readouterr().err


def test_synchronised_batch_norm_keeps_its_weights_and_is_for_gpus() -> None:
    from timm.layers import BatchNormAct2d

    network_on_cpu = nn.Sequential(nn.Conv2d(3, 4, 1), nn.BatchNorm2d(4), BatchNormAct2d(4))
    before = network_on_cpu.state_dict()
    network.convert_sync_batch_norm(network_on_cpu, torch.device("cuda"))
    assert [isinstance(each, nn.SyncBatchNorm) for each in network_on_cpu] == [False, True, True]
    assert network_on_cpu.state_dict().keys() == before.keys()
    with pytest.raises(ConfigError, match="C35 sync_batch_norm needs GPUs"):
        network.convert_sync_batch_norm(network_on_cpu, torch.device("cpu"))


def test_alone_everything_is_as_it_is() -> None:
    tensor = torch.arange(3.0)
    ALONE.all_reduce([tensor], [tensor])
    assert tensor.tolist() == [0, 1, 2]
    assert (
        ALONE.count,
        ALONE.rank,
        ALONE.all_reduce_max(4),
        ALONE.all_reduce_min(4),
        ALONE.all_gather("a"),
    ) == (
        1,
        0,
        4,
        4,
        ["a"],
    )
    rows = np.arange(10)
    assert ALONE.shard_batches(rows, 4).tolist() == rows.tolist()


@pytest.mark.parametrize("count", [2, 3, 5])
def test_shares_are_whole_batches_and_hold_each_row_once(count: int) -> None:
    rows, shares = np.arange(3, 40), []
    for number in range(count):
        shares.append(Ranks(number, count).shard_batches(rows, 8))
    assert np.concatenate(shares).tolist() == rows.tolist()
    assert all(len(one) % 8 == 0 for one in shares[:-1] if len(one) and one[-1] != rows[-1])


def _step_of_ddp_that_fails_in_one_rank(joins: str) -> int:
    """A backward pass in torch's DistributedDataParallel, which runs out of memory after rank 1's first bucket.

    With `joins`, rank 1 stays in the block of `join`, which answers the other rank with zeros from then on.
    """
    rank = int(os.environ["RANK"])
    dist.init_process_group("gloo", timeout=timedelta(seconds=3))
    torch.manual_seed(1)
    layers = nn.Conv2d(3, 6, 3), Fails(2 if rank else 99), nn.Tanh(), nn.Flatten(), nn.Linear(216, 4)
    network = DistributedDataParallel(Cast(nn.Sequential(*layers)), bucket_cap_mb=1e-4)
    # rank 1 has an image fewer, so that the gradients of the ranks differ
    rows = torch.arange(6 - rank)
    try:
        with network.join() if joins else nullcontext():
            try:
                nn.functional.cross_entropy(network(PIXELS[rows]), rows % 4).backward()
                print("a pass ended", flush=True)
            except RuntimeError as error:
                if not memory.is_out_of_memory(error):
                    raise
                print("out of memory", flush=True)
                if not joins:
                    time.sleep(4)  # it could begin again with fewer images, if the other one did so too
    except RuntimeError as error:
        print(f"left waiting: {str(error).splitlines()[0]}", flush=True)
    return 0


@pytest.mark.parametrize("joins", ["", "joins"])
def test_ddp_leaves_a_rank_waiting_where_another_s_backward_pass_fails(tmp_path: Path, joins: str) -> None:
    """The reason of decision 31: kit's exchange passes the test above it."""
    first, second = ranked(tmp_path, joins, work=_step_of_ddp_that_fails_in_one_rank)
    assert "out of memory" in second.out
    assert "a pass ended" not in first.out, (first, second)
    assert "left waiting" in first.out, (first, second)


def test_two_ranks_stop_together_at_the_deadline_and_resume(space: Path) -> None:
    slow = add_slow_loss(space)
    command = ("train", *BARE, "loss=slow", "--name")
    assert [each.status for each in ranked(space, *command, "whole")] == [0, 0]
    slow.touch()
    assert [each.status for each in ranked(space, *command, "r", "--time", "3s")] == [6, 6]
    slow.unlink()
    assert [each.status for each in ranked(space, *command, "r")] == [0, 0]
    assert np.array_equal(oof(space, "r").probabilities, oof(space, "whole").probabilities)
