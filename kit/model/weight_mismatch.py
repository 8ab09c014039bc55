"""Weight mismatches: the weights of a file that do not fit a network, the likely cause, and how to correct
the file.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from itertools import chain, zip_longest
from typing import Any

import torch
from torch import Tensor

from kit.errors import Case, CheckpointError
from kit.kinds.network import Original
from kit.model.weight_files import WeightFile

# tables whose size follows the image's
OF_THE_SIZE = ("pos_embed", "rel_pos", "relative_position", "relative_coords", "attention_bias", "rpb")


@dataclass(frozen=True)
class Match:
    """The weights of a file by the names of a network, and the differences."""

    values: dict[str, Any]
    prefix: str  # the prefix that was removed from the file's names
    missing: tuple[str, ...]
    left: tuple[str, ...]  # weights of the file that the network lacks
    shapes: dict[str, str]  # faults by name
    unused: tuple[str, ...]  # weights that are left out

    @property
    def wrong(self) -> int:
        """The number of weights that do not fit."""
        return len(self.missing) + len(self.left) + len(self.shapes)


def explain(file: WeightFile, match: Match, original: Original) -> CheckpointError:
    """Returns the error for weights that do not fit: missing and left-over names in turn, the cause, and
    Python that helps.
    """
    wanted = original.network.state_dict()
    counts = (
        (len(match.missing), "missing"),
        (len(match.left), "left over"),
        (len(match.shapes), "of another shape"),
    )
    misfits = ", ".join(f"{count} {what}" for count, what in counts if count)
    cause, lines = _cause(file, match, wanted, original)
    cases = chain.from_iterable(
        zip_longest(
            (Case("missing", name) for name in match.missing),
            (Case("left over", name) for name in match.left),
            (Case(fault, name) for name, fault in match.shapes.items()),
        )
    )
    return CheckpointError(
        f"{file.path} does not fit {original.architecture}: of {len(wanted)} weights, {misfits}. {cause}",
        code="D53",
        cases=[case for case in cases if case is not None],
        hint="\n".join(lines),
    )


def _cause(
    file: WeightFile, match: Match, wanted: Mapping[str, Tensor], original: Original
) -> tuple[str, list[str]]:
    """Returns the likely cause, and a fix."""
    architecture = original.architecture.partition(".")[0]
    if not any(torch.is_tensor(value) for value in file.state.values()):
        return "The file holds no tensors", [f"its keys: {', '.join([*file.wrappers, *file.state][:5])}"]
    if file.architecture and file.architecture.partition(".")[0] != architecture:
        return f"The file is of {file.architecture}", [f"backbone=timm backbone.arch={file.architecture}"]
    channels = _channels(match, wanted)
    if channels:
        name, given = channels
        return f"It was trained on images of {given} channels, and kit's images have 3", [
            "spread the first kernels over three channels, in Python:",
            *_python(
                file,
                f"state[{name!r}] = state[{name!r}].sum(1, keepdim=True).repeat(1, 3, 1, 1) / 3",
                "state",
            ),
        ]
    if (
        match.shapes
        and not match.missing
        and not match.left
        and all(_of_the_size(name) for name in match.shapes)
    ):
        return "It was probably trained at another image size", [
            "backbone.img_size=SIZE and image_size=SIZE, with the size that the file was trained at"
        ]
    if pair := _same_order(file.state, wanted):
        name = (
            f"timm.create_model({architecture!r}).state_dict()"
            if original.names()
            else "NETWORK.state_dict()"
        )
        return (
            f"The same shapes stand in the same order under other names, such as {pair[0]} for {pair[1]}",
            [
                "pair the names in order with Python, and compare a score, because an order can mislead:",
                *_python(
                    file, f"names = {name}", "dict(zip(names, state.values()))", imports="import timm, torch"
                ),
            ],
        )
    shared = 1 - len(match.missing) / max(len(wanted), 1)
    if shared > 0.3:
        return "It is probably of another network of the same family: its depth, width or type differs", [
            "backbone.arch=NAME, with the network that the file was made for"
        ]
    return "It is of another network, or uses other names", [
        f"the file begins with {', '.join(list(file.state)[:2])}; the network with {', '.join(list(wanted)[:2])}",
        "backbone.arch=NAME with the file's network, or rename its weights in Python:",
        *_python(file, "", "{name.replace('OLD', 'NEW'): value for name, value in state.items()}"),
    ]


def _channels(match: Match, wanted: Mapping[str, Tensor]) -> tuple[str, int] | None:
    """Returns the first convolution and its channels, if it does not take three."""
    for name in match.shapes:
        weight, first = match.values[name], wanted[name]
        if not torch.is_tensor(weight) or not weight.dim() == first.dim() == 4:
            continue
        is_same = (weight.shape[0], *weight.shape[2:]) == (first.shape[0], *first.shape[2:])
        if is_same and first.shape[1] == 3 != weight.shape[1]:
            return match.prefix + name, int(weight.shape[1])
    return None


def _of_the_size(name: str) -> bool:
    return any(word in name for word in OF_THE_SIZE)


def _same_order(state: Mapping[str, Any], wanted: Mapping[str, Tensor]) -> tuple[str, str] | None:
    """Returns the first names that differ, if the file has the network's shapes in the network's order."""
    shapes_in_file = {name: tuple(value.shape) for name, value in state.items() if torch.is_tensor(value)}
    shapes = [tuple(value.shape) for value in wanted.values()]
    if list(shapes_in_file.values())[: len(shapes)] != shapes or len(shapes_in_file) > len(shapes) + 4:
        return None
    return next(
        ((one, other) for one, other in zip(shapes_in_file, wanted, strict=False) if one != other), None
    )


def _python(file: WeightFile, line: str, state: str, imports: str = "import torch") -> list[str]:
    """Returns three lines of Python that write a clean file."""
    name, clean = file.path.name, f"{file.path.stem}-clean.safetensors"
    keys = "".join(f"[{key!r}]" for key in file.wrappers)
    if file.path.suffix == ".safetensors":
        read = f"state = safetensors.torch.load_file({name!r})"
    else:
        read = f"state = torch.load({name!r}, map_location='cpu', weights_only=True){keys}"
    return [
        f"  {imports}, safetensors.torch",
        f"  {read}" + (f"; {line}" if line else ""),
        f"  safetensors.torch.save_file({{k: v.contiguous() for k, v in ({state}).items()}}, {clean!r})",
    ]
