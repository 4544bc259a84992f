"""Tasks that come with the node. This module stays free of torch, so that anyone may list them."""

from typing import Final

BUILT_IN: Final = {
    "breast-cancer": ("flocknode.learning.tasks.breast_cancer", "BreastCancer"),
    "digits": ("flocknode.learning.tasks.digits", "Digits"),
}
"""Name -> (module, class)."""
