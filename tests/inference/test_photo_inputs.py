import gzip
from contextlib import suppress

import pytest
from PIL import Image

from keypoints.data.photos import Photo
from keypoints.errors import DataError
from keypoints.geometry import Box
from keypoints.inference.photo_inputs import find_photos, picture_suffixes


@pytest.fixture
def folder(tmp_path):
    root = tmp_path / "my photos, [1]"
    for name in (
        "b.jpg",
        "a~ø.PNG",
        "sub/c.jpg",
        "sub/notes.txt",
        ".hidden.jpg",
        ".cache/d.jpg",
        "out/e.png",
    ):
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).touch()
    return root


def names(inputs):
    return [inputs.name(photo) for photo in inputs.photos]


def test_a_folder_gives_its_pictures_without_hidden_ones_and_results(folder):
    assert names(find_photos(str(folder))) == ["a~ø.PNG", "b.jpg", "out/e.png", "sub/c.jpg"]
    assert names(find_photos(str(folder), without=folder / "out")) == ["a~ø.PNG", "b.jpg", "sub/c.jpg"]


def test_a_single_photo_may_have_any_name(folder):
    odd = folder / "sub" / "notes.txt"
    assert names(find_photos(str(odd))) == ["notes.txt"]
    assert find_photos(str(folder / "b.jpg")).photos[0].path == folder / "b.jpg"


def test_a_pattern_gives_the_matching_files(folder, monkeypatch):
    monkeypatch.chdir(folder)
    assert names(find_photos("*.jpg")) == ["b.jpg"]
    assert names(find_photos("**/*.jpg")) == ["b.jpg", "sub/c.jpg"]
    assert names(find_photos("sub/[bc].*")) == ["c.jpg"]
    assert names(find_photos(f"{folder}/*.jpg")) == ["b.jpg"]  # the folder's own name has brackets


def test_a_list_may_have_boxes(folder, tmp_path):
    listed = tmp_path / "list.csv"
    listed.write_text("image,left,top,width,height\nb.jpg,1,2,3,4\nsub/gone.jpg,,,,\n")
    inputs = find_photos(str(listed), folder)
    assert names(inputs) == ["b.jpg", "sub/gone.jpg"]
    assert [photo.boxes for photo in inputs.photos] == [(Box(1, 2, 3, 4),), ()]


@pytest.mark.parametrize("named", ["nowhere", "*.heic", "sub/no[th]ing", ""])
def test_a_name_without_any_file_is_refused(folder, monkeypatch, named):
    monkeypatch.chdir(folder)
    with pytest.raises(DataError, match="no such file or folder, and no file matches it"):
        find_photos(named)


@pytest.mark.parametrize("output", [".", "sub/.."])
def test_photos_in_the_folder_of_the_results_are_refused(folder, output):
    with pytest.raises(DataError, match=r"lies in the folder of the results, .*; name another folder"):
        find_photos(str(folder), without=folder / output)


def test_the_message_for_a_folder_without_pictures_names_suffixes(tmp_path):
    (tmp_path / "notes.txt").touch()
    with pytest.raises(DataError, match=r"holds no picture: no file has a suffix such as \.jpg"):
        find_photos(str(tmp_path))


def test_circular_links_are_not_followed(folder, monkeypatch):
    for name in ("one", "two", "sub/three"):
        (folder / name).symlink_to(folder)
    monkeypatch.chdir(folder)
    assert names(find_photos("**/*.jpg")) == ["b.jpg", "sub/c.jpg"]
    assert names(find_photos("**/**/c.jpg")) == ["c.jpg"]
    assert names(find_photos("sub/**")) == ["c.jpg", "notes.txt"]
    assert names(find_photos(str(folder))) == ["a~ø.PNG", "b.jpg", "out/e.png", "sub/c.jpg"]


def test_a_compressed_list_is_read(folder):
    (folder / "list.csv.gz").write_bytes(gzip.compress(b"image\nb.jpg\n"))
    assert names(find_photos(str(folder / "list.csv.gz"))) == ["b.jpg"]


def test_annotations_beside_photos_are_no_clips(made_up_imm):
    found = find_photos(str(made_up_imm), clips=True)
    assert len(found.photos) == 30
    assert not found.clips


def test_files_with_suffixes_that_pillow_reads_are_pictures(tmp_path):
    pictures = ["x.JPG", "x.jfif", "x.jpe", "x.avif", "x.mpo", "x.ppm", "x.tga", "x.jp2", "x.webp", "x.heic"]
    for name in (*pictures, "x.txt", "x.eps", "x.mpg", "x.h5", "x.csv", "x.pdf"):
        (tmp_path / name).touch()
    assert set(names(find_photos(str(tmp_path)))) == set(pictures)


def test_pictures_of_every_format_that_pillow_writes_are_read(tmp_path):
    Image.init()
    writable = {suffix: kind for suffix, kind in Image.registered_extensions().items() if kind in Image.SAVE}
    for suffix in sorted(picture_suffixes() & set(writable)):
        for mode in ("RGB", "L", "1"):
            with suppress(OSError, ValueError, KeyError):
                Image.new(mode, (16, 16)).save(tmp_path / f"a{suffix}")
                break
    written = [path for path in tmp_path.iterdir() if path.stat().st_size]
    assert len(written) > 30
    for photo in find_photos(str(tmp_path)).photos:
        if photo.path in written:
            assert Photo(photo.path).decode(3).shape[2] == 3, photo.path


def test_cocos_lists_are_read(folder):
    path = folder / "list.json"
    path.write_text('{"images": [{"id": 1, "file_name": "b.jpg"}], "annotations": []}')
    assert names(find_photos(str(path))) == ["b.jpg"]


def test_lists_of_data_sets_are_recognised_by_their_contents(folder):
    wflw = folder / "list_98pt_rect_attr_test.txt"
    wflw.write_text(" ".join([*["1"] * 196, "1 2 5 8", *"000000", "b.jpg"]) + "\n")
    (photo,) = find_photos(str(wflw)).photos
    assert photo.path == folder / "b.jpg"
    assert photo.boxes == (Box(1, 2, 4, 6),)
    udacity = folder / "frames.csv"
    udacity.write_text(
        ",".join(["", *map(str, range(136))]) + "\n" + ",".join(["b.jpg", *["3"] * 136]) + "\n"
    )
    (photo,) = find_photos(str(udacity)).photos
    assert (photo.path, photo.boxes) == (folder / "b.jpg", ())
