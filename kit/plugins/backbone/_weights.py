"""Starting weights of timm's networks, from a local file."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from kit.errors import Case, CheckpointError
from kit.model.tensor_files import check_tensors

State = Mapping[str, Any]


def load_weights(model: nn.Module, file: Path) -> None:
    """Puts a file's weights into a network; only the classifier's may be left over.

    Files are read as timm reads them: .safetensors, or .pt without code in it, bare or below `state_dict`, with or
    without `module.` before each name; where the names or sizes are those of another release or image size, as timm
    converts them. The first convolution is not adapted to other channel counts, since kit's images always have three.
    Raises CheckpointError: D51 for a missing file, D50 for an unsafe or unreadable one, D53 for one that does not fit.
    """
    state = _read(file)
    if _misfits(model, state):
        state = _convert(model, state)
    wrong = _misfits(model, state)
    if wrong:
        raise CheckpointError(
            f"{file} does not fit: {len(wrong)} weights are missing, left over or of another shape",
            code="D53",
            cases=wrong,
            hint="backbone.arch is the network that the file was made for",
        )
    wanted = model.state_dict()
    model.load_state_dict({key: state.get(key, value) for key, value in wanted.items()})


def _read(file: Path) -> State:
    import timm.models

    try:
        check_tensors(file)
        return timm.models.load_state_dict(str(file), device="cpu", weights_only=True)
    except FileNotFoundError:
        raise CheckpointError(f"no weights file {file}", code="D51") from None
    except Exception as error:  # whatever torch, safetensors and timm raise for what they cannot read
        summary = error.summary if isinstance(error, CheckpointError) else str(error)
        detail = summary.splitlines()[0] if summary else type(error).__name__
        raise CheckpointError(f"cannot read the weights {file}: {detail}", code="D50") from error


def _convert(model: nn.Module, state: State) -> State:
    """The weights as timm's own filter of this family makes them; as they are where it has none or fails."""
    convert = getattr(sys.modules[type(model).__module__], "checkpoint_filter_fn", None)
    with suppress(Exception):  # it was written for weights of its family, and these may be any
        return dict(convert(dict(state), model)) if convert else state
    return state


def _misfits(model: nn.Module, state: State) -> list[Case]:
    wanted = model.state_dict()
    cases = [Case(_fault(value, state[key]), key) for key, value in wanted.items() if key in state]
    cases += [Case("missing", key) for key in wanted if key not in state and not _may_be_missing(key)]
    classifier = _classifier(model)
    left = [key for key in state if key not in wanted and not key.startswith(classifier)]
    return [case for case in cases if case.detail] + [Case("left over", key) for key in left]


def _fault(wanted: Tensor, found: Any) -> str:
    if not torch.is_tensor(found):
        return f"is no tensor but {type(found).__name__}"
    if found.shape == wanted.shape:
        return ""
    return f"has the shape {tuple(found.shape)}, the network {tuple(wanted.shape)}"


def _may_be_missing(key: str) -> bool:
    return key.endswith(
        ".num_batches_tracked"
    )  # torch wrote none before 0.4.1, and predictions do not use it


def _classifier(model: nn.Module) -> tuple[str, ...]:
    """How the names of the classifier's weights begin."""
    named = (getattr(model, "pretrained_cfg", None) or {}).get("classifier") or ()
    return tuple(f"{name}." for name in ((named,) if isinstance(named, str) else named))
