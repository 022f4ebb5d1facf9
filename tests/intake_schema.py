"""The keys of contract, fleet and fact files and what each may hold, for `intake_oracle`."""

from datetime import timedelta

from tests.intake_oracle import (
    COMPONENTS,
    CONTRACT_PACKAGES,
    ENVIRONMENTS,
    TRACKS,
    day,
    each,
    elapsed,
    email,
    email_or_empty,
    flag,
    host,
    instant,
    key,
    link,
    mapping,
    number,
    one,
    ordered,
    period,
    reaction,
    rows,
    rule,
    share,
    some,
    table,
    text,
    text_or_empty,
    unique,
    version,
    wall_time,
    zone,
)

CONTACT = table(
    "key name email roles",
    key=key,
    name=text,
    email=email,
    roles=each(key),
    zone=zone,
    calendar=one("publish", "request", "none"),
    language=one("de", "en"),
)
INSTANCE = table(
    "key host",
    key=key,
    host=host,
    environment=one(*ENVIRONMENTS),
    url=link,
    track=one(*TRACKS),
    components=each(one(*COMPONENTS)),
    executor=key,
    wave=number(1, 99),
    managed=flag,
    backup=table("times", times=some(wall_time), rule=rule, anchor=day),
    versions=mapping(version, COMPONENTS),
    starts_on=day,
    ends_on=day,
)
CUSTOMER = table(
    "key name language package",
    key=key,
    name=text,
    language=one("de", "en"),
    package=one(*CONTRACT_PACKAGES, *(f"{name}{c}flex" for name in CONTRACT_PACKAGES for c in " _-")),
    sender=email,
    work_notices=each(one("started", "finished", "failed", "overrun")),
    contact=("contacts", rows(CONTACT)),
    instance=("instances", rows(INSTANCE)),
)
CLASSES = ("os", "security", "minor", "major")
FACTS = table(
    "",
    window=(
        "windows",
        rows(
            table(
                "kind key start reason",
                kind=one("monthly", "critical", "emergency"),
                key=key,
                start=instant,
                end=instant,
                duration=elapsed(60, 168),
                instances=each(key),
                reason=text,
                impact=one("no-impact", "reduced-redundancy", "degraded", "outage"),
                announced_at=instant,
                releases=each(version),
                cancelled=flag,
            )
        ),
    ),
    release=(
        "releases",
        rows(
            table(
                "version class available_at",
                **{"class": ("change_class", one(*CLASSES[1:]))},
                version=version,
                component=one(*COMPONENTS),
                tracks=each(one(*TRACKS)),
                available_at=instant,
                changes=text_or_empty,
                estimate=elapsed(60, 168),
                carries=each(version),
                withdrawn=text_or_empty,
            )
        ),
    ),
    deferral=(
        "deferrals",
        rows(
            table(
                "instance release until",
                instance=key,
                release=version,
                until=instant,
                start=instant,
                granted_at=instant,
                withdrawn_at=instant,
            )
        ),
    ),
    pin=(
        "pins",
        rows(
            table(
                "instance version start reason",
                instance=key,
                version=version,
                start=instant,
                reason=text,
                until=instant,
                component=one(*COMPONENTS),
                security=flag,
            )
        ),
    ),
    freeze=(
        "freezes",
        rows(
            table(
                "key start end reason",
                key=key,
                start=instant,
                end=instant,
                reason=text,
                classes=some(one(*CLASSES)),
                customers=each(key),
                instances=each(key),
            )
        ),
    ),
    outage=(
        "outages",
        rows(
            table(
                "start",
                start=instant,
                end=instant,
                critical=flag,
                customer_caused=flag,
                data_restore=flag,
                cause=one("developed_component", "customer", "misuse", "force_majeure", "third_party"),
                instance=key,
            )
        ),
    ),
    consent=(
        "consents",
        rows(table("instance given_by given_at", instance=key, given_by=text, given_at=instant, until=instant)),
    ),
    track_switch=(
        "track_switches",
        rows(table("instance track at", instance=key, track=one(*TRACKS), at=instant)),
    ),
)


def fleet_fits(raw, fleet):
    """Say whether every customer of the files is in `fleet` as it was written, and the keys are unique."""
    instances = [instance for customer in fleet.customers for instance in customer.instances]
    return (
        rows(CUSTOMER)(raw.get("customer", []), fleet.customers)
        and unique(customer.key for customer in fleet.customers)
        and unique(instance.key for instance in instances)
        and all(unique(contact.key for contact in customer.contacts) for customer in fleet.customers)
        and all(not each.starts_on or not each.ends_on or each.starts_on <= each.ends_on for each in instances)
    )


def facts_fit(raw, fleet, facts):
    """Say whether every fact is as it was written, runs forward and names only what there is."""
    keys = {instance.key for customer in fleet.customers for instance in customer.instances}
    customers = {customer.key for customer in fleet.customers}
    majors = {each.version for each in facts.releases if each.component == "intrexx" and each.change_class == "major"}
    named = [each.instance for each in (*facts.deferrals, *facts.pins, *facts.consents, *facts.track_switches)]
    named += [each.instance for each in facts.outages if each.instance is not None]
    named += [name for each in (*facts.windows, *facts.freezes) for name in each.instances]
    return (
        FACTS({name: rows for name, rows in raw.items() if name != "customer"}, facts)
        and set(named) <= keys
        and {name for freeze in facts.freezes for name in freeze.customers} <= customers
        and all(_window_fits(window, facts) for window in facts.windows)
        and all(each.release in majors and ordered(each.start, each.until) for each in facts.deferrals)
        and all(ordered(each.start, each.until) for each in facts.pins)
        and all(ordered(each.start, each.end) for each in facts.freezes)
        and all(each.end is None or each.start <= each.end for each in facts.outages)
        and all(ordered(each.given_at, each.until) for each in facts.consents)
        and unique((each.kind, each.key) for each in facts.windows)
        and unique((each.component, each.version.numbers) for each in facts.releases)
        and unique((each.instance, each.release.numbers) for each in facts.deferrals)
        and unique((each.instance, each.component) for each in facts.pins)
        and unique(each.key for each in facts.freezes)
    )


