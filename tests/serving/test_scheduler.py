import threading

import pytest
from fakes import model as fake_model
from fakes.server import speech

from audio2face import load_model
from audio2face.serving.engine import ServedModel
from audio2face.serving.metrics import Metrics
from audio2face.serving.options import ServeOptions
from audio2face.serving.request import StreamRequest
from audio2face.serving.scheduler import Scheduler, Track
from audio2face.serving.slots import Slots


@pytest.fixture(scope="module")
def served(tmp_path_factory):
    folder = fake_model.regression_model(tmp_path_factory.mktemp("scheduler") / "model")
    return ServedModel(load_model(folder, threads=1), ServeOptions())


@pytest.fixture
def scheduler():
    found = Scheduler(Metrics())
    yield found
    found.close()


def test_places_go_to_those_who_wait_in_their_order():
    slots = Slots(1)
    first, second, third, fourth = (slots.take() for _ in range(4))
    assert first.done() and not second.done()
    slots.leave(second)  # waits no longer
    slots.leave(first)
    assert third.done() and not fourth.done()
    slots.leave(fourth)
    slots.leave(third)
    assert slots.empty().done()
    again = slots.take()
    assert again.done() and not slots.take().done(), "one place, as at first"


def test_the_end_of_all_is_told():
    slots = Slots(2)
    places = [slots.take(), slots.take()]
    end = slots.empty()
    for place in places:
        assert not end.done() and slots.taken
        slots.leave(place)
    assert end.done() and not slots.taken


def test_streams_go_on_between_the_steps_of_long_work(served, scheduler):
    frames, ended, rounds = [], threading.Event(), []

    def long_work():
        while not ended.is_set():  # for ever, if the stream had to wait for its end
            rounds.append(1)
            ended.wait(0.001)
            yield
        return "done"

    def deliver(found):
        frames.extend(found)
        if stream.finished:
            ended.set()

    work = scheduler.work(long_work)
    stream = scheduler.call(lambda: served.open(StreamRequest(16000))).result(10)
    stream.add(speech(2.0).tobytes())
    stream.end()
    scheduler.add(Track(stream, deliver, lambda error: pytest.fail(str(error))))
    assert work.result(30) == "done" and len(frames) == 60 and rounds


def test_long_work_is_done_one_after_another_and_says_what_went_wrong(scheduler):
    said, go = [], threading.Event()

    def steps(name, fails=False):
        go.wait(10)
        for _ in range(2):
            said.append(name)
            yield
        if fails:
            raise ValueError(name)
        return name

    found = [scheduler.work(lambda: steps("a")), scheduler.work(lambda: steps("b", fails=True))]
    taken_back = scheduler.work(lambda: steps("never"))
    last = scheduler.work(lambda: steps("c"))
    assert taken_back.cancel()
    go.set()
    assert (found[0].result(10), last.result(10)) == ("a", "c")
    with pytest.raises(ValueError, match="b"):
        found[1].result(10)
    assert said == ["a", "a", "b", "b", "c", "c"]
