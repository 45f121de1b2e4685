"""Verification of a data set, file by file: completeness, readable pictures, plausible annotations."""

import csv
import io
import os
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from omegaconf import DictConfig, OmegaConf
from rich.progress import track

from keypoints.config.compose import option
from keypoints.data.checks import (
    Count,
    Finding,
    Seen,
    check_face,
    check_mirrored_copy,
    check_rounded,
    far_points,
    finding,
    look,
    repeated,
    shared_groups,
)
from keypoints.data.dataset_folders import find_root
from keypoints.data.face import Face
from keypoints.data.formats.dlib_xml import read_entries
from keypoints.data.formats.unpacked import RECORD
from keypoints.data.readers import ibug300w
from keypoints.data.readers.imm import VIEWS, read_imm_face
from keypoints.data.readers.labelled import read_labelled
from keypoints.errors import ConfigError, DataError
from keypoints.files import write_atomically
from keypoints.formatting import counted, pluralised
from keypoints.landmarks import LandmarkScheme
from keypoints.schemes import IBUG68, scheme_named
from keypoints.threads import mapped_in_threads

IMM_PERSONS = 40
LISTED = {ibug300w.TRAIN_LIST: 6666, ibug300w.TEST_LIST: 1008, ibug300w.PARSED_LIST: 1008}
ANNOTATED = {"train": 3148, "common": 554, "challenge": 135}
"""Published numbers of faces of 300-W: in dlib's lists (LISTED), and in its own protocol (ANNOTATED)."""
LISTED_SETS = {
    "cofw": {"train": 1345, "test": 507},
    "kaggle15": {"train": 7049},
    "udacity": {"train": 3462},
    "wflw": {"train": 7500, "test": 2500},
}
"""Data sets whose option of the group ``data`` names their lists, and their published numbers of faces."""


class Verification(NamedTuple):
    """Result of a verification."""

    root: Path
    counts: list[Count]
    findings: list[Finding]

    @property
    def wrong(self) -> int:
        """Number of findings that are errors; remarks are not counted."""
        return sum(finding.wrong for finding in self.findings)


def verify(cfg: DictConfig) -> Verification:
    """Check every file of ``cfg.dataset`` or ``cfg.list``; write the findings to ``cfg.output``, if given.

    Pictures are decoded completely, in parallel.

    Raises:
        ConfigError: if the data set is unknown, or both are given.
        DataError: if the folder is missing or holds no file of the data set, or no row of the list is usable.
    """
    if cfg.list is None and cfg.dataset in LISTED_SETS:
        found = verify_lists(cfg)
    elif cfg.list is None:
        found = verify_folder(cfg.dataset, find_root(cfg.dataset, cfg.paths.data, cfg.root))
    elif cfg.dataset is None:
        root = None if cfg.root is None else Path(str(cfg.root))
        found = verify_list(Path(str(cfg.list)), root, None if cfg.scheme is None else str(cfg.scheme))
    else:
        raise ConfigError(f"give only one of both: the data set {cfg.dataset}, or list={cfg.list}")
    if cfg.output is not None:
        _write(Path(cfg.output), found.findings)
    return found


def verify_folder(dataset: str, root: Path) -> Verification:
    """Check every file of a data set.

    Args:
        dataset: ``imm`` or ``ibug300w``.
        root: folder of the data set.

    Raises:
        DataError: if the folder holds no file of the data set.
    """
    return _verification(root, *(_verify_imm(root) if dataset == "imm" else _verify_ibug(root)))


