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


def test_a_smoothed_target_is_spread_over_the_identities():
    head = EmbeddingHead(8, embed_dims=4, num_ids=5, label_smoothing=0.1)
    logits = head.classifier(embedding_scale(5) * embeddings(2))
    log = logits.log_softmax(1)
    expected = -(0.9 * log[[0, 1], [3, 0]] + 0.1 * log.mean(1)).mean()
    found = head.loss(embeddings(2), torch.tensor([3, 0]))["loss_id"]
    assert found.item() == pytest.approx(expected.item(), rel=1e-5)
    for settings in (
        dict(label_smoothing=1.0),
        dict(label_smoothing=0.1, loss="focal"),
    ):
        with pytest.raises(ValueError, match="label_smoothing"):
            EmbeddingHead(8, **settings)


def test_the_triplet_term_compares_people_of_all_classes():
    triplet = dict(type="mmdet.TripletLoss", margin=0.5)
    head = EmbeddingHead(8, embed_dims=2, num_ids=[3, 3], loss_triplet=triplet)
    plain = EmbeddingHead(8, embed_dims=2, num_ids=[3, 3])
    plain.load_state_dict(head.state_dict())
    given = torch.tensor([[1.0, 0], [0, 1.0], [1.0, 0], [-1.0, 0]])
    identities, labels = torch.tensor([0, 0, 0, -1]), torch.tensor([0, 0, 1, 0])
    found = head.loss(given, identities, labels)
    # The first two are one person, at the root of 2 from each other. The third is
    # another one, of the other class, where the first is and so far from the second.
    expected = ((2**0.5 - 0 + 0.5) + (2**0.5 - 2**0.5 + 0.5) + (0 - 0 + 0.5)) / 3
    assert found["loss_triplet"].item() == pytest.approx(expected, rel=1e-5)
    identity = plain.loss(given, identities, labels)["loss_id"].item()
    assert found["loss_id"].item() == pytest.approx(identity + expected, rel=1e-5)


@pytest.mark.parametrize("ids", [[], [-1, -1], [2, 2]])
def test_nobody_to_compare_is_no_triplet(ids):
    triplet = dict(type="mmdet.TripletLoss")
    head = EmbeddingHead(8, embed_dims=4, num_ids=5, loss_triplet=triplet)
    losses = head.loss(embeddings(len(ids)), torch.tensor(ids, dtype=torch.long))
    assert losses["loss_triplet"] == 0
    losses["loss_id"].backward()
    assert head.classifier.weight.grad.isfinite().all()


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
