"""Load a Hugging Face checkpoint, complete or not at all, and digest its content."""

import hashlib
import importlib.util
import json
import warnings
from collections.abc import Collection
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
TOKENIZER_FILES = {".json", ".txt", ".model", ".codes"}


def load_checkpoint(name: str, revision: str | None = None) -> tuple[PreTrainedModel, Any]:
    """Model (the encoder of an encoder-decoder) and tokenizer of a local folder or a hub name.

    Weights that the checkpoint lacks, quantised weights, code in the checkpoint and a tokenizer
    that does not match the model are errors. A PEFT adapter is merged into its base.
    """
    transformers_logging.set_verbosity_error()
    transformers_logging.disable_progress_bar()
    local = Path(name).is_dir()
    given = {"revision": revision, "local_files_only": not local and not hub_reachable()}
    try:
        _reject_pointers(name, TOKENIZER_FILES)
        if find_adapter_config_file(name, **given):
            model, tokenizer = _adapted(name, given)
        else:
            model = _model(name, given)
            tokenizer = AutoTokenizer.from_pretrained(name, trust_remote_code=False, **given)
        _check_tokenizer(name, model, tokenizer)
    except UserError:
        raise
    except Exception as error:  # the libraries raise many types of exception
        _reject_pointers(name)
        if local:
            raise UserError(
                f"encoder in {name} cannot be loaded: {why_not_loaded(error)}"
            ) from error
        why = why_not_loaded(error) if hub_reachable() else "the hub cannot be reached"
        raise UserError(
            f"encoder '{name}' is not a local folder and cannot be downloaded: {why} "
            "(copy the model's files to a folder and set encoder.name=folder)"
        ) from error
    return model, tokenizer


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
    if quantised := raw.get("quantization_config"):
        method = quantised.get("quant_method", "unknown method")
        raise UserError(
            f"encoder {name} is quantised ({method}, see quantization_config in its config.json): "
            "use the checkpoint that it was made from"
        )
    if code := raw.get("auto_map"):
        raise UserError(_remote_code(name, "config.json", code))
    # The checkpoint may be stored in half precision; the trainer decides on the precision.
    model, loading = AutoModel.from_pretrained(
        name,
        dtype=torch.float32,
        output_loading_info=True,
        ignore_mismatched_sizes=True,  # told below, with the keys
        trust_remote_code=False,
        **given,
    )
    if mismatched := loading["mismatched_keys"]:
        found = [f"{key} {tuple(had)}, expected {tuple(wants)}" for key, had, wants in mismatched]
        raise UserError(
            f"encoder {name}: {_some(found)}: config.json and weights are of different models; "
            "copy both again from one source"
        )
    missing = set(loading["missing_keys"])
    tensors = model.state_dict(keep_vars=True)
    encoder: PreTrainedModel = model.get_encoder() if model.config.is_encoder_decoder else model
    if any(key.startswith("pooler.") for key in missing):
        encoder.pooler = None  # random weights, and not needed
    used = {id(tensor) for tensor in encoder.state_dict(keep_vars=True).values()}
    if lacking := sorted(key for key in missing if id(tensors.get(key)) in used):
        raise UserError(
            f"encoder {name}: the checkpoint lacks {_some(lacking)}: its weights are incomplete or "
            f"of another model than its config.json ({model.config.model_type}) says; copy both "
            "again from one source"
        )
    return encoder


def _adapted(name: str, given: dict[str, Any]) -> tuple[PreTrainedModel, Any]:
    """The base model of a PEFT adapter with the adapter merged into it, and their tokenizer."""
    if importlib.util.find_spec("peft") is None:
        raise UserError(
            f"encoder {name} is an adapter (adapter_config.json): pip install peft, or save the "
            "merged model with merge_and_unload().save_pretrained(folder)"
        )
    import peft

    optional = {**given, "_raise_exceptions_for_missing_entries": False}
    if cached_file(name, "config.json", **optional):
        raise UserError(
            f"encoder {name} has weights of its own and an adapter (adapter_config.json): remove "
            "one of them"
        )
    adapter = peft.PeftConfig.from_pretrained(name, **given)
    model, tokenizer = load_checkpoint(adapter.base_model_name_or_path, adapter.revision)
    with warnings.catch_warnings():
        warnings.filterwarnings("error", message="Found missing adapter keys")
        model = peft.PeftModel.from_pretrained(model, name, **given).merge_and_unload(
            safe_merge=True
        )
    if cached_file(
        name, "tokenizer_config.json", _raise_exceptions_for_missing_entries=False, **given
    ):
        tokenizer = AutoTokenizer.from_pretrained(name, trust_remote_code=False, **given)
    return model, tokenizer


def _check_tokenizer(name: str, model: PreTrainedModel, tokenizer: Any) -> None:
    if code := tokenizer.init_kwargs.get("auto_map"):
        raise UserError(_remote_code(name, "tokenizer_config.json", code))
    vocabulary = tokenizer.get_vocab()
    if vocabulary.keys() <= {*tokenizer.all_special_tokens, *tokenizer.get_added_vocab()}:
        raise UserError(
            f"encoder {name}: its tokenizer knows no word; copy the tokenizer's files "
            "(tokenizer.json, or vocab.txt and the like) to the folder"
        )
    rows, highest = embedding_rows(model), max(vocabulary.values())
    if rows is not None and highest >= rows:
        token = max(vocabulary, key=vocabulary.__getitem__)
        raise UserError(
            f"encoder {name}: the tokenizer gives '{token}' the id {highest} but the model has "
            f"{rows} embeddings: use the tokenizer of this model, or save the model again after "
            f"model.resize_token_embeddings({highest + 1})"
        )


def _reject_pointers(name: str, suffixes: Collection[str] = ()) -> None:
    """Reject Git-LFS pointers, with these suffixes only if there are any."""
    if not Path(name).is_dir():
        return
    for path in sorted(Path(name).iterdir()):
        if path.is_file() and (not suffixes or path.suffix in suffixes):
            with path.open("rb") as file:
                if file.read(len(POINTER)) == POINTER:
                    raise UserError(
                        f"{path} is a Git-LFS pointer and not the file itself: run `git lfs pull` "
                        "in its folder"
                    )


def _remote_code(name: str, file: str, code: Any) -> str:
    return (
        f"encoder {name} has code of its own (auto_map in {file}: {_some([str(code)])}), which is "
        "never run: use another encoder, or a copy without auto_map if its weights fit the class "
        "of transformers"
    )


def _some(keys: list[str]) -> str:
    """The first three of several names."""
    more = f" and {len(keys) - 3} more" if len(keys) > 3 else ""
    return ", ".join(keys[:3]) + more
