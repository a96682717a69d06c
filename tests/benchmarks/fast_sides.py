"""What bench_fast.py times: functions that are called in a process of their own (sides.py), one a side, and
give what is timed.

The sides of explorer keep memory, as the app, the commands and runs do (`explorer._memory`); the others run
as they come. All have the same random weights, the same photo and as many threads.
"""

from __future__ import annotations

import importlib.util
import os
import resource
import subprocess
import sys
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from turns import interleaved

Work = Callable[[], Any]
PHOTO = Path(__file__).resolve().parents[2] / "assets" / "photos" / "cat_tabby.jpg"
LISTING = {"bare Python": "pass", "explorer": "import explorer; explorer.list_models()",
           "timm": "import timm; timm.list_models()"}


def about() -> dict[str, Any]:
    """What the figures depend on."""
    import platform

    import torch

    return {"Python": platform.python_version(), "torch": torch.__version__, "machine": platform.machine(),
            "threads": torch.get_num_threads(), "processors": os.cpu_count()}


def kept_memory() -> None:
    from explorer import _memory

    _memory.keep()


def listing(side: str) -> Work:
    if side != "bare Python" and not importlib.util.find_spec(side):
        raise ModuleNotFoundError(name=side)
    command = [sys.executable, "-W", "ignore", "-c", LISTING[side]]
    return lambda: subprocess.run(command, check=True).returncode


def save_model(name: str, folder: str) -> None:
    """A folder as timm's hub repositories are; random weights."""
    from bench_create import save

    Path(folder).mkdir()
    save(name, Path(folder))


def creating(library: str, folder: str) -> Work:
    create_model = importlib.import_module(library).create_model
    return lambda: create_model(f"local-dir:{folder}", pretrained=True)


def to_tensor(library: str, model: str) -> Work:
    """From the file of a photo to what the model takes."""
    from PIL import Image

    side = importlib.import_module(library)
    config = side.data.resolve_data_config({}, model=side.create_model(model))
    transform = side.data.create_transform(**config)
    if library == "explorer":
        return lambda: transform(side.load_image(PHOTO))

    def open_and_transform() -> Any:
        with Image.open(PHOTO) as photo:
            return transform(photo.convert("RGB"))
    return open_and_transform


# --- forward ------------------------------------------------------------------------------------------------


def save_forward(name: str, folder: str) -> None:
    """The weights, one photo, and the network for the two runtimes where they can be written."""
    import numpy as np
    import timm
    import torch

    save_model(name, folder)
    model = timm.create_model(f"local-dir:{folder}", pretrained=True).eval()
    photo = np.random.default_rng(0).standard_normal((1, *model.pretrained_cfg["input_size"]), np.float32)
    np.save(Path(folder, "photo.npy"), photo)
    try:
        importlib.import_module("onnxscript")
    except ModuleNotFoundError:
        return
    torch.onnx.export(model, (torch.from_numpy(photo),), str(Path(folder, "model.onnx")), dynamo=True,
                      verbose=False)


def forward(side: str, folder: str, threads: int) -> Work:
    """One pass of one photo."""
    import numpy as np

    photo = np.load(Path(folder, "photo.npy"))
    if side == "ONNX Runtime":
        return onnx_runtime(onnx_file(folder), photo, threads)
    if side == "OpenVINO":
        return open_vino(onnx_file(folder), photo, threads)
    import torch

    library = importlib.import_module("timm" if side == "timm eager" else "explorer")
    model = library.create_model(f"local-dir:{folder}", pretrained=True).eval()
    if side != "timm eager":
        kept_memory()
    if side == "explorer, optimized":
        model = library.optimize(model)
    tensor = torch.from_numpy(photo)

    def work() -> Any:
        with torch.inference_mode():
            return model(tensor)
    return work


def onnx_file(folder: str) -> str:
    file = Path(folder, "model.onnx")
    if not file.exists():
        raise ModuleNotFoundError("onnxscript is needed to write the network", name="onnxscript")
    return str(file)


def onnx_runtime(file: str, photo: Any, threads: int) -> Work:
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    session = onnxruntime.InferenceSession(file, options, providers=["CPUExecutionProvider"])
    given = {session.get_inputs()[0].name: photo}
    return lambda: session.run(None, given)[0]


def open_vino(file: str, photo: Any, threads: int) -> Work:
    import openvino

    settings = {"INFERENCE_NUM_THREADS": threads, "PERFORMANCE_HINT": "LATENCY",
                "INFERENCE_PRECISION_HINT": "f32"}
    compiled = openvino.Core().compile_model(file, "CPU", settings)
    return lambda: compiled(photo)[0]


# --- a job and the main thread, in one process --------------------------------------------------------------


def job_and_main_thread(name: str, repeats: int) -> dict[str, float]:
    """Median seconds of an optimized pass in either, and the page faults of a pass without and with memory
    kept.
    """
    import torch

    import explorer

    model = explorer.optimize(explorer.create_model(name).eval())
    photo = torch.randn(1, *model.config.input_size)

    def work() -> Any:
        with torch.inference_mode():
            return model(photo)
    usual = faults(work)
    kept_memory()
    with_memory = faults(work)
    # One after the other: a team that was given back is made anew at each change of sides.
    return {"main thread": interleaved({"it": work}, repeats)["it"],
            "job": interleaved({"it": in_a_job(work)}, repeats)["it"],
            "faults": usual, "faults with memory kept": with_memory}


def in_a_job(work: Work) -> Work:
    """The same in a lasting thread, as a dashboard does: who waits rests, and so does who is done."""
    from explorer import _teams

    pool = ThreadPoolExecutor(1)

    def done() -> None:
        work()
        _teams.rest()

    def wait() -> None:
        _teams.rest()
        pool.submit(done).result()
    return wait


def faults(work: Work, passes: int = 10) -> float:
    """Page faults of one pass."""
    work()
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    for _ in range(passes):
        work()
    return (resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before) / passes


# --- a folder, and learning ---------------------------------------------------------------------------------


def save_photos(folder: str, count: int) -> None:
    from bench_folder import make_photos

    Path(folder).mkdir()
    make_photos(Path(folder), count)


def folder_pass(side: str, model: str, folder: str) -> Work:
    """Predictions of all photos of a folder."""
    import torch
    from bench_predict import Files

    import explorer

    network = explorer.create_model(model, pretrained=model.startswith("tf_efficientnet_lite")).eval()
    if side == "explorer.predict":
        kept_memory()
        return lambda: explorer.predict(network, folder)
    files = sorted(Path(folder).iterdir())
    transform = explorer.data.create_transform(**explorer.data.resolve_data_config({}, model=network))

    def loop() -> None:
        loader = torch.utils.data.DataLoader(Files(files, transform), batch_size=32, num_workers=2)
        with torch.inference_mode():
            for batch in loader:
                network(batch).softmax(1).topk(5)
    return loop


def learning(side: str, epochs: int, train: str, threads: int) -> Work:
    """A whole run; its result is the share of val photos that are right. Importing is not timed."""
    import bench_learning
    import torchvision  # noqa: F401

    import explorer.training.run.finetuning  # noqa: F401

    if side == "fastai":
        import fastai.vision.all  # noqa: F401
    run = {"explorer": bench_learning.ours, "plain loop": bench_learning.plain,
           "fastai": bench_learning.with_fastai}[side]
    return lambda: run(epochs, train, threads)[1]
