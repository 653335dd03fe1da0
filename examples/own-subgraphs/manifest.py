"""Prints the manifest of a file's operations: ``python manifest.py partner.graphql > partner.json``."""

import hashlib
import json
import sys
from pathlib import Path

from graphql import OperationDefinitionNode, parse, print_ast


def entry(operation: OperationDefinitionNode) -> dict[str, str]:
    assert operation.name is not None, "every operation needs a name"
    body = print_ast(operation)
    identity = hashlib.sha256(body.encode()).hexdigest()
    return {"id": identity, "name": operation.name.value, "type": operation.operation.value, "body": body}


found = parse(Path(sys.argv[1]).read_text(encoding="utf-8")).definitions
operations = [entry(node) for node in found if isinstance(node, OperationDefinitionNode)]
print(json.dumps({"format": "apollo-persisted-query-manifest", "version": 1, "operations": operations}, indent=2))
