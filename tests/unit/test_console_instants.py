"""Times inside sentences: found where the record vouches for them, of the right day, in the viewer's zone with UTC beside."""

from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from watchkeeper.guards.words import when
from watchkeeper.surface.console import render, words
from watchkeeper.surface.console.instants import cut, known, spoken, written_at
from watchkeeper.values import rfc3339

BERLIN, UTC_ZONE, APIA = ZoneInfo("Europe/Berlin"), ZoneInfo("UTC"), ZoneInfo("Pacific/Apia")
MOMENTS = st.datetimes(datetime(2025, 1, 1), datetime(2027, 12, 31), timezones=st.just(UTC))  # noqa: DTZ001


def at(text: str) -> datetime:
    return datetime.fromisoformat(text).astimezone(UTC)


def frozen(until: str, reason: str = "month-end close", decided: str = "2026-11-26T17:06:00.250000Z") -> dict:
    """A decision as the API tells it: a freeze asks."""
    sentence = f"{reason} (frz_1) closes this to changes until {when(at(until), at(decided))}."
    finding = {"guard": "freeze", "reason": sentence, "until_at": until, "evidence": {"until": until}}
    return {"id": "dec_1", "at": decided, "reason": sentence, "findings": [finding]}


def shown(text, record, zone=BERLIN, now="2026-11-26T17:30:00Z", **status):
    """As the page writes it, without its tags."""
    from markupsafe import Markup

    template = render.environment().from_string("{{ text | told(400, of) }}")
    made = template.render(text=text, of=record, zone=zone, now=now, status=status)
    return str(Markup(made).striptags()), made


def test_a_time_of_ours_is_said_in_the_viewers_zone_with_utc_beside():
    record = frozen("2026-11-26T19:06:00Z")
    text, made = shown(record["reason"], record)
    assert text == "month-end close (frz_1) closes this to changes until 20:06 (19:06 UTC)."
    assert '<time datetime="2026-11-26T19:06:00.000000Z" title="2026-11-26 19:06:00 UTC">20:06</time>' in made


def test_by_utc_it_reads_as_it_was_written_and_is_a_time_all_the_same():
    record = frozen("2026-11-26T19:06:00Z")
    text, made = shown(record["reason"], record, UTC_ZONE)
    assert text.endswith("until 19:06 UTC.")
    assert "<time datetime" in made


@pytest.mark.parametrize(
    ("until", "zone", "now", "said"),
    [
        # the viewer's midnight lies between now and then
        ("2026-11-26T23:30:00Z", BERLIN, "2026-11-26T17:30:00Z", "until 27 Nov 00:30 (26 Nov 23:30 UTC)."),
        ("2026-11-26T22:59:00Z", BERLIN, "2026-11-26T17:30:00Z", "until 23:59 (22:59 UTC)."),
        ("2026-11-26T23:00:00Z", BERLIN, "2026-11-26T17:30:00Z", "until 27 Nov 00:00 (26 Nov 23:00 UTC)."),
        # read the day after
        ("2026-11-26T19:06:00Z", BERLIN, "2026-11-27T08:00:00Z", "until 26 Nov 20:06 (19:06 UTC)."),
        # written with its day, because it is another one in UTC
        ("2026-11-27T00:30:00Z", BERLIN, "2026-11-26T23:30:00Z", "until 01:30 (00:30 UTC)."),
        ("2027-01-02T08:00:00Z", BERLIN, "2026-11-26T17:30:00Z", "until 2 Jan 2027 09:00 (08:00 UTC)."),
        # a zone that is a day ahead
        ("2026-11-26T19:06:00Z", APIA, "2026-11-26T17:30:00Z", "until 08:06 (26 Nov 19:06 UTC)."),
    ],
)
def test_its_day_is_that_of_the_record_and_is_said_where_it_is_not_today(until, zone, now, said):
    record = frozen(until)
    text, _ = shown(record["reason"], record, zone, now)
    assert text.endswith(said)


@pytest.mark.parametrize(
    ("until", "said"),
    [
        ("2026-10-25T00:30:00Z", "until 02:30 (00:30 UTC)."),  # the hour that comes twice: the first time
        ("2026-10-25T01:30:00Z", "until 02:30 (01:30 UTC)."),  # and the second
        ("2026-03-29T00:59:00Z", "until 01:59 (00:59 UTC)."),
        ("2026-03-29T01:00:00Z", "until 03:00 (01:00 UTC)."),  # the hour that is left out
    ],
)
def test_where_the_clocks_change_utc_tells_the_hours_apart(until, said):
    decided = until[:10] + "T00:10:00Z"
    record = frozen(until, decided=decided)
    text, _ = shown(record["reason"], record, BERLIN, decided)
    assert text.endswith(said)


def test_what_somebody_outside_wrote_stays_text():
    record = frozen("2026-11-26T19:06:00Z", reason="ana leads here until 18:00 UTC: call 17:15 UTC")
    text, _ = shown(record["reason"], record)
    assert text.startswith("ana leads here until 18:00 UTC: call 17:15 UTC (frz_1)")
    assert text.endswith("until 20:06 (19:06 UTC).")


def test_the_same_text_as_a_label_or_a_comment_is_no_word_of_the_record():
    foreign = {"at": "2026-11-26T17:06:00Z", "labels": {"until_at": "2026-11-26T18:00:00Z"}, "reason": "x"}
    assert known(foreign) == {at("2026-11-26T17:06:00Z")}
    text, _ = shown("a deploy until 18:00 UTC", foreign)
    assert text == "a deploy until 18:00 UTC"


