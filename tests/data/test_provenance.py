from keypoints.data.provenance import TrainedOn


def test_weights_of_another_training_bring_its_faces_with_them():
    before = TrainedOn(["b", "a"], [[0.5, 0.5]], ["v"])
    now = TrainedOn(["c"], [[0.1, 0.2]], ["w"], {"sharpness": (1, 2)})
    assert now.after(before) == TrainedOn(["a", "b", "c"], [[0.1, 0.2]], ["v", "w"], {"sharpness": (1, 2)})
    assert now.after(None) == now
    assert now.to_keep("imm").data == "imm"
