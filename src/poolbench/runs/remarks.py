"""What a reader of a result must know: the notes of its record, and how much was truncated."""

from poolbench.runs.record import RunRecord

FEW = 0.01  # a share of truncated texts up to this is no remark
MORE = 4  # times the tokens that the remark suggests to read


def remarks(record: RunRecord) -> list[str]:
    """The notes of a record, and that more than a few texts were truncated."""
    texts = record.data.texts
    many = texts and record.data.cut_texts > FEW * texts
    return [*record.notes, *([truncation(record)] if many else [])]


def truncation(record: RunRecord) -> str:
    """How many texts were truncated, and the settings that read more of them; empty if none was."""
    cut, texts = record.data.cut_texts, record.data.texts
    if not cut:
        return ""
    number = f"{cut:,} texts"
    if texts:  # older records do not have it
        number = f"{100 * cut / texts:.{0 if cut > FEW * texts else 1}f} % of {texts:,} texts"
    length, windows = (record.run.setting(f"encoder.{key}") for key in ("max_length", "windows"))
    if length is None:
        return f"{number} were truncated."
    more = f"encoder.max_length={MORE * length}"
    if isinstance(windows, dict) and not windows.get("size"):
        more += f" encoder.windows.size={length}"
    read = f"only their first {length} tokens were read"
    return f"{number} were truncated: {read}; {more} reads up to {MORE * length}."
