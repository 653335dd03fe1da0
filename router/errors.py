"""Every error a router phase can report, one group a phase.

Composition collects its errors and returns them; the other phases raise subclasses of :class:`RouterError`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any


class RouterError(Exception):
    """Anything the router refuses to do, with a message fit for the person who asked for it."""


# --- composition --------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, order=True)
class Place:
    """Where in a subgraph's SDL; lines and columns start at 1."""

    subgraph: str
    line: int
    column: int

    def __str__(self) -> str:
        return f"{self.subgraph}:{self.line}:{self.column}"


class CompositionErrorCode(StrEnum):
    """The published composition error codes that subgraphs can provoke (Federation reference, "Error codes")."""

    AUTH_REQUIREMENTS_APPLIED_ON_INTERFACE = "AUTH_REQUIREMENTS_APPLIED_ON_INTERFACE"
    CACHE_TAG_ENTITY_NOT_RESOLVABLE = "CACHE_TAG_ENTITY_NOT_RESOLVABLE"
    CACHE_TAG_FORMAT_NULLABLE_ARGUMENT = "CACHE_TAG_FORMAT_NULLABLE_ARGUMENT"
    CACHE_TAG_FORMAT_NULLABLE_FIELD = "CACHE_TAG_FORMAT_NULLABLE_FIELD"
    CACHE_TAG_INVALID_FORMAT = "CACHE_TAG_INVALID_FORMAT"
    CACHE_TAG_INVALID_FORMAT_ARGUMENT_ON_ENTITY = "CACHE_TAG_INVALID_FORMAT_ARGUMENT_ON_ENTITY"
    CACHE_TAG_INVALID_FORMAT_ARGUMENT_ON_ROOT_FIELD = "CACHE_TAG_INVALID_FORMAT_ARGUMENT_ON_ROOT_FIELD"
    CACHE_TAG_INVALID_FORMAT_FIELD_SET_ON_ENTITY = "CACHE_TAG_INVALID_FORMAT_FIELD_SET_ON_ENTITY"
    CACHE_TAG_NOT_ON_ROOT_FIELD = "CACHE_TAG_NOT_ON_ROOT_FIELD"
    CONTEXTUAL_ARGUMENT_NOT_CONTEXTUAL_IN_ALL_SUBGRAPHS = "CONTEXTUAL_ARGUMENT_NOT_CONTEXTUAL_IN_ALL_SUBGRAPHS"
    CONTEXT_INVALID_SELECTION = "CONTEXT_INVALID_SELECTION"
    CONTEXT_NAME_INVALID = "CONTEXT_NAME_INVALID"
    CONTEXT_NOT_SET = "CONTEXT_NOT_SET"
    CONTEXT_NO_RESOLVABLE_KEY = "CONTEXT_NO_RESOLVABLE_KEY"
    COST_APPLIED_TO_INTERFACE_FIELD = "COST_APPLIED_TO_INTERFACE_FIELD"
    DEFAULT_VALUE_USES_INACCESSIBLE = "DEFAULT_VALUE_USES_INACCESSIBLE"
    DIRECTIVE_COMPOSITION_ERROR = "DIRECTIVE_COMPOSITION_ERROR"
    DIRECTIVE_DEFINITION_INVALID = "DIRECTIVE_DEFINITION_INVALID"
    DISALLOWED_INACCESSIBLE = "DISALLOWED_INACCESSIBLE"
    EMPTY_MERGED_ENUM_TYPE = "EMPTY_MERGED_ENUM_TYPE"
    EMPTY_MERGED_INPUT_TYPE = "EMPTY_MERGED_INPUT_TYPE"
    ENUM_VALUE_MISMATCH = "ENUM_VALUE_MISMATCH"
    EXTENSION_WITH_NO_BASE = "EXTENSION_WITH_NO_BASE"
    EXTERNAL_ARGUMENT_DEFAULT_MISMATCH = "EXTERNAL_ARGUMENT_DEFAULT_MISMATCH"
    EXTERNAL_ARGUMENT_MISSING = "EXTERNAL_ARGUMENT_MISSING"
    EXTERNAL_ARGUMENT_TYPE_MISMATCH = "EXTERNAL_ARGUMENT_TYPE_MISMATCH"
    EXTERNAL_COLLISION_WITH_ANOTHER_DIRECTIVE = "EXTERNAL_COLLISION_WITH_ANOTHER_DIRECTIVE"
    EXTERNAL_MISSING_ON_BASE = "EXTERNAL_MISSING_ON_BASE"
    EXTERNAL_ON_INTERFACE = "EXTERNAL_ON_INTERFACE"
    EXTERNAL_TYPE_MISMATCH = "EXTERNAL_TYPE_MISMATCH"
    EXTERNAL_UNUSED = "EXTERNAL_UNUSED"
    FIELD_ARGUMENT_DEFAULT_MISMATCH = "FIELD_ARGUMENT_DEFAULT_MISMATCH"
    FIELD_ARGUMENT_TYPE_MISMATCH = "FIELD_ARGUMENT_TYPE_MISMATCH"
    FIELD_TYPE_MISMATCH = "FIELD_TYPE_MISMATCH"
    IMPLEMENTED_BY_INACCESSIBLE = "IMPLEMENTED_BY_INACCESSIBLE"
    INPUT_FIELD_DEFAULT_MISMATCH = "INPUT_FIELD_DEFAULT_MISMATCH"
    INTERFACE_FIELD_NO_IMPLEM = "INTERFACE_FIELD_NO_IMPLEM"
    INTERFACE_KEY_MISSING_IMPLEMENTATION_TYPE = "INTERFACE_KEY_MISSING_IMPLEMENTATION_TYPE"
    INTERFACE_KEY_NOT_ON_IMPLEMENTATION = "INTERFACE_KEY_NOT_ON_IMPLEMENTATION"
    INTERFACE_OBJECT_USAGE_ERROR = "INTERFACE_OBJECT_USAGE_ERROR"
    INVALID_FIELD_SHARING = "INVALID_FIELD_SHARING"
    INVALID_GRAPHQL = "INVALID_GRAPHQL"
    INVALID_LINK_DIRECTIVE_USAGE = "INVALID_LINK_DIRECTIVE_USAGE"
    INVALID_LINK_IDENTIFIER = "INVALID_LINK_IDENTIFIER"
    INVALID_SHAREABLE_USAGE = "INVALID_SHAREABLE_USAGE"
    INVALID_SUBGRAPH_NAME = "INVALID_SUBGRAPH_NAME"
    KEY_DIRECTIVE_IN_FIELDS_ARG = "KEY_DIRECTIVE_IN_FIELDS_ARG"
    KEY_FIELDS_HAS_ARGS = "KEY_FIELDS_HAS_ARGS"
    KEY_FIELDS_SELECT_INVALID_TYPE = "KEY_FIELDS_SELECT_INVALID_TYPE"
    KEY_INVALID_FIELDS = "KEY_INVALID_FIELDS"
    KEY_INVALID_FIELDS_TYPE = "KEY_INVALID_FIELDS_TYPE"
    KEY_UNSUPPORTED_ON_INTERFACE = "KEY_UNSUPPORTED_ON_INTERFACE"
    LINK_IMPORT_NAME_MISMATCH = "LINK_IMPORT_NAME_MISMATCH"
    LIST_SIZE_APPLIED_TO_NON_LIST = "LIST_SIZE_APPLIED_TO_NON_LIST"
    LIST_SIZE_INVALID_ASSUMED_SIZE = "LIST_SIZE_INVALID_ASSUMED_SIZE"
    LIST_SIZE_INVALID_SIZED_FIELD = "LIST_SIZE_INVALID_SIZED_FIELD"
    LIST_SIZE_INVALID_SLICING_ARGUMENT = "LIST_SIZE_INVALID_SLICING_ARGUMENT"
    MERGED_DIRECTIVE_APPLICATION_ON_EXTERNAL = "MERGED_DIRECTIVE_APPLICATION_ON_EXTERNAL"
    MISSING_TRANSITIVE_AUTH_REQUIREMENTS = "MISSING_TRANSITIVE_AUTH_REQUIREMENTS"
    NO_CONTEXT_IN_SELECTION = "NO_CONTEXT_IN_SELECTION"
    NO_QUERIES = "NO_QUERIES"
    ONLY_INACCESSIBLE_CHILDREN = "ONLY_INACCESSIBLE_CHILDREN"
    OVERRIDE_COLLISION_WITH_ANOTHER_DIRECTIVE = "OVERRIDE_COLLISION_WITH_ANOTHER_DIRECTIVE"
    OVERRIDE_FROM_SELF_ERROR = "OVERRIDE_FROM_SELF_ERROR"
    OVERRIDE_LABEL_INVALID = "OVERRIDE_LABEL_INVALID"
    OVERRIDE_ON_INTERFACE = "OVERRIDE_ON_INTERFACE"
    OVERRIDE_SOURCE_HAS_OVERRIDE = "OVERRIDE_SOURCE_HAS_OVERRIDE"
    PROVIDES_DIRECTIVE_IN_FIELDS_ARG = "PROVIDES_DIRECTIVE_IN_FIELDS_ARG"
    PROVIDES_FIELDS_HAS_ARGS = "PROVIDES_FIELDS_HAS_ARGS"
    PROVIDES_FIELDS_MISSING_EXTERNAL = "PROVIDES_FIELDS_MISSING_EXTERNAL"
    PROVIDES_INVALID_FIELDS = "PROVIDES_INVALID_FIELDS"
    PROVIDES_INVALID_FIELDS_TYPE = "PROVIDES_INVALID_FIELDS_TYPE"
    PROVIDES_ON_NON_OBJECT_FIELD = "PROVIDES_ON_NON_OBJECT_FIELD"
    PROVIDES_UNSUPPORTED_ON_INTERFACE = "PROVIDES_UNSUPPORTED_ON_INTERFACE"
    QUERY_ROOT_TYPE_INACCESSIBLE = "QUERY_ROOT_TYPE_INACCESSIBLE"
    REFERENCED_INACCESSIBLE = "REFERENCED_INACCESSIBLE"
    REQUIRED_ARGUMENT_MISSING_IN_SOME_SUBGRAPH = "REQUIRED_ARGUMENT_MISSING_IN_SOME_SUBGRAPH"
    REQUIRED_INACCESSIBLE = "REQUIRED_INACCESSIBLE"
    REQUIRED_INPUT_FIELD_MISSING_IN_SOME_SUBGRAPH = "REQUIRED_INPUT_FIELD_MISSING_IN_SOME_SUBGRAPH"
    REQUIRES_DIRECTIVE_IN_FIELDS_ARG = "REQUIRES_DIRECTIVE_IN_FIELDS_ARG"
    REQUIRES_FIELDS_MISSING_EXTERNAL = "REQUIRES_FIELDS_MISSING_EXTERNAL"
    REQUIRES_INVALID_FIELDS = "REQUIRES_INVALID_FIELDS"
    REQUIRES_INVALID_FIELDS_TYPE = "REQUIRES_INVALID_FIELDS_TYPE"
    REQUIRES_UNSUPPORTED_ON_INTERFACE = "REQUIRES_UNSUPPORTED_ON_INTERFACE"
    ROOT_MUTATION_USED = "ROOT_MUTATION_USED"
    ROOT_QUERY_USED = "ROOT_QUERY_USED"
    ROOT_SUBSCRIPTION_USED = "ROOT_SUBSCRIPTION_USED"
    SATISFIABILITY_ERROR = "SATISFIABILITY_ERROR"
    SHAREABLE_HAS_MISMATCHED_RUNTIME_TYPES = "SHAREABLE_HAS_MISMATCHED_RUNTIME_TYPES"
    TYPE_DEFINITION_INVALID = "TYPE_DEFINITION_INVALID"
    TYPE_KIND_MISMATCH = "TYPE_KIND_MISMATCH"
    TYPE_WITH_ONLY_UNUSED_EXTERNAL = "TYPE_WITH_ONLY_UNUSED_EXTERNAL"
    UNKNOWN_FEDERATION_LINK_VERSION = "UNKNOWN_FEDERATION_LINK_VERSION"
    UNKNOWN_LINK_VERSION = "UNKNOWN_LINK_VERSION"


