"""Windows of long texts: each is encoded by itself, and a text of one window as before."""

import functools
import itertools

import pytest
import torch

from poolbench.core.errors import UserError
from poolbench.core.shape_checks import ShapeError
from poolbench.data.collate import Batch
from poolbench.data.tokenized import tokenize_texts
from poolbench.encoders.huggingface import PretrainedEncoder
from poolbench.encoders.windows import Layout
from tests.conftest import make_scratch, rejection
from tests.encoders import families
from tests.encoders.test_huggingface import minilm

WORDS = ["A", "film", "is", "long", "and", "slow", ",", "but", "never", "dull", "."]
# Numbers of words of the texts; [CLS] and [SEP] are two more tokens.
LENGTHS = (3, 6, 7, 40, 12, 0, 25)
TEXTS = [" ".join(itertools.islice(itertools.cycle(WORDS), n)) for n in LENGTHS]


def batch(encoder: PretrainedEncoder, texts: list[str]) -> Batch:
    return encoder.collate(tokenize_texts(texts, encoder.tokenize), torch.arange(len(texts)))


def real_states(encoder: PretrainedEncoder, texts: list[str]) -> torch.Tensor:
    one = batch(encoder, texts)
    return encoder(one)[one.attention_mask][:, 0]


@functools.cache
def encoded_one_by_one(size: int, stride: int, max_length: int) -> torch.Tensor:
    """The states of all windows of all texts, by a loop over transformers' own model."""
    plain, states = minilm(max_length=512), []
    for text in TEXTS:
        row = plain.tokenizer(text, truncation=True, max_length=max_length)["input_ids"]
        start, *content, end = row
        windows, first = [row], 0
        if len(row) > size:
            windows = []
            while not windows or first - stride + size - 2 < len(content):
                windows.append([start, *content[first : first + size - 2], end])
                first += stride
        for window in map(torch.tensor, windows):
            with torch.no_grad():
                output = plain.model(window[None], torch.ones_like(window[None]))
            states.append(output.last_hidden_state[0])
    return torch.cat(states)


@pytest.mark.parametrize(
    ("route", "size", "stride"),
    [
        ("padded", 8, None),
        ("padded", 9, 5),
        ("left", 8, 6),
        ("left", 3, None),
        ("packed", 8, 2),
        ("packed", 3, None),
    ],
)
def test_states_are_those_of_each_window_encoded_alone(
    route: str, size: int, stride: int | None
) -> None:
    side = "left" if route == "left" else "right"
    windows = {"size": size, "stride": stride}
    encoder = minilm(max_length=30, windows=windows, padding_side=side)
    if route == "packed":
        encoder.pack()
    found = real_states(encoder, TEXTS)
    expected = encoded_one_by_one(size, stride or size - 2, max_length=30)
    torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-5)
    alone = torch.cat([real_states(encoder, [text]) for text in TEXTS])
    torch.testing.assert_close(alone, found, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("packed", [False, True])
def test_texts_of_one_window_are_as_without_windows_bit_by_bit(packed: bool) -> None:
    plain, windowed = minilm(max_length=64), minilm(max_length=64, windows={"size": 42})
    assert plain.digest != windowed.digest
    assert plain.tokenize(TEXTS) == windowed.tokenize(TEXTS)
    if packed:
        plain.pack()
        windowed.pack()
    assert torch.equal(real_states(windowed, TEXTS), real_states(plain, TEXTS))


def test_texts_are_truncated_and_counted_as_without_windows() -> None:
    _, cut = minilm(max_length=20).tokenize(TEXTS)
    assert minilm(max_length=20, windows={"size": 8}).tokenize(TEXTS)[1] == cut == 2


def test_more_tokens_than_positions_need_windows() -> None:
    long = " ".join(["rain"] * 700)
    with pytest.raises(ShapeError, match=r"512 positions: .* encoder.windows.size=512"):
        minilm(max_length=702)
    encoder = minilm(max_length=702, windows={"size": 512})
    rows, cut = encoder.tokenize([long])
    assert (len(rows[0]), cut) == (704, 0)
    assert encoder(batch(encoder, [long])).isfinite().all()


@pytest.mark.parametrize(
    ("windows", "message"),
    [
        ({"size": 65}, "encoder.windows.size=65 but ScratchEncoder has 64 positions"),
        ({"size": 64}, "truncated to encoder.max_length=64, which is no more than a window"),
        ({"size": 2}, "size=2 has no room for text: the tokenizer puts 2 tokens around it"),
        ({"size": 8, "stride": 7}, "set encoder.windows.stride=6 or less"),
        ({"stride": 4}, "needs encoder.windows.size"),
    ],
)
def test_windows_that_cannot_be_are_rejected(windows: dict, message: str) -> None:
    assert message in rejection(lambda: make_scratch(max_length=64, windows=windows))


def test_what_stands_around_a_text_stands_around_each_window() -> None:
    encoder = minilm(max_length=64)
    encoder.prefix = "query: "

    def rows(texts: list[str]) -> list[list[int]]:
        return encoder.truncated(texts)[0]

    layout = Layout.of({"size": 8}, rows)
    assert (layout.before, layout.after) == (3, 1)  # [CLS] query : ... [SEP]
    (row,) = rows(["one two three four five six"])
    pieces = rows(["one two three four", "five six"])
    assert layout.cut(row) == [*pieces[0], *pieces[1]]
    with pytest.raises(UserError, match="4 tokens around it"):
        Layout.of({"size": 4}, rows)


@pytest.mark.parametrize("family", sorted(families.FAMILIES))
def test_every_family_has_the_states_and_gradients_of_its_windows(family: str) -> None:
    """No window is empty, which would make gradients NaN in some families; two texts are."""
    size, rows = 8, (3, 0, 2, 1, 5, 3)
    encoder = families.encoder(family, tuning="full")
    encoder.window = size
    one = families.batch(encoder, rows)
    assert one.windows == 1 + 5 + 1 + 3
    found = encoder(one)
    expected = []
    for row, mask in zip(one.input_ids, one.attention_mask, strict=True):
        for window in row[mask].split(size):
            if len(window):
                inputs = {
                    "input_ids": window[None],
                    "attention_mask": torch.ones_like(window[None]),
                }
                expected.append(encoder.model(**inputs).last_hidden_state[0])
    whole = torch.cat(expected)
    assert families.difference(found[one.attention_mask][:, 0], whole) < 1e-5
    parameters = [p for p in encoder.parameters() if p.requires_grad]
    totals = (found[one.attention_mask].square().sum(), whole.square().sum())
    gradients = [torch.autograd.grad(t, parameters, allow_unused=True) for t in totals]
    scale = max(float(g.abs().max()) for g in gradients[1] if g is not None)
    for own, other in zip(*gradients, strict=True):
        assert (own is None) == (other is None)
        assert own is None or float((own - other).abs().max()) < 1e-4 * scale
