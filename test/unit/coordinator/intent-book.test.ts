import { generateKeyPairSync } from "node:crypto";
import { beforeEach, describe, expect, it } from "vitest";
import { openIntentBook, type IntentBook } from "../../../coordinator/store/intent-book.ts";
import { openMemoryStore } from "../../../coordinator/store/memory-store.ts";
import { openPresenceBook } from "../../../coordinator/store/presence-book.ts";
import { openRecords, setRecord, type Records } from "../../../coordinator/store/records.ts";
import { TABLES, type EndpointRecord } from "../../../coordinator/store/tables.ts";
import { rawPublicKey } from "../../../protocol/dsse.ts";
import {
  endpointIdOf,
  parseEndpointName,
  parsePackageName,
  parsePackageVersion,
  parseSiteName,
} from "../../../protocol/ids.ts";

const version = parsePackageVersion("1");
const entry = (name: string) => ({ name: parsePackageName(`acme/${name}`), version });
const made = { order: 0, createdMs: 0 };

let records: Records;
let book: IntentBook;
let one: EndpointRecord;
let other: EndpointRecord;
let evaluations = 0;

beforeEach(async () => {
  records = await openRecords(openMemoryStore());
  [one, other] = [endpoint("e1"), endpoint("e2")];
  await put(
    setRecord(TABLES.endpoints, one.id, one),
    setRecord(TABLES.endpoints, other.id, other),
    setRecord(TABLES.endpointGroups, "g", { name: "g", tenant: "default", ...made }),
    setRecord(TABLES.endpointGroups, "h", { name: "h", tenant: "default", ...made, order: 1 }),
    setRecord(TABLES.members, `${one.id}/g`, { group: "g", endpoint: one.id }),
    setRecord(TABLES.members, `${other.id}/h`, { group: "h", endpoint: other.id }),
    ...["g", "h"].flatMap((name) => [
      setRecord(TABLES.packageGroups, name, {
        name,
        entries: [entry(name)],
        additions: {},
        ...made,
      }),
      setRecord(TABLES.assignments, `${name}/${name}`, {
        packageGroup: name,
        endpointGroup: name,
        ...made,
      }),
    ]),
  );
  const presence = openPresenceBook(records, [one, other]);
  evaluations = 0;
  book = openIntentBook(
    { ...records, below: (table, group) => (evaluations++, records.below(table, group)) },
    presence,
    { zone: "UTC", now: () => 0 },
  );
});

function endpoint(name: string): EndpointRecord {
  const { privateKey } = generateKeyPairSync("ed25519");
  return {
    id: endpointIdOf(rawPublicKey(privateKey)),
    name: parseEndpointName(name),
    homeSite: parseSiteName("berlin"),
    isDp: false,
    joinedMs: 0,
  };
}

async function put(...changes: ReturnType<typeof setRecord>[]): Promise<void> {
  await records.change(() => ({ changes, result: undefined }));
}

function wishes(record: EndpointRecord): readonly string[] {
  return book
    .of(record)
    .intents.map((intent) => `${intent.source} ${intent.name} ${intent.package}`);
}

describe("the intent book", () => {
  it("gives each endpoint the wishes of its own groups", () => {
    expect(wishes(one)).toEqual(["wishlist g x g acme/g"]);
    expect(wishes(other)).toEqual(["wishlist h x h acme/h"]);
  });

  it("changes the revision of those whom a change reaches, and of nobody else", async () => {
    const before = [book.revision(one), book.revision(other)];

    const entries = [entry("g"), entry("x")];
    await put(setRecord(TABLES.packageGroups, "g", { name: "g", entries, additions: {}, ...made }));

    expect(book.revision(one)).not.toBe(before[0]);
    expect(book.revision(other)).toBe(before[1]);
    expect(wishes(one)).toHaveLength(2);
  });

  it.each([
    ["a job of its own", () => setRecord(TABLES.containers, "c", { name: "c", ...made })],
    [
      "a window",
      () =>
        setRecord(TABLES.windows, "w", {
          name: "w",
          endpointGroup: "g",
          timeFrames: "1:00-2:00",
          ...made,
        }),
    ],
    [
      "attempts begun anew",
      () => setRecord(TABLES.resets, `${one.id}/acme/g`, { count: 1, atMs: 0 }),
    ],
    [
      "an installed version",
      () => setRecord(TABLES.installed, `${one.id}/acme/g/1`, { ...entry("g"), sinceMs: 0 }),
    ],
  ])("notices %s", async (_name, change) => {
    const job = {
      container: "c",
      endpoint: one.id,
      ...entry("g"),
      operation: "install" as const,
      sequence: 0,
    };
    await put(setRecord(TABLES.containerJobs, `${one.id}/c/0`, job));
    const before = book.revision(one);
    const ofOther = book.revision(other);

    await put(change());

    expect(book.revision(one)).not.toBe(before);
    expect(book.revision(other)).toBe(ofOther);
  });

  it("looks at no endpoint when a wish changes: only those that ask pay for it", async () => {
    book.revision(one);
    evaluations = 0;

    const rule = {
      name: "r",
      endpointGroup: "g",
      packageGroup: "h",
      isEnabled: true,
      snapshot: {},
      ...made,
    };
    await put(setRecord(TABLES.rules, "r", rule));
    const afterChange = evaluations;
    book.revision(one);

    expect(afterChange).toBe(0);
    expect(evaluations).toBeLessThan(10);
    expect(wishes(one)).toContain("rule r acme/h");
  });

  it("keeps the order of creation over a restart", async () => {
    await put(
      setRecord(TABLES.rules, "r", {
        name: "r",
        endpointGroup: "g",
        packageGroup: "g",
        snapshot: {},
        order: 41,
        createdMs: 0,
      }),
    );
    const again = openIntentBook(records, openPresenceBook(records, []), {
      zone: "UTC",
      now: () => 0,
    });

    expect([again.nextOrder(), again.nextOrder()]).toEqual([42, 43]);
  });

  it("SE-5 leaves out a member whose site went to another tenant", async () => {
    const site = {
      name: parseSiteName("berlin"),
      criteria: [],
      order: 0,
      epoch: 0,
      tenant: "acme",
    };
    await put(setRecord(TABLES.sites, "berlin", site));

    expect(book.groupsOf(one)).toEqual([]);
    expect(book.membersOf("g")).toEqual([]);
  });
});
