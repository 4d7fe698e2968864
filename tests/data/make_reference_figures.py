"""Make figures.npz: detection and identity figures of the reference implementation.

python tests/data/make_reference_figures.py FAIRMOT [--out tests/data/figures.npz]

FAIRMOT is a checkout of ifzhang/FairMOT at 4aa62976bde6266cbafd0509e24c3d98a7d0899f.
Its src/test_det.py and src/test_emb.py run as they are, on the CPU, on made-up maps
and labels instead of a network's and a data set's. Stored are what goes into the
figures (boxes, scores, embeddings) and the figures that come out.
"""

import argparse
import importlib
import json
import sys
import tempfile
from pathlib import Path
from types import ModuleType, SimpleNamespace

import cv2
import numpy as np
import torch

IMAGES = 6
WIDTH, HEIGHT = 544, 304  # half the network's input: no border
MAP_HW = (152, 272)
IDENTITIES, VIEWS, DIMS = 40, 25, 16


def stub(name: str, **contents: object) -> None:
    """Stand in for a module that needs a GPU or a compiler."""
    sys.modules[name] = ModuleType(name)
    vars(sys.modules[name]).update(contents)


def make_image(rng: np.random.Generator, number: int) -> tuple[np.ndarray, dict]:
    """Boxes (n, 4) x, y, w, h in pixels, and maps that find most of them."""
    # One image without people (the first: with today's NumPy the script cannot print
    # what it computes there), one whose people are not found.
    count = 0 if number == 0 else int(rng.integers(3, 40))
    size = rng.uniform((15, 30), (60, 120), (count, 2))
    corner = rng.uniform(0, (WIDTH, HEIGHT) - size)
    heatmap = np.full((1, *MAP_HW), -9.0) + rng.normal(0, 0.5, (1, *MAP_HW))
    sides = np.full((4, *MAP_HW), 5.0) + rng.normal(0, 1, (4, *MAP_HW))
    for (x, y), (w, h) in zip(corner, size, strict=True):
        if number == 4 or rng.random() < 0.2:
            continue
        column, row = int((x + w / 2) / 2), int((y + h / 2) / 2)
        error = rng.normal(0, 0.15, 4)
        heatmap[0, row, column] = rng.normal(0, 2)
        sides[:, row, column] = np.array([w, h, w, h]) / 4 * np.exp(error)
    for _ in range(15):  # nobody is there
        row, column = (int(rng.integers(side)) for side in MAP_HW)
        heatmap[0, row, column] = rng.normal(0, 2)
    maps = dict(hm=heatmap, wh=sides, reg=rng.uniform(0, 1, (2, *MAP_HW)))
    maps = {k: torch.tensor(v, dtype=torch.float32)[None] for k, v in maps.items()}
    return np.concatenate((corner, size), 1), maps


def write_labels(path: Path, boxes: np.ndarray) -> None:
    """Write boxes x, y, w, h in pixels as class, identity, centre and size."""
    center = boxes[:, :2] + boxes[:, 2:] / 2
    scaled = np.concatenate((center, boxes[:, 2:]), 1) / ([WIDTH, HEIGHT] * 2)
    identity = np.arange(len(boxes))
    np.savetxt(path, np.column_stack((0 * identity, identity, scaled)), "%.6f")


def detection(rng: np.random.Generator, folder: Path) -> dict[str, np.ndarray]:
    """Run test_det.py on images of one size, one a batch."""
    test_det = importlib.import_module("test_det")
    images, all_maps = [], []
    for name in ("images", "labels_with_ids"):
        (folder / name).mkdir()
    for number in range(IMAGES):
        boxes, maps = make_image(rng, number)
        images.append(f"images/{number}.png")
        grey = np.zeros((HEIGHT, WIDTH, 3), np.uint8)
        cv2.imwrite(str(folder / images[-1]), grey)
        write_labels(folder / f"labels_with_ids/{number}.txt", boxes)
        all_maps.append(maps)
    (folder / "images.txt").write_text("\n".join(images))

    given: dict[str, np.ndarray] = {}
    post_process, bbox_iou = test_det.post_process, test_det.bbox_iou

    def recorded_post_process(*args: object) -> dict:
        found = post_process(*args)
        number = sum(key.startswith("detections") for key in given)
        given[f"detections{number}"] = found[1]
        given[f"truth{number}"] = np.zeros((0, 4), np.float32)
        return found

    def recorded_iou(box: torch.Tensor, truth: torch.Tensor, **kwargs: bool) -> object:
        number = sum(key.startswith("detections") for key in given) - 1
        given[f"truth{number}"] = truth.numpy().copy()
        return bbox_iou(box, truth, **kwargs)

    test_det.post_process, test_det.bbox_iou = recorded_post_process, recorded_iou
    queue = iter(all_maps)
    test_det.create_model = lambda *_: torch.nn.Identity()
    test_det.load_model = lambda *_: lambda_model(lambda _: [next(queue)])
    options = make_options(folder, dict(test={"made-up": str(folder / "images.txt")}))
    figures = test_det.test_det(options, batch_size=1)
    names = ("figure_AP", "figure_recall", "figure_precision")
    return given | {k: np.asarray(v) for k, v in zip(names, figures, strict=True)}


