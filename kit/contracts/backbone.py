"""Contract tests of backbones."""

from __future__ import annotations

from kit.kinds import Backbone


def law_images_become_a_map_or_tokens(backbone: Backbone) -> None:
    """(N, 3, H, W) becomes finite (N, C, h, w) or (N, T, C), with the same C for every image."""
    import torch

    if backbone.cached_vectors() is not None:
        return
    side = backbone.input_size() or 64
    network = backbone.without_pretrained().build().eval()
    features = network(torch.randn(2, 3, side, side, generator=torch.Generator().manual_seed(0)))
    assert features.dim() in (3, 4), f"the shape is {tuple(features.shape)}"
    assert len(features) == 2, f"2 images became {len(features)}"
    assert bool(torch.isfinite(features).all()), "some features are not finite"


def law_the_same_seed_builds_the_same_weights(backbone: Backbone) -> None:
    """Initial weights depend only on torch's global generator."""
    import torch

    if backbone.cached_vectors() is not None:
        return
    states = []
    for _ in range(2):
        torch.manual_seed(7)
        states.append(backbone.without_pretrained().build().state_dict())
    wrong = [key for key in states[0] if not torch.equal(states[0][key], states[1][key])]
    assert not wrong, f"{len(wrong)} weights differ, such as {wrong[:1]}"


def law_normalisation_is_of_pixels_from_zero_to_one(backbone: Backbone) -> None:
    """Mean and standard deviation are three numbers each: means from 0 to 1, deviations above 0."""
    mean, deviation = backbone.normalisation()
    assert len(mean) == len(deviation) == 3, f"{len(mean)} means, {len(deviation)} deviations"
    assert all(0 <= value <= 1 for value in mean), f"means {mean}"
    assert all(0 < value <= 1.5 for value in deviation), f"deviations {deviation}"
