"""What a window is linked by on a page, and known by in a calendar."""

from maintsched.facts import WindowKind
from maintsched.plan import PlanWindow


def anchor_of(planned: PlanWindow) -> str:
    """Return a text that names one window of a plan, and stays when the window moves: its id.

    A monthly window that was moved for some instances only is there twice under one id; the moved one takes the first
    of those instances as well.
    """
    window, declared = planned.window, planned.declared
    some = declared.instances if declared is not None and window.kind is WindowKind.MONTHLY else ()
    return f"{window.id}/{min(some)}" if some else window.id
