"""The OpenAPI document of the gateway, from the models that check what is sent and one table."""

from __future__ import annotations

from functools import cache
from typing import Any

from pydantic import BaseModel
from starlette.requests import Request
from starlette.responses import JSONResponse

from bursar.gateway.ask import BUDGET_HEADER, EFFORTS
from bursar.gateway.tenants import documents

_BUDGET_SAYS = 'Limits of this request, such as "2000 tokens, 0.01 USD, 5 s".'
_TEXT, _FLAG, _ANY = {"type": "string"}, {"type": "boolean"}, {"type": "object"}
_COUNT = {"type": "integer", "minimum": 1}
_TOKENS = {"type": "array", "items": {"type": "integer", "minimum": 0}, "minItems": 1}
_LINES = {"type": "array", "items": _TEXT, "minItems": 1}
_COMMON = {
    "model": {"type": "string", "minLength": 1, "maxLength": 300, "description": "A model's name, "
              "`auto`, or `strategy:model`."},
    "user": {"type": "string", "description": "An end user: an account below the key's."},
    "budget": {"type": "string", "description": _BUDGET_SAYS},
    "bursar": {
        "type": "object",
        "properties": {"budget": _TEXT, "extract": _TEXT},
        "additionalProperties": False,
    },
}  # fmt: skip
_GENERATING = {
    "max_tokens": _COUNT,
    "max_completion_tokens": _COUNT,
    "n": {**_COUNT, "maximum": 128},
    "stream": _FLAG,
    "stream_options": {"type": "object", "properties": {"include_usage": _FLAG}},
    "temperature": {"type": "number", "minimum": 0, "maximum": 2},
    "seed": {"type": "integer"},
}
_MESSAGE = {
    "type": "object",
    "required": ["role", "content"],
    "properties": {
        "role": {"enum": ["system", "developer", "user", "assistant"]},
        "content": {
            "anyOf": [
                _TEXT,
                {
                    "type": "array",
                    "items": {
                        "type": "object",
                        "required": ["type", "text"],
                        "properties": {"type": {"const": "text"}, "text": _TEXT},
                    },
                },
            ]
        },
    },
}
_RESPONSES = {
    "input": {"anyOf": [_TEXT, {"type": "array", "items": _MESSAGE, "minItems": 1}]},
    "instructions": _TEXT,
    "max_output_tokens": _COUNT,
    "stream": _FLAG,
    "temperature": _GENERATING["temperature"],
    "reasoning": {"type": "object", "properties": {"effort": {"enum": list(EFFORTS)}}},
    "text": _ANY,
    "tools": {"type": "array", "items": _ANY},
    "store": _FLAG,
}
_BODIES: dict[str, tuple[str, dict[str, Any], str]] = {
    "chat/completions": (
        "messages",
        {
            **_GENERATING,
            "messages": {"type": "array", "items": _MESSAGE, "minItems": 1},
            "reasoning_effort": {"enum": list(EFFORTS)},
            "tools": {"type": "array", "items": _ANY},
            "response_format": _ANY,
            "logprobs": _FLAG,
        },
        "An answer to a conversation.",
    ),
    "completions": (
        "prompt",
        {**_GENERATING, "prompt": {"anyOf": [_TEXT, _LINES, _TOKENS]}, "best_of": _COUNT},
        "How a text goes on.",
    ),
    "embeddings": ("input", {"input": {"anyOf": [_TEXT, _LINES, _TOKENS]}}, "Texts as vectors."),
    "responses": ("input", _RESPONSES, "An answer, as the Responses API has it."),
}
_PAGE = ("after", "most")
_ADMIN: list[tuple[str, str, str, type[BaseModel] | None, tuple[str, ...]]] = [
    ("get", "/organisations", "Organisations.", None, _PAGE),
    ("post", "/organisations", "A new organisation.", documents.NewOrganisation, ()),
    ("get", "/organisations/{account}", "One organisation.", None, ()),
    ("patch", "/organisations/{account}", "Its title.", documents.Title, ()),
    ("delete", "/organisations/{account}", "Close it.", None, ()),
    ("get", "/teams", "Teams.", None, ("organisation", *_PAGE)),
    ("post", "/teams", "A new team.", documents.NewTeam, ()),
    ("get", "/teams/{account}", "One team.", None, ()),
    ("patch", "/teams/{account}", "Its title.", documents.Title, ()),
    ("delete", "/teams/{account}", "Close it.", None, ()),
    ("get", "/keys", "Keys, without their text.", None, ("team", *_PAGE)),
    ("post", "/keys", "A new key; its text is told this once.", documents.NewKey, ()),
    ("get", "/keys/{key}", "One key.", None, ()),
    ("patch", "/keys/{key}", "Its rights.", documents.KeyRights, ()),
    ("delete", "/keys/{key}", "Revoke it.", None, ()),
    ("post", "/keys/{key}/rotate", "A new text for it.", documents.Rotation, ()),
    ("get", "/budgets", "Budgets as they stand.", None, ("under", *_PAGE)),
    ("get", "/budgets/{account}", "One budget.", None, ()),
    ("patch", "/budgets/{account}", "Its limits, its thresholds.", documents.BudgetEdit, ()),
    ("get", "/usage", "What was spent.", None, ("under", *_PAGE)),
    ("get", "/audit", "What was changed.", None, ("before", "most")),
    ("get", "/webhooks", "Webhooks.", None, ("under", *_PAGE)),
    ("post", "/webhooks", "A new webhook.", documents.NewWebhook, ()),
    ("delete", "/webhooks/{webhook}", "Remove it.", None, ()),
    ("get", "/session", "Who is signed in.", None, ()),
    ("post", "/session", "Sign in with a key.", documents.Login, ()),
    ("delete", "/session", "Sign out.", None, ()),
]
_LOOKS = ("overview", "top", "live", "limit", "me", "export")
_ERROR = {
    "type": "object",
    "required": ["error"],
    "properties": {
        "error": {
            "type": "object",
            "required": ["message", "type", "code"],
            "properties": {"message": _TEXT, "type": _TEXT, "code": _TEXT},
        }
    },
}


