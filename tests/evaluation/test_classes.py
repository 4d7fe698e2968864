"""Two classes scored by hand: one identity switched, one ignored region."""

from pathlib import Path

import numpy as np
import pytest
import torch
from mmengine.logging import MMLogger
from mmengine.structures import InstanceData
from scored_sequences import ELSEWHERE, A, B, make_sequence

from fairmot_mm.evaluation import (
    BACKENDS,
    ClassNumbers,
    MOTMetric,
    by_class,
    cases,
    evaluate_by_class,
    load_cases,
    mot_classes,
)
from fairmot_mm.evaluation.figures import NAMES

from mmdet.structures import DetDataSample, TrackDataSample  # isort: skip

CLASSES = ("person", "car", "bus")
CAR, BUS = 1, 2
REGION = (500, 100, 100, 100)
# Left half of the region; half of it lies outside, so that it is not excused.
INSIDE, BESIDE = (500, 100, 50, 100), (470, 150, 60, 50)

# Three frames with car A, followed by 10, then by 11: one switch. Bus B is lost on
# frame 2: one miss. A car and a bus are found in the region: excused. Bus 40 is found
# elsewhere: one false positive.
RESULTS = [
    (1, 10, A, CAR),
    (1, 20, B, BUS),
    (1, 31, INSIDE, BUS),
    (2, 11, A, CAR),
    (2, 30, INSIDE, CAR),
    (2, 40, ELSEWHERE, BUS),
    (3, 11, A, CAR),
    (3, 20, B, BUS),
]
# Every match is exact, so all thresholds agree.
CAR_TRUTH = {
    "HOTA": (5 / 9) ** 0.5,
    "DetA": 1,
    "AssA": (1 * 1 / 3 + 2 * 2 / 3) / 3,
    "MOTA": 1 - 1 / 3,
    "MOTP": 1,
    **dict.fromkeys(("IDF1", "IDP", "IDR"), 2 / 3),
    **dict.fromkeys(NAMES[8:], 0),
    "IDSW": 1,
    "MT": 1,
}
BUS_TRUTH = {
    "HOTA": (1 / 2 * 2 / 3) ** 0.5,
    "DetA": 1 / 2,
    "AssA": 2 / 3,
    "MOTA": 1 - 2 / 3,
    "MOTP": 1,
    **dict.fromkeys(("IDF1", "IDP", "IDR"), 2 / 3),
    **dict.fromkeys(NAMES[8:], 0),
    "FP": 1,
    "FN": 1,
    "Frag": 1,
}
CLASS_AVERAGED = {
    key: (CAR_TRUTH[key] + BUS_TRUTH[key]) / (2 if key in NAMES[:8] else 1)
    for key in NAMES
}
DETECTION_AVERAGED = CLASS_AVERAGED | {
    "HOTA": (5 / 7 * 0.6) ** 0.5,
    "DetA": 5 / 7,
    "AssA": 0.6,
    "MOTA": 1 - 3 / 6,
    **dict.fromkeys(("IDF1", "IDP", "IDR"), 4 / 6),
}
TRUTH = {
    "car": CAR_TRUTH,
    "bus": BUS_TRUTH,
    "class_averaged": CLASS_AVERAGED,
    "detection_averaged": DETECTION_AVERAGED,
}


def xyxy(*boxes: tuple) -> torch.Tensor:
    boxes = np.array(boxes, float).reshape(-1, 4)
    return torch.tensor(np.hstack((boxes[:, :2], boxes[:, :2] + boxes[:, 2:])))


def make_frame(number: int, results: list = RESULTS) -> DetDataSample:
    results = [row for row in results if row[0] == number]
    return DetDataSample(
        gt_instances=InstanceData(
            bboxes=xyxy(A, B),
            labels=torch.tensor([CAR, BUS]),
            instances_ids=torch.tensor([4, 9]),
        ),
        ignored_instances=InstanceData(
            bboxes=xyxy(REGION),
            labels=torch.tensor([0]),
            instances_ids=torch.tensor([-1]),
        ),
        pred_track_instances=InstanceData(
            bboxes=xyxy(*(row[2] for row in results)),
            scores=torch.ones(len(results)),
            labels=torch.tensor([row[3] for row in results], dtype=torch.long),
            instances_id=torch.tensor([row[1] for row in results], dtype=torch.long),
        ),
        metainfo=dict(sequence_name="street", frame_number=number, frame_range=(1, 3)),
    )


