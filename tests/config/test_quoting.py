import shlex

import pytest
from hypothesis import given
from hypothesis import strategies as st

from keypoints import commands  # noqa: F401 - registers the schemas, which define the paths
from keypoints.config.quoting import check_commas, is_multirun, quote_paths, shell_command
from keypoints.errors import ConfigError

names = st.text(st.characters(exclude_categories=["Cs", "Cc"], exclude_characters="$"), min_size=1).filter(
    lambda name: name[0] not in "'\"" and name.strip() != "null"  # null is not a path
)


@given(names)
def test_any_path_reaches_the_configuration_as_it_was_typed(name):
    from hydra.core.override_parser.overrides_parser import OverridesParser

    (override,) = OverridesParser.create().parse_overrides(quote_paths([f"output={name}"]))
    assert str(override.value()) == name
    assert not override.is_sweep_override()


@given(st.lists(names.map(str.strip).filter(bool).filter(lambda name: name[0] not in "'\""), min_size=2))
def test_any_paths_can_be_swept_if_each_is_quoted(paths):
    from hydra.core.override_parser.overrides_parser import OverridesParser

    each = [quote_paths([f"data.train={path}"])[0].partition("=")[2] for path in paths]
    _, quoted = quote_paths(["-m", f"data.train={','.join(each)}"])
    (override,) = OverridesParser.create().parse_overrides([quoted])
    assert [value.text for value in override.value().list] == paths


def test_a_sweep_file_makes_a_single_run_on_demand():
    assert quote_paths(["sweep=mine", "hydra.mode=RUN", "data.train=a,b.csv"])[2] == "data.train='a,b.csv'"


@pytest.mark.parametrize(
    "multirun", [["-m"], ["--multirun"], ["sweep=learning_rate"], ["hydra.mode=MULTIRUN"]]
)
def test_a_comma_separates_paths_only_in_a_multirun(multirun):
    typed = ["data.train=t.csv, é b.csv", "start_from=null,run", "output=a, b", "name=x: y,z"]
    assert quote_paths([*multirun, *typed])[1:] == [
        "data.train='t.csv','é b.csv'",
        "start_from=null,'run'",
        "output='a, b'",
        "name='x: y','z'",
    ]
    assert quote_paths(typed)[:2] == ["data.train='t.csv, é b.csv'", "start_from='null,run'"]


@pytest.mark.parametrize(
    ("typed", "quoted"),
    [
        ("'a,b.csv',c.csv", "'a,b.csv','c.csv'"),
        ("'a,b.csv'", "'a,b.csv'"),
        ("it's.csv,b.csv", "'it\\'s.csv','b.csv'"),
        ("there, as it stands.csv", "'there, as it stands.csv'"),
        ("choice(a b.csv,é.csv)", "choice('a b.csv','é.csv')"),
        ("glob(lists/*.csv)", "choice('lists/1.csv','lists/2.csv')"),
        ("glob(lists/[12].csv)", "choice('lists/1.csv','lists/2.csv')"),
        ("glob('lists/*',exclude='lists/1*')", "choice('lists/2.csv')"),
        ("shuffle(a,b)", "shuffle(a,b)"),
        ("a.csv,", "'a.csv,'"),
    ],
)
def test_each_path_of_a_sweep_is_quoted_once(tmp_path, monkeypatch, typed, quoted):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "lists").mkdir()
    for name in ("lists/1.csv", "lists/2.csv", "there, as it stands.csv"):
        (tmp_path / name).touch()
    once = quote_paths(["-m", f"data.train={typed}"])
    assert once == ["-m", f"data.train={quoted}"]
    assert quote_paths(once) == once


def test_a_pattern_without_matches_is_refused(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ConfigError, match=r"^data.val=glob\(\*.csv\): no file or folder matches"):
        quote_paths(["-m", "data.val=glob(*.csv)"])


def test_several_paths_need_a_multirun(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for name in ("t.csv", "v.csv"):
        (tmp_path / name).touch()
    with pytest.raises(ConfigError, match=r"^data.train=t.csv,v.csv: .* add -m"):
        check_commas(["data.train=t.csv,v.csv"])
    check_commas(["-m", "data.train=t.csv,v.csv"])
    (tmp_path / "t.csv,v.csv").touch()
    check_commas(["data.train=t.csv,v.csv", "seed=0,1"])


def test_quoted_values_and_values_that_are_no_paths_stay_unchanged():
    untouched = ["output='a b'", "optimizer.lr=1e-2,1e-3", "-m", "~logger", "output="]
    assert quote_paths(untouched) == untouched


@given(st.lists(st.text(st.characters(exclude_characters="\0")).filter(lambda word: "=" not in word)))
def test_a_shell_reads_the_words_of_a_command(words):
    assert shlex.split(shell_command(words)) == words


@given(names | st.from_regex(r"[a-z0-9./_-]+", fullmatch=True))
def test_a_command_pasted_into_a_shell_names_the_same_path(name):
    words = quote_paths([f"checkpoint={name}", "name=mine"])
    assert quote_paths(shlex.split(shell_command(words))) == words


def test_a_command_shows_a_plain_path_without_quotes():
    words = ["keypoints", *quote_paths(["train", "start_from=runs/a-1", "data.train=a b", "name='null'"])]
    shown = "keypoints train start_from=runs/a-1 \"data.train='a b'\" \"name='null'\""
    assert shell_command(words) == shown
    swept = quote_paths(["-m", "data.train=a.csv,b.csv"])[1]
    assert shell_command([swept, "other='1'"]) == "\"data.train='a.csv','b.csv'\" \"other='1'\""


def test_a_run_with_a_sweeps_file_can_be_trained_alone():
    assert is_multirun(["sweep=learning_rate"])
    assert not is_multirun(["sweep=learning_rate", "optimizer.lr=0.1", "hydra.mode=RUN"])
