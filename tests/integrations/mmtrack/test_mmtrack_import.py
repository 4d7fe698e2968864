"""MMTracking beside toolboxes newer than it accepts."""

import subprocess
import sys

import mmcv
import mmdet
import pytest
from mmdet.models import layers
from mmengine.registry import MODELS

import fairmot_mm.integrations.mmtrack
from fairmot_mm.integrations.mmtrack.importing import import_mmtrack

# In an interpreter of its own, for what a half import leaves behind.
FAILS_THEN_WORKS = """
import sys
import fairmot_mm, mmcv, mmdet
from mmdet.models import layers
from mmengine.registry import MODELS, TRANSFORMS

def state():
    return mmcv.__version__, mmdet.__version__, hasattr(layers, 'Transformer')

before = state()
sys.modules['mmcls'] = None
try:
    import fairmot_mm.integrations.mmtrack
except ModuleNotFoundError as error:
    message = str(error)
assert 'mmcls' in message and '--no-deps' in message, message
assert state() == before
assert 'mmtrack' not in sys.modules and 'mmtrack.registry' not in sys.modules
assert 'mmtrack' not in MODELS.children and 'mmtrack' not in TRANSFORMS.children

del sys.modules['mmcls']
import fairmot_mm.integrations.mmtrack
assert state() == before
import mmtrack
assert mmtrack.__version__ == '1.0.0rc1'
assert MODELS.get('mmtrack.ByteTracker').__module__.startswith('mmtrack.')
"""


def test_leaves_everything_as_it_was():
    import mmtrack

    assert mmtrack.__version__ == "1.0.0rc1"
    assert mmtrack.digit_version(mmcv.__version__) >= mmtrack.mmcv_max_version
    assert mmtrack.digit_version(mmdet.__version__) >= mmtrack.mmdet_max_version
    assert not hasattr(layers, "Transformer")


def test_a_failed_import_leaves_nothing_behind_and_can_be_repeated():
    run = subprocess.run(
        [sys.executable, "-c", FAILS_THEN_WORKS], capture_output=True, text=True
    )
    assert run.returncode == 0, run.stderr


def test_not_installed(monkeypatch):
    monkeypatch.setitem(sys.modules, "mmtrack", None)
    with pytest.raises(ModuleNotFoundError, match=r"--no-deps mmtrack==1\.0\.0rc1"):
        import_mmtrack()


@pytest.mark.parametrize(
    ("version", "said"),
    [("__version__ = '0.14.0'", "mmtrack 0.14.0"), (None, "mmtrack of unknown")],
)
def test_other_versions_are_refused(tmp_path, monkeypatch, version, said):
    (tmp_path / "mmtrack").mkdir()
    (tmp_path / "mmtrack/__init__.py").write_text("raise AssertionError('imported')")
    if version is not None:
        (tmp_path / "mmtrack/version.py").write_text(version)
    monkeypatch.delitem(sys.modules, "mmtrack")
    monkeypatch.syspath_prepend(tmp_path)
    with pytest.raises(ImportError, match=rf"{said}.*only 1\.0\.0rc1 was tested"):
        import_mmtrack()
    assert "mmtrack" not in sys.modules


def test_what_needs_the_missing_name_says_so():
    with pytest.raises(RuntimeError, match=r"STARK.*layers\.Transformer"):
        MODELS.build(dict(type="mmtrack.StarkTransformer"))


@pytest.mark.parametrize("name", fairmot_mm.integrations.mmtrack.__all__)
def test_components_are_registered(name):
    from mmengine.registry import TRANSFORMS

    parts = getattr(fairmot_mm.integrations.mmtrack, name)
    registry = TRANSFORMS if name == "LoadFrameRate" else MODELS
    assert registry.get(f"fairmot_mm.{name}") is parts
