"""What a customer of the Python package "svix" does, against POSTRIDER_URL with the operator's key POSTRIDER_TOKEN."""

import os
import time
import urllib.request
from datetime import datetime, timedelta, timezone

from receiver import Receiver, report
from svix.api import Svix, SvixOptions
from svix.api.application import ApplicationListOptions
from svix.api.endpoint import EndpointListOptions
from svix.api.event_type import EventTypeDeleteOptions, EventTypeListOptions
from svix.api.message import MessageCreateOptions, MessageGetOptions, MessageListOptions
from svix.api.message_attempt import MessageAttemptListByEndpointOptions
from svix.exceptions import HttpError, HTTPValidationError
from svix.models import (
    AppPortalAccessIn,
    AppPortalCapability,
    ApplicationIn,
    ApplicationPatch,
    EndpointHeadersIn,
    EndpointHeadersPatchIn,
    EndpointIn,
    EndpointPatch,
    EndpointSecretRotateIn,
    EndpointUpsertIn,
    EventExampleIn,
    EventTypeIn,
    EventTypePatch,
    EventTypeUpsertIn,
    MessageIn,
    Ordering,
    RecoverIn,
    ReplayIn,
)

URL, TOKEN = os.environ["POSTRIDER_URL"], os.environ["POSTRIDER_TOKEN"]
UID = "python"

client = Svix(TOKEN, SvixOptions(server_url=URL, timeout=60))
receiver = Receiver()


def kind(name):
    return f"python.{name}"


def everything(list, limit=2):
    """Reads a list page by page."""
    found, iterator = [], None
    for _ in range(1000):
        page = list(limit, iterator)
        assert len(page.data) <= limit
        found += page.data
        if page.done:
            return found
        iterator = page.iterator
    raise AssertionError("a list does not end")


def refused(code, call, about=None):
    try:
        call()
    except HTTPValidationError as error:
        assert code == 422 and error.status_code == 422, error
        assert about in error.detail[0].loc, error
        return
    except HttpError as error:
        assert error.status_code == code and error.code and error.detail, (error.status_code, error)
        return
    raise AssertionError(f"want {code}")


def settle():
    """Returns once every router and deliverer has what was changed until then."""
    request = urllib.request.Request(
        f"{URL}/api/v1/app/{UID}?wait=applied", data=b"{}", method="PATCH",
        headers={"authorization": f"Bearer {TOKEN}", "content-type": "application/json"},
    )
    with urllib.request.urlopen(request, timeout=60) as response:
        assert response.headers["postrider-applied"] == "all", response.headers["postrider-applied"]


def publish(payload, name="contact.created", key=None, **more):
    return client.message.create(
        UID, MessageIn(event_type=kind(name), payload=payload, **more),
        MessageCreateOptions(idempotency_key=key, with_content=True),
    )


def applications():
    made = client.application.create(ApplicationIn(name="Python", uid=UID, metadata={"plan": "a"}))
    assert made.id.startswith("app_") and isinstance(made.created_at, datetime)
    assert client.application.get(UID) == client.application.get(made.id) == made
    assert client.application.get_or_create(ApplicationIn(name="other", uid=UID)).id == made.id
    refused(409, lambda: client.application.create(ApplicationIn(name="again", uid=UID)))
    refused(422, lambda: client.application.create(ApplicationIn(name="")), "name")
    refused(404, lambda: client.application.get("nobody"))

    replaced = client.application.upsert(UID, ApplicationIn(name="Replaced", uid=UID, throttle_rate=500))
    assert (replaced.id, replaced.name, replaced.throttle_rate, replaced.metadata) == (made.id, "Replaced", 500, {})
    patched = client.application.patch(UID, ApplicationPatch(metadata={"plan": "b"}, throttle_rate=None))
    assert (patched.name, patched.throttle_rate, patched.metadata) == ("Replaced", None, {"plan": "b"})

    more = [client.application.create(ApplicationIn(name=f"More {n}")).id for n in range(4)]
    ids = [a.id for a in everything(lambda n, at: client.application.list(ApplicationListOptions(limit=n, iterator=at)))]
    assert len(set(ids)) == len(ids), "an application came twice"
    assert {made.id, *more} <= set(ids)
    newest = client.application.list(ApplicationListOptions(limit=250, order=Ordering.DESCENDING)).data
    assert [a.id for a in newest if a.id in more] == more[::-1]
    for id in more:
        client.application.delete(id)


