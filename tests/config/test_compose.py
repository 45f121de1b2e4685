import pytest
from omegaconf import OmegaConf

from keypoints.commands import compose
from keypoints.config.compose import (
    as_typed,
    check_swept_files,
    chosen_groups,
    first_of_sweep,
    flat,
    missing,
    preview,
    varied_by_hand,
)
from keypoints.errors import ConfigError


def test_what_varies_is_told_from_what_does_not():
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


def test_every_option_of_every_group_composes(conf):
    groups = [
        group for group in conf.iterdir() if group.is_dir() and group.name not in ("hydra", "experiment")
    ]
    options = [f"{group.name}={option.stem}" for group in groups for option in group.glob("*.yaml")]
    assert len(options) > 10
    for option in options:
        compose("train", [option, "output=somewhere"])


@pytest.mark.parametrize("experiment", ["nose_tip"])
def test_every_experiment_says_its_name(conf, experiment):
    assert {path.stem for path in (conf / "experiment").glob("*.yaml")} >= {experiment}
    assert compose("train", [f"experiment={experiment}"]).name == experiment


def test_the_data_root_comes_from_the_environment(monkeypatch):
    monkeypatch.setenv("KEYPOINTS_DATA", "/somewhere")
    assert compose("train").data.root == "/somewhere/imm_face_db"
    monkeypatch.delenv("KEYPOINTS_DATA")
    assert compose("train").data.root == "data/imm_face_db"
    assert compose("train", ["paths.data=/a, [b]"]).data.root == "/a, [b]/imm_face_db"


def test_the_networks_of_depth_pooling_fit_the_full_face_input():
    from keypoints.datamodules.imm import IMMDataModule
    from keypoints.instantiate import make_task

    for network in ("five", "five-more-pooling", "six", "six-more-pooling"):
        cfg = compose("train", ["experiment=full_face", "sweep=depth_pooling", f"network={network}"])
        task = make_task(cfg, IMMDataModule("nowhere", width=cfg.data.width, height=cfg.data.height))
        convolutions = [
            name for name, _ in task.named_parameters() if "features" in name and "weight" in name
        ]
        assert len(convolutions) == 2 * {"five": 5, "six": 6}[network.partition("-")[0]]  # and their norms


def test_each_head_learns_from_the_same_batch(conf):
    import torch

    from keypoints.data.dataset import Batch
    from keypoints.datamodules.ibug300w import IBUG300WDataModule
    from keypoints.instantiate import make_task

    heads = OmegaConf.load(conf / "sweep/heads.yaml").hydra.sweeper.params.model.split(",")
    affine = torch.eye(2, 3).expand(2, 2, 3)
    batch = Batch(
        torch.randint(256, (2, 1, 64, 64), dtype=torch.uint8),
        torch.rand(2, 68, 2),
        affine,
        torch.full((2, 2), 64),
        torch.arange(2),
    )
    for head in heads:
        cfg = compose("train", ["experiment=ibug300w", f"model={head}"])
        task = make_task(cfg, IBUG300WDataModule("nowhere", width=64, height=64))
        loss, points = task.compute_loss(batch)
        assert points.shape == (2, 68, 2)
        loss.backward()
        assert all(weights.grad.isfinite().all() for weights in task.parameters()), head
    assert len(heads) == 5