def _window_fits(window, facts):
    versions = [release.version.numbers for release in facts.releases]
    one_end = (window.end is None) is not (window.duration is None)
    ends = window.end is None or timedelta(0) < window.end - window.start <= timedelta(days=7)
    return one_end and ends and all(each.numbers in versions for each in window.releases)


LEAD = elapsed(0, 62 * 24)
LONG = period(1, 3600)
WEEK = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
OVERRIDE = table(
    "window reason",
    window=lambda raw, value: raw == value and raw.startswith("monthly/20"),
    reason=text,
    start=instant,
    duration=elapsed(60, 168),
    on_holiday=one("keep", "next_working_day", "next_week"),
    skip=flag,
)
CLAUSES = (
    "monthly critical emergency updates availability provisioning environments backup handover support severity "
    "reaction remote_access told"
)
REACTION = mapping(reaction)
CONTRACT = table(
    "name title zone holidays components packages clauses monthly critical emergency deferral availability backup "
    "support reaction provisioning handover",
    name=key,
    title=text,
    zone=zone,
    holidays=table(
        "country",
        country=lambda raw, value: raw == value and len(raw) == 2 and raw.isascii() and raw.isalpha() and raw.isupper(),
        subdivision=lambda raw, value: raw == value and raw.replace(" ", "").isalnum() and len(raw) <= 31,
        language=lambda raw, value: raw == value and raw.replace("_", "").isalpha() and raw.isascii() and len(raw) <= 6,
    ),
    components=some(key),
    packages=some(key),
    clauses=table(CLAUSES, **dict.fromkeys(CLAUSES.split(), text), own_backup=text_or_empty),
    monthly=table(
        "rule time duration reminder",
        rule=lambda raw, value: isinstance(raw, str),  # with its anchor, below
        time=wall_time,
        duration=elapsed(60, 168),
        reminder=lambda raw, value: value.months == 0 and period(1, 62)(raw, value),
        reminder_reading=one("full_days", "elapsed", "wall_clock"),
        on_holiday=one("keep", "next_working_day", "next_week"),
        proof=one("mail", "contract"),
        anchor=day,
        override=rows(OVERRIDE),
    ),
    critical=table("lead", lead=LEAD, consent=one("counts", "deducted")),
    emergency=table("lead", lead=LEAD),
    notice=table(
        "",
        told=one("all", "any"),
        proof=one("accepted", "delivered", "business_hours"),
        margin=LEAD,
        delivery_margin=LEAD,
        hold=LEAD,
        role=key,
    ),
    deferral=table(
        "max remind",
        max=LONG,
        remind=each(LONG),
        after=one("first_window_at_or_after_end", "last_window_before_end"),
        component=key,
    ),
    waves=table("", soak=period(0, 3600), security_soak=period(0, 3600), environments=mapping(number(1, 99))),
    availability=table(
        "target",
        target=share,
        late_maintenance=one("counts_in_full", "outages_only"),
        base=one("deducted", "full_month"),
        deduct=one("worked", "announced"),
        customer_cause=one("developed_component", "any"),
        clause_6_6=one("counts", "excluded"),
    ),
    backup=table("max_age", max_age=elapsed(60, 62 * 24)),
    support=table(
        "weekdays opens closes",
        weekdays=some(one(*WEEK)),
        opens=wall_time,
        closes=wall_time,
        zone=one("local", "utc+1", "earliest"),
        no_hours=one("support_hours", "elapsed"),
        packages_with_hours=each(key),
        round_the_clock=each(key),
    ),
    severity=table("", concurrent=one("operator", "raise")),
    reaction=table(
        "critical major minor",
        critical=REACTION,
        major=REACTION,
        minor=REACTION,
        premium_24x7=one("ticket", "ticket_and_call"),
    ),
    provisioning=table(
        "weekdays", weekdays=some(one(*WEEK)), end=one("end_of_day", "close_of_business", "support_hours_8")
    ),
    mail=table("", sender=email_or_empty),
    environments=mapping(lambda raw, value: raw == value and (raw == "" or host(f"a{raw}", f"a{value}"))),
    production=key,
    tracks=some(key),
    track=key,
    os_component=key,
    handover=LONG,
    late=one("hold", "run"),
    clock_change=one("earlier", "later"),
)


def contract_fits(raw, contract):
    """Say whether every term is as it was written and names only what other terms know."""
    packages, support = set(contract.packages), contract.support
    windows = [override.window for override in contract.monthly.override]
    return (
        CONTRACT(raw, contract)
        and rule(raw["monthly"]["rule"], contract.monthly.rule, contract.monthly.anchor)
        and {contract.os_component, contract.deferral.component} <= set(contract.components)
        and contract.track in contract.tracks
        and contract.production in contract.environments
        and set(contract.waves.environments) <= set(contract.environments)
        and all(
            set(times) == packages
            for times in (contract.reaction.critical, contract.reaction.major, contract.reaction.minor)
        )
        and {*support.packages_with_hours, *support.round_the_clock} <= packages
        and support.opens < support.closes
        and unique(windows)
        and all(
            each.skip is not bool(each.start or each.duration or each.on_holiday) for each in contract.monthly.override
        )
    )
