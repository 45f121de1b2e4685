from pathlib import Path

from keypoints.data.provenance import TrainedOn, data_name


def test_provenance_includes_the_faces_of_the_initial_weights():
    before = TrainedOn(["b", "a"], [[0.5, 0.5]], ["v"])
    now = TrainedOn(["c"], [[0.1, 0.2]], ["w"], {"sharpness": (1, 2)})
    assert now.after(before) == TrainedOn(["a", "b", "c"], [[0.1, 0.2]], ["v", "w"], {"sharpness": (1, 2)})
    assert now.after(None) == now
    assert now.to_keep("imm").data == "imm"


def test_data_are_named_by_their_list_or_folder():
    assert data_name("lists/faces.csv", "photos") == "faces.csv"
    assert data_name(None, Path("data/imm_face_db")) == "imm_face_db"
    assert data_name(None, None) is None
