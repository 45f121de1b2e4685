import pytest

from keypoints.config.checks import as_typed, check_swept_files
from keypoints.config.compose import preview
from keypoints.errors import ConfigError


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
        (
            "train",
            ["trainer.max_steps=9", "+trainer.max_time=1", "+trainer.accumulate_grad_batches=4"],
            ["++trainer.max_steps=9", "++trainer.max_time=1", "trainer.accumulate_grad_batches=4"],
        ),
        (
            "bench",
            ["trainer.max_steps=9", "trainer.max_stps=9"],
            ["++trainer.max_steps=9", "trainer.max_stps=9"],
        ),
        ("evaluate", ["trainer.max_steps=9"], ["trainer.max_steps=9"]),
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
def test_typed_arguments_are_normalised(config, typed, meant):
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
        ("train", "model=null", "model=null: model is required; choose model=… of .*convnet"),
        ("train", "data=null", "choose data=… of .*imm, kaggle15, labelled"),
        ("train", "trainer=null,gpu", "trainer=null: trainer is required"),
        ("train", "hydra=null", "hydra=null: hydra is required"),
        (
            "train",
            "experiment=null,nose_tip",
            "experiment=null is the default, which Hydra cannot sweep",
        ),
        ("train", "optimizer.lr=[1e-3]", "optimizer.lr is a finite number, not \\[0.001\\]"),
    ],
)
def test_an_invalid_value_is_refused_with_its_key(config, typed, says):
    with pytest.raises(ConfigError, match=says):
        as_typed(config, [typed])


@pytest.mark.parametrize(
    ("config", "typed", "says"),
    [
        ("train", "data=1", "data=1: there is no such option; choose data=… of .*imm, kaggle15, labelled"),
        ("train", "trainer=0", "trainer=0: .* choose trainer=… of cpu, ddp, default, gpu"),
        ("evaluate", "data=3", "data=3: .* of .*imm, kaggle15, labelled"),
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
def test_an_option_of_a_group_has_to_be_a_name(config, typed, says):
    with pytest.raises(ConfigError, match=f"^{says}"):
        as_typed(config, [typed])


def test_options_can_be_quoted_listed_and_swept():
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
def test_an_empty_output_is_refused(config, typed, says):
    with pytest.raises(ConfigError, match=f"{says}$"):
        as_typed(config, [typed])


def test_a_null_output_is_allowed_where_the_verb_has_a_default():
    assert as_typed("evaluate", ["output=null"]) == ["output=null"]
    assert as_typed("report", ["output="]) == ["output="]  # report has no such key, as Hydra reports


def swept(*typed):
    """Check that the files of a multirun exist."""
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
def test_a_sweep_with_a_missing_file_is_refused(tmp_path, monkeypatch, typed, says):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "t.csv").touch()
    with pytest.raises(ConfigError, match=f"^{says}.*: no such file or folder$"):
        swept(*typed)


def test_existing_paths_and_other_values_can_be_swept(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "t.csv").touch()
    swept("data=labelled", "data.train=t.csv,${data.test}", "data.test=t.csv", "start_from=null,.")
    swept("model=torchvision", "model.net.weights=null,DEFAULT", "seed=0,1")
    swept("data=labelled", "data.train=t.csv", "data.scheme=null,ibug68")


def test_paths_in_a_sweep_file_are_checked(tmp_path):
    from omegaconf import open_dict

    cfg = preview("train", [], [])
    with open_dict(cfg):
        cfg.hydra.sweeper.params = {"start_from": f"{tmp_path},{tmp_path}/no"}
    with pytest.raises(ConfigError, match=f"^start_from={tmp_path}/no: no such file or folder"):
        check_swept_files(cfg, [])
    check_swept_files(cfg, ["start_from=null"])  # a typed override replaces the file's value


def test_values_of_a_users_own_option_are_checked_by_its_defaults(tmp_path):
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
