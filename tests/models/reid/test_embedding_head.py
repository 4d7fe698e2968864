import math

import pytest
import torch
from torch.nn.functional import normalize

from fairmot_mm.models import EmbeddingHead
from fairmot_mm.models.feature_maps import gather_cells
from fairmot_mm.models.reid.embedding_head import embedding_scale


def embeddings(count: int, length: int = 4) -> torch.Tensor:
    torch.manual_seed(0)
    return normalize(torch.randn(count, length))


def golden_head(numbers) -> EmbeddingHead:
    head = EmbeddingHead(8, embed_dims=32, num_ids=50)
    head.classifier.weight.data = torch.from_numpy(numbers["classifier_weight"])
    head.classifier.bias.data = torch.from_numpy(numbers["classifier_bias"])
    return head


def test_loss_and_gradients_equal_the_published_ones(golden):
    numbers = golden("loss.npz")
    cells = golden("targets.npz")
    head = golden_head(numbers)
    embedding = torch.from_numpy(numbers["out_id"]).requires_grad_()
    counts = [len(numbers[f"boxes{i}"]) for i in range(3)]
    image = torch.repeat_interleave(torch.tensor(counts))
    cell, identities = (
        torch.cat(
            [torch.from_numpy(source[f"{key}{i}"][:n]) for i, n in enumerate(counts)]
        )
        for source, key in ((cells, "ind"), (numbers, "ids"))
    )
    embeddings = normalize(gather_cells(embedding, image, cell))
    loss = head.loss(embeddings, identities)["loss_id"]
    assert embedding_scale(50) == pytest.approx(float(numbers["emb_scale"]))
    assert loss.item() == pytest.approx(float(numbers["id_loss"]), rel=1e-5)
    (loss * 0.5 * math.exp(1.05)).backward()
    for given, key in (
        (embedding.grad, "grad_id"),
        (head.classifier.weight.grad, "grad_classifier_weight"),
    ):
        expected = torch.from_numpy(numbers[key])
        assert (given - expected).abs().max() < 1e-4 * expected.abs().max()


def test_objects_without_identity_have_no_part():
    head = EmbeddingHead(8, embed_dims=4, num_ids=5)
    given, ids = embeddings(3), torch.tensor([2, -1, 0])
    loss = head.loss(given, ids)
    without = head.loss(given[::2], ids[::2])
    assert loss["loss_id"] == without["loss_id"]


@pytest.mark.parametrize("kind", ["ce", "focal"])
@pytest.mark.parametrize("ids", [[-1, -1], []])
def test_a_batch_without_identities_loses_nothing(kind, ids):
    head = EmbeddingHead(8, embed_dims=4, num_ids=5, loss=kind)
    ids = torch.tensor(ids).long()
    cell = torch.zeros_like(ids)
    loss = head.loss(head.embeddings_at([torch.randn(1, 8, 3, 3)], cell, cell), ids)
    assert loss["loss_id"] == 0
    loss["loss_id"].backward()
    assert all(p.grad.abs().sum() == 0 for p in head.parameters())


def test_focal_loss_by_hand():
    head = EmbeddingHead(8, embed_dims=4, num_ids=3, loss="focal", loss_weight=2.0)
    assert head.classifier.bias[0].item() == pytest.approx(-math.log(99), rel=1e-5)
    unit = embeddings(1)
    loss = head.loss(unit, torch.tensor([1]))["loss_id"]
    p = head.classifier(embedding_scale(3) * unit[0]).sigmoid()
    terms = 0.75 * p**2 * -torch.log(1 - p)
    terms[1] = 0.25 * (1 - p[1]) ** 2 * -torch.log(p[1])
    assert loss.item() == pytest.approx(2 * terms.sum().item(), rel=1e-4)


@pytest.mark.parametrize("wrong", [5, -2])
def test_an_identity_out_of_range_is_named(wrong):
    head = EmbeddingHead(8, embed_dims=4, num_ids=5)
    with pytest.raises(ValueError, match=f"identity {wrong} .*num_ids"):
        head.loss(embeddings(1), torch.tensor([wrong]))


@pytest.mark.parametrize("num_ids", ["auto", None])
def test_without_a_number_there_is_no_classifier(num_ids):
    head = EmbeddingHead(8, num_ids=num_ids)
    assert head.classifier is None
    with pytest.raises(RuntimeError, match="num_ids"):
        head.loss(embeddings(1, 128), torch.zeros(1).long())


@pytest.mark.parametrize("arguments", [dict(num_ids=0), dict(loss="triplet")])
def test_wrong_arguments_are_named(arguments):
    with pytest.raises(ValueError, match=next(iter(arguments))):
        EmbeddingHead(8, **arguments)


def test_embeddings_of_cells_are_those_of_the_map_at_length_one():
    head = EmbeddingHead(8, embed_dims=4)
    feats = [torch.randn(2, 8, 3, 5)]
    # The corners, where the surroundings reach outside, and a cell in the middle.
    image = torch.tensor([0, 1, 0, 1, 0])
    cell = torch.tensor([0, 4, 10, 14, 7])
    found = head.embeddings_at(feats, image, cell)
    assert torch.allclose(found.norm(dim=1), torch.ones(5))
    expected = normalize(gather_cells(head(feats), image, cell))
    assert torch.allclose(found, expected, atol=1e-5)
