"""The risk class of a runbook, worked out from what its steps can do, with the reason for each point.

Its author may raise it and never lower it. A shell string, a destructive word anywhere in an argument, or a privilege
makes it high, however deep it is hidden in a list. Source: CAPABILITIES 4.6.
"""

import re
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, Final

from watchkeeper.packs.action import ACTIONS, Harm, PackAction
from watchkeeper.packs.expression import Template
from watchkeeper.packs.rule import Risk
from watchkeeper.packs.runbook import Call, Effect, Permission, Runbook, Step, StepKind

RISK_ORDER: Final = tuple(Risk)
REASONS_MAX: Final = 20

Reason = tuple[Risk, str]

_SHELLS: Final = frozenset(
    [
        "sh",
        "ash",
        "bash",
        "csh",
        "dash",
        "fish",
        "ksh",
        "mksh",
        "tcsh",
        "zsh",
        "cmd",
        "cmd.exe",
        "pwsh",
        "powershell",
        "powershell.exe",
    ]
)
_INTERPRETERS: Final = re.compile(r"(?:python|perl|ruby|node|php|lua|awk|gawk|osascript|tclsh)[0-9.]*(?:\.exe)?")
_PRIVILEGE: Final = frozenset(["sudo", "doas", "su", "pkexec", "runas", "setpriv", "nsenter", "chroot"])
_SHELL_MARKS: Final = re.compile(r"[|;&`]|\$\(|>\s*/|<\(|\n")

_DESTRUCTIVE: Final = tuple(
    (re.compile(pattern, re.IGNORECASE), what)
    for pattern, what in (
        (r"(?<![\w-])rm\s+(?:\S+\s+)*?-\w*[rf]", "removes files (rm -r, rm -f)"),
        (r"(?<![\w-])(?:rmdir|unlink|shred|wipefs|srm)\b", "removes files"),
        (r"(?<![\w-])find\b.*\s-(?:delete|exec)\b", "removes files (find -delete, -exec)"),
        (
            r"(?<![\w-])(?:mkfs(?:\.\w+)?|fdisk|parted|sgdisk|mkswap|lvremove|vgremove|pvremove|zpool\s+destroy|zfs\s+destroy)\b",
            "overwrites a disk",
        ),
        (r"(?<![\w-])dd\b.*\bof=", "overwrites a disk (dd of=)"),
        (r">\s*/dev/(?:sd|nvme|vd|xvd|mapper)", "overwrites a disk"),
        (r"\bdrop\s+(?:table|database|schema|user|role|index|view|keyspace|collection)\b", "drops data (DROP)"),
        (r"\btruncate\s+(?:table\s+)?\w", "empties a table or a file (TRUNCATE)"),
        (r"\bdelete\s+from\b", "deletes rows (DELETE FROM)"),
        (r"\b(?:flushall|flushdb|dropdatabase|deletemany|dropcollection)\b", "empties a database"),
        (r"(?<![\w.-])(?:shutdown|poweroff|halt|reboot|init\s+[06])(?![\w.-])", "stops or restarts a machine"),
        (r"\bkill(?:all)?\s+(?:-9|-KILL|-s\s*KILL)", "kills processes"),
        (r"\bpkill\b|\bkillall\b", "kills processes by name"),
        (
            r"\b(?:curl|wget|fetch|lynx)\b.*\|\s*(?:sudo\s+)?(?:\w*sh|python\d?|perl|ruby)\b",
            "runs what it downloads (curl | sh)",
        ),
        (r"\bbase64\b.*(?:-d|--decode|-D)\b", "runs or writes hidden text (base64 -d)"),
        (r"\beval\b", "evaluates text as code (eval)"),
        (r"\b(?:kubectl|oc|helm)\b.*\b(?:delete|uninstall|drain|purge)\b", "deletes in a cluster"),
        (r"\b(?:terraform|tofu|pulumi|terragrunt)\b.*\b(?:destroy|apply)\b", "changes infrastructure"),
        (
            r"\b(?:aws|gcloud|az|doctl|openstack|ibmcloud|oci)\b.*\b(?:delete|terminate|remove|destroy|purge|rb|rm)",
            "deletes in a cloud",
        ),
        (r"\b(?:chmod|chown|chgrp|setfacl)\b.*(?:-\w*R|--recursive|\b777\b)", "changes who may read or write"),
        (r"\b(?:iptables|ip6tables|nft|ufw|firewall-cmd)\b.*(?:-F|--flush|flush|disable|reset)", "opens a firewall"),
        (r"\b(?:useradd|userdel|usermod|passwd|visudo|adduser|deluser)\b", "changes accounts"),
        (r"\bgit\b.*\b(?:push\b.*(?:-f\b|--force)|reset\s+--hard|clean\s+-\w*f)", "rewrites history"),
        (r"\b(?:crontab\s+-r|systemctl\s+(?:mask|disable|isolate))\b", "takes a service out for good"),
        (r":\(\)\s*\{", "a fork bomb"),
    )
)