@pytest.mark.parametrize(
    ("config", "typed", "meant"),
    [
        (
            "evaluate",
            ["force=no", "stress=OFF", "flip_test=False"],
            ["force=false", "stress=false", "flip_test=false"],
        ),
        (
            "evaluate",
            ["force=yes", "stress=on", "flip_test=1"],
            ["force=true", "stress=true", "flip_test=true"],
        ),
        ("predict", ["report=n"], ["report=false"]),
        ("download", ["keep=no"], ["keep=false"]),
        ("train", ["data=ibug300w", "data.strict=no,yes"], ["data=ibug300w", "data.strict=false,true"]),
        (
            "train",
            ["experiment=full_face", "augmentation=null"],
            ["experiment=full_face", "augmentation=none"],
        ),
        ("train", ["augmentation=null,wild"], ["augmentation=none,wild"]),
        ("train", ["experiment=null", "sweep=null", "launch=null"], []),
        ("evaluate", ["data=null"], []),
        ("bench", ["logger=null"], ["logger=none"]),
        (
            "train",
            ["trainer.devices=auto", "data.landmarks=no"],
            ["trainer.devices=auto", "data.landmarks=no"],
        ),
        (
            "train",
            ["model.net.pooling=[2,2,1]", "seed=range(0,3)"],
            ["model.net.pooling=[2,2,1]", "seed=range(0,3)"],
        ),
        (
            "train",
            ["data.seed=${seed}", "+data.extra=x", "~loss"],
            ["data.seed=${seed}", "+data.extra=x", "~loss"],
        ),
        (
            "train",
            ["--cfg", "job", "x=[", "experiment=nothing"],
            ["--cfg", "job", "x=[", "experiment=nothing"],
        ),
    ],
    ids=str,
)
def test_what_is_typed_becomes_what_is_meant(config, typed, meant):
    assert as_typed(config, typed) == meant


@pytest.mark.parametrize(
    ("config", "typed", "says"),
    [
        ("synthesize", "persons=two", "persons is a whole number from 1 up, not 'two'"),
        ("train", "optimizer.lr=abc", "optimizer.lr is a finite number, not 'abc'"),
        ("train", "optimizer.lr=1e-3,fast", "optimizer.lr is a finite number, not 'fast'"),
        ("train", "data.batch_size=true", "data.batch_size is a whole number, not True"),
        ("evaluate", "force=maybe", "force is true or false, not 'maybe'"),
        ("evaluate", "force=null", "force is true or false, not None"),
        ("train", "model=null", "model=null: there has to be one; choose model=… of .*convnet"),
        ("train", "data=null", "choose data=… of ibug300w, imm, labelled"),
        ("train", "trainer=null,gpu", "trainer=null: there has to be one"),
        ("train", "hydra=null", "hydra=null: there has to be one"),
        (
            "train",
            "experiment=null,nose_tip",
            "experiment=null is its default, which Hydra takes into no sweep",
        ),
        ("train", "optimizer.lr=[1e-3]", "optimizer.lr is a finite number, not \\[0.001\\]"),
    ],
)
def test_what_cannot_be_meant_is_refused_by_its_key(config, typed, says):
    with pytest.raises(ConfigError, match=says):
        as_typed(config, [typed])


@pytest.mark.parametrize(
    ("config", "typed", "says"),
    [
        ("train", "data=1", "data=1: there is no such option; choose data=… of ibug300w, imm, labelled"),
        ("train", "trainer=0", "trainer=0: .* choose trainer=… of cpu, ddp, default, gpu"),
        ("evaluate", "data=3", "data=3: .* of ibug300w, imm, labelled"),
        ("train", "trainer=true", "trainer=true: there is no such option"),
        ("train", "+data=1.5", r"\+data=1.5: there is no such option"),
        ("train", "loss@data=1", "loss@data=1: .*choose loss=… of l1"),
        ("train", "trainer=cpu,0", "trainer=cpu,0: there is no such option"),
        ("train", "data=range(0,3)", r"data=range\(0,3\): there is no such option"),
        ("train", "data=[1]", r"data=\[1\]: there is no such option"),
        ("train", "data=[null]", r"data=\[null\]: there is no such option"),
        ("train", "data=[[imm]]", r"data=\[\[imm\]\]: there is no such option"),
        ("train", "data={a:1}", "data={a:1}: there is no such option"),
        ("train", "hydra/launcher=1", "hydra/launcher=1: there is no such option: it has to be a name"),
    ],
)
def test_what_is_no_name_is_no_option_of_a_group(config, typed, says):
    with pytest.raises(ConfigError, match=f"^{says}"):
        as_typed(config, [typed])


