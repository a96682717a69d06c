"""`vision-explorer live`: a model as one HTML file that runs in any browser, without a network."""

from __future__ import annotations

import argparse
from typing import Any

from explorer.cli.given import check_model_name, check_no_addresses, is_folder, typed_path
from explorer.cli.printing import printable
from explorer.display.words import megabytes


def add(commands: Any, every: argparse.ArgumentParser) -> None:
    live = commands.add_parser(
        "live", parents=[every], help="write a model as a page that runs in a browser",
        description="Write one HTML file that runs a model in any browser, with its feature maps and heat "
                    "maps: it opens by a double click, and asks no network for anything. Each photo in it is "
                    "tried first: where the page would not say what the model says, none is written.")
    add = live.add_argument
    add("model", metavar="MODEL", help="see `list`; or the folder of a model that you trained")
    add("page", metavar="PAGE", type=typed_path, help="the file to write, such as page.html")
    add("--photos", nargs="+", metavar="PHOTO",
        help="photos to try it with, or a folder of them; small copies travel in the page (default: six of "
             "explorer's own)")
    add("--maps", nargs="+", metavar="STAGE", help="the stages whose maps can be seen (default: all)")
    add("--precision", choices=("float16", "float32"), default="float16",
        help="of the weights in the page (default: float16, half as large)")
    add("--runtime", metavar="FILE", type=typed_path,
        help="npm's package onnxruntime-web, as a folder or an archive (default: npm fetches it once)")
    add("--gpu", action="store_true",
        help="the page also tries the reader's graphics card, where the browser offers it (WebGPU); it "
             "is 4 MB larger")
    live.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    folder = is_folder(args.model)
    if not folder:
        check_model_name(args.model)
    check_no_addresses(args.photos or ())
    from explorer.inspection.live.page import live_page

    model: Any = args.model
    if folder:
        from explorer.training.run.loading import load_run

        model = load_run(args.model)
    photos = args.photos[0] if args.photos and len(args.photos) == 1 else args.photos
    page = live_page(model, args.page, photos=photos, maps=args.maps or "all", precision=args.precision,
                     runtime=args.runtime, gpu=args.gpu)
    print(f"Wrote {printable(str(page))} ({megabytes(page.stat().st_size)}): open it in a browser.")
    return 0