def score(results: list = RESULTS, numbers=(1, 2, 3), **options) -> dict[str, float]:
    metric = MOTMetric(**options)
    metric.dataset_meta = dict(classes=CLASSES)
    for number in numbers:
        frame = make_frame(number, results)
        metric.process({}, [TrackDataSample(video_data_samples=[frame]).to_dict()])
    return metric.evaluate(size=3)


@pytest.fixture
def log(monkeypatch) -> list[str]:
    messages: list[str] = []
    monkeypatch.setattr(MMLogger.get_current_instance(), "info", messages.append)
    monkeypatch.setattr(cases, "print_log", lambda text, **_: messages.append(text))
    return messages


def test_figures_by_class_computed_by_hand(tmp_path, log):
    found = score(classes=("car", "bus"), outfile_prefix=str(tmp_path))
    expected = {
        f"mot/{name}/{key}": value
        for name, of_class in TRUTH.items()
        for key, value in of_class.items()
    } | {
        f"mot/motmetrics/{name}/{key}": of_class[key]
        for name, of_class in TRUTH.items()
        for key in NAMES[3:]
    }
    assert found == pytest.approx(expected)
    assert [line.split(" |")[0] for line in log[1].splitlines()[3:]] == [
        "| car               ",
        "| bus               ",
        "| class_averaged    ",
        "| detection_averaged",
    ]
    lines = (tmp_path / "street.txt").read_text().splitlines()
    assert lines[1] == "1,20,300.000,100.000,50.000,100.000,1.0000,3,-1,-1"


def test_all_classes_of_the_model_by_default(log):
    found = score(backends=["trackeval"])
    assert found["mot/car/HOTA"] == pytest.approx(CAR_TRUTH["HOTA"])
    # Nobody is there: a row of its own, but no part of the average.
    assert found["mot/person/HOTA"] == 0
    assert found["mot/class_averaged/HOTA"] == pytest.approx(CLASS_AVERAGED["HOTA"])
    assert log[0] == (
        "person: not a single box in the ground truth of 1 sequences; it is left out "
        "of the average over classes"
    )


@pytest.mark.parametrize("backend", BACKENDS)
def test_half_within_a_region_is_not_excused(backend):
    key = "mot" if backend == "trackeval" else "mot/motmetrics"
    more = [*RESULTS, (3, 32, BESIDE, CAR)]
    assert score(more, backends=[backend])[f"{key}/car/FP"] == 1
    # More than half of it: the box moves to the right.
    more = [*RESULTS, (3, 32, (471, *BESIDE[1:]), CAR)]
    assert score(more, backends=[backend])[f"{key}/car/FP"] == 0


def test_a_frame_without_results_counts_as_missed_in_motmetrics():
    found = score([row for row in RESULTS if row[1] != 40], backends=["motmetrics"])
    assert found["mot/motmetrics/bus/FN"] == 1


def test_an_object_in_a_region_still_counts(monkeypatch):
    # The region covers everything: matched results count, the others are excused.
    monkeypatch.setitem(globals(), "REGION", (0, 0, 2000, 2000))
    found = score(backends=["trackeval"])
    assert found["mot/car/MOTA"] == pytest.approx(CAR_TRUTH["MOTA"])
    assert found["mot/bus/FP"] == 0
    assert found["mot/bus/FN"] == 1


def test_objects_without_identity_are_excused(monkeypatch):
    monkeypatch.setitem(globals(), "REGION", (0, 0, 1, 1))
    frames = [make_frame(number) for number in (1, 2, 3)]
    for frame in frames:
        frame.gt_instances.instances_ids[1] = -1
    metric = MOTMetric(["trackeval"])
    metric.dataset_meta = dict(classes=CLASSES)
    metric.process({}, [TrackDataSample(video_data_samples=frames).to_dict()])
    found = metric.evaluate(size=1)
    # What is found on B does not count; the others do, as there is no region.
    assert [found[f"mot/bus/{key}"] for key in ("FN", "FP")] == [0, 2]


def test_a_single_class_is_scored_like_pedestrians(log):
    metric = MOTMetric(["trackeval"])
    metric.dataset_meta = dict(classes=("car",))
    results = [(*row[:3], 0) for row in RESULTS if row[3] == CAR]
    for number in (1, 2, 3):
        frame = make_frame(number, results)
        frame.gt_instances = frame.gt_instances[:1]
        frame.gt_instances.labels[:] = 0
        metric.process({}, [TrackDataSample(video_data_samples=[frame]).to_dict()])
    found = metric.evaluate(size=3)
    assert found == pytest.approx({f"mot/{k}": x for k, x in CAR_TRUTH.items()})
    assert "| street " in log[0]