@dataclass(frozen=True, slots=True)
class CompositionError:
    """One reason why subgraphs cannot be composed. A value, not an exception: composition reports all of them."""

    code: CompositionErrorCode
    message: str
    subgraphs: tuple[str, ...] = ()
    places: tuple[Place, ...] = ()

    def __str__(self) -> str:
        return _report(self.code, self.message, self.subgraphs, self.places)


@dataclass(frozen=True, slots=True)
class CompositionHint:
    """Something legal in the subgraphs that is probably not meant, or could be tidied."""

    code: str
    message: str
    subgraphs: tuple[str, ...] = ()
    places: tuple[Place, ...] = ()

    def __str__(self) -> str:
        return _report(self.code, self.message, self.subgraphs, self.places)


def _report(code: str, message: str, subgraphs: tuple[str, ...], places: tuple[Place, ...]) -> str:
    where = ", ".join(map(str, places)) or ", ".join(subgraphs)
    return f"{code}: {message}" + (f" [{where}]" if where else "")


class SourceError(RouterError):
    """A subgraph's SDL, or the file that lists the subgraphs, could not be obtained or understood."""


# --- supergraph and planning --------------------------------------------------------------------------------------


class SupergraphError(RouterError):
    """A supergraph SDL that cannot be served."""


class PlanningError(RouterError):
    """An operation for which no plan was found, or none in time."""


