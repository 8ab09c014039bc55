"""Grad-CAM: numbers worked out by hand, and slopes that are measured instead of derived."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor

from kit.config.models import Experiment
from kit.config.workspace import Workspace
from kit.core.progress import finish
from kit.data.table import train_table
from kit.kinds import Classes
from kit.model import checkpoints, network
from kit.model.grad_cam import compute_cams, grad_cam
from kit.runs.records import all_records
from kit.stages.reporting import member as member_module
from kit.stages.reporting.cam import DARK, cams, heat_overlay


def test_each_channel_counts_by_its_mean_slope_and_what_speaks_against_is_dark() -> None:
    """Score 2 * mean(A) - mean(B): weights 2/4 and -1/4, so the map is relu(A/2 - B/4)."""
    features = torch.tensor([[[[4.0, 0.0], [1.0, 2.0]], [[0.0, 4.0], [2.0, 0.0]]]])
    heat = grad_cam(features, lambda maps: maps.mean(dim=(2, 3)) @ torch.tensor([2.0, -1.0]))
    torch.testing.assert_close(heat, torch.tensor([[[2.0, 0.0], [0.0, 1.0]]]) / 2)


def test_tokens_make_a_square_and_those_before_it_stand_for_no_place() -> None:
    places = torch.tensor([[4.0, 0.0], [0.0, 4.0], [1.0, 2.0], [2.0, 0.0]])
    tokens = torch.cat([torch.full((1, 2), 99.0), places])[None]
    maps = grad_cam(tokens, lambda seen: seen[:, 1:].mean(dim=1) @ torch.tensor([2.0, -1.0]))
    torch.testing.assert_close(maps, torch.tensor([[[2.0, 0.0], [0.0, 1.0]]]) / 2)


def test_a_networks_maps_are_those_of_hooks_on_a_whole_pass() -> None:
    torch.manual_seed(0)
    experiment = Experiment(
        backbone={"name": "small", "width": 8, "stages": 2}, pooling="gem", image_size=16, epochs=1
    )
    parts = network.open_parts(experiment, None, Classes(("a", "b", "c")))
    model = network.build(parts, 3, 16).eval()
    images = torch.randint(0, 256, (2, 3, 16, 16), generator=torch.Generator().manual_seed(0))
    cams_of_rows = compute_cams(model, parts.loss, images, [2, 0])
    for row, target in enumerate((2, 0)):
        features, slopes = hooked(model, images[row : row + 1], target)
        weights = slopes.sum(dim=(1, 2)) / slopes[0].numel()
        wanted = torch.einsum("c,chw->hw", weights, features).clamp_min(0)
        np.testing.assert_allclose(cams_of_rows[row], (wanted / wanted.max()).numpy(), atol=1e-5)


def hooked(model: network.Network, image: Tensor, target: int) -> tuple[Tensor, Tensor]:
    """The last features of one image and their slopes, from one pass through the whole network."""
    kept: list[Tensor] = []

    def keep(module: object, given: object, out: Tensor) -> None:
        out.retain_grad()
        kept.append(out)

    with model.backbone.register_forward_hook(keep):
        model(image)[0, target].backward()
    assert kept[0].grad is not None
    return kept[0].detach()[0], kept[0].grad[0]


def test_light_is_kept_where_the_map_is_1_and_dimmed_where_it_is_0() -> None:
    image = np.full((2, 2, 3), 200, np.uint8)
    overlay = heat_overlay(image, np.array([[1.0, 0.0], [0.0, 1.0]]))
    assert overlay[0, 0].tolist() == [200] * 3
    assert overlay[0, 1].tolist() == [round(200 * DARK)] * 3


def test_a_row_is_shown_to_the_model_that_never_saw_it(space: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    workspace = Workspace.open(space)
    table = train_table(space, workspace.competition.data).sort_by_id()
    (candidate,) = member_module.candidates(all_records(workspace), "macro_f1")
    member = member_module.read(candidate, table)
    opened: list[Path] = []
    load = checkpoints.load

    def note_load(path: Path) -> checkpoints.Checkpoint:
        opened.append(path)
        return load(path)

    monkeypatch.setattr(checkpoints, "load", note_load)
    folds = candidate.run.folds()
    name = folds.ids[folds.oof_mask(1)][0]
    row = int(np.flatnonzero(member.table.ids == name)[0])
    overlays = finish(cams(workspace, member, [row]))
    assert [path.parent.name for path in opened] == ["fold-1"]
    assert overlays[row].shape == (16, 16, 3)