def test_names_of_options_stand_alone_in_lists_and_in_sweeps():
    typed = ["data='imm'", "callbacks=[default,weight_averaging]", "trainer=cpu,gpu", "model=glob(conv*)"]
    assert as_typed("train", typed) == typed


@pytest.mark.parametrize(
    ("config", "typed", "says"),
    [
        ("train", "output=", "output= is empty: name a folder"),
        ("train", "output=' '", "output= is empty: name a folder"),
        ("train", "output=null", "output= is empty: name a folder"),
        ("train", "paths.outputs=", "paths.outputs= is empty: name a folder"),
        ("train", "hydra.run.dir=", "hydra.run.dir= is empty: name a folder"),
        *((verb, "output=", "name a folder") for verb in ("evaluate", "predict", "preview", "bench")),
        *((verb, "output=", "name a folder") for verb in ("download", "shrink")),
        *((verb, "output=", "name a file") for verb in ("export", "submit", "convert", "verify")),
    ],
)
def test_an_empty_place_for_results_is_refused(config, typed, says):
    with pytest.raises(ConfigError, match=f"{says}$"):
        as_typed(config, [typed])


def test_an_output_may_be_left_to_the_verb():
    assert as_typed("evaluate", ["output=null"]) == ["output=null"]
    assert as_typed("report", ["output="]) == ["output="]  # it has none, as Hydra says


def swept(*typed):
    """See that the files of a multirun are there."""
    flags = ["-m"]
    overrides = as_typed("train", [*flags, *typed])[1:]
    check_swept_files(preview("train", flags, overrides), overrides)


@pytest.mark.parametrize(
    ("typed", "says"),
    [
        (["data=labelled", "data.train=t.csv,no.csv"], "data.train=no.csv"),
        (["data=labelled", "data.train=t.csv", "data.val=null,'no, 1.csv'"], "data.val=no, 1.csv"),
        (["data=labelled", "data.test=choice(no.csv,t.csv)"], "data.test=no.csv"),
        (["data.root=., nowhere", "seed=0,1"], "data.root=nowhere"),
        (["start_from=null,run,t.csv/x"], "start_from=run"),
        (["model=torchvision", "model.net.weights=null,DEFAULT,no.pth"], "model.net.weights=no.pth"),
        (["data=labelled", f"data.train=t.csv,{'x' * 300}"], "data.train=x"),
    ],
    ids=str,
)
def test_a_missing_file_is_told_before_the_first_run_of_a_sweep(tmp_path, monkeypatch, typed, says):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "t.csv").touch()
    with pytest.raises(ConfigError, match=f"^{says}.*: no such file or folder$"):
        swept(*typed)


def test_what_is_there_and_what_is_no_path_can_be_swept(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "t.csv").touch()
    swept("data=labelled", "data.train=t.csv,${data.test}", "data.test=t.csv", "start_from=null,.")
    swept("model=torchvision", "model.net.weights=null,DEFAULT", "seed=0,1")


def test_the_values_that_a_sweeps_file_names_are_looked_for(tmp_path):
    from omegaconf import open_dict

    cfg = preview("train", [], [])
    with open_dict(cfg):
        cfg.hydra.sweeper.params = {"start_from": f"{tmp_path},{tmp_path}/no"}
    with pytest.raises(ConfigError, match=f"^start_from={tmp_path}/no: no such file or folder"):
        check_swept_files(cfg, [])
    check_swept_files(cfg, ["start_from=null"])  # what is typed takes its place


def test_options_of_ones_own_are_compared_with_their_defaults(tmp_path):
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "mine.yaml").write_text("_target_: mine.Faces\nmirrored: true\n")
    flags = ["--config-dir", str(tmp_path)]
    assert as_typed("train", [*flags, "data=mine", "data.mirrored=no"]) == [
        *flags,
        "data=mine",
        "data.mirrored=false",
    ]


