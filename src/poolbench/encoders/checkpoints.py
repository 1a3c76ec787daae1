"""Load a Hugging Face checkpoint, complete or not at all, and digest its content."""

import hashlib
import importlib.util
import json
import os
import warnings
from pathlib import Path
from typing import Any

import torch
from transformers import AutoModel, AutoTokenizer, PreTrainedConfig, PreTrainedModel
from transformers.utils import cached_file, find_adapter_config_file
from transformers.utils import logging as transformers_logging

from poolbench.core.errors import UserError
from poolbench.data.hub import hub_reachable, why_not_loaded
from poolbench.encoders.probe import embedding_rows

POINTER = b"version https://git-lfs"
WEIGHTS = {".safetensors", ".bin", ".h5", ".msgpack", ".onnx", ".ot"}


def load_checkpoint(name: str, revision: str | None = None) -> tuple[PreTrainedModel, Any]:
    """Model (the encoder of an encoder-decoder) and tokenizer of a local folder or a hub name.

    Weights that the checkpoint lacks, quantised weights, code in the checkpoint and a tokenizer
    that does not match the model are errors. A PEFT adapter is merged into its base.
    """
    # transformers would ask a bot to open a pull request for a repository without safetensors.
    os.environ["DISABLE_SAFETENSORS_CONVERSION"] = "1"
    transformers_logging.set_verbosity_error()
    transformers_logging.disable_progress_bar()
    local = Path(name).is_dir()
    files = sorted(path for path in Path(name).iterdir() if path.is_file()) if local else []
    given = {"revision": revision, "local_files_only": not local and not hub_reachable()}
    try:
        # A pointer in the place of weights fails to load, but a vocabulary may be any text.
        _reject_pointers([path for path in files if path.suffix not in WEIGHTS])
        if find_adapter_config_file(name, **given):
            model, tokenizer = _adapted(name, given)
        else:
            model = _model(name, given)
            tokenizer = AutoTokenizer.from_pretrained(name, trust_remote_code=False, **given)
        _check_tokenizer(model, tokenizer)
    except UserError as error:
        raise UserError(f"encoder {name}: {error}") from error
    except Exception as error:  # the libraries raise many types of exception
        _reject_pointers(files)
        if local:
            raise UserError(f"encoder {name} cannot be loaded: {why_not_loaded(error)}") from error
        why = why_not_loaded(error) if hub_reachable() else "the hub cannot be reached"
        raise UserError(
            f"encoder '{name}' is not a local folder and cannot be downloaded: {why} (or copy the "
            "model's files to a folder and set encoder.name=folder)"
        ) from error
    return model, tokenizer


# Modes of sentence-transformers -> the same pooler here.
POOLINGS = {
    "cls": "cls",
    "lasttoken": "last",
    "max": "max",
    "mean": "mean",
    "mean_sqrt_len": "mean_sqrt",
    "weightedmean": "weighted_mean",
}


def declared_pooling(name: str, revision: str | None = None) -> str | None:
    """The pooler that a sentence-transformers folder declares; None if it declares none."""
    offline = not Path(name).is_dir() and not hub_reachable()
    try:
        path = cached_file(
            name, "1_Pooling/config.json", revision=revision, local_files_only=offline
        )
        given = json.loads(Path(str(path)).read_text())
    except (OSError, ValueError):
        return None
    # A list or one word in new files, one switch for each mode in old ones.
    modes = given.get("pooling_mode") or [
        key.removeprefix("pooling_mode_") for key, value in given.items() if value is True
    ]
    modes = [modes] if isinstance(modes, str) else modes
    known = (POOLINGS.get(mode.removesuffix("_tokens").removesuffix("_token")) for mode in modes)
    return "_".join(filter(None, known)) or None


def content_digest(model: PreTrainedModel, tokenizer: Any) -> str:
    """Digest of all weights, the configuration and the tokenizer, whichever files they were in."""
    config = model.config.to_diff_dict()
    config.pop("transformers_version", None)
    backend = getattr(tokenizer, "backend_tokenizer", None)
    facts = [config, tokenizer.special_tokens_map, backend.to_str() if backend else None]
    if backend is None:
        facts += [type(tokenizer).__name__, tokenizer.get_vocab(), tokenizer("A Sample, 1 é.")]
    content = hashlib.sha256(json.dumps(facts, sort_keys=True, default=str).encode())
    for key, tensor in sorted(model.state_dict().items()):
        content.update(f"{key} {tensor.dtype} {tuple(tensor.shape)}".encode())
        content.update(tensor.contiguous().reshape(-1).view(torch.uint8).numpy())
    return content.hexdigest()


