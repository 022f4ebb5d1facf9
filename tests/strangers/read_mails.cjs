// Reads mails with mailparser and the calendar in each with ical.js, the library of Thunderbird.
// The argument is the folder that both are in. On standard input: a JSON list of mails; on standard output: what was seen.

const { createRequire } = require("node:module");
const { readFileSync } = require("node:fs");
const { resolve } = require("node:path");

const load = createRequire(resolve(process.argv[2], "reader"));
const { simpleParser } = load("mailparser");
const ICAL = load("ical.js");

const instant = (time) => time.toJSDate().toISOString();
const person = (found) => [found.getFirstParameter("cn"), found.getFirstValue()];

function calendar(text) {
  const whole = new ICAL.Component(ICAL.parse(text));
  const event = whole.getFirstSubcomponent("vevent");
  const value = (name) => event.getFirstPropertyValue(name);
  return {
    method: whole.getFirstPropertyValue("method"),
    uid: value("uid"),
    sequence: value("sequence"),
    stamp: instant(value("dtstamp")),
    start: instant(value("dtstart")),
    end: instant(value("dtend")),
    status: value("status"),
    summary: value("summary"),
    description: value("description"),
    url: value("url"),
    organizer: person(event.getFirstProperty("organizer")),
    attendees: event.getAllProperties("attendee").map(person),
    extra: event
      .getAllProperties()
      .filter((each) => each.name.startsWith("x-"))
      .map((each) => [
        each.name.toUpperCase(),
        each.getFirstValue(),
        each.getFirstParameter("x-maintnote-object-impact") ?? null,
      ]),
  };
}

const addresses = (found) => (found?.value ?? []).map((each) => [each.name, each.address]);

async function mail(text) {
  const found = await simpleParser(Buffer.from(text, "ascii"), { skipTextToHtml: true });
  const parts = found.attachments.map((each) => ({
    type: each.contentType,
    name: each.filename ?? null,
    disposition: each.contentDisposition ?? null,
    content: each.content.toString("utf8"),
  }));
  const event = parts.find((each) => each.type === "text/calendar");
  return {
    from: addresses(found.from),
    to: addresses(found.to),
    reply_to: addresses(found.replyTo),
    subject: found.subject,
    date: found.date.toISOString(),
    message_id: found.messageId,
    in_reply_to: found.inReplyTo ?? null,
    references: found.references ?? null,
    language: found.headers.get("content-language"),
    auto_submitted: found.headers.get("auto-submitted"),
    list: found.headers.get("list"),
    text: found.text,
    html: found.html,
    parts,
    calendar: event ? calendar(event.content) : null,
  };
}

Promise.all(JSON.parse(readFileSync(0, "utf8")).map(mail)).then(
  (seen) => process.stdout.write(JSON.stringify(seen)),
);
