"""The W&B view of a study."""

import pytest

pytest.importorskip("wandb_workspaces", reason="wandb-workspaces: the extra 'workspaces'")

from scripts import wandb_workspace


def test_without_a_login_the_view_is_described(capsys, monkeypatch) -> None:
    monkeypatch.setattr(wandb_workspace, "_own_entity", lambda: None)
    assert wandb_workspace.main(["demo"]) == 0
    printed = capsys.readouterr().out
    assert "Not logged in" in printed
    assert "'demo'" in printed
    assert "run.dataset, run.encoder, run.pooler" in printed
    assert "Test accuracy" in printed


def test_runs_of_one_study_are_grouped_by_pooler_within_dataset_and_encoder() -> None:
    view = wandb_workspace.comparison_view("demo", "project", "team")
    assert "'demo'" in str(view.runset_settings.filters)
    assert [group.name for group in view.runset_settings.groupby] == list(wandb_workspace.GROUPS)
