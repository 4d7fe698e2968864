"""The plugin's registries: scope ``fairmot_mm``, children of MMEngine's root.

A component registered here is ``fairmot_mm.NAME`` in anybody's config that holds
``custom_imports = dict(imports=['fairmot_mm'])``. Every registry that the runner uses
has a child here, so that ``default_scope='fairmot_mm'`` finds all components.
"""

from mmengine import registry as root
from mmengine.registry import Registry

_SCOPE = "fairmot_mm"


def _child(parent: Registry, location: str = "engine") -> Registry:
    return Registry(
        parent.name, parent=parent, scope=_SCOPE, locations=[f"{_SCOPE}.{location}"]
    )


RUNNERS = _child(root.RUNNERS)
RUNNER_CONSTRUCTORS = _child(root.RUNNER_CONSTRUCTORS)
LOOPS = _child(root.LOOPS)
HOOKS = _child(root.HOOKS)
LOG_PROCESSORS = _child(root.LOG_PROCESSORS)
OPTIMIZERS = _child(root.OPTIMIZERS)
OPTIM_WRAPPERS = _child(root.OPTIM_WRAPPERS)
OPTIM_WRAPPER_CONSTRUCTORS = _child(root.OPTIM_WRAPPER_CONSTRUCTORS)
PARAM_SCHEDULERS = _child(root.PARAM_SCHEDULERS)
DATASETS = _child(root.DATASETS, "datasets")
DATA_SAMPLERS = _child(root.DATA_SAMPLERS, "datasets")
TRANSFORMS = _child(root.TRANSFORMS, "datasets")
MODELS = _child(root.MODELS, "models")
MODEL_WRAPPERS = _child(root.MODEL_WRAPPERS, "models")
WEIGHT_INITIALIZERS = _child(root.WEIGHT_INITIALIZERS, "models")
TASK_UTILS = _child(root.TASK_UTILS, "models")
METRICS = _child(root.METRICS, "evaluation")
EVALUATOR = _child(root.EVALUATOR, "evaluation")
VISUALIZERS = _child(root.VISUALIZERS, "visualization")
VISBACKENDS = _child(root.VISBACKENDS, "visualization")
