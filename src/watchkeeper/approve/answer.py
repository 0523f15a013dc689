"""One person's word on an approval: taken, or why it is not.

In: the approval as stored, who speaks, the digest that was displayed. Out: the approval with the answer, or `No`.
"""

from enum import StrEnum
from typing import Final

import msgspec
from msgspec import Struct

from watchkeeper.approve.approval import Answer, Approval, FourEyes, State
from watchkeeper.approve.people import Actor
from watchkeeper.approve.roles import Denied, Verb, may
from watchkeeper.guards.words import count_of, names_of, when
from watchkeeper.values import Instant, after_ms

COMMENT_CHARS_MAX: Final = 2_000


class People(Struct, frozen=True, kw_only=True):
    """`humans` is how many identities of people exist that are not removed."""

    humans: int


class Not(StrEnum):
    """Why an answer was not taken."""

    WRONG_DIGEST = "wrong_digest"
    NOT_ALLOWED = "not_allowed"
    OWN_REQUEST = "own_request"
    NOT_ASKED = "not_asked"
    ALREADY = "already"
    ENDED = "ended"
    EXPIRED = "expired"
    NO_COMMENT = "no_comment"


STATUS: Final[dict[Not, int]] = {
    Not.WRONG_DIGEST: 409,
    Not.NOT_ALLOWED: 403,
    Not.OWN_REQUEST: 403,
    Not.NOT_ASKED: 403,
    Not.ALREADY: 409,
    Not.ENDED: 409,
    Not.EXPIRED: 409,
    Not.NO_COMMENT: 422,
}


class No(Struct, frozen=True, kw_only=True):
    """`status` is the HTTP status that says it."""

    why: Not
    reason: str

    @property
    def status(self) -> int:
        return STATUS[self.why]


def answer(
    approval: Approval, actor: Actor, verb: Verb, displayed: str, now: Instant, people: People, comment: str = ""
) -> Approval | No:
    """One person's word. `displayed` is the binding digest that the person saw.

    One rejection ends it; `count` different people approve it. The requester never counts in production, nor anywhere
    where somebody else could answer.
    """
    assert verb in {Verb.APPROVE, Verb.REJECT}, "an approval is approved or rejected"
    if approval.state is not State.PENDING:
        return No(why=Not.ENDED, reason=f"It is {approval.state.value} already: {approval.why}")
    if now >= approval.expires_at:
        return No(why=Not.EXPIRED, reason=f"It lapsed at {when(approval.expires_at, now)}. Nothing was done.")
    not_allowed = _not_allowed(approval, actor, verb, people)
    if not_allowed is not None:
        return not_allowed
    if displayed != approval.binding:
        return No(
            why=Not.WRONG_DIGEST,
            reason="What was displayed is not what would happen now. Review it again.",
        )
    if any(_is_same(each, actor) for each in approval.answers):
        return No(why=Not.ALREADY, reason=f"{actor.name} approved it already; somebody else has to be the next.")
    if not comment.strip() and (verb is Verb.REJECT or approval.emergency):
        needs = "A rejection" if verb is Verb.REJECT else "An emergency approval"
        return No(why=Not.NO_COMMENT, reason=f"{needs} needs a comment: say why.")
    given = Answer(
        identity=actor.identity or actor.name,
        name=actor.name,
        verb=verb,
        at=now,
        digest=displayed,
        comment=comment[:COMMENT_CHARS_MAX],
    )
    return _taken(approval, given, is_requester=_is_requester(approval, actor))


def _not_allowed(approval: Approval, actor: Actor, verb: Verb, people: People) -> No | None:
    needed = (verb, Verb.APPROVE_EMERGENCY) if approval.emergency and verb is Verb.APPROVE else (verb,)
    for each in needed:
        permission = may(actor, each)
        if isinstance(permission, Denied):
            return No(why=Not.NOT_ALLOWED, reason=permission.reason)
    if not actor.human:
        return No(why=Not.NOT_ALLOWED, reason=f"{actor.name} is no person, and only a person answers.")
    requester = _is_requester(approval, actor)
    if requester and verb is Verb.REJECT:
        return None  # whoever asked may always take it back
    if approval.by and not {actor.name, actor.identity, *actor.groups}.intersection(approval.by):
        return No(why=Not.NOT_ASKED, reason=f"{actor.name} was not asked; {names_of(approval.by, 'or')} may answer.")
    if requester and approval.production:
        return No(why=Not.OWN_REQUEST, reason=f"{actor.name} asked for this. In production somebody else answers.")
    if requester and people.humans > 1:
        return No(why=Not.OWN_REQUEST, reason=f"{actor.name} asked for this, and somebody else could answer.")
    return None


def _taken(approval: Approval, given: Answer, *, is_requester: bool) -> Approval:
    answers = (*approval.answers, given)
    four_eyes = FourEyes.NONE if is_requester and given.verb is Verb.APPROVE else approval.four_eyes
    if given.verb is Verb.REJECT:
        return msgspec.structs.replace(
            approval, answers=answers, state=State.REJECTED, ended_at=given.at, why=f"{given.name} rejected it."
        )
    if len(answers) < approval.count:
        return msgspec.structs.replace(approval, answers=answers, four_eyes=four_eyes)
    return msgspec.structs.replace(
        approval,
        answers=answers,
        four_eyes=four_eyes,
        state=State.APPROVED,
        ended_at=given.at,
        start_by_at=after_ms(given.at, approval.start_by_ms),
        why=f"{names_of([each.name for each in answers])} approved {count_of(len(approval.targets), 'target')}.",
    )


def _is_same(given: Answer, actor: Actor) -> bool:
    """One person counts once, by whatever channel."""
    return given.name == actor.name or given.identity == (actor.identity or actor.name)


def _is_requester(approval: Approval, actor: Actor) -> bool:
    return approval.requester in {actor.name, actor.identity}