@pytest.mark.parametrize(
    ("verb", "override"),
    [
        ("demo", "max_megabytes=nan"),
        ("demo", "max_megapixels=inf"),
        ("bench", "seconds=-inf"),
        ("evaluate", "threshold=nan"),
        ("shrink", "context=inf"),
        ("train", "data.batch_size=nan"),
        ("train", "optimizer.lr=nan"),
        ("train", "optimizer.lr=1e-2,inf"),
    ],
)
def test_a_number_that_is_not_finite_is_refused(verb, override):
    key = override.partition("=")[0]
    with pytest.raises(ConfigError, match=f"^{key} is a (finite|whole) number.*, not (nan|-?inf)"):
        as_typed(verb, [override])


@pytest.fixture
def own(tmp_path):
    """A folder of ``--config-dir`` with an experiment that lacks a value of its own, and one of ours."""
    (tmp_path / "experiment").mkdir()
    (tmp_path / "experiment" / "mine.yaml").write_text(
        "# @package _global_\nname: mine\ncount: ??? # how many\noptimizer:\n  lr: ???\n"
    )
    return tmp_path


def test_a_missing_value_is_told_with_what_belongs_there(own):
    cfg = preview("train", ["--config-dir", str(own)], ["experiment=mine"])
    told = "count has no value (???): give count=<value>, how many"
    assert missing(cfg, own) == (
        f"optimizer.lr has no value (???): give optimizer.lr=<value>, learning rate; {told}"
    )
    cfg = preview("train", [f"--config-dir={own}"], ["experiment=mine", "count=1", "optimizer.lr=1e-2,1e-3"])
    assert missing(cfg, own) is None


def test_fine_tuning_asks_for_what_it_starts_from():
    cfg = preview("train", [], ["experiment=ibug300w_fine"])
    assert missing(cfg).startswith("start_from has no value (???): give start_from=<path>, a run's folder or")
    cfg = preview("train", [], ["experiment=ibug300w_fine", "start_from='a','b'"])
    assert missing(cfg) is None


def test_what_a_sweep_gives_is_not_missing(own):
    (own / "sweep").mkdir()
    (own / "sweep" / "counts.yaml").write_text(
        "# @package _global_\nhydra: {sweeper: {params: {count: '1,2', optimizer.lr: '1e-3,1e-4'}}}\n"
    )
    cfg = preview("train", ["--config-dir", str(own)], ["experiment=mine", "sweep=counts"])
    assert missing(cfg) is None
    assert cfg.count == 1


def test_a_configuration_that_cannot_be_composed_has_no_preview():
    assert preview("train", [], ["experiment=nothing"]) is None
    assert preview("train", [], ["model.net.kernel_sizes=[7"]) is None


def test_the_first_of_a_sweep_has_the_first_of_all_values():
    swept = [
        "seed=0",
        "optimizer.lr=1e-2,1e-3",
        "data.seed=range(3,5)",
        "data.width=interval(40,80)",
        "loss=glob(*)",
    ]
    assert first_of_sweep(swept) == ["seed=0", "optimizer.lr=0.01", "data.seed=3", "data.width=40.0"]


def test_all_values_of_a_configuration_have_a_name_but_for_its_own_folder():
    values = flat(compose("train", ["output=here", "callbacks=none", "data.landmarks=null"]))
    assert values["callbacks"] == "none"
    assert values["data.landmarks"] == "null"
    assert values["trainer.enable_model_summary"] == "false"
    assert values["model.net.kernel_sizes"] == "[7, 5, 3]"
    assert values["optimizer.lr"] == 1e-3
    assert not [name for name, value in values.items() if str(value).startswith("here")]


def test_choices_of_groups_are_told_from_values():
    overrides = ["augmentation='wild'", "+callbacks/mine=x", "seed=1", "~logger", "hydra/launcher=joblib"]
    assert chosen_groups(overrides) == {"augmentation": "wild", "callbacks/mine": "x"}