def risk_of(
    steps: Iterable[Step],
    permissions: Iterable[Permission],
    actions: Mapping[str, PackAction],
    *,
    failover: bool = False,
) -> tuple[Risk, tuple[str, ...]]:
    """The class, and the sentences that explain it, the gravest first."""
    reasons = [(risk, text) for step in steps for risk, text in _of_step(step, actions)]
    reasons += [
        (Risk.MEDIUM, f"may run any program: its permission for {permission.action} names none")
        for permission in permissions
        if permission.action == "command.run" and not {"programs", "program"} & set(permission.bounds)
    ]
    reasons += [
        (Risk.MEDIUM, f"may act on any name: its permission for {permission.action} names none")
        for permission in permissions
        if permission.action.startswith("kube.") and not {"names", "name"} & set(permission.bounds)
    ]
    if failover:
        reasons.append((Risk.HIGH, "moves a service to another place (failover)"))
    return _joined(reasons)


def with_called(own: Runbook, called: Iterable[Runbook]) -> tuple[Risk, tuple[str, ...]]:
    """What a runbook risks together with those it calls."""
    reasons: list[Reason] = [(own.risk, reason) for reason in own.risk_reasons if own.risk is not Risk.LOW]
    reasons += [
        (other.risk, f"calls {other.name}, which is of {other.risk.value} risk")
        for other in called
        if other.risk is not Risk.LOW
    ]
    return _joined(reasons)


def raised(found: Risk, stated: Risk | None) -> Risk:
    """The class with its author's own word: the higher of the two."""
    return found if stated is None else max(found, stated, key=RISK_ORDER.index)


def _joined(reasons: list[Reason]) -> tuple[Risk, tuple[str, ...]]:
    highest = max((risk for risk, _ in reasons), key=RISK_ORDER.index, default=Risk.LOW)
    ordered = sorted(reasons, key=lambda reason: -RISK_ORDER.index(reason[0]))
    texts = tuple(dict.fromkeys(text for risk, text in ordered if risk is not Risk.LOW))
    return highest, texts[:REASONS_MAX] or ("only reads",)


def _of_step(step: Step, actions: Mapping[str, PackAction]) -> Iterator[Reason]:
    match step.kind:
        case StepKind.DO:
            if step.call is not None:
                yield from _of_call(step, step.call, f"step {step.id}", actions)
            if step.undo is not None:
                yield from _of_call(step, step.undo.call, f"the undo of step {step.id}", actions, undo=True)
            if step.check is not None:
                yield from _of_words(step.check, f"the check of step {step.id}")
        case StepKind.VERIFY if step.verify is not None:
            yield from _of_words(
                Call(action=f"verify.{step.verify.probe}", arguments=step.verify.arguments), f"step {step.id}"
            )
        case StepKind.FOREACH:
            inner = [reason for child in step.steps for reason in _of_step(child, actions)]
            yield from inner
            writes = any(child.kind is not StepKind.VERIFY for child in step.steps)
            if writes and (step.waves is None or (step.waves.failed_max is None and step.waves.unhealthy_max is None)):
                yield Risk.HIGH, f"step {step.id} goes on over many targets whatever happens: give it `stop`"
            elif writes:
                yield Risk.MEDIUM, f"step {step.id} acts on many targets"
        case _:
            for child in step.steps:
                yield from _of_step(child, actions)


