from collections.abc import Mapping

from fairmot_mm.registry import DATASETS


def class_names(cfg: Mapping, num_classes: int) -> list[str]:
    """Names of the test data's classes; numbers from 1 if these are not the model's."""
    data = cfg.get("test_dataloader", {}).get("dataset", {})
    data = data.get("source", data)  # of AnnotatedVideoDataset
    metainfo = getattr(DATASETS.get(str(data.get("type"))), "METAINFO", {})
    names = (data.get("metainfo") or metainfo).get("classes") or ()
    if len(names) == num_classes:
        return list(names)
    return [f"class {number + 1}" for number in range(num_classes)]
