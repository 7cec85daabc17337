"""Compiles pubsub_api.proto into ../generated; run it after a change of the proto."""

from pathlib import Path

from grpc_tools import protoc  # type: ignore[import-untyped]

HERE = Path(__file__).parent
OUT = HERE.parent / "generated"


def main() -> None:
    code = protoc.main(
        [
            "protoc",
            f"-I{HERE}",
            f"--python_out={OUT}",
            f"--pyi_out={OUT}",
            f"--grpc_python_out={OUT}",
            "pubsub_api.proto",
        ]
    )
    if code:
        raise SystemExit(code)
    stub = OUT / "pubsub_api_pb2_grpc.py"
    # protoc writes an absolute import, which would claim a top-level module name.
    stub.write_text(stub.read_text().replace("import pubsub_api_pb2 as", "from . import pubsub_api_pb2 as"))


if __name__ == "__main__":
    main()
