import gzip
import io
import stat
import tarfile
import zipfile

import pytest

from keypoints.datatools.archives import Limits, unpack
from keypoints.errors import DataError

LIMITS = Limits(total_bytes=1_000_000, files=20)
PLAIN = {"faces/01.asf": b"58\n", "faces/01.jpg": bytes(range(256)) * 300, "ø, [1].txt": b""}


def tar(path, members):
    with tarfile.open(path, "w:gz") as archive:
        for member, contents in members:
            archive.addfile(member, io.BytesIO(contents))
    return path


def member(name, contents=b"", kind=tarfile.REGTYPE, link=""):
    found = tarfile.TarInfo(name)
    found.size, found.type, found.linkname = len(contents), kind, link
    return found, contents


def plain_tar(path, files=PLAIN):
    return tar(path, [member(name, contents) for name, contents in files.items()])


def plain_zip(path, files=PLAIN):
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, contents in files.items():
            archive.writestr(name, contents)
    return path


def unpacked(folder):
    return {
        path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()
    }


@pytest.mark.parametrize("pack", [plain_tar, plain_zip])
def test_zip_and_tar_are_unpacked_whatever_their_name(tmp_path, pack):
    archive = pack(tmp_path / "archive")
    assert list(unpack(archive, tmp_path / "new" / "folder", LIMITS)) == list(PLAIN)
    assert unpacked(tmp_path / "new" / "folder") == PLAIN


def test_empty_folders_are_unpacked(tmp_path):
    list(unpack(tar(tmp_path / "a", [member("empty", kind=tarfile.DIRTYPE)]), tmp_path / "1", LIMITS))
    list(unpack(plain_zip(tmp_path / "b", {"empty/": b""}), tmp_path / "2", LIMITS))
    assert (tmp_path / "1" / "empty").is_dir()
    assert (tmp_path / "2" / "empty").is_dir()


def special_zip(path, kind):
    with zipfile.ZipFile(path, "w") as archive:
        info = zipfile.ZipInfo("faces/link")
        info.external_attr = (kind | 0o777) << 16
        archive.writestr(info, "/etc/passwd")
    return path


def encrypted_zip(path):
    plain_zip(path, {"a": b"1"})
    contents = bytearray(path.read_bytes())
    contents[6] |= 1  # the encryption flag, in the file's header and in the directory
    contents[contents.index(b"PK\x01\x02") + 8] |= 1
    path.write_bytes(contents)
    return path


def overlapping_zip(path):
    """Write a zip whose directory lists the same file three times."""
    plain_zip(path, {"a": b"0" * 400_000})
    contents = path.read_bytes()
    start, end = contents.index(b"PK\x01\x02"), contents.index(b"PK\x05\x06")
    tail = bytearray(contents[end:])
    tail[8:12] = b"\3\0\3\0"
    tail[12:16] = (3 * (end - start)).to_bytes(4, "little")
    path.write_bytes(contents[:start] + 3 * contents[start:end] + tail)
    return path


def lying_zip(path):
    """Write a zip whose directory announces 10 bytes for a file of 2,000,000."""
    plain_zip(path, {"a": b"0" * 2_000_000})
    contents = bytearray(path.read_bytes())
    for place in (contents.index(b"PK\x03\x04") + 22, contents.index(b"PK\x01\x02") + 24):
        contents[place : place + 4] = (10).to_bytes(4, "little")
    path.write_bytes(contents)
    return path


def pax_bomb(path):
    """Write a tar with a header of 5 MB, where tarfile expects a few words."""
    info = tarfile.TarInfo("a")
    info.pax_headers = {"comment": "0" * 5_000_000}
    with tarfile.open(path, "w:gz", format=tarfile.PAX_FORMAT) as archive:
        archive.addfile(info)
    return path


def tail_bomb(path):
    with gzip.open(path, "wb") as file:
        file.write(tarfile.TarInfo("a").tobuf() + b"\0" * 3_000_000)
    return path


def damaged_header(path):
    """Write a tar with a damaged header and a correct gzip checksum."""
    contents = bytearray(gzip.decompress(plain_tar(path).read_bytes()))
    contents[contents.index(b"ustar", 600)] = 0
    contents[contents.index(b"faces/01.jpg")] = 1
    path.write_bytes(gzip.compress(contents))
    return path


def cut(pack):
    def build(path):
        contents = pack(path).read_bytes()
        path.write_bytes(contents[: len(contents) - 30])
        return path

    return build


