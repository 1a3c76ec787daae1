"""Random numbers are functions of (seed, purpose, index) only."""

import torch

from poolbench.core.seeding import seed_device, seeded, stream_generator, stream_seed


def test_streams_differ_in_seed_purpose_and_index() -> None:
    seen = {stream_seed(s, p, i) for s in range(20) for p in ("order", "step") for i in range(20)}
    assert len(seen) == 20 * 2 * 20
    assert all(0 <= value < 2**63 for value in seen)


def test_a_stream_does_not_change_the_global_generator() -> None:
    torch.manual_seed(5)
    expected = torch.rand(3)
    torch.manual_seed(5)
    with seeded(0, "pooler"):
        first = torch.rand(1000)
    assert torch.equal(torch.rand(3), expected)
    with seeded(0, "pooler"):
        assert torch.equal(torch.rand(1000), first)


def test_generators_and_devices_start_at_their_seed() -> None:
    a, b = stream_generator(1, "order", 3), stream_generator(1, "order", 3)
    assert torch.equal(torch.randperm(50, generator=a), torch.randperm(50, generator=b))
    torch.manual_seed(7)
    expected = torch.rand(3)
    seed_device(torch.device("cpu"), 7)
    assert torch.equal(torch.rand(3), expected)