def identity(rng: np.random.Generator, folder: Path) -> dict[str, np.ndarray]:
    """Run test_emb.py on views of some identities, in batches of unequal size."""
    test_emb = importlib.import_module("test_emb")
    middle = np.repeat(rng.normal(0, 1, (IDENTITIES, DIMS)), VIEWS, 0)
    views = (middle + rng.normal(0, 0.9, middle.shape)).astype(np.float32)
    labels = np.repeat(np.arange(IDENTITIES), VIEWS)
    labels[::50] = -1  # nobody knows who
    order = rng.permutation(len(labels))
    views, labels = views[order], labels[order]
    batches = np.array_split(np.arange(len(labels)), 7)

    class MadeUpDataset:
        def __init__(self, *args: object, **kwargs: object) -> None: ...

        def __len__(self) -> int:
            return len(batches)

        def __getitem__(self, number: int) -> dict[str, torch.Tensor]:
            ids = torch.full((200,), -1)
            mask = torch.zeros(200, dtype=torch.uint8)
            ids[: len(batches[number])] = torch.from_numpy(labels[batches[number]])
            mask[: len(batches[number])] = 1
            # The number of the batch stands for the image.
            return dict(
                input=torch.tensor(number),
                ind=torch.arange(200),
                reg_mask=mask,
                ids=ids,
            )

    def network(number: torch.Tensor) -> list[dict[str, torch.Tensor]]:
        rows = torch.zeros(200, DIMS)
        chosen = batches[int(number)]
        rows[: len(chosen)] = torch.from_numpy(views[chosen])
        return [dict(id=rows.T.reshape(1, DIMS, 10, 20))]

    test_emb.JointDataset = MadeUpDataset
    test_emb.create_model = lambda *_: None
    test_emb.load_model = lambda *_: lambda_model(network)
    tpr = test_emb.test_emb(
        make_options(folder, dict(test_emb={}), IDENTITIES), batch_size=1
    )
    return dict(embeddings=views, identities=labels, figure_TPR=np.array(tpr))


def lambda_model(function: object) -> torch.nn.Module:
    """A function as a network."""
    model = torch.nn.Identity()
    model.forward = function
    return model


def make_options(folder: Path, data: dict, num_ids: int = 1) -> SimpleNamespace:
    """What the scripts read of their command line."""
    (folder / "data.json").write_text(json.dumps(dict(root=str(folder), **data)))
    return SimpleNamespace(
        **dict(data_cfg=str(folder / "data.json"), gpus=[-1], arch="", heads={}),
        **dict(head_conv=0, load_model="", down_ratio=4, num_classes=1, ltrb=True),
        **dict(reg_offset=True, nID=num_ids),
    )


def main() -> None:
    """Run both scripts and store their figures."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("fairmot", type=Path)
    parser.add_argument("--out", default=Path(__file__).with_name("figures.npz"))
    args = parser.parse_args()
    sys.path[:0] = [str(args.fairmot / "src"), str(args.fairmot / "src/lib")]
    stub("models.model", create_model=None, load_model=None)
    stub("cython_bbox", bbox_overlaps=None)
    stub("opts", opts=None)
    torch.Tensor.cuda = lambda self: self
    rng = np.random.default_rng(317)
    numbers: dict[str, np.ndarray] = {}
    for make in (detection, identity):
        with tempfile.TemporaryDirectory() as folder, torch.no_grad():
            numbers |= make(rng, Path(folder))
    print({k: v.tolist() for k, v in numbers.items() if k.startswith("figure")})
    np.savez_compressed(args.out, **numbers)


if __name__ == "__main__":
    main()
