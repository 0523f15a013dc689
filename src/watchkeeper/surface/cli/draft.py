"""`wk draft ALERT`: a catalogue entry for an alert that nothing in the catalogue answers for."""

from watchkeeper.report.stub import stub
from watchkeeper.surface.cli.find import one
from watchkeeper.surface.cli.place import Ends, Exit


def draft(alert: str, /, *, owner: str = "") -> int:
    """Draft a catalogue entry for an unmapped alert: wk draft ALERT >> catalog/drafted.yaml, then wk check.

    Parameters
    ----------
    alert
        The alert, its id or the last digits of it.
    owner
        The group that answers for it, for example group:payments.
    """
    _, identity, found = one("/alerts", alert, "alert")
    if found.get("entity"):
        raise Ends(Exit.NO, f"{identity} is mapped already, to {found['entity']}")
    try:
        text = stub(found["labels"], found.get("entity_from") or ("service", "job", "instance"), owner)
    except ValueError as no:
        raise Ends(Exit.NO, str(no)) from no
    print("---\n" + text, end="")
    return Exit.DONE
