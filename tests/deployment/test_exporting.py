import copy

import numpy as np
import pytest
import torch
from torch.testing import assert_close

from fairmot_mm.apis import inference_mot, init_model
from fairmot_mm.deployment import open_exported
from fairmot_mm.deployment.comparison import Differences, compare
from fairmot_mm.deployment.exporting import export_model
from fairmot_mm.deployment.frames import made_up_frames
from fairmot_mm.deployment.graph import PeakGraph

SIZE = (96, 64)


def test_graph_finds_what_the_model_finds(light, frame):
    bgr = np.ascontiguousarray(frame[:64, :96])
    image = torch.from_numpy(bgr[..., ::-1].copy()).permute(2, 0, 1)[None].float() / 255
    expected = light.predict_frame(image, dict(ori_shape=(64, 96)))
    graph = PeakGraph(light)
    scores, labels, positions, sizes, _, embeddings = graph(
        torch.from_numpy(bgr)[None],
        torch.tensor([-1.0]),
        torch.tensor([7]),
        torch.zeros(1, 4),
    )
    count = len(expected)
    assert 0 < count <= len(scores)
    assert_close(scores[:count], expected.scores, atol=1e-5, rtol=0)
    assert_close(embeddings[:count], expected.embeddings, atol=1e-4, rtol=0)
    assert labels.tolist() == [0] * len(labels)
    assert positions[-1] == 7
    assert len(sizes) == len(scores) + 1


def test_graph_has_no_training_parts_and_leaves_the_model_alone(light):
    before = copy.deepcopy(light.state_dict())
    graph = PeakGraph(light)
    assert graph.model.reid_head.classifier is None
    assert not any("classifier" in name for name in graph.state_dict())
    assert any("classifier" in name for name in before)
    for name, value in light.state_dict().items():
        assert torch.equal(value, before[name])


def test_deformable_convolution_leaves_the_house(deformable, tmp_path, suffix):
    path = tmp_path / f"model.{suffix}"
    differences = export_model(deformable, path, SIZE)
    # The offsets are spread, so a plain convolution would be far off.
    assert differences.figures("float32")["embeddings"] < 1e-4
    if suffix == "onnx":
        import onnx

        operators = [node.op_type for node in onnx.load(path).graph.node]
        assert operators.count("DeformConv") == 1


def test_file_of_another_network_does_not_pass(light, exported):
    other = PeakGraph(light)
    torch.nn.init.normal_(other.model.reid_head.branch[-1].weight)
    found = compare(other, open_exported(exported), made_up_frames(SIZE), 0.1)
    with pytest.raises(ValueError, match=r"embeddings by .* do not use it"):
        found.check("float32", exported)


def test_a_missing_peak_counts_with_its_score():
    values = Differences(np.array([0.4]), np.zeros(1), np.zeros(1))
    with pytest.raises(ValueError, match=r"scores by 0\.4"):
        values.check("int8", "model.xml")


@pytest.mark.parametrize("size", [(90, 64), (96, 0), (96, 64, 3)])
def test_size_must_be_of_whole_strides(light, tmp_path, size):
    with pytest.raises(ValueError, match="multiples of 32"):
        export_model(light, tmp_path / "model.onnx", size)


def test_only_known_formats(light, tmp_path):
    with pytest.raises(ValueError, match=r"model\.tflite: .*\.onnx or \.xml"):
        export_model(light, tmp_path / "model.tflite", SIZE)


def test_an_exported_model_is_not_exported_again(exported, tmp_path):
    model = init_model(None, exported, device="cpu")
    with pytest.raises(TypeError, match="ExportedFairMOT"):
        export_model(model, tmp_path / "again.onnx", SIZE)


def test_int8_is_close_and_tells_so(deformable, frame, tmp_path, suffix):
    pytest.importorskip("nncf")
    path = tmp_path / f"model.{suffix}"
    calibration = list(made_up_frames(SIZE, 4))
    found = export_model(deformable, path, SIZE, calibration)
    assert found.figures("int8")["embeddings"] > 0  # something was rounded
    backend = open_exported(path)
    assert backend.metadata.precision == "int8"
    model = init_model(None, path, device="cpu")
    assert len(inference_mot(model, frame, 0)[0].pred_instances)
