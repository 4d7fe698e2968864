import pytest
import torch

from fairmot_mm.models import ColourEmbeddingHead

RED, GREEN, BLUE = torch.eye(3)


def person(image: torch.Tensor, box: tuple, shirt, trousers) -> None:
    left, top, right, bottom = box
    middle = (top + bottom) // 2
    image[:, top:middle, left:right] = shirt[:, None, None]
    image[:, middle:bottom, left:right] = trousers[:, None, None]


@pytest.fixture
def head() -> ColourEmbeddingHead:
    torch.manual_seed(0)
    return ColourEmbeddingHead(8, 16, embed_dims=4, num_ids=3, colour_dims=32).eval()


def street() -> tuple[torch.Tensor, torch.Tensor]:
    """Two of the same clothes near and far, and one with them the other way round."""
    image = torch.full((3, 64, 96), 0.5)
    boxes = [(4, 8, 20, 56), (30, 20, 38, 44), (60, 8, 76, 56)]
    person(image, boxes[0], RED, BLUE)
    person(image, boxes[1], RED, BLUE)
    person(image, boxes[2], BLUE, RED)
    return image[None], torch.tensor(boxes).float()


@torch.no_grad()
def test_clothes_are_recognised_in_another_place_and_size(head):
    inputs, boxes = street()
    near, far, other = head.embed_colours(inputs, torch.zeros(3).long(), boxes)
    assert near @ far > 0.99
    assert near @ other < 0.5


@torch.no_grad()
def test_both_parts_have_their_share_of_the_similarity(head):
    inputs, boxes = street()
    feats = (torch.randn(1, 8, 16, 24),)
    image, cell = torch.zeros(3).long(), torch.tensor([4, 50, 200])
    unit = head.embeddings_in_boxes(feats, image, cell, inputs, boxes)
    assert unit.shape == (3, 36)
    torch.testing.assert_close(unit.norm(dim=1), torch.ones(3))
    colours = head.embed_colours(inputs, image, boxes)
    assert unit[0, 4:] @ unit[1, 4:] == pytest.approx(
        0.75 * (colours[0] @ colours[1]).item(), rel=1e-5
    )


def test_training_separates_people_by_their_clothes(head):
    head.train()
    optimizer = torch.optim.Adam(head.parameters(), 0.01)
    inputs, boxes = street()
    image, cell = torch.zeros(3).long(), torch.tensor([4, 50, 200])
    feats = (torch.zeros(1, 8, 16, 24),)
    for _ in range(60):
        unit = head.embeddings_in_boxes(feats, image, cell, inputs, boxes)
        losses = head.loss(unit, torch.tensor([0, 0, 1]))
        optimizer.zero_grad()
        losses["loss_id"].backward()
        optimizer.step()
    near, far, other = head.eval().embed_colours(inputs, image, boxes)
    assert near @ far > 0.95
    assert near @ other < 0.2


def test_nobody_and_nobody_known_train_without_a_loss(head):
    inputs, boxes = street()
    feats = (torch.randn(1, 8, 16, 24),)
    for count in (0, 2):
        image, cell = torch.zeros(count).long(), torch.zeros(count).long()
        unit = head.embeddings_in_boxes(feats, image, cell, inputs, boxes[:count])
        losses = head.loss(unit, torch.full((count,), -1))
        losses["loss_id"].backward()
        assert losses["loss_id"] == 0
    assert all(p.grad is not None for p in head.description.parameters())


def test_share_outside_its_range_is_refused():
    with pytest.raises(ValueError, match=r"colour_share=1\.5: must be between 0 and 1"):
        ColourEmbeddingHead(8, colour_share=1.5)


def test_identities_of_two_classes_are_two():
    torch.manual_seed(0)
    head = ColourEmbeddingHead(8, 16, embed_dims=4, num_ids=(3, 3), colour_dims=32)
    unit = torch.nn.functional.normalize(torch.randn(4, 36), dim=1)
    identities, classes = torch.tensor([0, 0, 1, 1]), torch.tensor([0, 1, 0, 1])
    assert head.loss(unit, identities, classes)["loss_colours"] == 0  # nobody twice
    assert head.loss(unit, identities, classes * 0)["loss_colours"] > 0


@torch.no_grad()
def test_colours_can_be_placed_where_people_wear_them(head):
    image = torch.full((3, 64, 96), 0.5)
    boxes = [(4, 8, 20, 56), (30, 8, 46, 56)]
    black, anthracite = torch.full((3,), 0.05), torch.full((3,), 0.15)
    person(image, boxes[0], black, black)
    person(image, boxes[1], anthracite, anthracite)
    given = image[None], torch.zeros(2).long(), torch.tensor(boxes).float()
    one, other = head.embed_colours(*given)
    assert one @ other > 0.9
    greys = torch.linspace(0, 1, 64)[:, None].expand(-1, 3)
    head.place_colours(greys, 0.03)
    one, other = head.embed_colours(*given)
    assert one @ other < 0.5
