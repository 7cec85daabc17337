"""Make the stubs from the proto file: `python -m services.salesforce.pubsub.proto.generate` (needs grpcio-tools)."""

from __future__ import annotations

import sys
from importlib.resources import files
from pathlib import Path

HERE = Path(__file__).parent
STUBS = HERE.parent / "generated"


def main() -> int:
    from grpc_tools import protoc  # type: ignore[import-untyped]

    include = str(files("grpc_tools").joinpath("_proto"))
    outputs = [f"--{kind}_out={STUBS}" for kind in ("python", "pyi", "grpc_python")]
    code = int(protoc.main(["protoc", f"-I{HERE}", f"-I{include}", *outputs, "pubsub_api.proto"]))
    if code == 0:
        _import_from_package(STUBS / "pubsub_api_pb2_grpc.py")
    return code


def _import_from_package(stub: Path) -> None:
    """The generator writes a top-level import, which only works with the stubs' folder on the path."""
    text = stub.read_text(encoding="utf-8")
    package = "services.salesforce.pubsub.generated"
    stub.write_text(text.replace("import pubsub_api_pb2 as", f"from {package} import pubsub_api_pb2 as"), "utf-8")


if __name__ == "__main__":
    sys.exit(main())
