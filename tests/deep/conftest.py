"""Campaigns that stop and go on: what passed on these sources need not run again.

A file of tests is a campaign. When all of its tests have passed on the same sources, in one run or
in several, its record is written. Figures for it come from pytest's ``record_property``.
"""

import time
from collections import defaultdict

import pytest

from tests.deep import record

UNFINISHED = 75


def pytest_addoption(parser):
    group = parser.getgroup("campaigns")
    group.addoption("--resume", action="store_true", help="leave out what passed on these sources")
    group.addoption("--minutes", type=float, default=0, help="start no test after this time")


def pytest_configure(config):
    config.pluginmanager.register(Campaigns(config), "campaigns")


class Campaigns:
    def __init__(self, config):
        self.cache = config.cache
        self.resume = config.getoption("resume")
        minutes = config.getoption("minutes")
        self.until = time.monotonic() + 60 * minutes if minutes else float("inf")
        self.whole = not config.getoption("keyword") and not any("::" in a for a in config.args)
        self.sources = {}
        """Digests by campaign."""
        self.wanted = defaultdict(list)
        """Names of all tests by campaign."""
        self.passed = {}

    @pytest.hookimpl(tryfirst=True)
    def pytest_collection_modifyitems(self, config, items):
        for item in items:
            self.wanted[campaign_of(item.nodeid)].append(name_of(item.nodeid))
        for campaign in self.wanted:
            self.sources[campaign] = record.sources_digest(campaign)
            known = self.cache.get(f"deep/{campaign}", {})
            fresh = known.get("sources") == self.sources[campaign]
            self.passed[campaign] = known["tests"] if fresh else {}
        if self.resume:
            done = [i for i in items if name_of(i.nodeid) in self.passed[campaign_of(i.nodeid)]]
            config.hook.pytest_deselected(items=done)
            items[:] = [item for item in items if item not in done]

    def pytest_runtest_setup(self):
        if time.monotonic() > self.until:
            pytest.skip("the time is up")

    def pytest_runtest_logreport(self, report):
        campaign, name = campaign_of(report.nodeid), name_of(report.nodeid)
        if report.failed:
            self.passed[campaign].pop(name, None)
        elif report.when == "call" and report.passed:
            figures = dict(report.user_properties)
            self.passed[campaign][name] = [round(report.duration, 2), figures]
        state = {"sources": self.sources[campaign], "tests": self.passed[campaign]}
        self.cache.set(f"deep/{campaign}", state)

    def pytest_sessionfinish(self, session):
        if not self.whole:
            return
        unfinished = False
        for campaign, names in self.wanted.items():
            passed = self.passed[campaign]
            if self.sources[campaign] != record.sources_digest(campaign):
                unfinished = True
            elif set(names) <= passed.keys():
                record.write(
                    campaign, self.sources[campaign], [record.Passed(n, *passed[n]) for n in names]
                )
            else:
                unfinished = True
        if session.exitstatus in (pytest.ExitCode.OK, pytest.ExitCode.NO_TESTS_COLLECTED):
            session.exitstatus = UNFINISHED if unfinished else pytest.ExitCode.OK

    def pytest_terminal_summary(self, terminalreporter):
        for campaign, names in self.wanted.items():
            count = len(self.passed[campaign].keys() & set(names))
            again = "" if count == len(names) else "; run again with --resume"
            terminalreporter.write_line(f"{campaign}: {count} of {len(names)} passed{again}")


def campaign_of(nodeid):
    return nodeid.split("::")[0].rpartition("/")[2].removesuffix(".py").removeprefix("test_")


def name_of(nodeid):
    return nodeid.partition("::")[2]
