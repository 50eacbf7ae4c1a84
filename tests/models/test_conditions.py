"""Conditions as named tensors, and how a network leaves them out."""

import pytest
import torch

from audio2face.models.common.conditions import ConditionDropout, Conditions, ConditionSpec

SPEECH, ACTOR = ConditionSpec("speech", "track", 2, drop=0.5, learned_null=True), ConditionSpec("actor", "static", 3)
GIVEN = ConditionSpec("given", "mask", drop=0.5)


def some(count=400):
    return Conditions(
        {
            "speech": torch.ones(count, 4, 2),
            "actor": torch.eye(3)[torch.arange(count) % 3],
            "given": torch.ones(count, 4),
        }
    )


def test_conditions_fit_by_kind_and_size():
    some().check([SPEECH, ACTOR, GIVEN])
    some().replaced(speech=torch.ones(400, 2)).check([SPEECH])  # held over all frames
    with pytest.raises(ValueError, match=r"conditions actor, pose do not fit the network; given .*'actor': \(400, 4\)"):
        some().replaced(actor=torch.ones(400, 4)).check([SPEECH, ACTOR, ConditionSpec("pose", "track", 1)])
    with pytest.raises(ValueError, match="given"):
        some().replaced(given=torch.ones(400, 4, 1)).check([GIVEN])


def test_whole_segments_go_without_a_condition_at_its_rate_in_training_alone():
    torch.manual_seed(0)
    dropout = ConditionDropout([SPEECH, ACTOR, GIVEN])
    torch.nn.init.constant_(dropout.nulls["speech"], 7.0)
    x = some()
    left = dropout(x)
    for name, null in (("speech", 7.0), ("given", 0.0)):
        flat = left[name].flatten(1)
        assert (flat == flat[:, :1]).all() and set(flat.unique().tolist()) == {null, 1.0}
        assert 0.4 < (flat[:, 0] == null).float().mean() < 0.6
    assert left["actor"] is x["actor"]
    assert dropout.eval()(x) is x
    unconditional = dropout.without(x, ["speech"])
    assert (unconditional["speech"] == 7).all() and unconditional["given"] is x["given"]


def test_a_network_that_leaves_nothing_out_has_no_weights_for_it_and_draws_nothing():
    dropout = ConditionDropout([ACTOR])
    before = torch.get_rng_state()
    dropout(some())
    assert not dropout.state_dict() and torch.equal(before, torch.get_rng_state())


def test_rows_are_those_of_the_items_asked_for():
    index = torch.tensor([4, 0, 0])
    rows = some(5).rows(index)
    assert rows["speech"].shape == (3, 4, 2) and rows["actor"].argmax(dim=1).tolist() == [1, 0, 0]
