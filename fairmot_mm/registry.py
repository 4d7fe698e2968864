"""The plugin's registries: scope ``fairmot_mm``, children of MMEngine's root.

A component registered here is ``fairmot_mm.NAME`` in anybody's config that holds
``custom_imports = dict(imports=['fairmot_mm'])``.
"""

from mmengine import registry as mmengine_registry
from mmengine.registry import Registry

_SCOPE = "fairmot_mm"


def _child(name: str, parent: Registry, location: str) -> Registry:
    return Registry(
        name, parent=parent, scope=_SCOPE, locations=[f"{_SCOPE}.{location}"]
    )


MODELS = _child("model", mmengine_registry.MODELS, "models")
TASK_UTILS = _child("task util", mmengine_registry.TASK_UTILS, "models")
DATASETS = _child("dataset", mmengine_registry.DATASETS, "datasets")
DATA_SAMPLERS = _child("data sampler", mmengine_registry.DATA_SAMPLERS, "datasets")
TRANSFORMS = _child("transform", mmengine_registry.TRANSFORMS, "datasets.transforms")
METRICS = _child("metric", mmengine_registry.METRICS, "evaluation")
HOOKS = _child("hook", mmengine_registry.HOOKS, "engine")
OPTIM_WRAPPERS = _child("optim_wrapper", mmengine_registry.OPTIM_WRAPPERS, "engine")