def verify_lists(cfg: DictConfig) -> Verification:
    """Check every photo of a data set whose lists the option ``cfg.dataset`` of the group ``data`` names.

    Args:
        cfg: the configuration of ``keypoints data verify``; ``cfg.root`` replaces the folder of the photos.

    Raises:
        DataError: if a list is missing or is no list, or none of its rows is usable.
    """
    named: Any = OmegaConf.merge(
        OmegaConf.create({"paths": cfg.paths}), {"data": option("data", cfg.dataset)}
    )
    given = cfg.root or named.data.root
    root = None if given is None else Path(str(given))
    scheme = scheme_named(str(named.data.scheme))
    faces: dict[str, list[Face]] = {}
    findings = []
    for split in ("train", "val", "test"):
        if named.data.get(split) is not None:
            listed, found = _read_list(Path(str(named.data[split])), root, scheme)
            faces[split] = listed
            findings += found
    if shared := shared_groups(faces["train"], faces.get("test", [])):
        findings.append(
            Finding(
                "test",
                f"{counted(len(shared), 'group')} {pluralised(len(shared), 'has', 'have')} other faces in "
                "train",
                wrong=False,
            )
        )
    published = LISTED_SETS[cfg.dataset]
    counts = [Count(f"{split} faces", len(listed), published.get(split)) for split, listed in faces.items()]
    every = [face for listed in faces.values() for face in listed]
    folder = root or Path(str(named.data.train)).parent
    return _verification(folder, counts, [*findings, *_findings_of_lists(folder, every)])


def verify_list(path: Path, root: Path | None = None, scheme: str | None = None) -> Verification:
    """Check every photo of a list of labelled photos, with its box and points.

    Args:
        path: the list, in any supported format.
        root: folder that the list's file names are relative to; ``None`` is the list's own folder.
        scheme: name of the landmark scheme that the faces should have; ``None`` only requires equal numbers.

    Raises:
        ConfigError: if the scheme is unknown.
        DataError: if the file is no list, or none of its rows is usable.
    """
    folder = path.parent if root is None else root
    faces, findings = _read_list(path, root, None if scheme is None else scheme_named(scheme))
    counts = [
        Count("faces", len(faces), None),
        Count("photos", len({face.photo.path for face in faces}), None),
        Count("points a face", len(faces[0].landmarks()), None),
    ]
    return _verification(folder, counts, [*findings, *_findings_of_lists(folder, faces)])


def _read_list(
    path: Path, root: Path | None, scheme: LandmarkScheme | None
) -> tuple[list[Face], list[Finding]]:
    """Return the usable faces of a list, and the findings about its other rows."""
    faces, skipped = read_labelled(path, root=root, scheme=scheme, strict=False, naming=ibug300w.NAMING)
    return faces, [finding(DataError(line)) for line in skipped]


def _findings_of_lists(folder: Path, faces: Sequence[Face]) -> Iterator[Finding]:
    """Yield the findings about the faces of one or more lists, and the other pictures of their folder."""
    seen = _decode_all(face.photo.path for face in faces)
    far = {far_points(face, what.size) for face in faces if isinstance(what := seen[face.photo.path], Seen)}
    yield from (each._replace(wrong=each.what not in far) for each in _findings_of(faces, seen))
    yield from _duplicates(folder, faces, seen)
    listed = {found.resolve() for found in seen}
    if others := sum(
        picture.resolve() not in listed and not (picture.parent / RECORD).is_file()  # of another list
        for picture in _pictures(folder)
    ):
        yield Finding(
            str(folder),
            f"{counted(others, 'picture')} in it {pluralised(others, 'is', 'are')} not in the list",
            wrong=False,
        )


def _verification(root: Path, counts: list[Count], findings: Iterable[Finding]) -> Verification:
    """Return the result: each finding once, errors first."""
    found = [each._replace(file=each.file.removeprefix(f"{root}/")) for each in dict.fromkeys(findings)]
    found += [
        Finding(count.what, f"{count.found} instead of the {count.published} published", wrong=False)
        for count in counts
        if count.published not in (None, count.found)
    ]
    found.sort(key=lambda each: not each.wrong)
    return Verification(root, counts, found)


