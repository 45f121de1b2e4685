import pytest

from keypoints.data.dataset_folders import HOMES, find_root
from keypoints.errors import ConfigError, DataError


def test_a_data_set_has_a_default_folder(tmp_path):
    for dataset, home in HOMES.items():
        (tmp_path / home.folder).mkdir()
        assert find_root(dataset, tmp_path, None) == tmp_path / home.folder
        assert find_root(dataset, "nowhere", tmp_path) == tmp_path


@pytest.mark.parametrize("dataset", [None, "celeba"])
def test_an_unknown_data_set_is_refused_with_the_known_ones(tmp_path, dataset):
    with pytest.raises(ConfigError, match=f"dataset is imm or ibug300w, not {dataset!r}"):
        find_root(dataset, tmp_path, None)


def test_the_error_for_a_missing_folder_tells_how_to_get_it(tmp_path):
    with pytest.raises(
        DataError,
        match=r"imm_face_db: no such folder; get it .*data download imm.*KEYPOINTS_DATA=.*root=",
    ):
        find_root("imm", tmp_path, None)
    with pytest.raises(DataError, match=r"^nowhere: no such folder; .*dlib\.net"):
        find_root("ibug300w", tmp_path, "nowhere")
