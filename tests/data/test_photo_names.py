import os
import unicodedata

import pytest

from keypoints.data.photo_names import PhotoNames, composed, name_below

COMPOSED = unicodedata.normalize("NFC", "Zoë.jpg")
DECOMPOSED = unicodedata.normalize("NFD", "Zoë.jpg")


@pytest.fixture
def root(tmp_path):
    for name in ("images/a.jpg", f"Fotos é/{DECOMPOSED}", "b.jpg"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).touch()
    return tmp_path


@pytest.mark.parametrize(
    ("name", "found"),
    [
        ("images/a.jpg", "images/a.jpg"),
        ("./images/../images/a.jpg", "images/a.jpg"),
        (r"images\a.jpg", "images/a.jpg"),
        (r".\images\a.jpg", "images/a.jpg"),
        (" b.jpg ", "b.jpg"),
        (f"Fotos é/{COMPOSED}", f"Fotos é/{DECOMPOSED}"),
        (unicodedata.normalize("NFD", f"Fotos é\\{COMPOSED}"), f"Fotos é/{DECOMPOSED}"),
    ],
)
def test_a_photo_is_found_by_any_spelling_of_its_name(root, name, found):
    assert PhotoNames(root).find(name) == found


def test_an_exact_name_takes_precedence(root):
    (root / r"images\a.jpg").touch()
    assert PhotoNames(root).find(r"images\a.jpg") == r"images\a.jpg"


def test_links_are_followed(root, tmp_path_factory):
    store = tmp_path_factory.mktemp("store") / "c.jpg"
    store.touch()
    (root / "link.jpg").symlink_to(store)
    assert PhotoNames(root).find("link.jpg") == "link.jpg"


@pytest.mark.parametrize(
    "name",
    ["", ".", "..", "../b.jpg", "/etc/passwd", r"..\b.jpg", r"C:\photos\b.jpg", r"\\server\b.jpg", "a\0b"],
)
def test_names_outside_the_root_are_refused(root, name):
    for missing_ok in (False, True):
        with pytest.raises(ValueError, match=r"is not a name below"):
            PhotoNames(root).find(name, missing_ok=missing_ok)


def test_a_missing_photo_is_an_error_unless_allowed(root):
    with pytest.raises(ValueError, match=r"its picture images/none\.jpg is missing from "):
        PhotoNames(root).find(r"images\none.jpg")
    assert PhotoNames(root).find(r"images\none.jpg", missing_ok=True) == "images/none.jpg"
    with pytest.raises(ValueError, match="its picture images is a folder"):
        PhotoNames(root).find("images")


def test_an_ambiguous_unicode_name_is_not_found(root):
    for name in ("x é 1.jpg", unicodedata.normalize("NFD", "x é 1.jpg")):
        (root / name).touch()
    if len(list(root.glob("x *"))) < 2:
        pytest.skip("this file system keeps one form of a name")
    mixed = "x " + unicodedata.normalize("NFD", "é") + " 1.jpg"
    assert PhotoNames(root).find(mixed) == mixed
    with pytest.raises(ValueError, match="is missing"):
        PhotoNames(root).find("x é\u200b 1.jpg")


def test_missing_names_list_a_folder_only_once(root, monkeypatch):
    listed, listdir = [], os.listdir
    monkeypatch.setattr(os, "listdir", lambda folder: listed.append(folder) or listdir(folder))
    photos = PhotoNames(root)
    for number in range(50):
        photos.find(f"images/{number}.jpg", missing_ok=True)
    assert len(listed) == 1


def test_names_are_normalised():
    assert name_below("/data", "a/../b.jpg") == "b.jpg"
    assert composed(DECOMPOSED) == COMPOSED