def _write(path: Path, findings: Iterable[Finding]) -> None:
    text = io.StringIO()
    rows = csv.writer(text, lineterminator="\n")
    rows.writerow(["file", "kind", "what"])
    rows.writerows((file, "wrong" if wrong else "remark", what) for file, what, wrong in findings)
    path.parent.mkdir(parents=True, exist_ok=True)
    write_atomically(path, text.getvalue())


def _decode_all(paths: Iterable[Path]) -> dict[Path, Seen | DataError]:
    """Decode every picture; return its content, or the error, by path."""
    distinct = list(dict.fromkeys(paths))
    seen = track(mapped_in_threads(look, distinct), "checking the pictures", total=len(distinct))
    return dict(zip(distinct, seen, strict=True))


def _pictures(root: Path) -> list[Path]:
    """Return every picture in ``root`` and its subfolders."""
    paths = (path for path in root.rglob("*") if not path.name.startswith("."))
    return sorted(path for path in paths if path.suffix.lower() in ibug300w.PICTURES)


def _findings_of(faces: Iterable[Face], seen: dict[Path, Seen | DataError]) -> Iterator[Finding]:
    """Yield the findings about pictures, boxes and points."""
    for face in faces:
        path, what = face.photo.path, seen[face.photo.path]
        if isinstance(what, DataError):
            yield finding(what)
        else:
            yield from (Finding(str(path), text) for text in check_face(face, what.size))


def _verify_imm(root: Path) -> tuple[list[Count], list[Finding]]:
    findings, faces = [], []
    for path in sorted(root.glob("*.asf")):
        try:
            faces.append(read_imm_face(path))
        except DataError as error:
            findings.append(finding(error))
    if not faces and not findings:
        raise DataError(f"{root}: holds no .asf file; is it the IMM Face Database?")
    seen = _decode_all(face.photo.path for face in faces)
    findings += _findings_of(faces, seen)
    annotated = {path.stem for path in root.glob("*.asf")}
    alone = [path for path in _pictures(root) if path.stem not in annotated]
    findings += [Finding(str(path), "has no annotation") for path in alone]
    counts = [
        Count("persons", len({face.group for face in faces}), IMM_PERSONS),
        Count("faces", len(faces), IMM_PERSONS * len(VIEWS)),
    ]
    return counts, findings


def _verify_ibug(root: Path) -> tuple[list[Count], list[Finding]]:
    lists, sizes, findings = _read_lists(root)
    exact: list[Face] = []
    if any(root.rglob("*.pts")):
        exact, skipped = ibug300w.read_ibug_folder(root, strict=False)
        findings += [finding(DataError(line)) for line in skipped]
    if not lists and not exact and not findings:
        raise DataError(f"{root}: holds neither a list (*.xml) nor .pts files; is it 300-W?")
    faces = [*exact, *(face for listed in lists.values() for face in listed)]
    seen = _decode_all(face.photo.path for face in faces)
    findings += _findings_of(faces, seen)
    for path, size in sizes.items():
        what = seen[path]
        if isinstance(what, Seen) and what.size != size:
            stated, found = (f"{width} × {height}" for width, height in (size, what.size))
            findings.append(Finding(str(path), f"is {found}, and a list says {stated}"))
    by_path = {face.photo.path: face for face in exact}
    for listed in lists.values():
        findings += _check_lists(listed, by_path, seen)
    findings += _find_unlisted(root, faces, findings)
    findings += _check_groups(root, lists, faces, seen)
    annotated = {face.photo.path: face for face in faces if face.points is not None}
    folders = [face.tags["subset"] for face in annotated.values() if face.tags["mirror"] == "no"]
    counts = [
        *(Count(name, len(lists[name]), number) for name, number in LISTED.items() if name in lists),
        *(
            Count(
                f"annotated, {split}",
                sum(folders.count(folder) for folder in ibug300w.PROTOCOL[split]),
                number,
            )
            for split, number in ANNOTATED.items()
        ),
    ]
    return counts, findings


