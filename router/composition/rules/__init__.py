"""Composition's rules, one concern a file: each looks at one thing and reports what is wrong with it.

Subgraph rules need one subgraph only, and run before merging; merge rules look at the merged schema and its sources.
"""

from collections.abc import Callable

from router.composition.merge import Merged
from router.composition.merge_context import MergeContext
from router.composition.model import Report, Subgraph
from router.composition.rules.auth import check_auth_places, check_transitive_auth
from router.composition.rules.cache_tag import check_cache_tags
from router.composition.rules.context import check_contexts
from router.composition.rules.cost import check_costs
from router.composition.rules.external import check_externals
from router.composition.rules.field_sets import check_field_sets
from router.composition.rules.hints import hint_implied_version, hint_inconsistent_types
from router.composition.rules.inaccessible import check_inaccessible
from router.composition.rules.interface_object import check_interface_object_keys, check_interface_objects
from router.composition.rules.interfaces import check_entity_interfaces, check_implementations
from router.composition.rules.schema import check_query_root
from router.composition.rules.shareable import check_shareable_usage
from router.composition.rules.sharing import check_sharing

SUBGRAPH_RULES: tuple[Callable[[Subgraph, Report], None], ...] = (
    check_field_sets,
    check_externals,
    check_shareable_usage,
    check_interface_object_keys,
    check_contexts,
    check_costs,
    check_cache_tags,
    check_auth_places,
    hint_implied_version,
)
MERGE_RULES: tuple[Callable[[MergeContext, Merged], None], ...] = (
    check_query_root,
    check_sharing,
    check_implementations,
    check_entity_interfaces,
    check_interface_objects,
    check_inaccessible,
    check_transitive_auth,
    hint_inconsistent_types,
)
