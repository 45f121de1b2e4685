from keypoints.data.provenance import TrainedOn


def test_provenance_includes_the_faces_of_the_initial_weights():
    before = TrainedOn(["b", "a"], [[0.5, 0.5]], ["v"])
    now = TrainedOn(["c"], [[0.1, 0.2]], ["w"], {"sharpness": (1, 2)})
    assert now.after(before) == TrainedOn(["a", "b", "c"], [[0.1, 0.2]], ["v", "w"], {"sharpness": (1, 2)})
    assert now.after(None) == now
    assert now.to_keep("imm").data == "imm"