def _read_lists(root: Path) -> tuple[dict[str, list[Face]], dict[Path, tuple[int, int]], list[Finding]]:
    """Return the faces of each list, the pictures' sizes given there, and the findings about the lists."""
    lists: dict[str, list[Face]] = {}
    sizes, findings = {}, []
    for path in sorted(root.glob("*.xml")):
        try:
            entries = list(read_entries(path, len(IBUG68)))
        except DataError as error:
            findings.append(finding(error))
            continue
        lists[path.name] = []
        for entry in entries:
            if isinstance(entry, DataError):
                findings.append(finding(entry))
                continue
            face = ibug300w.as_face(root, entry)
            lists[path.name].append(face)
            if entry.size is not None:
                sizes[face.photo.path] = entry.size
    return lists, sizes, findings


def _check_lists(
    listed: list[Face], exact: dict[Path, Face], seen: dict[Path, Seen | DataError]
) -> Iterator[Finding]:
    """Yield the findings about points and mirrored copies of one list."""
    times = Counter(face.photo.path for face in listed)
    single = {face.photo.path: face for face in listed if times[face.photo.path] == 1}
    originals = {path.with_suffix(""): face for path, face in single.items() if face.tags["mirror"] == "no"}
    for path, face in single.items():
        texts: list[str] = []
        if face.points is not None and path in exact:
            texts += check_rounded(face, exact[path].landmarks())
        if face.tags["mirror"] == "yes":
            original = originals.get(path.with_name(path.stem.removesuffix("_mirror")))
            if original is None:
                yield Finding(
                    str(path), "is the mirrored copy of a picture that is not in its list", wrong=False
                )
                continue
            own, other = seen[path], seen[original.photo.path]
            if isinstance(own, Seen) and isinstance(other, Seen):
                texts += check_mirrored_copy(original, face, other.size, own.size)
        yield from (Finding(str(path), text) for text in texts)


def _duplicates(root: Path, faces: Iterable[Face], seen: dict[Path, Seen | DataError]) -> Iterator[Finding]:
    """Yield the duplicate pictures that lie in different groups, which a split may separate."""
    known = {face.photo.path: face.group for face in faces}
    for paths in repeated(known, seen):
        others = ", ".join(os.path.relpath(path, root) for path in paths[1:])
        yield Finding(str(paths[0]), f"is the same picture as {others}: keep them in one group", wrong=False)


def _find_unlisted(root: Path, faces: list[Face], findings: list[Finding]) -> list[Finding]:
    """Return the findings about pictures that neither a list nor a ``.pts`` file annotates."""
    # dlib's package has mirrored copies that are in no list.
    known = {face.photo.path.with_suffix("") for face in faces}
    errors = "".join(found.what for found in findings)  # a list's entries with errors are known pictures
    alone = []
    for path in _pictures(root):
        original = path.with_name(path.stem.removesuffix("_mirror"))
        annotated = {path.with_suffix(""), original} & known or path.with_suffix(".pts").is_file()
        if not annotated and f"({path.relative_to(root).as_posix()})" not in errors:
            alone.append(Finding(str(path), "has no annotation and is in no list"))
    return alone


def _check_groups(
    root: Path, lists: dict[str, list[Face]], faces: list[Face], seen: dict[Path, Seen | DataError]
) -> Iterator[Finding]:
    """Yield the findings about duplicate pictures, and photos in both training and test lists."""
    yield from _duplicates(root, faces, seen)
    if ibug300w.TRAIN_LIST in lists:
        for name in (ibug300w.TEST_LIST, ibug300w.PARSED_LIST):
            shared = shared_groups(lists[ibug300w.TRAIN_LIST], lists.get(name, []))
            if shared:
                yield Finding(
                    name,
                    f"{counted(len(shared), 'photo')} {pluralised(len(shared), 'has', 'have')} other faces "
                    f"in {ibug300w.TRAIN_LIST}",
                    wrong=False,
                )
