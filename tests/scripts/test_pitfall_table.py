"""The table of ``scripts/pitfalls.py`` counts what it says, on cells that were really run."""

import pytest

from scripts import pitfalls

SMALL = ["experiment=pitfalls", "encoder=scratch", "encoder.layers=1", "dataset.max_examples=150"]


@pytest.fixture(scope="module")
def _done():
    return {}


@pytest.fixture
def cells(run, _done) -> list[pitfalls.Cell]:
    """cls and index 0 under both paddings, two seeds; and a lone pitfall without its twin."""
    if not _done:
        asked = [
            (side, pooler, seed)
            for side in ("right", "left")
            for pooler in ("cls", "pitfall/position_zero")
            for seed in (0, 1)
        ] + [("right", "pitfall/unmasked_max", 0)]
        _done["folders"] = [
            run(*SMALL, f"encoder.padding_side={side}", f"pooler={pooler}", f"seed={seed}")[
                "folder"
            ]
            for side, pooler, seed in asked
        ]
    return pitfalls.read(_done["folders"])


def test_a_pitfall_stands_beside_its_twin_of_the_same_setting_and_seeds(cells) -> None:
    _, _, right, left = pitfalls.costs(cells)
    # Under right padding index 0 is the first token: another name for the same pooler.
    assert right.startswith("| right | `position_zero` |")
    assert right.endswith("| +0.0 ± 0.0 | 0.0 % | 2 |")
    by_seed = {(cell.padding, cell.pooler, cell.seed): cell.right.mean() for cell in cells}
    cost = [
        by_seed["left", "cls", seed] - by_seed["left", "position_zero", seed] for seed in (0, 1)
    ]
    assert f"| {100 * sum(cost) / 2:+.1f} ±" in left
    assert not left.endswith("| 0.0 % | 2 |")


def test_a_right_pooler_says_the_same_in_every_batch_and_a_wrong_one_does_not(cells) -> None:
    told = {tuple(line.split(" | ")[:2]): line for line in pitfalls.changes(cells)}
    for padding in ("right", "left"):
        assert told[f"| {padding}", "`cls`"].endswith("| 0.0 % | 0.0 % | 0.0 % |")
    assert told["| right", "`position_zero`"].endswith("| 0.0 % | 0.0 % | 0.0 % |")
    assert not told["| left", "`position_zero`"].endswith("| 0.0 % |")


def test_without_a_study_it_says_what_to_run(tmp_path, monkeypatch, capsys) -> None:
    monkeypatch.setattr("sys.argv", ["pitfalls.py", str(tmp_path)])
    assert pitfalls.main() == 2
    assert "experiment=pitfalls" in capsys.readouterr().err
