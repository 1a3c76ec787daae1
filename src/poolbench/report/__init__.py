"""Reports: findings of a study as tables, figures, HTML, Markdown and CSV."""
