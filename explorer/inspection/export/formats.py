"""The two kinds of file: ONNX (`torch.onnx`) and PyTorch's own (`torch.export.save`)."""

from __future__ import annotations

import io
import json
import re
import zipfile
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol

import torch
from torch import Tensor, nn
from torch.export import ExportedProgram

from explorer.inspection.export.facts import MARK
from explorer.inspection.export.narrowing import Narrowed, narrow

FACTS = "explorer.json"  # the extra file of a .pt2


class Kind(Protocol):
    """One kind of file.

    title: what it is called;  most_bytes: of weights that it holds, None for as many as there are
    """

    title: str
    most_bytes: int | None

    def prepare(self) -> None:
        """Raises ModuleNotFoundError, with what to install, where a package is missing."""
        ...

    def is_ours(self, path: Path) -> bool:
        """Whether explorer has written that file."""
        ...

    def stored(self, part: nn.Module, precision: str) -> nn.Module:
        """The module with its weights as they are to lie in the file, where that is done before exporting."""
        ...

    def as_bytes(
        self, program: ExportedProgram, inputs: Sequence[str], results: Sequence[str],
        facts: Mapping[str, Any], precision: str,
    ) -> bytes:
        """The whole file. inputs, results: the names of the program's"""
        ...

    def run(self, path: Path, inputs: Mapping[str, Tensor], results: Sequence[str]) -> dict[str, Tensor]:
        """What the file gives for inputs, by name."""
        ...


class TorchFile:
    """`torch.export.load(path).module()(photos)` runs it; the facts are its extra file explorer.json."""

    title = "a program of torch.export"
    most_bytes = None

    def prepare(self) -> None:
        """PyTorch is all that it needs."""

    def is_ours(self, path: Path) -> bool:
        try:
            with zipfile.ZipFile(path) as archive:
                inside = [name for name in archive.namelist() if name.rpartition("/")[2] == FACTS]
                return any(MARK.encode() in archive.read(name) for name in inside)
        except (zipfile.BadZipFile, OSError, RuntimeError):  # no archive, or one with a password
            return False

    def stored(self, part: nn.Module, precision: str) -> nn.Module:
        return Narrowed(part) if precision == "float16" else part

    def as_bytes(
        self, program: ExportedProgram, inputs: Sequence[str], results: Sequence[str],
        facts: Mapping[str, Any], precision: str,
    ) -> bytes:
        file = io.BytesIO()
        torch.export.save(program, file, extra_files={FACTS: json.dumps(facts)})
        return file.getvalue()

    def run(self, path: Path, inputs: Mapping[str, Tensor], results: Sequence[str]) -> dict[str, Tensor]:
        with path.open("rb") as file:
            program = torch.export.load(file)  # type: ignore[arg-type]
        with torch.no_grad():
            return program.module()(*inputs.values())


class OnnxFile:
    """ONNX Runtime runs it, and much else; each fact is one of its metadata_props, a text or JSON."""

    title = "ONNX"
    most_bytes = 1536 * 1024**2  # protobuf ends at 2 GiB

    def prepare(self) -> None:
        try:
            import onnx  # noqa: F401
            import onnxscript  # noqa: F401
        except ImportError as error:
            raise ModuleNotFoundError(
                "An ONNX file needs the packages onnx and onnxscript, which are not complete here "
                f"({error}): pip install 'vision-explorer[live]'. A .pt2 file needs PyTorch alone."
            ) from error

    def is_ours(self, path: Path) -> bool:
        import onnx

        try:
            model = onnx.load(str(path), format="protobuf", load_external_data=False)
        except Exception:  # whatever the parser says of other files
            return False
        return any(fact.key == MARK for fact in model.metadata_props)

    def stored(self, part: nn.Module, precision: str) -> nn.Module:
        return part  # the exporter computes with constants, and would make them float32 again

    def as_bytes(
        self, program: ExportedProgram, inputs: Sequence[str], results: Sequence[str],
        facts: Mapping[str, Any], precision: str,
    ) -> bytes:
        import onnx.helper

        made = torch.onnx.export(program, (), input_names=list(inputs), output_names=list(results),
                                 dynamo=True, external_data=False, verbose=False)
        assert made is not None  # as it is with dynamo
        model = made.model_proto
        for node in (*model.graph.node, *(node for each in model.functions for node in each.node)):
            del node.metadata_props[:]  # where on this computer each line of code lies
        texts = {key: fact if isinstance(fact, str) else json.dumps(fact) for key, fact in facts.items()}
        onnx.helper.set_model_props(model, texts)
        _name_batch(model)
        if precision == "float16":
            narrow(model)
        return model.SerializeToString()

    def run(self, path: Path, inputs: Mapping[str, Tensor], results: Sequence[str]) -> dict[str, Tensor]:
        return self.runner(path)(inputs, results)

    def runner(self, path: Path) -> Callable[[Mapping[str, Tensor], Sequence[str]], dict[str, Tensor]]:
        """What runs a file again and again, as `run` does."""
        ask: Callable[..., Any]
        try:
            import onnxruntime
        except ImportError:
            from onnx.reference import ReferenceEvaluator

            ask = ReferenceEvaluator(str(path)).run
        else:
            options = onnxruntime.SessionOptions()
            options.log_severity_level, options.intra_op_num_threads = 3, torch.get_num_threads()
            ask = onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"]).run

        def run(inputs: Mapping[str, Tensor], results: Sequence[str]) -> dict[str, Tensor]:
            found = ask(list(results), {name: tensor.numpy() for name, tensor in inputs.items()})
            return {name: torch.as_tensor(value) for name, value in zip(results, found)}

        return run


def _name_batch(model: Any) -> None:
    """Where it takes any number of photos, torch has called that number "s40" or the like: "batch"."""
    number = model.graph.input[0].type.tensor_type.shape.dim[0].dim_param
    if not number:
        return
    for value in (*model.graph.input, *model.graph.output, *model.graph.value_info):
        for side in value.type.tensor_type.shape.dim:
            if side.dim_param:
                side.dim_param = re.sub(rf"\b{re.escape(number)}\b", "batch", side.dim_param)


KINDS: dict[str, Kind] = {".onnx": OnnxFile(), ".pt2": TorchFile()}