# --- requests and execution ---------------------------------------------------------------------------------------


class RequestErrorCode(StrEnum):
    """``extensions.code`` of errors that the router itself puts into an answer."""

    BAD_REQUEST = "BAD_REQUEST"
    GRAPHQL_PARSE_FAILED = "GRAPHQL_PARSE_FAILED"
    GRAPHQL_VALIDATION_FAILED = "GRAPHQL_VALIDATION_FAILED"
    OPERATION_RESOLUTION_FAILURE = "OPERATION_RESOLUTION_FAILURE"
    BAD_USER_INPUT = "BAD_USER_INPUT"
    LIMIT_EXCEEDED = "LIMIT_EXCEEDED"
    PERSISTED_QUERY_NOT_FOUND = "PERSISTED_QUERY_NOT_FOUND"
    PERSISTED_QUERY_NOT_SUPPORTED = "PERSISTED_QUERY_NOT_SUPPORTED"
    PERSISTED_QUERY_ONLY = "PERSISTED_QUERY_ONLY"
    COST_ESTIMATED_TOO_EXPENSIVE = "COST_ESTIMATED_TOO_EXPENSIVE"
    RATE_LIMITED = "RATE_LIMITED"
    CSRF_PREVENTED = "CSRF_PREVENTED"
    UNAUTHENTICATED = "UNAUTHENTICATED"
    FORBIDDEN = "FORBIDDEN"
    REQUEST_TIMEOUT = "REQUEST_TIMEOUT"
    QUERY_PLANNING_FAILED = "QUERY_PLANNING_FAILED"
    INTERNAL_SERVER_ERROR = "INTERNAL_SERVER_ERROR"
    OVERLOADED = "OVERLOADED"
    SUBGRAPH_UNREACHABLE = "SUBGRAPH_UNREACHABLE"
    SUBGRAPH_TIMEOUT = "SUBGRAPH_TIMEOUT"
    SUBGRAPH_HTTP_ERROR = "SUBGRAPH_HTTP_ERROR"
    SUBGRAPH_MALFORMED_RESPONSE = "SUBGRAPH_MALFORMED_RESPONSE"
    SUBGRAPH_UNAVAILABLE = "SUBGRAPH_UNAVAILABLE"
    SUBGRAPH_OVERLOADED = "SUBGRAPH_OVERLOADED"
    SUBGRAPH_ERROR = "SUBGRAPH_ERROR"
    INVALID_SUBGRAPH_VALUE = "INVALID_SUBGRAPH_VALUE"


