"""What `import fairmot_mm` brings along, and what MMDetection says when imported."""

import subprocess
import sys
from importlib.util import find_spec

import pytest

HEAVY = ("torch", "mmengine", "mmcv", "mmdet", "numba", "cv2", "numpy")


def python(code: str, *options: str) -> subprocess.CompletedProcess:
    return subprocess.run(
        [sys.executable, *options, "-c", code], capture_output=True, text=True
    )


def test_the_package_alone_imports_no_toolbox():
    done = python(f"import sys, fairmot_mm; print(set({HEAVY}) & set(sys.modules))")
    assert (done.stdout, done.stderr) == ("set()\n", "")


def test_components_are_found_in_a_config_of_any_scope():
    done = python(
        "import fairmot_mm\n"
        "from mmengine.registry import DATASETS, MODELS, init_default_scope\n"
        "init_default_scope('mmdet')\n"
        "print(MODELS.get('fairmot_mm.FairMOT'), DATASETS.get('mmdet.CocoDataset'))\n"
    )
    assert done.returncode == 0, done.stderr
    assert "fairmot_mm.models.mot.fairmot.FairMOT" in done.stdout
    assert "mmdet.datasets.coco.CocoDataset" in done.stdout
    # Nothing about packages that nobody asked for.
    assert done.stdout.count("\n") == 1
    assert done.stderr == ""


def test_other_output_of_an_import_is_not_lost(capsys):
    from fairmot_mm.utils.toolbox_imports import _ONEDL, _without_onedl

    with _without_onedl():
        print(_ONEDL)
        print("something else")
    assert capsys.readouterr().out == "something else\n"


@pytest.mark.skipif(find_spec("imgaug") is None, reason="needs imgaug")
def test_a_package_that_caches_is_imported_where_no_cache_can_be_written():
    done = python(
        "import fairmot_mm\n"
        "from numba import njit\n"
        "from numba.core import caching\n"
        "caching.CacheImpl._locator_classes = []\n"
        "import imgaug.augmenters\n"
        "try: njit(cache=True)(lambda: 1)\n"
        "except RuntimeError as error: print(error)\n"
    )
    assert done.returncode == 0, done.stderr
    assert "cannot cache function" in done.stdout  # for others it is as before