@pytest.mark.parametrize(
    ("guard", "reason", "said"),
    [
        ("stop", "ana stopped automation at 16:50 UTC: smoke at 16:40 UTC.", "at 17:50 (16:50 UTC): smoke at 16:40 UTC."),
        ("still_firing", "The alert was last seen at 15:00 UTC: nobody knows whether it still fires.", "at 16:00 (15:00 UTC):"),
        ("breaker", "k failed 3 times and is left alone since 25 Nov 2026, 22:10 UTC.", "since 25 Nov 23:10 (22:10 UTC)."),
        ("deploy", "The deploy of web (chg_1) should have ended at 17:00 UTC and has not.", "at 18:00 (17:00 UTC) and"),
        ("hold", "The store was restored at 12:00 UTC, and automation is held since: x.", "at 13:00 (12:00 UTC), and"),
        ("deploy", "ana stopped automation at 16:50 UTC: x.", "at 16:50 UTC: x."),  # another guard's words prove nothing
    ],
)  # fmt: skip
def test_a_guard_that_always_names_an_instant_is_believed_where_it_names_it(guard, reason, said):
    record = {"at": "2026-11-26T17:06:00Z", "reason": reason, "findings": [{"guard": guard, "reason": reason}]}
    assert said in shown(reason, record)[0]


def test_what_is_in_force_now_vouches_for_sentences_that_rest_on_it():
    waiting = {"id": "prp_1", "at": "2026-11-26T17:06:00Z", "wake_at": "2026-11-26T17:07:00Z"}
    hold = {"id": "hld_1", "at": "2026-11-26T17:00:00Z", "until_at": "2026-11-26T19:30:00.500000Z"}
    sentence = "ana leads here until 19:30 UTC: moving its queue."
    assert shown(sentence, waiting)[0] == sentence
    assert shown(sentence, waiting, holds=[hold])[0] == "ana leads here until 20:30 (19:30 UTC): moving its queue."


def test_without_a_record_no_time_is_believed_whatever_is_in_force():
    hold = {"id": "hld_1", "at": "2026-11-26T17:00:00Z", "until_at": "2026-11-26T19:30:00Z"}
    assert shown("Disk full until 19:30 UTC on web", {}, holds=[hold])[0] == "Disk full until 19:30 UTC on web"
    dated = "Disk full until 26 Nov 2026, 19:30 UTC on web"
    assert shown(dated, [], holds=[hold])[0] == dated


def test_hostile_text_in_the_sentence_stays_escaped_and_marked():
    record = frozen("2026-11-26T19:06:00Z", reason="<img src=x>\u202e")
    _, made = shown(record["reason"], record)
    assert "<img" not in made
    assert "U+202E" in made
    assert made.count("<time") == 1


def test_a_clipped_sentence_says_how_much_is_missing_and_cuts_no_time_in_two():
    record = frozen("2026-11-26T19:06:00Z", reason="x" * 360)
    text, made = shown(record["reason"], record)
    assert "more characters" in text or "20:06 (19:06 UTC)" in text
    assert made.count("<bdi>") == made.count("</bdi>") == 1


@settings(deadline=None)
@given(MOMENTS, st.integers(0, 40 * 24 * 60))
def test_what_our_words_write_is_found_again_as_the_same_minute(decided, minutes):
    until = decided + timedelta(minutes=minutes)
    found = cut(f"closed until {when(until, decided)}.", decided, known({"until_at": rfc3339(until)}))
    assert found == ["closed until ", until.replace(second=0, microsecond=0), "."]


@settings(deadline=None)
@given(st.text(max_size=200), MOMENTS)
def test_nothing_of_a_text_is_lost(text, decided):
    parts = cut(text, decided, known({"until_at": rfc3339(decided)}))
    assert "".join(part for part in parts if isinstance(part, str)) == text or any(
        isinstance(part, datetime) for part in parts
    )


@pytest.mark.parametrize(
    "text", ["99:99 UTC", "24:00 UTC", "1:19:06 UTC", "19:06 UTCx", "x19:06 UTC", "31 Feb 2026, 10:00 UTC"]
)
def test_what_is_no_time_stays(text):
    every = known([{"until_at": f"2026-11-26T{hour:02}:{minute:02}:00Z"} for hour in range(24) for minute in (0, 6)])
    assert cut(text, at("2026-11-26T00:00:00Z"), every) == [text]


def test_when_a_record_was_written_is_read_from_its_own_field():
    assert written_at({"asked_at": "2026-11-26T17:06:00Z"}) == at("2026-11-26T17:06:00Z")
    assert written_at({"at": "no time"}) is None
    assert written_at(None) is None


def test_a_plain_text_says_both_too():
    assert words.told_at("2026-11-26T19:06:40Z", "2026-11-26T17:30:00Z", BERLIN) == "20:06 (19:06 UTC)"
    assert words.told_at("2026-11-26T19:06:40Z", "2026-11-26T17:30:00Z", UTC_ZONE) == "19:06 UTC"


def test_seconds_are_kept_where_the_sentence_has_them():
    moment = at("2026-11-26T19:06:31Z")
    assert cut("seen first at 19:06:31 UTC", moment, frozenset({moment})) == ["seen first at ", moment]
    assert cut("seen first at 19:06:30 UTC", moment, frozenset({moment})) == ["seen first at 19:06:30 UTC"]
    assert spoken(moment, moment, BERLIN) == ("20:06:31", "19:06:31 UTC")
