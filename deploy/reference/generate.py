#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Write ERRORS.md, STATS.md, CONFIG.md and openapi.json from the tables that the code is made of.

    deploy/reference/generate.py [--root DIR] [--out DIR]

A table is a .def file: one macro call a line.  The pages are committed, so that they can be read
without a build; tests/lint/docs_fresh.sh compares them with what this script writes.
"""
import argparse
import json
import pathlib
import re
import sys

CALL = re.compile(r"^([A-Z]+)\((.*)\)$")
ARGUMENT = re.compile(r'\s*((?:"(?:[^"\\]|\\.)*"\s*)+|[^",]+?)\s*(?:,|$)')
STRING = re.compile(r'"((?:[^"\\]|\\.)*)"')


def arguments_of(text):
    """Split the arguments of one macro call; adjacent string literals join."""
    values = []
    for argument in ARGUMENT.findall(text):
        strings = STRING.findall(argument)
        joined = "".join(strings) if strings or argument.startswith('"') else argument
        values.append(re.sub(r"\\(.)", r"\1", joined))
    return values


def rows_of(path, macro, width):
    """Every call of `macro` in the table at `path`, as lists of `width` arguments."""
    rows = []
    for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1):
        call = CALL.match(line.strip())
        if call and call.group(1) == macro:
            row = arguments_of(call.group(2))
            if len(row) != width:
                sys.exit(f"{path}:{number}: {len(row)} arguments; {macro} has {width}")
            rows.append(row)
    return rows


def table(heads, rows):
    """A Markdown table."""
    lines = ["| " + " | ".join(heads) + " |", "|" + "---|" * len(heads)]
    for row in rows:
        cells = [str(cell).replace("|", "\\|") for cell in row]
        lines.append("| " + " | ".join(cells) + " |")
    return "\n".join(lines) + "\n"


def errors_page(path):
    """The errors, in the order of their table."""
    classes = (
        "`CALLER`: the request is at fault, repeating it unchanged is useless. `BUSY`: nobody's "
        "fault, try again later.\n`REMOTE`: a target is at fault, weir itself tries again. `LOCAL`: "
        "weir is at fault, see its log.\n"
    )
    rows = [
        (f"`{name}`", kind, status, f"`{code}`", text)
        for name, kind, status, code, text in rows_of(path, "ERR", 5)
    ]
    heads = ("name", "class", "HTTP status", "AWS code", "meaning")
    return f"# Errors\n\n{classes}\n{table(heads, rows)}"


def stats_page(path):
    """The counters and the stages of latency."""
    counters = [
        (f"`{name}`", unit, sentence)
        for _, name, unit, sentence in rows_of(path, "COUNTER", 4)
    ]
    stages = [(f"`{name}`", sentence) for _, name, sentence in rows_of(path, "STAGE", 3)]
    figures = [
        (f"`{name}`", unit, sentence)
        for _, name, unit, sentence in rows_of(path, "FIGURE", 4)
    ]
    return (
        "# Statistics\n\nCounters start at 0 with the process and only grow.\n\n"
        + table(("counter", "unit", "counts"), counters)
        + "\n## Latencies\n\nEach stage is a histogram of microseconds.\n\n"
        + table(("stage", "measures"), stages)
        + "\n## The store\n\nMembers of `store` in `GET /v1/stats`, and `weir_store_…` in "
        "`/metrics`.\n\n"
        + table(("figure", "unit", "tells"), figures)
        + "\n## Dispatch roles\n\n`roles` in `GET /v1/stats`, and `weir_roles_…` in `/metrics`, "
        "count the dispatch roles of the catalog that STS\ngave (`healthy`) or refused (`broken`) "
        "when this process asked last, or of which it has said nothing yet\n(`unchecked`), and "
        "`sts_calls` for roles. A part of `accounts` has `role_healthy` and `role_broken`, 0 or 1, "
        "and\n`role_checked_ms`, the time of that answer. Alarms in the log: `role.broken` with the "
        "reason, and `role.healed`.\n"
    )


def largest_unit(number, units):
    """The number in the largest unit that divides it."""
    for suffix, factor in units:
        if number >= factor and number % factor == 0:
            return f"{number // factor}{suffix}"
    return str(number)


SIZES = (("TiB", 1 << 40), ("GiB", 1 << 30), ("MiB", 1 << 20), ("KiB", 1 << 10))
SPANS = (("d", 86400000), ("h", 3600000), ("m", 60000), ("s", 1000), ("ms", 1))


def range_of(kind, least, most, unit):
    """What a value may be, in words."""
    if (least, most) == ("0", "0"):
        return ""
    if kind in ("STRING", "PATH", "URL", "STORE"):
        return f"{least} to {most} characters"
    if kind == "STRINGS":
        return f"{least} to {most} strings"
    if kind == "PORTS":
        return f"{least} to {most} ports from 1 to 65535"
    if kind in ("SIZE", "SPAN"):
        units = SIZES if kind == "SIZE" else SPANS
        return f"{largest_unit(int(least), units)} to {largest_unit(int(most), units)}"
    return f"{least} to {most} {unit}".strip()


def config_page(path):
    """The settings, in the order of their table."""
    rows = [
        (
            f"`{name}`",
            kind.lower(),
            f"`{fallback}`" if fallback else "",
            range_of(kind, least, most, unit),
            sentence,
        )
        for _, name, kind, fallback, least, most, unit, sentence in rows_of(path, "SETTING", 8)
    ]
    heads = ("setting", "type", "default", "range", "meaning")
    notes = (
        "A dot in a name is a level of the JSON document: `listen.data.address` is "
        '`{"listen": {"data": {"address": …}}}`.\nA size is a number of bytes or ends in KiB, MiB, '
        "GiB or TiB; a span ends in ms, s, m, h or d.\nUnknown and repeated members are errors. "
        "Relative paths start at the folder of the file.\n"
    )
    return f"# Configuration\n\n{notes}\n{table(heads, rows)}"


RIGHTS = {
    "NOTHING": "Anybody.",
    "READ": "Any role.",
    "PAYLOAD": "Roles payload-viewer and operator.",
    "ACCOUNTS": "Roles account-admin and operator.",
    "OPERATE": "Role operator.",
}


def answer_of(schema, description):
    """A response with JSON of one schema."""
    reference = {"$ref": f"#/components/schemas/{schema}"}
    return {"description": description, "content": {"application/json": {"schema": reference}}}


def operation_of(handler, right, sentence, shape):
    """One route as OpenAPI describes it."""
    operation = {"operationId": handler, "summary": sentence, "description": RIGHTS[right]}
    parameters = [{"$ref": f"#/components/parameters/{name}"} for name in shape.get("parameters", ())]
    if "path" in shape:
        parameters.insert(0, {"name": shape["path"], "in": "path", "required": True,
                              "schema": {"type": "string"}})
    if parameters:
        operation["parameters"] = parameters
    if "body" in shape:
        operation["requestBody"] = {"required": True, **answer_of(shape["body"], "")}
        del operation["requestBody"]["description"]
    if shape.get("text"):
        operation["responses"] = {"200": {"description": "done", "content": {
            "text/plain": {"schema": {"type": "string"}}}}}
    else:
        operation["responses"] = {status: answer_of(schema, "done" if status == "200" else "not now")
                                  for status, schema in shape["answers"].items()}
    if right == "NOTHING":
        operation["security"] = []
    else:
        operation["responses"]["default"] = answer_of("Error", "refused or failed")
    return operation


def openapi(routes, shapes):
    """The admin API: routes from their table, shapes from the file beside this script."""
    paths, left = {}, dict(shapes["routes"])
    for method, path, right, handler, sentence in rows_of(routes, "ROUTE", 5):
        shape = left.pop(f"{method} {path}", None)
        if shape is None:
            sys.exit(f"openapi_shapes.json: nothing about {method} {path}")
        named = path.replace("*", "{" + shape.get("path", "") + "}")
        operation = operation_of(handler, right, sentence, shape)
        paths.setdefault(named, {})[method.lower()] = operation
    if left:
        sys.exit(f"openapi_shapes.json: no such route: {', '.join(left)}")
    document = {
        "openapi": "3.1.0",
        "info": shapes["info"],
        "servers": [{"url": "http://127.0.0.1:9443"}],
        "security": [{"token": []}],
        "paths": paths,
        "components": {
            "securitySchemes": {"token": {"type": "http", "scheme": "bearer"}},
            "parameters": shapes["parameters"],
            "schemas": shapes["schemas"],
        },
    }
    return json.dumps(document, indent=1) + "\n"


PAGES = (
    ("ERRORS.md", "core/err.def", errors_page),
    ("STATS.md", "core/stats.def", stats_page),
    ("CONFIG.md", "gateway/config.def", config_page),
)


def main():
    """Write every page whose table exists."""
    here = pathlib.Path(__file__).resolve().parent
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--root", type=pathlib.Path, default=here.parent.parent)
    parser.add_argument("--out", type=pathlib.Path, default=here)
    options = parser.parse_args()
    for page, source, make in PAGES:
        if (options.root / source).exists():
            note = f"<!-- Made from {source} by deploy/reference/generate.py; edit that table. -->\n\n"
            text = note + make(options.root / source)
            (options.out / page).write_text(text, encoding="utf-8")
    routes = options.root / "gateway/admin_routes.def"
    if routes.exists():
        shapes = json.loads((options.root / "deploy/reference/openapi_shapes.json").read_text())
        (options.out / "openapi.json").write_text(openapi(routes, shapes), encoding="utf-8")


if __name__ == "__main__":
    main()
