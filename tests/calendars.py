"""Calendars for tests: an `.ics` from the few lines a test is about."""

OWN_ZONE = """BEGIN:VTIMEZONE
TZID:Plant Time
BEGIN:STANDARD
DTSTART:19701025T030000
TZOFFSETFROM:+0200
TZOFFSETTO:+0100
RRULE:FREQ=YEARLY;BYMONTH=10;BYDAY=-1SU
END:STANDARD
BEGIN:DAYLIGHT
DTSTART:19700329T020000
TZOFFSETFROM:+0100
TZOFFSETTO:+0200
RRULE:FREQ=YEARLY;BYMONTH=3;BYDAY=-1SU
END:DAYLIGHT
END:VTIMEZONE
"""


def ics(*events: str, head: str = "") -> bytes:
    """Each event is its lines; those without a UID get one."""
    found = []
    for number, event in enumerate(events):
        uid = "" if "UID:" in event else f"UID:event-{number}@test\n"
        found.append(f"BEGIN:VEVENT\n{uid}DTSTAMP:20260101T000000Z\n{event.strip()}\nEND:VEVENT\n")
    text = f"BEGIN:VCALENDAR\nVERSION:2.0\nPRODID:-//test//EN\n{head}{''.join(found)}END:VCALENDAR\n"
    return text.replace("\n", "\r\n").encode()


def window(start: str, end: str, summary: str = "closed") -> str:
    """One window in UTC: `window("20260302T090500Z", "20260302T120000Z")`."""
    return f"DTSTART:{start}\nDTEND:{end}\nSUMMARY:{summary}"