def _of_call(
    step: Step, call: Call, where: str, actions: Mapping[str, PackAction], *, undo: bool = False
) -> Iterator[Reason]:
    yield from _of_words(call, where)
    facts = ACTIONS.get(call.action)
    if call.action in actions:
        if actions[call.action].effect is not Effect.READ:
            yield Risk.MEDIUM, f"{where} runs the pack's own program {call.action}"
    elif call.action == "http.request":
        method = call.arguments.get("method", "GET")
        if not isinstance(method, str):
            yield Risk.HIGH, f"{where} decides its HTTP method only when it runs"
        elif method.upper() == "DELETE":
            yield Risk.HIGH, f"{where} deletes (HTTP DELETE)"
        elif method.upper() not in {"GET", "HEAD", "OPTIONS"}:
            yield Risk.MEDIUM, f"{where} changes something (HTTP {method.upper()})"
    elif call.action == "kube.scale" and call.arguments.get("replicas") == 0:
        reversible = undo or step.undo is not None
        yield (
            (Risk.MEDIUM if reversible else Risk.HIGH),
            f"{where} takes away (kube.scale to 0){'' if reversible else ' and has no undo'}",
        )
    elif facts is not None and facts.harm is Harm.TAKES:
        reversible = undo or step.undo is not None
        yield (
            (Risk.MEDIUM if reversible else Risk.HIGH),
            f"{where} takes away ({call.action}){'' if reversible else ' and has no undo'}",
        )
    elif facts is not None and facts.harm is Harm.CHANGES:
        yield Risk.MEDIUM, f"{where} changes something ({call.action})"
    if not undo and step.effect is Effect.ONCE and step.undo is None and (facts is None or facts.harm is not Harm.NONE):
        yield Risk.MEDIUM, f"{where} can be neither repeated nor undone"


def _of_words(call: Call, where: str) -> Iterator[Reason]:
    argv = call.arguments.get("argv")
    words = _argv(argv)
    if argv is not None:
        yield from _of_argv(argv, words, where)
    for text in (" ".join(words), *_texts({key: value for key, value in call.arguments.items() if key != "argv"})):
        for pattern, what in _DESTRUCTIVE:
            if pattern.search(text):
                yield Risk.HIGH, f"{where} {what}"


def _of_argv(argv: Any, words: tuple[str, ...], where: str) -> Iterator[Reason]:
    if isinstance(argv, (str, Template)):
        yield Risk.HIGH, f"{where} runs a shell string: write the command as a list"
        return
    if isinstance(argv, (list, tuple)) and argv and isinstance(argv[0], Template):
        yield Risk.HIGH, f"{where} decides its program only when it runs"
    for at, word in enumerate(words):
        program = re.split(r"[\\/]", word)[-1].lower()
        following = words[at + 1 :]
        if program in _PRIVILEGE:
            yield Risk.HIGH, f"{where} takes privileges ({program})"
        if program in _SHELLS and (at == 0 or following):
            yield Risk.HIGH, f"{where} hands text to a shell ({program})"
        if _INTERPRETERS.fullmatch(program) and any(
            re.match(r"-\w*[ecr]$|--eval|--print", after) for after in following[:3]
        ):
            yield Risk.HIGH, f"{where} hands code to an interpreter ({program})"
        if program in {"ssh", "rsh"} and len(following) > 1:
            yield Risk.HIGH, f"{where} hands text to a shell on another machine ({program})"
    if words and len(words) == 1 and _SHELL_MARKS.search(words[0]):
        yield Risk.HIGH, f"{where} runs a shell string: write the command as a list"


def _argv(argv: Any) -> tuple[str, ...]:
    items = argv if isinstance(argv, (list, tuple)) else (argv,) if argv is not None else ()
    return tuple(text for item in items for text in (_texts(item) or ("",)))


def _texts(value: Any) -> tuple[str, ...]:
    """Every literal text of an argument tree, templates as written."""
    match value:
        case str():
            return (value,)
        case Template():
            return (value.source,)
        case dict():
            return tuple(text for key, inner in value.items() for text in (str(key), *_texts(inner)))
        case list() | tuple():
            return (
                " ".join(text for inner in value for text in _texts(inner)),
                *(text for inner in value for text in _texts(inner)),
            )
        case None | bool():
            return ()
        case _:
            return (str(value),)