def _model(name: str, given: dict[str, Any]) -> PreTrainedModel:
    raw, _ = PreTrainedConfig.get_config_dict(name, **given)
    _reject_code(raw, "config.json")
    if "quantization_config" in raw:
        raise UserError(
            f"its weights are quantised ({_some(raw['quantization_config'])} in config.json): use "
            "the checkpoint that it was made from"
        )
    # The checkpoint may be stored in half precision; the trainer decides on the precision.
    model, loading = AutoModel.from_pretrained(
        name,
        dtype=torch.float32,
        output_loading_info=True,
        ignore_mismatched_sizes=True,  # reported below, with the keys
        trust_remote_code=False,
        **given,
    )
    tensors, missing = model.state_dict(keep_vars=True), loading["missing_keys"]
    encoder: PreTrainedModel = model.get_encoder() if model.config.is_encoder_decoder else model
    if any(key.startswith("pooler.") for key in missing):
        encoder.pooler = None  # random weights, and not needed
    used = {id(tensor) for tensor in encoder.state_dict(keep_vars=True).values()}
    faults = [f"{key} is missing" for key in sorted(missing) if id(tensors.get(key)) in used]
    for key, found, expected in sorted(loading["mismatched_keys"]):
        faults.append(f"{key} is {tuple(found)}, expected {tuple(expected)}")
    if faults:
        raise UserError(
            f"config.json ({model.config.model_type}) and weights do not belong together: "
            f"{_some(faults)}; copy all files of the model again"
        )
    return encoder


def _adapted(name: str, given: dict[str, Any]) -> tuple[PreTrainedModel, Any]:
    """The base model of a PEFT adapter with the adapter merged into it, and their tokenizer."""
    if importlib.util.find_spec("peft") is None:
        raise UserError(
            "it is an adapter (adapter_config.json): pip install peft, or save the merged model "
            "with merge_and_unload().save_pretrained(folder)"
        )
    import peft

    optional = {**given, "_raise_exceptions_for_missing_entries": False}
    if cached_file(name, "config.json", **optional):
        raise UserError("it has both config.json and adapter_config.json: remove one of them")
    adapter = peft.PeftConfig.from_pretrained(name, **given)
    model, tokenizer = load_checkpoint(adapter.base_model_name_or_path, adapter.revision)
    with warnings.catch_warnings():
        warnings.filterwarnings("error", message="Found missing adapter keys")
        adapted = peft.PeftModel.from_pretrained(model, name, **given)
    if cached_file(name, "tokenizer_config.json", **optional):
        tokenizer = AutoTokenizer.from_pretrained(name, trust_remote_code=False, **given)
    return adapted.merge_and_unload(safe_merge=True), tokenizer


def _check_tokenizer(model: PreTrainedModel, tokenizer: Any) -> None:
    _reject_code(tokenizer.init_kwargs, "tokenizer_config.json")
    vocabulary, rows = tokenizer.get_vocab(), embedding_rows(model)
    if vocabulary.keys() <= {*tokenizer.all_special_tokens, *tokenizer.get_added_vocab()}:
        raise UserError(
            "its tokenizer knows no word: copy the tokenizer's files (tokenizer.json, or vocab.txt "
            "and the like) to the folder"
        )
    token = max(vocabulary, key=vocabulary.__getitem__)
    if rows is not None and vocabulary[token] >= rows:
        raise UserError(
            f"the tokenizer gives '{token}' the id {vocabulary[token]} but the model has {rows} "
            "embeddings: use the tokenizer of this model, or save the model again after "
            f"model.resize_token_embeddings({vocabulary[token] + 1})"
        )


def _reject_code(settings: dict[str, Any], file: str) -> None:
    if "auto_map" in settings:
        raise UserError(
            f"it has code of its own (auto_map in {file}), which is never run: use another "
            "encoder, or a copy without auto_map if its weights fit the class of transformers"
        )


def _reject_pointers(files: list[Path]) -> None:
    for path in files:
        with path.open("rb") as file:
            if file.read(len(POINTER)) == POINTER:
                raise UserError(f"{path} is a Git-LFS pointer: run `git lfs pull` in its folder")


def _some(names: Any) -> str:
    """The first three of several names."""
    shown = ", ".join(map(str, [*names][:3]))
    return f"{shown} and {len(names) - 3} more" if len(names) > 3 else shown
