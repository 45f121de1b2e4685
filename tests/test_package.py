import subprocess
import sys
import zipfile

import pytest

import keypoints
from tests.conftest import ROOT


@pytest.fixture(scope="module")
def wheel(tmp_path_factory):
    """Wheel of the package, built offline."""
    folder = tmp_path_factory.mktemp("wheel")
    pip = [sys.executable, "-m", "pip", "--disable-pip-version-check", "wheel", "--quiet", "--no-deps"]
    subprocess.run([*pip, "--no-build-isolation", "--no-index", "-w", folder, ROOT], check=True)
    return next(folder.glob("*.whl"))


def test_the_wheel_contains_only_the_package_and_its_configuration(wheel, conf):
    names = zipfile.ZipFile(wheel).namelist()
    packed = {name.removeprefix("keypoints/conf/") for name in names if name.startswith("keypoints/conf/")}
    assert packed == {str(path.relative_to(conf)) for path in conf.rglob("*.yaml")}
    assert {name.split("/")[0].split("-")[0] for name in names} == {"keypoints"}
    assert {"keypoints/py.typed", "keypoints/__init__.pyi"} <= set(names)


def test_the_installed_package_works_outside_a_checkout(wheel, tmp_path):
    site = tmp_path / "site"
    zipfile.ZipFile(wheel).extractall(site)
    code = (
        f"import sys; sys.path[:0] = [{str(site)!r}]\n"
        "from keypoints.cli import main\n"
        "from keypoints.config.registry import conf_dir\n"
        "print(conf_dir())\n"
        "main(['train', 'experiment=nose_tip', '--cfg', 'job'])"
    )
    # -P and another working directory: the checkout must not be found.
    command = [sys.executable, "-P", "-c", code]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[0] == str(site / "keypoints" / "conf")
    assert "landmarks: nose_tip" in done.stdout


def test_every_public_name_exists():
    assert set(keypoints.__all__) <= set(dir(keypoints))
    for name in keypoints.__all__:
        assert getattr(keypoints, name) is not None
    with pytest.raises(AttributeError, match=r"attribute '?Predictr"):
        _ = keypoints.Predictr
