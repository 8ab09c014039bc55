"""Packing: copies the weights, the config, the plugins and kit itself into a folder that predicts on any machine."""

from __future__ import annotations

import importlib.metadata
import shutil
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import kit
from kit.config.workspace import CONFIG_FILE, Workspace
from kit.core.files import StrPath, atomic_folder, write_json, write_text
from kit.core.installed import pin_requirements
from kit.data.predictions import Provenance
from kit.data.table import Naming, Table, names_now, read_labelled_rows, rename_in
from kit.errors import ConfigError, InvalidError, RunError
from kit.evaluation.competition import decision_of
from kit.experiment.prediction_file import classes_of_checkpoint, experiment_of
from kit.kinds import Aggregator, Ensembler, Format, Reader, Views
from kit.kinds.plugin import Plugin
from kit.model import checkpoints
from kit.model.network import open_parts
from kit.runs.records import split_ref
from kit.runs.run import Run, is_on_embeddings, versions
from kit.stages.blending.blend import cross_validate
from kit.stages.blending.members import aggregator_record
from kit.stages.bundles.contents import BundledNetwork, Contents, Packed
from kit.stages.bundles.dependencies import packages_of, packages_of_extra
from kit.stages.final.jobs import find_asked
from kit.stages.submission.submission import read_record

SCRIPT = "predict.py"


@dataclass(frozen=True)
class Bundle:
    """A bundle that was packed: its folder, its members, its networks, its bytes."""

    folder: Path
    members: tuple[str, ...]
    networks: int
    bytes: int
    no_weight: tuple[str, ...] = ()  # members of weight 0, which are not packed and change nothing


def bundle(
    workspace: Workspace | StrPath,
    members: Sequence[str],
    out: StrPath,
    ensembler: str | Mapping[str, Any] | None = None,
    wheels: bool = False,
    for_kaggle: bool = False,
) -> Bundle:
    """Packs a submission, by its record submissions/0007-x.json, or members, whose blend is then fitted.

    `for_kaggle` leaves out wheels of packages that Kaggle has.

    Raises ConfigError C38 if `out` exists, C33 for a member whose predictions no checkpoint makes alone, C83 for
    a run on embeddings. Raises InvalidError D43 for a run that was trained again since; what `blend` raises;
    RunError R16 if pip fails.
    """
    workspace, out = Workspace.of(workspace), Path(out)
    if out.exists():
        raise ConfigError(f"{out} already exists", code="C38", hint="use another --out, or remove the folder")
    record = read_record(Path(members[0])) if len(members) == 1 and members[0].endswith(".json") else None
    if record is None:
        record = _blend_record(workspace, members, ensembler)
    elif ensembler is not None:
        raise ConfigError("a submission already has a fitted ensembler", code="C05")
    member_records, fitted = _with_weight(workspace, record)
    packed = [_pack_member(workspace, member, record.get("final")) for member in member_records]
    table = read_labelled_rows(workspace.root, workspace.competition.data)
    if record.get("classes") not in (None, list(table.classes)):
        raise InvalidError(
            "the submission was blended before its classes were renamed",
            code="D42",
            hint="run kit blend again",
        )
    with atomic_folder(out) as part:
        for run, path in {(n.run, n.checkpoint) for member in packed for n in member.networks}:
            _slim(
                workspace.root / path, part / path, run, table, workspace.competition.data.label_from.rename
            )
        # a bundle has no training table, on which the rule may depend
        decision = record.get("decision") or decision_of(workspace, table).spec()
        write_json(
            part / CONFIG_FILE, {**workspace.competition.model_dump(mode="json"), "decision": decision}
        )
        _copy_code(workspace, part)
        lines = requirements(workspace, packed, fitted, record["format"])
        write_text(part / "requirements.txt", "".join(f"{line}\n" for line in lines))
        if wheels:
            own = set(pin_requirements()) if for_kaggle else set()
            _download_wheels(part / "wheels", [line for line in lines if line not in own])
        Contents(
            tuple(packed),
            fitted,
            record["format"],
            table.target,
            table.classes,
            tuple(table.prior().tolist()),
            versions(),
        ).write(part)
    names = tuple(member.member for member in packed)
    size = sum(file.stat().st_size for file in out.rglob("*") if file.is_file())
    idle = tuple(name for member in record["members"] if (name := str(member["member"])) not in names)
    return Bundle(out, names, len({n.checkpoint for member in packed for n in member.networks}), size, idle)


def _with_weight(workspace: Workspace, record: Mapping[str, Any]) -> tuple[list[Any], Mapping[str, Any]]:
    """Returns the members of a record that have networks, and the ensembler for them, because kit final
    trains none of weight 0.
    """
    members, ensembler = list(record["members"]), record["ensembler"]
    trained = (record.get("final") or {}).get("members", {})
    places_kept = [
        index for index, member in enumerate(members) if not trained or member["member"] in trained
    ]
    if len(places_kept) == len(members):
        return members, ensembler
    recipe = Ensembler.open(ensembler, workspace.root)
    return [members[index] for index in places_kept], recipe.restrict(places_kept).spec()


def _blend_record(
    workspace: Workspace, members: Sequence[str], ensembler: str | Mapping[str, Any] | None
) -> dict[str, Any]:
    """Returns the record that the members' blend would have."""
    blend = cross_validate(workspace, members, ensembler)
    _, shape = blend.open_sample_and_format(workspace)
    member_records = [
        {"member": str(member), "test": member.test.provenance.to_json(), **aggregator_record(member)}
        for member in blend.members
    ]
    return {
        "members": member_records,
        "ensembler": blend.ensembler.spec(),
        "format": shape.spec(),
        "decision": blend.written.decision,
    }