def event_types():
    schemas = {"1": {"type": "object", "properties": {"id": {"type": "string"}}, "required": ["id"], "examples": [{"id": "example"}]}}
    for name in ("contact.created", "contact.updated", "order.created", "old"):
        client.event_type.create(EventTypeIn(name=kind(name), description=name, schemas=schemas, group_name="python"))
    refused(409, lambda: client.event_type.create(EventTypeIn(name=kind("old"), description="again")))
    got = client.event_type.get(kind("contact.created"))
    assert (got.description, got.group_name, got.deprecated, got.schemas) == ("contact.created", "python", False, schemas)
    patched = client.event_type.patch(kind("old"), EventTypePatch(description="patched", deprecated=True))
    assert (patched.description, patched.deprecated, patched.group_name) == ("patched", True, "python")
    assert client.event_type.upsert(kind("old"), EventTypeUpsertIn(description="replaced")).description == "replaced"

    def names(**more):
        page = lambda n, at: client.event_type.list(EventTypeListOptions(limit=n, iterator=at, **more))
        return {e.name for e in everything(page)}

    client.event_type.delete(kind("old"))
    assert kind("old") not in names()
    assert kind("old") in names(include_archived=True)
    assert client.event_type.get(kind("old")).archived
    content = client.event_type.list(EventTypeListOptions(limit=250, with_content=True)).data
    assert next(e for e in content if e.name == kind("order.created")).schemas == schemas
    client.event_type.delete(kind("old"), EventTypeDeleteOptions(expunge=True))
    refused(404, lambda: client.event_type.get(kind("old")))


def endpoints():
    contacts = client.endpoint.create(UID, EndpointIn(
        url=f"{receiver.url}/contacts", uid="contacts", description="Contacts", metadata={"team": "crm"},
        event_types=[kind("contact.created"), kind("contact.updated")], headers={"X-First": "1"},
    ))
    channel = client.endpoint.create(UID, EndpointIn(url=f"{receiver.url}/channel", uid="channel", channels=["berlin"]))
    assert contacts.id.startswith("ep_") and contacts.disabled is False
    assert set(contacts.event_types) == {kind("contact.created"), kind("contact.updated")}
    assert channel.channels == ["berlin"]
    refused(409, lambda: client.endpoint.create(UID, EndpointIn(url=f"{receiver.url}/x", uid="contacts")))
    refused(422, lambda: client.endpoint.create(UID, EndpointIn(url="no url")), "url")
    listed = everything(lambda n, at: client.endpoint.list(UID, EndpointListOptions(limit=n, iterator=at)), 1)
    assert [e.id for e in listed] == [contacts.id, channel.id]

    client.endpoint.set_headers(UID, "contacts", EndpointHeadersIn(headers={"X-Second": "2", "X-Third": "3", "Authorization": "Bearer hidden"}))
    got = client.endpoint.get_headers(UID, "contacts")
    assert (got.headers, got.sensitive) == ({"X-Second": "2", "X-Third": "3"}, ["Authorization"])
    client.endpoint.patch_headers(UID, "contacts", EndpointHeadersPatchIn(headers={"X-Fourth": "4"}, delete_headers=["X-Third"]))
    assert client.endpoint.get_headers(UID, "contacts").headers == {"X-Second": "2", "X-Fourth": "4"}

    for name in ("contacts", "channel"):
        receiver.secrets[name] = [client.endpoint.get_secret(UID, name).key]
        assert receiver.secrets[name][0].startswith("whsec_")
    settle()


