"""/docs: the OpenAPI document as one page for a person, without a script or anything from elsewhere. Pure."""

from __future__ import annotations

import html
import json
from collections.abc import Iterator
from typing import Any

_STYLE = """
:root { color-scheme: light dark; font: 16px/1.5 system-ui, sans-serif; }
body { max-width: 60rem; margin: 2rem auto; padding: 0 1rem; }
section { border-top: 1px solid #8886; padding: .5rem 0 1rem; }
h2 { font: 600 1.05rem/1.4 ui-monospace, monospace; margin: .5rem 0; }
h2 b { display: inline-block; min-width: 3.5rem; }
table { border-collapse: collapse; width: 100%; }
td { padding: .15rem .75rem .15rem 0; vertical-align: top; }
code, pre { font: .85rem/1.45 ui-monospace, monospace; }
pre { overflow-x: auto; padding: .75rem; background: #8881; border-radius: .4rem; }
"""


def page(document: dict[str, Any]) -> str:
    parts = [_operation(path, method, each) for path, of in document["paths"].items() for method, each in of.items()]
    schemas = html.escape(json.dumps(document["components"]["schemas"], indent=2))
    info = document["info"]
    return (
        '<!doctype html><html lang="en"><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<title>{html.escape(info['title'])}</title><style>{_STYLE}</style>"
        f"<h1>{html.escape(info['title'])}</h1><p>{html.escape(info['description'])}</p>"
        f"{''.join(parts)}<section><h2>Types</h2><pre>{schemas}</pre></section></html>"
    )


def _operation(path: str, method: str, each: dict[str, Any]) -> str:
    rows = "".join(f"<tr><td><code>{name}</code><td>{doc}" for name, doc in _rows(each))
    about = html.escape(each["summary"] + " " + each.get("description", ""))
    return (
        f'<section id="{each["operationId"]}"><h2><b>{method.upper()}</b> {html.escape(path)}</h2>'
        f"<p>{about}</p><table>{rows}</table></section>"
    )


def _rows(each: dict[str, Any]) -> Iterator[tuple[str, str]]:
    for parameter in each["parameters"]:
        needed = "needed, " if parameter["required"] else ""
        yield parameter["name"], html.escape(f"{needed}{parameter['in']}: {parameter['description']}")
    if "requestBody" in each:
        yield "body", _type(each["requestBody"]["content"]["application/json"]["schema"])
    for status, answer in each["responses"].items():
        kinds = [_type(content["schema"]) for content in answer.get("content", {}).values()]
        yield status, html.escape(answer["description"]) + (f", {kinds[0]}" if kinds else "")


def _type(schema: dict[str, Any]) -> str:
    return f"<code>{html.escape(schema['$ref'].rsplit('/', 1)[-1])}</code>" if "$ref" in schema else "JSON"