def _pack_member(workspace: Workspace, record: Mapping[str, Any], final: Mapping[str, Any] | None) -> Packed:
    """Packs a member's views and networks, by the provenance of its test predictions."""
    name = str(record["member"])
    runs_and_seeds = (
        [(run_name, seed) for seed, run_name in enumerate(final["members"][name])]
        if final
        else [(record["test"], None)]
    )
    networks = []
    for run_name, seed in runs_and_seeds:
        provenance = Provenance.from_json(run_name)
        run = Run(workspace.runs / provenance.run)
        _check_reads_images(name, run)
        for fold, tag in sorted(provenance.checkpoints.items(), key=lambda item: int(item[0])):
            path = run.fold(int(fold)) / str(tag).partition(":")[0]
            if not (path / checkpoints.MANIFEST).is_file() or checkpoints.tag(path) != tag:
                raise InvalidError(
                    f"{name} was predicted with {path.relative_to(workspace.root)}, which is missing or "
                    "was changed",
                    code="D43",
                    hint=f"run kit tta and kit blend again, or restore runs/{run.name}",
                )
            checkpoint = path.relative_to(workspace.root).as_posix()
            networks.append(
                BundledNetwork(run.name, int(fold), checkpoint, int(fold) if seed is None else seed)
            )
    first = Run(workspace.runs / networks[0].run)
    member_spec = find_asked(workspace, f"{first.name}@{split_ref(name)[1]}", first)
    return Packed(
        name, member_spec.views.spec(), member_spec.merge, tuple(networks), record.get("aggregator")
    )


def _check_reads_images(name: str, run: Run) -> None:
    """Raises ConfigError C83 for a run whose networks read vectors, which a bundle of images cannot make."""
    if is_on_embeddings(run):
        raise ConfigError(
            f"{name} was trained on embeddings, and a bundle predicts images",
            code="C83",
            hint=f"kit merge runs/{run.name} --name NAME makes a run that predicts images; bundle that one",
        )


def _slim(source: Path, target: Path, run: str, table: Table, rename: Mapping[str, str]) -> None:
    """Writes a checkpoint with only its predicting weights, and a manifest that records this without the
    machine's name.

    Its classes have the table's names, in the order of the network's outputs. Raises InvalidError D42 for others.
    """
    manifest = checkpoints.check_checkpoint(source)
    name = checkpoints.EMA if checkpoints.EMA in manifest["files"] else checkpoints.MODEL
    target.mkdir(parents=True)
    shutil.copyfile(source / name, target / checkpoints.MODEL)
    trained = replace(checkpoints.provenance_of(source), machine={})
    names = names_now(Naming(trained.classes, rename_in(trained.require_config())), table, rename)
    if names is None:
        raise InvalidError(f"runs/{run} was trained for other classes than those of the table", code="D42")
    about = replace(trained, classes=names).to_json()
    files = {checkpoints.MODEL: manifest["files"][name]}
    write_json(
        target / checkpoints.MANIFEST, {**manifest, "files": files, "about": about, "predicts_only": True}
    )


def _copy_code(workspace: Workspace, part: Path) -> None:
    """Copies kit's source, the workspace's own plugins, and the script that runs them."""
    ignore = shutil.ignore_patterns("__pycache__", "*.pyc")
    source = Path(str(kit.__file__)).parent
    shutil.copytree(source, part / "kit", ignore=ignore)
    if (workspace.root / "plugins").is_dir():
        shutil.copytree(workspace.root / "plugins", part / "plugins", ignore=ignore)
    _copy_ttach(part)
    write_text(part / SCRIPT, (source / "kinds" / "templates" / "predict.txt").read_text(encoding="utf-8"))
    write_text(
        part / "README.md", (source / "kinds" / "templates" / "bundle.txt").read_text(encoding="utf-8")
    )


def _copy_ttach(part: Path) -> None:
    """Copies ttach's source and licence: notebooks of Kaggle and Colab have every other package that kit needs."""
    distribution = importlib.metadata.distribution("ttach")
    for file in distribution.files or ():
        inside = file.parts[0] == "ttach" and file.suffix == ".py"
        if inside or file.name == "LICENSE":
            target = part.joinpath("ttach", *(file.parts[1:] if inside else ["LICENSE"]))
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(str(distribution.locate_file(file)), target)


def requirements(workspace: Workspace, packed: Sequence[Packed], ensembler: Any, shape: Any) -> list[str]:
    """Returns the packages that kit and the packed techniques import, in the installed versions."""
    root = workspace.root
    reader = Reader.open(workspace.competition.data.reader, root)
    plugins: list[Plugin] = [Ensembler.open(ensembler, root), Format.open(shape, root), reader]
    for member in packed:
        plugins.append(Views.open(member.views, root))
        if member.aggregator is not None:
            plugins.append(Aggregator.open(member.aggregator, root))
        for path in dict.fromkeys(network.checkpoint for network in member.networks):
            trained = checkpoints.provenance_of(root / path)
            parts = open_parts(experiment_of(trained), root, classes_of_checkpoint(trained))
            plugins += parts.all()
    return pin_requirements({**packages_of(plugins), **packages_of_extra(reader.extra)})


def _download_wheels(folder: Path, lines: Sequence[str]) -> None:
    """Downloads wheels by pip for lines of a requirements file. Raises RunError R16 if pip fails."""
    if not lines:
        return
    command = [sys.executable, "-m", "pip", "download", "--quiet", "--only-binary", ":all:", *lines]
    done = subprocess.run([*command, "-d", str(folder)], capture_output=True, text=True, check=False)
    if done.returncode:
        cases = [line for line in done.stderr.splitlines() if line.startswith("ERROR")][-2:]
        raise RunError("pip cannot fetch the wheels", code="R16", cases=cases, hint="without --wheels")