def messages():
    payload = {"id": "42", "name": "Zoë"}
    first = publish(payload, key="one")
    assert first.id.startswith("msg_") and first.payload == payload
    assert publish(payload, key="one").id == first.id
    got = receiver.wait("contacts", first.id)
    assert got["body"]["data"] == payload and got["body"]["type"] == kind("contact.created"), got["body"]
    headers = [got["headers"].get(name) for name in ("x-second", "x-fourth", "x-third", "authorization")]
    assert headers == ["2", "4", None, "Bearer hidden"], headers

    second = publish(payload, "contact.updated", event_id="e-1", tags=["blue"])
    assert second.event_id == "e-1"
    refused(409, lambda: publish(payload, "contact.updated", event_id="e-1"))
    third = publish(payload, "order.created", channels=["berlin", "paris"])
    paris = publish(payload, "order.created", channels=["paris"])
    receiver.wait("contacts", second.id)
    receiver.wait("channel", third.id)
    assert receiver.count("contacts", third.id) + receiver.count("channel", second.id) + receiver.count("channel", paris.id) == 0

    page = lambda n, at: client.message.list(UID, MessageListOptions(limit=n, iterator=at))
    assert [m.id for m in everything(page, 1)] == [paris.id, third.id, second.id, first.id], "newest first"

    def listed(**options):
        return [m.id for m in client.message.list(UID, MessageListOptions(**options)).data]

    assert listed(event_types=[kind("contact.created"), kind("contact.updated")]) == [second.id, first.id]
    assert listed(channel="berlin") == [third.id]
    assert listed(tag="blue") == [second.id]
    assert listed(before=first.timestamp - timedelta(minutes=1)) == []
    assert client.message.get(UID, first.id, MessageGetOptions(with_content=True)).payload == payload
    assert client.message.get(UID, first.id).payload == {}
    assert client.message.get(UID, "e-1").id == second.id
    refused(404, lambda: client.message.get(UID, "nothing"))
    refused(422, lambda: client.message.create(UID, MessageIn(event_type="no spaces", payload={})), "eventType")

    example = client.endpoint.send_example(UID, "contacts", EventExampleIn(event_type=kind("contact.created")))
    assert receiver.wait("contacts", example.id)["body"]["data"] == {"id": "example"}


def until(look):
    for _ in range(1200):
        found = look()
        if found:
            return found
        time.sleep(0.1)
    raise AssertionError("it did not come")


def finished(task, started):
    assert started.id.startswith("qtask_") and started.task == task, started

    def ended():
        now = client.background_task.get(started.id)
        return now if now.status != "running" else None

    now = until(ended)
    assert now.status == "finished", now
    assert any(t.id == started.id for t in client.background_task.list().data)
    return now.data["done"]


def again():
    since = datetime.now(timezone.utc) - timedelta(hours=1)
    sent = publish({"id": "again"})
    receiver.wait("contacts", sent.id)
    client.message_attempt.resend(UID, sent.id, "contacts")
    report(kind="resend", path="contacts", name=sent.id)
    until(lambda: receiver.count("contacts", sent.id) == 2)
    refused(404, lambda: client.message_attempt.resend(UID, "nothing", "contacts"))
    assert finished("endpoint.recover", client.endpoint.recover(UID, "contacts", RecoverIn(since=since))) == 0
    assert finished("endpoint.replay", client.endpoint.replay_missing(UID, "contacts", ReplayIn(since=since))) == 0


def attempted(endpoint, count):
    """Returns an endpoint's attempts once they can be found: the views are a moment behind."""
    page = lambda n, at: client.message_attempt.list_by_endpoint(
        UID, endpoint, MessageAttemptListByEndpointOptions(limit=n, iterator=at, with_msg=True, with_content=True)
    )
    return until(lambda: [found for found in [everything(page)] if len(found) >= count])[0]


