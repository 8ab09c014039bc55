"""Contents: reads and writes bundle.json, and checks that the files are those that were packed."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path, PurePosixPath
from typing import Any

from kit.core.files import is_safe_folder_name, read_json, sha256, write_json
from kit.errors import Case, DataError
from kit.kinds.target_json import read_target
from kit.kinds.targets import Target
from kit.model.checkpoints import MANIFEST

BUNDLE = "bundle.json"
SCHEMA = 1


@dataclass(frozen=True)
class BundledNetwork:
    """One network of a member: the path of its checkpoint in the bundle, and the fold that it blends in."""

    run: str
    fold: int
    checkpoint: str
    blends_as: int  # networks of one number are blended together, then the numbers are averaged


@dataclass(frozen=True)
class Packed:
    """One member of the blend: the views and the merge of its predictions, and its networks."""

    member: str  # r@d4
    views: Mapping[str, Any]
    merge: str
    networks: tuple[BundledNetwork, ...]
    aggregator: Mapping[str, Any] | None = None  # fitted; None: each image is its own answer

    def numbers(self) -> list[int]:
        """Returns the fold numbers that its networks blend as, ascending."""
        return sorted({network.blends_as for network in self.networks})


@dataclass(frozen=True)
class Contents:
    """All data for predicting: members, the fitted ensembler, the format, classes and their shares."""

    members: tuple[Packed, ...]
    ensembler: Mapping[str, Any]
    format: Mapping[str, Any]
    target: Target
    classes: tuple[str, ...]
    prior: tuple[float, ...]
    versions: Mapping[str, str]

    def write(self, folder: Path) -> None:
        """Writes bundle.json, the last file of a bundle, with the sha256 and the size of every other one."""
        files = sorted(file for file in folder.rglob("*") if file.is_file() and file.name != BUNDLE)
        marks = {
            file.relative_to(folder).as_posix(): {"sha256": sha256(file), "bytes": file.stat().st_size}
            for file in files
        }
        write_json(
            folder / BUNDLE,
            {"schema": SCHEMA, "files": marks, **asdict(self), "target": self.target.to_json()},
        )

    def rounds(self) -> int:
        """Returns the largest count of numbers of a member's networks, see `BundledNetwork.blends_as`."""
        return max(len(member.numbers()) for member in self.members)

    def select_networks(self, count: int) -> Contents:
        """Returns the contents with only the networks of each member's first numbers."""
        members = []
        for member in self.members:
            numbers = member.numbers()[:count]
            members.append(
                replace(
                    member,
                    networks=tuple(network for network in member.networks if network.blends_as in numbers),
                )
            )
        return replace(self, members=tuple(members))

    @classmethod
    def read(cls, folder: Path) -> Contents:
        """Reads a bundle and checks that its files are as they were packed.

        Raises DataError D66 if they are not, or if it names a file or a run that is not below its own folder.
        """
        try:
            record = dict(read_json(folder / BUNDLE))
            schema, files = int(record.pop("schema")), dict(record.pop("files"))
            members = tuple(
                Packed(
                    member["member"],
                    member["views"],
                    member["merge"],
                    tuple(BundledNetwork(**network) for network in member["networks"]),
                    member.get("aggregator"),
                )
                for member in record.pop("members")
            )
            target = read_target(record)
            rest = {key: value for key, value in record.items() if key not in ("target", "multi_label")}
            rest |= {"classes": tuple(rest["classes"]), "prior": tuple(rest["prior"])}
            contents = cls(members, target=target, **rest)
        except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
            raise DataError(
                f"{folder} is not a bundle of kit", code="D66", hint="kit bundle creates one"
            ) from error
        if schema > SCHEMA:
            raise DataError(
                f"{folder} has schema {schema}, and this version of kit reads up to {SCHEMA}", code="D66"
            )
        if strays := _strays(contents, files):
            raise DataError(
                f"{folder} names files or folders outside it",
                code="D66",
                cases=strays,
                hint="kit bundle creates one",
            )
        wrong = [
            Case(why, name) for name, mark in files.items() if (why := _describe_damage(folder / name, mark))
        ]
        if wrong:
            raise DataError(
                f"{len(wrong)} of {len(files)} files of {folder} differ from the packed ones",
                code="D66",
                cases=wrong,
                hint="copy or upload the bundle again",
            )
        return contents


def _describe_damage(file: Path, mark: Mapping[str, Any]) -> str:
    if not file.is_file():
        return "is missing"
    if file.stat().st_size != mark["bytes"]:
        return f"has {file.stat().st_size} bytes of {mark['bytes']}"
    return "" if sha256(file) == mark["sha256"] else "sha256 mismatch"


def _strays(contents: Contents, files: Mapping[str, Any]) -> list[Case]:
    """Returns files, checkpoints and runs whose names lead out of the bundle, or to a file that is not its own."""
    networks = [network for member in contents.members for network in member.networks]
    runs = dict.fromkeys(str(network.run) for network in networks)
    places = dict.fromkeys(str(network.checkpoint) for network in networks)
    return [
        *(Case("is not inside the bundle", name) for name in files if not _below(name)),
        *(
            Case("is not a folder name", run)
            for run in runs
            if not (_below(run) and is_safe_folder_name(run))
        ),
        *(Case("is not a checkpoint of it", path) for path in places if f"{path}/{MANIFEST}" not in files),
    ]


def _below(name: str) -> bool:
    path = PurePosixPath(name)
    return not path.is_absolute() and bool(path.parts) and ".." not in path.parts and "\\" not in name
