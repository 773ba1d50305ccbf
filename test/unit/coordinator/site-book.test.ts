import { beforeEach, describe, expect, it } from "vitest";
import { openMemoryStore } from "../../../coordinator/store/memory-store.ts";
import { openPresenceBook, type PresenceBook } from "../../../coordinator/store/presence-book.ts";
import { openRecords, setRecord, type Records } from "../../../coordinator/store/records.ts";
import { openSiteBook, type SiteBook } from "../../../coordinator/store/site-book.ts";
import { openStandingBook } from "../../../coordinator/store/standing-book.ts";
import { TABLES, type Presence } from "../../../coordinator/store/tables.ts";
import {
  endpointIdOf,
  parseEndpointName,
  parseSiteName,
  type EndpointId,
} from "../../../protocol/ids.ts";

const [a, b, dp] = [1, 2, 3].map((seed) => endpointIdOf(new Uint8Array(32).fill(seed))) as [
  EndpointId,
  EndpointId,
  EndpointId,
];
const berlin = parseSiteName("berlin");

const SYSTEM: NonNullable<Presence["system"]> = {
  osName: "Debian",
  osVersion: "12",
  isServer: false,
  memoryBytes: 8 * 1024 ** 3,
  freeDiskGb: 50,
  bootMs: 0,
  hasUser: false,
  macs: [],
};

let records: Records;
let presence: PresenceBook;
let sites: SiteBook;

beforeEach(async () => {
  records = await openRecords(openMemoryStore());
  await set(
    setRecord(TABLES.sites, berlin, { name: berlin, criteria: [], order: 0, epoch: 1 }),
    ...[a, b, dp].map((id, at) => {
      const name = parseEndpointName(`pc-${at}`);
      const record = { id, name, homeSite: berlin, isDp: id === dp, joinedMs: at };
      return setRecord(TABLES.endpoints, id, record);
    }),
  );
  presence = openPresenceBook(records, []);
  sites = openSiteBook(records, presence, openStandingBook(records));
  for (const id of [a, b, dp]) note(id, 1000);
});

async function set(...changes: readonly ReturnType<typeof setRecord>[]): Promise<void> {
  await records.change(() => ({ changes, result: undefined }));
}

function note(id: EndpointId, seenMs: number, change: Partial<Presence> = {}): void {
  presence.note(id, {
    counter: seenMs,
    seenMs,
    gapMs: 0,
    facts: { hostName: "pc", addresses: [], gateways: [] },
    publicAddress: "10.0.0.1",
    site: berlin,
    listen: ["/ip4/10.0.0.1/tcp/1"],
    os: "linux",
    arch: "x64",
    nodeVersion: "1",
    bytes: { local: 0, peer: 0, dp: 0, origin: 0 },
    ...change,
  });
}

function peersAt(nowMs: number): readonly EndpointId[] | undefined {
  return sites.at(berlin, nowMs)?.peers.map(({ record }) => record.id);
}

describe("the listing of a site", () => {
  it("stays the same object over check-ins that change nothing", () => {
    const first = sites.at(berlin, 1000);
    note(a, 2000);
    presence.touch(b, 3000);

    expect(sites.at(berlin, 3000)).toBe(first);
    expect(sites.at(berlin, 122_500)?.peers).toHaveLength(1);
  });

  it("loses who falls silent for two minutes, and regains who speaks again", () => {
    expect(peersAt(1000)).toEqual([a, b]);
    note(a, 100_000);
    expect(peersAt(121_000)).toEqual([a]);
    presence.touch(b, 121_500);
    expect(peersAt(121_500)).toEqual([a, b]);
  });

  it.each([
    ["a second", 1000],
    ["a night", 36_000_000],
  ])("keeps who checks in seldom as long, where its last two were %s apart", (_text, gapMs) => {
    note(a, 1_000_000, { gapMs, system: { ...SYSTEM, checkInMs: 300_000 } });
    note(b, 1_000_000, { gapMs, system: { ...SYSTEM, checkInMs: 1000 } });

    expect(peersAt(1_000_000 + 124_999)).toEqual([a, b]);
    expect(peersAt(1_000_000 + 749_999)).toEqual([a]);
    expect(peersAt(1_000_000 + 750_000)).toEqual([]);
  });

  it("follows moves, other addresses and changes of the site at once", async () => {
    const first = sites.at(berlin, 1000);
    note(a, 1100, { listen: ["/ip4/10.0.0.9/tcp/1"] });
    const second = sites.at(berlin, 1100);
    const { site: _site, ...nowhere } = presence.get(b)!;
    presence.note(b, { ...nowhere, seenMs: 1200 });

    expect(second).not.toBe(first);
    expect(peersAt(1200)).toEqual([a]);
    await set(setRecord(TABLES.sites, berlin, { name: berlin, criteria: [], order: 0, epoch: 2 }));
    expect(sites.at(berlin, 1200)?.site.epoch).toBe(2);
    expect(sites.at("hamburg", 1200)).toBeUndefined();
  });

  it("names the DPs that spoke lately", () => {
    expect(sites.activeDps(berlin, 1000, 30_000)).toEqual([dp]);
    expect(sites.activeDps(berlin, 31_000, 30_000)).toEqual([]);
    presence.touch(dp, 31_000);
    expect(sites.activeDps(berlin, 31_000, 30_000)).toEqual([dp]);
  });
});
