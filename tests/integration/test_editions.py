"""Rollback: collateral of an older edition than was accepted before is refused, though it be valid still."""

import json

import pytest

from harness.attested import World, listening
from harness.base import BIN, eventually, free_port


class Intel:
    """A PCCS whose documents are of any edition; the guest agent stays with the world's own simulator."""

    def __init__(self, world):
        self.world, self.port, self.now = world, free_port(), None

    def publish(self, edition):
        if self.now:
            self.now.stop()
        self.now = self.world.start(f"pccs-{edition}", BIN / "atlas-sim", "serve", self.world.sim, "--listen", f"127.0.0.1:{self.port}", "--socket",
                                    self.world.folder / "unused.sock", "--evaluation", edition, "--log-level", "debug")
        eventually(lambda: listening(self.port))

    @property
    def url(self):
        return f"http://127.0.0.1:{self.port}"


@pytest.fixture
def world(tmp_path, stack):
    one = World(tmp_path, stack)
    one.start_tee("--without-collateral")
    one.intel = Intel(one)
    one.intel.publish(17)
    return one


def get(world, *words, **how):
    return world.atls("get", "/x", "--pccs-url", world.intel.url, *words, **how)


def editions(world):
    """(TCB info, QE identity) of the one platform."""
    file = world.folder / "cache/postern/editions.json"
    assert file.stat().st_mode & 0o777 == 0o600
    told = json.loads(file.read_text())
    assert told["editions"] == "postern-editions/1" and len(told["accepted"]) == 1
    return told["accepted"][0]["tcb_info"], told["accepted"][0]["qe_identity"]


def test_an_older_edition_is_refused(world):
    get(world)
    assert editions(world) == (17, 17)
    world.intel.publish(18)
    get(world, "--fetch-anew")
    assert editions(world) == (18, 18)
    world.intel.publish(16)
    refused = get(world, "--fetch-anew", "--json", expect=13)
    error = json.loads(refused.stderr)["error"]
    assert error["code"] == "tcb_rollback" and "16" in error["message"] and "18" in error["message"] and refused.stdout == b""
    assert editions(world) == (18, 18)
    get(world, "--fetch-anew", "--no-remember")
    assert editions(world) == (18, 18)


def test_what_was_kept_is_fetched_anew_when_it_is_too_old(world):
    get(world)  # keeps 17
    world.intel.publish(18)
    get(world, "--fetch-anew")  # accepts 18 and keeps it not
    get(world)
    cached = list((world.folder / "cache/postern").glob("*-tdx-*.json"))
    assert len(cached) == 1 and json.loads(json.loads(cached[0].read_text())["tcb_info"])["tcbEvaluationDataNumber"] == 18
    world.intel.now.stop()
    world.intel.now = None
    get(world)  # from what is kept now


def test_stapled_collateral_that_goes_back_is_replaced(world):
    world.tee.stop()
    world.start_tee()  # staples 17, from the world's own PCCS
    world.intel.publish(18)
    report = json.loads(get(world, "--json").stderr)
    assert report["collateral_stapled"]
    world.tee.stop()
    world.start_tee("--without-collateral")
    get(world, "--fetch-anew")
    assert editions(world) == (18, 18)
    world.tee.stop()
    world.start_tee()
    report = json.loads(get(world, "--json").stderr)
    assert not report["collateral_stapled"] and report["report"]["tcb_evaluation_data_number"] == 18
    world.intel.publish(17)
    assert b"tcb_rollback" in get(world, "--fetch-anew", expect=13).stderr


def test_a_policy_may_allow_it(world):
    world.intel.publish(18)
    get(world, "--fetch-anew")
    world.intel.publish(17)
    policy = json.loads((world.sim / "policy.json").read_text())
    policy["allow_collateral_rollback"] = True
    (world.sim / "lenient.json").write_text(json.dumps(policy))
    get(world, "--fetch-anew", policy="lenient.json")
    assert editions(world) == (18, 18)
    get(world, "--fetch-anew", expect=13)


def test_a_folder_of_ones_own(world):
    get(world, "--cache", world.folder / "own")
    assert (world.folder / "own/editions.json").exists() and not (world.folder / "cache").exists()


def test_a_spoilt_file_is_said_and_nothing_is_sent(world):
    get(world)
    file = world.folder / "cache/postern/editions.json"
    file.write_text('{"editions":"postern-editions/1","acc')
    refused = get(world, expect=2)
    assert b"editions_file" in refused.stderr and str(file).encode() in refused.stderr and b"delete it" in refused.stderr
    assert refused.stdout == b""
    get(world, "--no-remember")
    file.unlink()
    get(world)
    assert editions(world) == (17, 17)


def test_where_nothing_can_be_kept_a_warning_is_given(world):
    own = world.folder / "own"
    (own / "editions.lock").mkdir(parents=True)
    done = get(world, "--cache", own)
    assert b"warning: " in done.stderr and b"editions_file" in done.stderr and done.stdout == b"path /x"
    told = json.loads(get(world, "--cache", own, "--json").stderr)
    assert told["verified"] and told["warning"]["code"] == "editions_file"
    assert not (own / "editions.json").exists()