def attempts():
    found = attempted("contacts", 3)  # contact.created, contact.updated and the example
    assert [(int(a.status), a.response_status_code) for a in found] == [(0, 204)] * 3, found
    [updated] = [a for a in found if a.msg.event_type == kind("contact.updated")]
    assert (updated.msg.event_id, updated.msg.payload, updated.msg.tags) == ("e-1", {"id": "42", "name": "Zoë"}, ["blue"]), updated

    def listed(**options):
        page = client.message_attempt.list_by_endpoint(UID, "contacts", MessageAttemptListByEndpointOptions(**options))
        return [a.id for a in page.data]

    assert listed(status=2) == listed(status_code_class=500) == []
    assert listed(tag="blue", status=0, status_code_class=200) == [updated.id]
    assert listed(event_types=[kind("contact.updated")]) == [updated.id]
    assert listed(after=updated.timestamp + timedelta(minutes=5)) == []
    assert [a.id for a in client.message_attempt.list_by_msg(UID, "e-1").data] == [updated.id]
    assert client.message_attempt.get(UID, updated.msg_id, updated.id).url.endswith("/contacts")
    sent = client.message_attempt.list_attempted_messages(UID, "contacts").data
    assert [m.id for m in sent] == [a.msg_id for a in found], sent
    assert [e.uid for e in client.message_attempt.list_attempted_destinations(UID, "e-1").data] == ["contacts"]
    stats = client.endpoint.get_stats(UID, "contacts")
    assert (stats.success, stats.fail) == (3, 0), stats
    refused(404, lambda: client.message_attempt.get(UID, "e-1", "atmpt_" + "0" * 27))
    refused(409, lambda: client.message_attempt.expunge_content(UID, "e-1", updated.id))


def rotation():
    before = receiver.secrets["contacts"][0]
    rotated = client.endpoint.rotate_secret(UID, "contacts", EndpointSecretRotateIn())
    assert rotated.key == client.endpoint.get_secret(UID, "contacts").key != before
    settle()
    receiver.secrets["contacts"] = [before, rotated.key]  # both verify in the grace period
    receiver.wait("contacts", publish({"id": "rotated"}).id)


def portal():
    access = client.authentication.app_portal_access(UID, AppPortalAccessIn(capabilities=[AppPortalCapability.VIEW_BASE]))
    assert access.token in access.url
    customer = Svix(access.token, SvixOptions(server_url=URL))
    assert len(customer.endpoint.list(UID).data) == 2
    refused(403, lambda: customer.application.list())
    refused(403, lambda: customer.endpoint.delete(UID, "contacts"))
    customer.authentication.logout()
    refused(401, lambda: customer.endpoint.list(UID))
    refused(401, lambda: Svix("pr_nobody", SvixOptions(server_url=URL)).application.list())


def changes():
    url = client.endpoint.get(UID, "channel").url
    updated = client.endpoint.upsert(UID, "channel", EndpointUpsertIn(url=url, uid="channel", description="all channels"))
    assert (updated.description, updated.channels) == ("all channels", None)
    assert client.endpoint.patch(UID, "contacts", EndpointPatch(disabled=True)).disabled is True
    settle()
    one = publish({"id": "disabled"})
    receiver.wait("channel", one.id)
    assert client.endpoint.patch(UID, "contacts", EndpointPatch(disabled=False)).disabled is False
    settle()
    receiver.wait("contacts", publish({"id": "enabled"}).id)
    assert receiver.count("contacts", one.id) == 0, "a disabled endpoint was sent to"

    client.endpoint.delete(UID, "contacts")
    refused(404, lambda: client.endpoint.get(UID, "contacts"))
    settle()
    three = publish({"id": "deleted"})
    receiver.wait("channel", three.id)
    assert receiver.count("contacts", three.id) == 0, "a deleted endpoint was sent to"
    client.application.delete(UID)
    refused(404, lambda: client.application.get(UID))


for step in (applications, event_types, endpoints, messages, attempts, again, rotation, portal, changes):
    step()
    report(kind="step", name=step.__name__)
receiver.close()
