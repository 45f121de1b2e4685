from xml.etree import ElementTree

import numpy as np
import pytest
from PIL import Image

from keypoints.data.readers.imm import read_imm
from keypoints.errors import ConfigError
from keypoints.schemes import IBUG68
from keypoints.synthetic.layouts import IBUG_FOLDER, IMM_FOLDER, write_ibug, write_imm


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    root = tmp_path_factory.mktemp("made")
    assert len(list(write_imm(root, persons=3, seed=0))) == 18
    assert len(list(write_ibug(root, faces=9, seed=0))) == 9
    return root


def test_the_imm_reader_reads_synthetic_faces(made):
    faces = read_imm(made / IMM_FOLDER)
    assert len(faces) == 18
    assert {face.photo.size for face in faces} == {(640, 480)}
    nose = {(face.group, face.tags["view"]): face.landmarks()[52, 0] for face in faces}
    assert all(nose[person, "3"] < nose[person, "4"] for person in ("01", "02", "03"))


def test_only_the_same_seed_gives_the_same_bytes(made, tmp_path):
    for seed in (0, 1):
        list(write_imm(tmp_path / str(seed), persons=1, seed=seed))
    for path in (tmp_path / "0" / IMM_FOLDER).iterdir():
        assert path.read_bytes() == (made / IMM_FOLDER / path.name).read_bytes()
    names = [path.name for path in (tmp_path / "1" / IMM_FOLDER).glob("*-1?.jpg")]
    assert all(
        (tmp_path / "1" / IMM_FOLDER / name).read_bytes() != (made / IMM_FOLDER / name).read_bytes()
        for name in names
        if (made / IMM_FOLDER / name).exists()
    )


def faces_of(path):
    for image in ElementTree.parse(path).iter("image"):
        box = image.find("box")
        parts = {part.get("name"): (int(part.get("x")), int(part.get("y"))) for part in box.iter("part")}
        yield image.get("file"), {key: int(value) for key, value in box.attrib.items()}, parts


def test_the_300w_lists_have_boxes_points_and_mirrored_copies(made):
    folder = made / IBUG_FOLDER
    train = list(faces_of(folder / "labels_ibug_300W_train.xml"))
    test = list(faces_of(folder / "labels_ibug_300W_test.xml"))
    assert (len(train), len(test)) == (6, 6)
    for name, box, parts in train + test:
        assert (folder / name).is_file()
        assert sorted(parts) == [f"{number:02}" for number in range(68)]
        assert box["width"] > 0
    parsed = list(faces_of(folder / "labels_ibug_300W_test_parsed.xml"))
    assert [(name, box) for name, box, _ in parsed] == [(name, box) for name, box, _ in test]
    assert not any(parts for _, _, parts in parsed)


def test_a_mirrored_copy_has_mirrored_pixels_points_and_box(made):
    folder = made / IBUG_FOLDER
    test = list(faces_of(folder / "labels_ibug_300W_test.xml"))
    for (name, box, parts), (mirror, other_box, others) in zip(test[:3], test[3:], strict=True):
        assert mirror == name.replace(".jpg", "_mirror.jpg")
        first, second = (np.asarray(Image.open(folder / file), float) for file in (name, mirror))
        assert np.abs(first[:, ::-1] - second).mean() < 3  # JPEG's blocks differ
        for number, flipped in enumerate(IBUG68.flip_indices):
            x, y = parts[f"{flipped:02}"]
            assert others[f"{number:02}"] == (639 - x, y)
        assert other_box["left"] == 640 - box["width"] - box["left"]


@pytest.mark.parametrize(("write", "count"), [(write_imm, 0), (write_ibug, 5)])
def test_too_small_numbers_are_refused(tmp_path, write, count):
    with pytest.raises(ConfigError, match="or more"):
        list(write(tmp_path, count, 0))
    assert not list(tmp_path.iterdir())
