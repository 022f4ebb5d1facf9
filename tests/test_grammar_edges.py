"""Hosts, addresses and links at the edges of their grammars."""

import pytest

import maintsched as ms
from maintsched.grammar import email_address, is_ip_address, is_loopback, require_host, require_link
from tests.worlds import contract


def instance(key: str, environment: str = "prod", url: str | None = None) -> ms.Instance:
    return ms.Instance(key=key, host=f"{key}.example", environment=environment, url=url)


def customer(*instances: ms.Instance) -> ms.Customer:
    return ms.Customer(key="acme", name="Acme", language=ms.Language.DE, package="premium", instances=instances)


@pytest.mark.parametrize(
    ("host", "address"),
    [
        ("0.0.0.0", True),
        ("255.255.255.255", True),
        ("2001:db8::1", True),
        ("::", True),
        ("acme.example", False),
        ("a1", False),
        ("256.1.1.1", False),
        ("fe80::1%eth0", False),
    ],
)
def test_an_address_is_told_from_a_name(host, address):
    assert is_ip_address(host) is address


@pytest.mark.parametrize("host", ["256.1.1.1", "1.2.3", "fe80::1%eth0", "a" * 64, "acme-.example", "-acme.example"])
def test_what_is_neither_a_host_name_nor_an_address_is_refused(host):
    with pytest.raises(ms.InvalidValue):
        require_host("host", host)


@pytest.mark.parametrize("host", ["255.255.255.255", "a" * 63, "a.b", "1a", "acme.example"])
def test_hosts_at_the_edges_of_the_grammar_pass(host):
    require_host("host", host)


@pytest.mark.parametrize(
    "address", ["=?utf-8?q?eva?=@acme.example", "eva@b@acme.example", "eva@1.2.3.4", "eva@acme.123", "eva@bß.example"]
)
def test_an_address_that_a_header_or_another_domain_could_be_made_of_is_refused(address):
    with pytest.raises(ms.InvalidValue):
        email_address("email", address)


def test_a_link_may_use_every_port_and_be_two_thousand_characters_long():
    assert require_link("url", "https://x.example:65535/") == "x.example"
    assert require_link("url", "http://x.example/" + "a" * (2000 - 17)) == "x.example"
    for refused in ("https://x.example:65536/", "http://x.example/" + "a" * (2001 - 17), "https://x.example/=?"):
        with pytest.raises(ms.InvalidValue):
            require_link("url", refused)


def test_the_url_of_production_alone_is_what_other_urls_follow_from():
    test, dev = instance("t", "test"), instance("d", "dev", url="https://own.acme.example")
    assert ms.instance_url(contract(), customer(dev, test, instance("p")), test) is None
    both = customer(dev, test, instance("p"), instance("q", url="https://portal.acme.example"))
    assert ms.instance_url(contract(), both, test) == "https://portal-test.acme.example"


def test_a_link_within_a_url_stays_as_it_is():
    test = instance("t", "test")
    linked = customer(test, instance("p", url="https://portal.acme.example/?next=https://other.example/"))
    assert ms.instance_url(contract(), linked, test) == "https://portal-test.acme.example/?next=https://other.example/"


def test_no_url_follows_from_an_address():
    test = instance("t", "test")
    assert ms.instance_url(contract(), customer(test, instance("p", url="https://10.0.0.1/")), test) is None


def test_a_customer_is_found_by_its_key_and_an_unknown_one_is_refused():
    fleet = ms.Fleet(customers=(customer(),))
    assert fleet.customer("acme").name == "Acme"
    with pytest.raises(ms.UnknownName) as refused:
        fleet.customer("amce")
    assert str(refused.value) == 'customer: expected one of acme (did you mean acme?), got "amce"'


@pytest.mark.parametrize("host", ["localhost", "LocalHost", "127.0.0.1", "127.255.9.1", "::1", "0:0:0:0:0:0:0:1"])
def test_these_hosts_are_this_machine(host):
    assert is_loopback(host)


@pytest.mark.parametrize("host", ["localhost.example", "local", "128.0.0.1", "10.0.0.1", "::2", "127.0.0.1.example"])
def test_these_hosts_are_another_machine(host):
    assert not is_loopback(host)
