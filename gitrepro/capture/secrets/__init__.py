"""Keep passwords, keys and tokens out of what is recorded.

Two rules, applied before any byte reaches a journal:

- **by name**: the whole parts of a name (`db.userPassword` → db, user, password) say how suspicious its value is.
  A *strong* name hides any value but booleans and None; a *weak* one (`token`, `github_key`) hides strings that could
  be a credential; an *ambiguous* one (`sort_key`) hides only strings that look drawn at random.
- **by value**: shapes that mean a credential wherever they stand, such as the password in a URL, a private key block,
  or a provider's token prefix.

A hidden value becomes `<redacted:NAME-OR-KIND>`. No hash of it is kept: a short secret could be guessed from one.
"""

from __future__ import annotations

from .files import secret_file
from .names import MARK, secret_name
from .text import LineRedactor, redact_text
from .tree import redact_argv, redact_document, redact_tree, redact_value

__all__ = [
    "MARK",
    "LineRedactor",
    "redact_argv",
    "redact_document",
    "redact_text",
    "redact_tree",
    "redact_value",
    "secret_file",
    "secret_name",
]
