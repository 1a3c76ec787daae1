"""The W&B view of a study."""

import re

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


def test_the_view_shows_accuracy_next_to_the_throughput_that_can_be_compared() -> None:
    view = wandb_workspace.comparison_view("demo", "project", "team")
    panels = {panel for section in view.sections for panel in map(str, section.panels)}
    assert any("test/accuracy" in panel and panel.startswith("BarPlot") for panel in panels)
    assert any("perf/relative_throughput" in p and p.startswith("ScatterPlot") for p in panels)
    assert any(panel.startswith("RunComparer") and "diff_only=True" in panel for panel in panels)
    # Examples/s of different runs cannot be compared.
    assert not any("samples_per_sec" in panel for panel in panels)
    # A panel that groups by pooler alone would average over datasets.
    model = view._to_model().model_dump_json(by_alias=True)
    assert "run.value.pooler" in model
    assert not re.search(r'"groupBy":\s*"run', model)
