"""What of sharding needs no second process; `training/test_shared_language.py` has the rest."""

import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("accelerate")

from gifqa.errors import ConfigError  # noqa: E402
from gifqa.training.loop.distribution import Processes  # noqa: E402
from gifqa.training.loop.sharding import is_sharded, load_values, shard, share_of, whole  # noqa: E402


def test_a_torch_that_is_too_old_is_named(monkeypatch):
    monkeypatch.setattr("torch.distributed.fsdp.FSDPModule", object)

    with pytest.raises(ConfigError, match=r"asks for FSDP, but torch .* is too old for it. Update torch"):
        shard(torch.nn.Linear(2, 2), (), (), Processes())


def test_what_is_not_sharded_stays_as_it_is():
    value, place = torch.ones(3), torch.zeros(3)
    load_values({"a": place}, {"a": value})

    assert not is_sharded(value)
    assert whole({"a": [value, 1]}) == {"a": [value, 1]}
    assert share_of(value, place) is value
    assert torch.equal(place, value)
