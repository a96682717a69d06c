"""What a person types behind a command, checked before anything long begins."""

from __future__ import annotations

import argparse
import os
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from explorer.cli.printing import CommandError, complain, printable
from explorer.files import given_path

DEFAULT_MODEL = "tf_efficientnet_lite0"  # its weights install with explorer


def typed_count(text: str) -> int:
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"{text!r} is not a number from 1 up")
    return int(text)


def typed_path(text: str) -> Path:
    try:
        return given_path(text, "the path")
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error).removesuffix(".")) from None


def typed_port(text: str) -> int:
    if not text.isdecimal() or not 1 <= int(text) <= 65535:
        raise argparse.ArgumentTypeError(f"{text!r} is not a port: give a number from 1 to 65535")
    return int(text)


def is_folder(text: str) -> bool:
    """Whether a model is given as its folder. A known name is a name, even where a folder is called alike."""
    from explorer.models.names import is_model, split_door

    if not text.strip():
        raise CommandError("The model's name is empty. Give a name, see `list`, "
                           "or the folder of a trained model.")
    folder = given_path(text, "the model")
    if ("/" in text or os.sep in text) and not split_door(text)[0] and not folder.is_dir():
        raise CommandError(f"There is no folder '{text}'. Give the folder of a trained model, or a name: see "
                           "`list`.")
    return not is_model(text) and folder.is_dir()


def check_model_name(text: str) -> None:
    """Raise ValueError for a name that nobody knows: a typing error shows before a minute of download.

    What is behind a door is known when it is opened. An old name gets a word on today's.
    """
    from explorer.models.names import check_name, split_door, word_on_old_name

    if not split_door(text)[0]:
        check_name(text)
        if word := word_on_old_name(text):
            complain(word)


def check_no_addresses(photos: Sequence[str]) -> None:
    for given in photos:
        if not given.strip():
            raise CommandError("A photo's name is empty: give a picture file, or a folder of them.")
        if re.match(r"\w+://", given):
            raise CommandError(f"'{printable(given)}' is an address on the web: download the photo first, "
                               "then give its file.")


def data_of(args: argparse.Namespace, outputs: str | None) -> Any:
    """The data as it was typed; with --target the table, of which these columns are learnt or judged."""
    if not args.target:
        return args.data
    from explorer.data.photo_tables import read_table

    return read_table(args.data, target=args.target, outputs=outputs)
