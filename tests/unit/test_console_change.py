"""What the card of a request says would change: the same on all targets, or told apart; undo, time, and what stops it."""

from watchkeeper.surface.console import change


def step(name, arguments, *, of="", later=(), do="http.request", kind="do", when=""):
    return {"step": name, "kind": kind, "do": do, "arguments": arguments, "later": later, "when": when, "of": of}


def on(name, *steps):
    return {"target": f"resource:default/{name}", "name": name, "steps": list(steps)}


def test_what_is_the_same_is_told_once_and_what_differs_a_target():
    one = on("web-1", step("drain", [["method", "POST"], ["url", "http://1/drain"]]))
    two = on("web-2", step("drain", [["method", "POST"], ["url", "http://2/drain"]]))
    (found,) = change.merged([one, two])
    method, url = found["arguments"]
    assert (method["value"], method["apart"]) == ("POST", [])
    assert url["apart"] == [("web-1", "http://1/drain"), ("web-2", "http://2/drain")]
    (alone,) = change.merged([one])
    assert [each["apart"] for each in alone["arguments"]] == [[], []]


def test_targets_whose_steps_differ_are_not_told_as_one():
    assert change.merged([on("a", step("x", [])), on("b", step("y", []))]) is None
    assert change.merged([]) == []


def test_values_apart_are_bounded():
    many = [on(f"web-{n}", step("x", [["on", f"web-{n}"]])) for n in range(change.APART_MAX + 5)]
    (found,) = change.merged(many)
    assert len(found["arguments"][0]["apart"]) == change.APART_MAX


def test_what_is_decided_later_says_so():
    (found,) = change.merged([on("a", step("x", [["pid", "${steps.look.output.pid}"]], later=["pid"]))])
    assert found["arguments"][0]["later"] is True


def test_undo_says_how_much_of_it_can_be_taken_back():
    drain, back = step("drain", []), step("drain", [], of="undo")
    assert change.undone([drain, back]) == "yes"
    assert change.undone([drain, back, step("restart", [])]) == "1 step of 2"
    assert change.undone([drain]) == "nothing is taken back"
    assert change.undone([drain, back, step("healthy", [], kind="verify")]) == "yes"


def run(status, seconds):
    end = f"2026-01-05T12:00:{seconds:02}.000000Z" if seconds is not None else None
    return {"status": status, "at": "2026-01-05T12:00:00.000000Z", "ended_at": end}


def test_the_time_is_the_median_of_runs_that_succeeded():
    runs = [run("succeeded", 9), run("succeeded", 3), run("succeeded", 30), run("failed", 1), run("running", None)]
    assert change.takes(runs) == "about 0:09, 3 earlier runs"
    assert change.takes([run("failed", 1)]) == "not known: it never succeeded yet"


def test_the_same_question_of_many_requests_is_told_once_with_its_count():
    asks = {"findings": [{"guard": "autonomy", "reason": "The ladder stands at approve."}]}
    frozen = {"findings": [*asks["findings"], {"guard": "freeze", "reason": "Sale."}]}
    assert change.questions([asks, frozen]) == [
        {"guard": "autonomy", "reason": "The ladder stands at approve.", "count": 2},
        {"guard": "freeze", "reason": "Sale.", "count": 1},
    ]


def test_targets_are_called_by_their_type_where_it_is_one_plain_word():
    assert change.noun([{"type": "instance"}, {"type": "instance"}]) == "instance"
    assert change.noun([{"type": "instance"}, {"type": "service"}]) == "target"
    assert change.noun([{"type": "<b>"}]) == "target"
    assert change.noun([]) == "target"


def test_what_stops_it_names_verification_waves_time_and_people():
    verify = {"id": "healthy", "verify": {"within_ms": 15_000}, "waves": None, "steps": []}
    waves = {"failed_max": 2, "unhealthy_max": None}
    fleet = {"id": "all", "verify": None, "waves": waves, "steps": [verify]}
    assert change.stops({"steps": [fleet], "timeout_ms": 120_000, "on_stop": "undo"}) == [
        "more than 2 of all fail",
        "healthy does not hold within 0:15",
        "it takes longer than 2:00",
        "anyone holds or freezes it: it undoes what it did",
        "anyone stops automation",
    ]
