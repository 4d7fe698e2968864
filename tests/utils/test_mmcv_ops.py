import importlib
import inspect
import sys
from importlib.machinery import ModuleSpec
from importlib.util import find_spec
from types import ModuleType

import pytest

from fairmot_mm.utils import mmcv_ops

OPERATORS = "mmcv._ext"


@pytest.fixture
def loaded(monkeypatch):
    """Leave the modules as they were; nothing has loaded the operators yet."""
    monkeypatch.setitem(sys.modules, OPERATORS, ModuleType(OPERATORS))
    del sys.modules[OPERATORS]
    return sys.modules


@pytest.fixture
def not_compiled(monkeypatch, loaded):
    """MMCV without its operators, whatever is installed here."""
    monkeypatch.setattr(
        mmcv_ops,
        "find_spec",
        lambda name: None if name == OPERATORS else find_spec(name),
    )
    return loaded


def test_stands_in_for_operators_that_are_not_compiled(not_compiled):
    assert mmcv_ops.ensure_importable() is True
    assert importlib.import_module(OPERATORS) is not_compiled[OPERATORS]
    assert find_spec(OPERATORS) is not None


def test_twice_is_once(not_compiled):
    mmcv_ops.ensure_importable()
    first = not_compiled[OPERATORS]
    assert mmcv_ops.ensure_importable() is True
    assert not_compiled[OPERATORS] is first


def test_an_operator_names_itself_and_the_remedy(not_compiled):
    mmcv_ops.ensure_importable()
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
def test_dunder_names_are_absent(not_compiled, name):
    mmcv_ops.ensure_importable()
    with pytest.raises(AttributeError, match=name):
        getattr(not_compiled[OPERATORS], name)


def test_inspection_is_not_fooled(not_compiled):
    mmcv_ops.ensure_importable()
    module = not_compiled[OPERATORS]
    assert inspect.unwrap(module) is module
    assert inspect.getmodule(module) is module
    assert not hasattr(module, "__path__")


def test_loaded_operators_are_not_touched(monkeypatch, not_compiled):
    real = ModuleType(OPERATORS)
    real.nms = lambda: "kept"
    monkeypatch.setitem(sys.modules, OPERATORS, real)
    assert mmcv_ops.ensure_importable() is False
    assert sys.modules[OPERATORS] is real
    assert real.nms() == "kept"
    assert not hasattr(real, "roi_align_forward")


def test_compiled_operators_are_not_touched(monkeypatch, loaded):
    monkeypatch.setattr(
        mmcv_ops, "find_spec", lambda name: ModuleSpec(name, loader=None)
    )
    assert mmcv_ops.ensure_importable() is False
    assert OPERATORS not in loaded


def test_missing_mmcv_is_named(monkeypatch, loaded):
    monkeypatch.setattr(mmcv_ops, "find_spec", lambda name: None)
    with pytest.raises(ModuleNotFoundError, match="mmcv is not installed: pip install"):
        mmcv_ops.ensure_importable()
    assert OPERATORS not in loaded
