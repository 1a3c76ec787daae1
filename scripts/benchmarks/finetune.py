"""One pass of fine-tuning a whole encoder, with a head on it, against other people's loops.

All loops train the same weights on the same texts: as many steps of AdamW at the same learning
rate, without clipping, each with dropout and in an order of its own. Models are built and texts
tokenised beforehand; nothing is evaluated, logged or saved. With --levers also our side with one
thing less at a time.
"""

import argparse
import logging
import tempfile
import warnings
from collections.abc import Callable, Mapping, Sequence
from math import ceil
from statistics import median

import limit
import machine
import torch
from cells import asked
from finetune_ours import LEVERS, Way, cell_training, losses_apart
from finetune_peers import Peers, Settings
from outcome import Claim, Outcome
from peers import missing
from pytorch_lightning.utilities import disable_possible_user_warnings
from rounds import interleave, ratio
from trainings import Change, Training, variant

from poolbench.core import kernels
from poolbench.core.errors import BadInput
from poolbench.encoders.huggingface import PretrainedEncoder
from poolbench.training.session import Prepared, prepare

PACKED, PADDED, PACKED_BF16 = "packed", "padded", "packed, bf16"
HF = "HF Trainer"
DEFAULTS, DYNAMIC = f"{HF}, padded to the greatest length", f"{HF}, dynamic padding"
GROUPED, TEMPLATE = f"{HF}, grouped by length", "Lightning template"
BF16 = ", bf16"
RATE = 2e-4  # of one pass alone: enough for every loop to learn something in it
LOSS_TEXTS, PARITY_STEPS = 256, 4


def add_options(parser: argparse.ArgumentParser) -> None:
    """Size of the measurement."""
    parser.add_argument("--texts", type=int, default=256, help="of the training split")
    parser.add_argument("--batch-size", type=int, default=32)
    parser.add_argument("--levers", action="store_true", help="each choice on our side")
    parser.set_defaults(rounds=3)


def measure(
    overrides: list[str], rounds: int, texts: int, batch_size: int, levers: bool
) -> Outcome:
    """Seconds for one pass over the training texts.

    Args:
        overrides: of the configuration: data, encoder, pooler, head.
        rounds: how often each variant runs.
        texts: at most so many.
        batch_size: examples in a step.
        levers: our side with one thing less at a time as well.

    Raises:
        BadInput: the encoder does not train, or has no Hugging Face tokenizer.
    """
    same = [f"dataset.max_examples={texts}", f"batch_size={batch_size}", "optimizer.warmup=0"]
    rates = [f"optimizer.lr={RATE}", f"optimizer.encoder_lr={RATE}"]
    loop = ["trainer.gradient_clip_val=null", "trainer.max_epochs=1"]
    cfg = asked(["experiment=finetune", *same, *rates, *loop, *overrides]).cfg
    prepared = prepare(cfg)
    if prepared.encoder.tuning != "full" or not isinstance(prepared.encoder, PretrainedEncoder):
        raise BadInput("benchmark finetune needs a transformer that trains: encoder.tuning=full")
    cpu = cfg.trainer.accelerator == "cpu" or not torch.cuda.is_available()
    notes = [note for note in (missing("accelerate"), no_bf16(cpu)) if note]
    ways = {PACKED: Way(), PADDED: Way("padded")}
    if not no_bf16(cpu):
        ways[PACKED_BF16] = Way(precision="bf16-mixed")
    ways |= LEVERS if levers else {}
    _quiet()
    changes: dict[str, Change] = {}
    with tempfile.TemporaryDirectory() as folder:
        adamw = cfg.optimizer
        settings = Settings(batch_size, adamw.encoder_lr, adamw.weight_decay, cfg.seed, cpu)
        peers = Peers.of(prepared, settings, folder, LOSS_TEXTS)
        builds = {
            name: cell_training(cfg, prepared, way, LOSS_TEXTS) for name, way in ways.items()
        } | _peers(peers, bf16=not no_bf16(cpu))
        seconds = interleave(
            {name: variant(name, build, changes) for name, build in builds.items()}, rounds
        )
    fell = sum(change.after < change.before for change in changes.values())
    return Outcome(
        "finetune",
        {
            "texts": len(prepared.splits["train"]),
            "batch size": batch_size,
            "threads": torch.get_num_threads(),
        },
        PACKED,
        seconds,
        claims=[
            *_times_as_fast(seconds, cpu),
            *_fractions_of_limit(prepared, batch_size, seconds, cpu),
            Claim(
                f"training losses of {PARITY_STEPS} steps apart, packed and padded, no dropout",
                losses_apart(cfg, prepared, PARITY_STEPS),
                1e-4,
                at_most=True,
            ),
            Claim("share of variants after which the texts' loss is less", fell / len(changes), 1),
        ],
        notes=notes,
        details={
            "losses": {name: vars(change) for name, change in changes.items()},
            "kernels": kernels.summary(),
            "settings": vars(settings),
        },
    )


