"""Write the documents made from the types: JSON Schema, AsyncAPI, test vectors."""

from __future__ import annotations

from schemas import documents, vectors


def main() -> None:
    for path, text in [*documents.files(), (vectors.FILE, vectors.text())]:
        path.parent.mkdir(exist_ok=True)
        path.write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
