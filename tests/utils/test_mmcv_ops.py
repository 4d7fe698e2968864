import importlib
import inspect
import subprocess
import sys
from importlib.machinery import ModuleSpec
from importlib.util import find_spec
from types import ModuleType

import pytest

from fairmot_mm.utils import mmcv_ops

OPERATORS = "mmcv._ext"


@pytest.fixture
def not_compiled(monkeypatch):
    """MMCV without its operators, whatever is installed here."""
    monkeypatch.setattr(
        mmcv_ops,
        "find_spec",
        lambda name: None if name == OPERATORS else find_spec(name),
    )
    monkeypatch.setattr(mmcv_ops, "_hidden", {})
    monkeypatch.delitem(sys.modules, OPERATORS, raising=False)
    return sys.modules


@pytest.fixture
def stand_in(not_compiled):
    with mmcv_ops.importable_operators():
        yield not_compiled[OPERATORS]


def test_stands_in_as_long_as_the_context_lasts(not_compiled):
    with mmcv_ops.importable_operators():
        assert importlib.import_module(OPERATORS) is not_compiled[OPERATORS]
        assert find_spec(OPERATORS) is not None
        with mmcv_ops.importable_operators():
            pass
        assert OPERATORS in not_compiled
    assert OPERATORS not in not_compiled


def test_an_error_takes_it_away_too(not_compiled):
    with pytest.raises(KeyError), mmcv_ops.importable_operators():
        raise KeyError
    assert OPERATORS not in not_compiled


def test_twice_is_the_same_module(not_compiled):
    seen = []
    for _ in range(2):
        with mmcv_ops.importable_operators():
            seen.append(not_compiled[OPERATORS])
    assert seen[0] is seen[1]


def test_an_operator_names_itself_and_the_remedy(stand_in):
    # The way mmcv.ops asks for its operators.
    load_ext = importlib.import_module("mmcv.utils.ext_loader").load_ext
    operators = load_ext("_ext", ["nms", "roi_align_forward"])
    assert operators.nms.__name__ == "nms"
    with pytest.raises(
        RuntimeError, match=r"operator 'nms' is not compiled .*MMCV_WITH_OPS=1 pip"
    ):
        operators.nms(1, 2, iou_threshold=0.5)
    with pytest.raises(RuntimeError, match="operator 'roi_align_forward'"):
        operators.roi_align_forward()


@pytest.mark.parametrize("name", ["__path__", "__file__", "__wrapped__", "__len__"])
def test_dunder_names_are_absent(stand_in, name):
    with pytest.raises(AttributeError, match=name):
        getattr(stand_in, name)


def test_inspection_is_not_fooled(stand_in):
    assert inspect.unwrap(stand_in) is stand_in
    assert inspect.getmodule(stand_in) is stand_in
    assert not hasattr(stand_in, "__path__")


def test_loaded_operators_are_not_touched(monkeypatch, not_compiled):
    real = ModuleType(OPERATORS)
    monkeypatch.setitem(sys.modules, OPERATORS, real)
    with mmcv_ops.importable_operators():
        assert sys.modules[OPERATORS] is real
    assert sys.modules[OPERATORS] is real
    assert not hasattr(real, "nms")


def test_compiled_operators_are_not_touched(monkeypatch, not_compiled):
    monkeypatch.setattr(
        mmcv_ops, "find_spec", lambda name: ModuleSpec(name, loader=None)
    )
    with mmcv_ops.importable_operators():
        assert OPERATORS not in not_compiled


def test_missing_mmcv_is_named(monkeypatch, not_compiled):
    monkeypatch.setattr(mmcv_ops, "find_spec", lambda name: None)
    with (
        pytest.raises(ModuleNotFoundError, match="mmcv is not installed: pip install"),
        mmcv_ops.importable_operators(),
    ):
        pass


@pytest.mark.skipif(find_spec(OPERATORS) is not None, reason="compiled operators")
@pytest.mark.parametrize(
    "first", ["fairmot_mm.datasets", "mmdet.structures.bbox", "mmdet.models"]
)
def test_the_package_leaves_no_stand_in_behind(first):
    code = f"""
import sys
import fairmot_mm
import mmcv, {first}, mmdet.apis, mmdet.models
from mmengine.utils.dl_utils import mmcv_full_available
assert not [name for name in sys.modules if name.startswith(("mmcv._ext", "mmcv.ops"))]
assert not hasattr(mmcv, "ops")
assert not mmcv_full_available()
for _ in range(2):
    try:
        import mmcv.ops
    except ModuleNotFoundError as error:
        assert error.name == "mmcv._ext"
    else:
        raise AssertionError("imported")
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