def flipped(pack):
    def build(path):
        contents = bytearray(pack(path).read_bytes())
        contents[len(contents) // 3] ^= 0x55
        path.write_bytes(contents)
        return path

    return build


def with_bytes(contents):
    def build(path):
        path.write_bytes(contents)
        return path

    return build


def tar_of(*members):
    return lambda path: tar(path, members)


ZIP_OF = {
    f"zip: {name}": ((lambda path, name=name: plain_zip(path, {name: b"x"})), "leads outside")
    for name in ("../out", "/out", "faces/../../out", "..\\out", "C:\\out", "\\out")
}
HOSTILE = {
    **ZIP_OF,
    "tar: ../out": (tar_of(member("../out", b"x")), "leads outside"),
    "tar: an absolute name": (tar_of(member("/out", b"x")), "leads outside"),
    "tar: faces/../../out": (tar_of(member("faces/../../out", b"x")), "leads outside"),
    "tar: a link out": (
        tar_of(member("faces/link", kind=tarfile.SYMTYPE, link="../.."), member("faces/link/out")),
        "link",
    ),
    "tar: a link in": (
        tar_of(member("a"), member("b", kind=tarfile.SYMTYPE, link="a")),
        "a link or a device",
    ),
    "tar: a hard link": (tar_of(member("b", kind=tarfile.LNKTYPE, link="/etc/passwd")), "a link or a device"),
    "tar: a device": (tar_of(member("b", kind=tarfile.CHRTYPE)), "a link or a device"),
    "tar: a fifo": (tar_of(member("b", kind=tarfile.FIFOTYPE)), "a link or a device"),
    "zip: a link": (lambda path: special_zip(path, stat.S_IFLNK), "a link or a device"),
    "zip: a device": (lambda path: special_zip(path, stat.S_IFCHR), "a link or a device"),
    "tar: too large": (
        tar_of(*[member(str(i), b"0" * 300_000) for i in range(4)]),
        "more than 1,000,000 bytes",
    ),
    "zip: too large": (lambda path: plain_zip(path, {"a": b"0" * 1_000_001}), "more than 1,000,000 bytes"),
    "zip: the same bytes often": (overlapping_zip, "more than 1,000,000 bytes"),
    "zip: larger than it says": (lying_zip, "cannot be unpacked"),
    "tar: too many": (tar_of(*[member(str(i)) for i in range(21)]), "more than 20 files"),
    "zip: too many": (lambda path: plain_zip(path, {str(i): b"" for i in range(21)}), "more than 20 files"),
    "tar: a large header": (pax_bomb, "a header of unlikely size"),
    "tar: a large tail": (tail_bomb, "more than 1,000,000 bytes"),
    "tar: a damaged header": (damaged_header, "a header in it is damaged"),
    "tar: cut off": (cut(plain_tar), "cannot be unpacked"),
    "zip: cut off": (cut(plain_zip), "cannot be unpacked"),
    "tar: damaged": (flipped(plain_tar), "cannot be unpacked"),
    "zip: damaged": (flipped(plain_zip), "cannot be unpacked"),
    "zip: encrypted": (encrypted_zip, "cannot be unpacked: .*encrypted"),
    "a page": (with_bytes(b"<html>"), "neither zip nor tar.gz: it begins with b'<htm'"),
    "nothing": (with_bytes(b""), "neither zip nor tar.gz"),
    "gzip of no tar": (with_bytes(gzip.compress(b"x" * 2000)), "cannot be unpacked"),
    "a name too long": (tar_of(member("n" * 300)), "cannot be unpacked: File name too long"),
    "a file as a folder": (tar_of(member("a"), member("a/b")), "cannot be unpacked: "),
}


@pytest.mark.parametrize(("build", "says"), HOSTILE.values(), ids=HOSTILE.keys())
def test_damaged_or_malicious_archives_are_refused(tmp_path, build, says):
    archive = build(tmp_path / "archive")
    with pytest.raises(DataError, match=rf"archive: (cannot be unpacked: .*)?{says}") as caught:
        list(unpack(archive, tmp_path / "in" / "folder", LIMITS))
    assert "\n" not in str(caught.value)
    assert {path.name for path in tmp_path.iterdir()} == {"archive", "in"}
    assert [path.name for path in (tmp_path / "in").iterdir()] == ["folder"]
    left = list((tmp_path / "in" / "folder").rglob("*"))
    assert not any(path.is_symlink() for path in left)
    assert sum(path.stat().st_size for path in left if path.is_file()) <= LIMITS.total_bytes


def test_a_missing_archive_is_refused(tmp_path):
    with pytest.raises(DataError, match=r"none: cannot be read \(No such file"):
        list(unpack(tmp_path / "none", tmp_path / "folder", LIMITS))
