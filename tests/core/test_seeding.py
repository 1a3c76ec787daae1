"""Random numbers are functions of (seed, purpose, index) and of nothing else."""

import torch

from poolbench.core.seeding import drawing, generator, stream


def test_streams_differ_in_seed_purpose_and_index() -> None:
    seen = {stream(s, p, i) for s in range(20) for p in ("order", "step") for i in range(20)}
    assert len(seen) == 20 * 2 * 20
    assert all(0 <= value < 2**63 for value in seen)


def test_drawing_leaves_the_outside_where_it_was() -> None:
    torch.manual_seed(5)
    expected = torch.rand(3)
    torch.manual_seed(5)
    with drawing(0, "pooler"):
        first = torch.rand(1000)
    assert torch.equal(torch.rand(3), expected)
    with drawing(0, "pooler"):
        assert torch.equal(torch.rand(1000), first)


def test_a_generator_starts_where_its_stream_starts() -> None:
    a, b = generator(1, "order", 3), generator(1, "order", 3)
    assert torch.equal(torch.randperm(50, generator=a), torch.randperm(50, generator=b))
