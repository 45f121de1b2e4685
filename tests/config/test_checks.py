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