def _quiet() -> None:
    """Every pass would tell anew what Lightning found on this machine."""
    logging.getLogger("pytorch_lightning").setLevel(logging.ERROR)
    disable_possible_user_warnings()
    warnings.filterwarnings("ignore", message=r".*isinstance\(treespec, LeafSpec\).*")


def no_bf16(cpu: bool) -> str | None:
    """Why nothing is measured in bf16, or None where the hardware multiplies it."""
    if not cpu:
        return None if torch.cuda.is_bf16_supported() else "bf16 is left out: the GPU lacks it"
    if machine.cpu_flags() & {"avx512_bf16", "amx_bf16"}:
        return None
    return "bf16 is left out: the processor has neither avx512_bf16 nor amx_bf16"


def _peers(peers: Peers, bf16: bool) -> dict[str, Callable[[], Training]]:
    builds = {TEMPLATE: peers.template()}
    if missing("accelerate"):  # a Trainer cannot do without
        return builds
    builds |= {
        DEFAULTS: peers.trainer(pad_to_max=True),
        DYNAMIC: peers.trainer(),
        GROUPED: peers.trainer(grouped=True),
    }
    if bf16:
        builds |= {
            DYNAMIC + BF16: peers.trainer(bf16=True),
            GROUPED + BF16: peers.trainer(grouped=True, bf16=True),
        }
    return builds


def _times_as_fast(seconds: Mapping[str, list[float]], cpu: bool) -> list[Claim]:
    """The targets are of a CPU, but for the one of bf16 with dynamic padding."""
    every = [name for name in seconds if name.startswith(HF)]
    full = [name for name in every if not name.endswith(BF16)]
    compared: list[tuple[str, Sequence[str], str, float | None]] = [
        (PACKED, [DEFAULTS], DEFAULTS, 8.0 if cpu else None),
        (PACKED, [DYNAMIC], DYNAMIC, 3.0 if cpu else None),
        (PACKED, full, f"the best {HF} in float32", None),
        (PACKED, [TEMPLATE], TEMPLATE, None),
        (PACKED_BF16, [DEFAULTS], DEFAULTS, 12.0 if cpu else None),
        (PACKED_BF16, [DYNAMIC], DYNAMIC, 4.0 if cpu else None),
        (PACKED_BF16, [DYNAMIC + BF16], DYNAMIC + BF16, None if cpu else 2.0),
        (PACKED_BF16, every, f"the best {HF} of all", 1.1 if cpu else None),
    ]
    claims = []
    for ours, theirs, what, target in compared:
        if ours in seconds and theirs and set(theirs) <= set(seconds):
            times = min(ratio(seconds, name, ours).median for name in theirs)
            claims.append(Claim(f"'{ours}' is times as fast as {what}", times, target))
    return claims


def _fractions_of_limit(
    prepared: Prepared, batch_size: int, seconds: Mapping[str, list[float]], cpu: bool
) -> list[Claim]:
    encoder, rows = prepared.encoder, prepared.corpus.splits["train"]
    assert isinstance(encoder, PretrainedEncoder)
    work = limit.arithmetic(encoder.model, encoder.depth, encoder.hidden_dim)
    forward = work.forward(prepared.corpus.lengths[rows.start : rows.stop].tolist())
    parameters = sum(p.numel() for p in encoder.model.parameters())
    device = torch.device("cpu" if cpu else "cuda")
    claims = []
    targets = (PACKED, torch.float32, 0.5), (PACKED_BF16, torch.bfloat16, None)
    for name, dtype, target in targets:
        if name in seconds:
            with kernels.chosen():
                best = machine.rates(dtype, device)
            steps = ceil(len(rows) / batch_size)
            least = limit.training_seconds(forward, 1.0, parameters, steps, best)
            claims.append(
                Claim(f"'{name}', fraction of limit", least / median(seconds[name]), target)
            )
    return claims