async def show_openapi(request: Request) -> JSONResponse:
    """The document."""
    return JSONResponse(openapi())


@cache
def openapi() -> dict[str, Any]:
    """The document, OpenAPI 3.1."""
    schemas: dict[str, Any] = {"Error": _ERROR}
    paths: dict[str, dict[str, Any]] = {}
    for path, (needed, fields, says) in _BODIES.items():
        body = {
            "type": "object",
            "required": ["model", needed],
            "properties": {**_COMMON, **fields},
        }
        budget = _parameter(BUDGET_HEADER, "header", _BUDGET_SAYS)
        paths[f"/v1/{path}"] = {"post": _operation(says, body, [budget])}
    paths["/v1/models"] = {"get": _operation("Models that may be asked for.")}
    paths["/v1/models/{name}"] = {"get": _operation("One model.", None, [_in_path("name")])}
    paths["/health"] = {"get": _operation("Whether this worker serves.", kinds=("2XX", "5XX"))}
    paths["/metrics"] = {"get": _operation("Prometheus's page.", shown="text/plain")}
    paths["/openapi.json"] = {"get": _operation("This document.")}
    for method, below, says, kind, query in _ADMIN:
        names = [part[1:-1] for part in below.split("/") if part.startswith("{")]
        parameters = [*map(_in_path, names), *(_parameter(name, "query") for name in query)]
        if kind is not None:
            schema = kind.model_json_schema(ref_template="#/components/schemas/{model}")
            schemas |= schema.pop("$defs", {}) | {kind.__name__: schema}
        sent = None if kind is None else {"$ref": f"#/components/schemas/{kind.__name__}"}
        operation = _operation(says, sent, parameters)
        paths.setdefault(f"/admin/v1{below}", {})[method] = operation
    for name in _LOOKS:
        operation = _operation("For the dashboard.")
        paths.setdefault(f"/admin/v1/seen/{name}", {})["get"] = operation
    key = {"type": "http", "scheme": "bearer"}
    return {
        "openapi": "3.1.0",
        "info": {"title": "bursar gateway", "version": "1"},
        "paths": paths,
        "components": {"schemas": schemas, "securitySchemes": {"key": key}},
        "security": [{"key": []}],
    }


def _operation(
    says: str,
    body: dict[str, Any] | None = None,
    parameters: list[dict[str, Any]] | None = None,
    *,
    kinds: tuple[str, ...] = ("2XX", "3XX", "4XX", "5XX"),
    shown: str = "application/json",
) -> dict[str, Any]:
    responses: dict[str, Any] = {}
    error = {"application/json": {"schema": {"$ref": "#/components/schemas/Error"}}}
    for kind in kinds:
        responses[kind] = {"description": kind}
        if kind in ("4XX", "5XX"):
            responses[kind]["content"] = error
        elif kind == "2XX":
            responses[kind]["content"] = {shown: {}, "text/event-stream": {}}
    made: dict[str, Any] = {"summary": says, "responses": responses}
    if parameters:
        made["parameters"] = parameters
    if body is not None:
        made["requestBody"] = {"required": True, "content": {"application/json": {"schema": body}}}
    return made


def _in_path(name: str) -> dict[str, Any]:
    return {**_parameter(name, "path"), "required": True}


def _parameter(name: str, where: str, says: str = "") -> dict[str, Any]:
    made: dict[str, Any] = {"name": name, "in": where, "schema": _TEXT}
    return {**made, "description": says} if says else made
