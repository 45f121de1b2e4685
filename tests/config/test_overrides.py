from keypoints.config.overrides import first_of_sweep, varied_by_hand


def test_swept_keys_are_separated_from_constant_ones():
    typed = [
        "-m",
        "experiment=nose_tip",
        "seed=0,1",
        "model.net.kernel_sizes=[7,5],[5,3]",
        "output=a,b",
        "~logger",
        "x=[",
    ]
    assert varied_by_hand(typed) == (["seed", "model.net.kernel_sizes"], ["experiment", "output", "logger"])


def test_the_first_run_of_a_sweep_has_the_first_values():
    swept = [
        "seed=0",
        "optimizer.lr=1e-2,1e-3",
        "data.seed=range(3,5)",
        "data.width=interval(40,80)",
        "loss=glob(*)",
    ]
    assert first_of_sweep(swept) == ["seed=0", "optimizer.lr=0.01", "data.seed=3", "data.width=40.0"]
