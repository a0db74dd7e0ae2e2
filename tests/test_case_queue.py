"""Jobs of the case page: who has used least is next, and who leaves waits no longer."""

from epitome_kit.case.queue import Job, JobQueue


def job(visitor):
    return Job(visitor, "", "receive", {}, 1)


def test_jobs_come_in_order_and_know_their_place():
    jobs, made = JobQueue(), [job(name) for name in "abc"]
    for each in made:
        jobs.put(each)
    assert [jobs.place(each) for each in made] == [1, 2, 3]
    assert jobs.take(0) is made[0] and made[0].state == "running"
    assert [jobs.place(each) for each in made] == [0, 1, 2]


def test_who_has_used_least_is_next():
    jobs, greedy, honest = JobQueue(), [job("greedy") for _ in range(3)], job("honest")
    for each in (*greedy, honest):
        jobs.put(each)
    jobs.take(0)
    jobs.charge("greedy", 5.0)
    assert jobs.take(0) is honest and jobs.place(greedy[1]) == 1


def test_who_leaves_waits_no_longer_and_owes_nothing():
    jobs, left, stays = JobQueue(), job("left"), job("stays")
    jobs.charge("left", 9)
    for each in (left, stays):
        jobs.put(each)
    jobs.forget("left")
    assert jobs.place(left) == 0 and jobs.take(0) is stays and jobs.take(0) is None
    jobs.charge("stays", 1)
    jobs.put(again := job("left"))
    jobs.put(job("stays"))
    assert jobs.take(0) is again


def test_a_dropped_job_stays_dropped_and_is_reported():
    ended, dropped = [], job("a")
    dropped.finished, dropped.state = ended.append, "dropped"
    dropped.end("done", result=[1])
    assert dropped.state == "dropped" and ended == [dropped]