class OperationError(RouterError):
    """The document has no such operation, or does not fit the schema."""


class VariablesError(RouterError):
    """The request's variables do not fit the operation; one message for each."""

    def __init__(self, messages: list[str]) -> None:
        super().__init__("; ".join(messages))
        self.messages = messages


class RequestError(RouterError):
    """A request that is refused whole, for one reason or several.

    ``status`` is the HTTP status. ``malformed``: it was no GraphQL request at all, so the status holds for every
    media type; otherwise ``application/json`` answers with 200 (GraphQL over HTTP, "Status codes").
    """

    def __init__(
        self,
        code: RequestErrorCode,
        *messages: str,
        status: int = 400,
        malformed: bool = False,
        locations: tuple[tuple[tuple[int, int], ...], ...] = (),
        extensions: Mapping[str, Any] | None = None,
        retry_after: int | None = None,
    ) -> None:
        super().__init__("; ".join(messages))
        self.code = code
        self.messages = messages
        self.status = status
        self.malformed = malformed
        self.locations = locations
        """Per message: lines and columns in the document."""
        self.extensions = extensions or {}
        """Told beside the code."""
        self.retry_after = retry_after
        """Whole seconds until the same request may be accepted, for the ``Retry-After`` header."""


class SubgraphError(RouterError):
    """A subgraph gave no usable answer. The message is fit for clients: no host, no exception text.

    ``again``: no answer has begun to come, and sending a query once more may help. ``retry_after``: in how many seconds
    it may be sent, where that is known. ``refused``: what was sent was wrong, which tells nothing against the subgraph.
    """

    def __init__(
        self,
        code: RequestErrorCode,
        message: str,
        *,
        again: bool = False,
        retry_after: float | None = None,
        refused: bool = False,
    ) -> None:
        super().__init__(message)
        self.code = code
        self.message = message
        self.again = again
        self.retry_after = retry_after
        self.refused = refused