def test_videos_without_ground_truth_are_only_written(tmp_path, log):
    frame = make_frame(1)
    frame.gt_instances = InstanceData()
    metric = MOTMetric(outfile_prefix=str(tmp_path))
    metric.dataset_meta = dict(classes=CLASSES)
    metric.process({}, [TrackDataSample(video_data_samples=[frame]).to_dict()])
    assert metric.evaluate(size=1) == {}
    assert log[-1] == "no ground truth, so no figures: street"
    assert (tmp_path / "street.txt").exists()


def test_what_cannot_be_scored_is_said_before_tracking():
    metric = MOTMetric(classes=("car", "tram"))
    with pytest.raises(ValueError, match=r"MOTMetric\.classes: no 'tram' in .* bus"):
        metric.dataset_meta = dict(classes=CLASSES)
    stills = dict(classes=CLASSES, has_identities=False, name="data/CrowdHuman")
    with pytest.raises(ValueError, match=r"data/CrowdHuman: no id.*DetectionMetric"):
        MOTMetric().dataset_meta = stills
    MOTMetric(format_only=True, outfile_prefix="out").dataset_meta = stills
    with pytest.raises(ValueError, match=r"MOTMetric\.classes: no 'tram' in"):
        MOTMetric(classes="tram").dataset_meta = dict(classes=CLASSES)
    with pytest.raises(ValueError, match="give one of them"):
        MOTMetric(label=0, classes=("car",))


def write_classes(folder: Path, marks: tuple[int, int], car: int) -> None:
    """The same in files: a car, a bus and the region."""
    boxes = ((1, A, marks[0], car), (2, B, marks[0], car + 1), (3, REGION, marks[1], 1))
    lines = [
        f"{frame},{i},{','.join(map(str, box))},{mark},{number},1"
        for frame in (1, 2, 3)
        for i, box, mark, number in boxes
    ]
    (folder / "MOT17-90/gt/gt.txt").write_text("\n".join(lines))
    lines = [
        f"{frame},{i},{','.join(map(str, box))},1,{number - CAR + car},-1,-1"
        for frame, i, box, number in RESULTS
    ]
    (folder / "MOT17-90.txt").write_text("\n".join(lines))


@pytest.mark.parametrize("backend", BACKENDS)
def test_files_with_classes_of_any_number(tmp_path, backend):
    sequence = make_sequence(tmp_path)
    write_classes(tmp_path, marks=(1, 0), car=20)
    numbers = {"car": ClassNumbers(20, 20), "bus": ClassNumbers(21, 21)}
    found = evaluate_by_class(
        by_class(load_cases([sequence], tmp_path, with_classes=True), numbers), backend
    )
    names = NAMES if backend == "trackeval" else NAMES[3:]
    assert found == {
        name: pytest.approx({key: of_class[key] for key in names})
        for name, of_class in TRUTH.items()
    }


def test_other_classes_of_mot17_count_though_not_marked(tmp_path):
    sequence = make_sequence(tmp_path)
    write_classes(tmp_path, marks=(0, 0), car=3)
    numbers = mot_classes(("car",), ("pedestrian", "person_on_vehicle", "car"))
    split = by_class(load_cases([sequence], tmp_path, with_classes=True), numbers)
    found = evaluate_by_class(split, "trackeval")["car"]
    # Nothing is ignored: the car that is found in the region is wrong.
    assert found["IDSW"] == 1
    assert found["FP"] == 1
    with pytest.raises(ValueError, match="no class 'bus', choose from pedestrian, per"):
        mot_classes(("bus",), ("bus",))
    with pytest.raises(ValueError, match="no class 'car', choose from person"):
        mot_classes(("car",), ("person",))


def test_pedestrians_of_mot17_keep_the_benchmarks_protocol(tmp_path):
    sequence = make_sequence(tmp_path)
    path = tmp_path / "MOT17-90.txt"
    path.write_text(path.read_text().replace(",1,-1,-1,-1", ",1,1,-1,-1"))
    numbers = mot_classes(("pedestrian",), ("pedestrian",))
    found = by_class(load_cases([sequence], tmp_path, with_classes=True), numbers)
    (plain,) = load_cases([sequence], tmp_path)
    (case,) = found["pedestrian"]
    assert case.protocol == plain.protocol == "MOT17"
    np.testing.assert_array_equal(case.results[:, :7], plain.results)


def test_results_with_a_bad_class_are_refused(tmp_path):
    sequence = make_sequence(tmp_path)
    with pytest.raises(ValueError, match=r"MOT17-90\.txt:1: class -1, expected 1 or"):
        load_cases([sequence], tmp_path, with_classes=True)
