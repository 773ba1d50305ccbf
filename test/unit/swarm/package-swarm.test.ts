import { afterEach, describe, expect, it } from "vitest";
import type { FetchProgress, SwarmItem } from "../../../node/content/ports.ts";
import { PackageSwarm, type PackagePorts } from "../../../node/swarm/package-swarm.ts";
import { RecentFragments } from "../../../node/swarm/recent-fragments.ts";
import { Bitmap } from "../../../protocol/bitmap.ts";
import { endpointIdOf, type EndpointId } from "../../../protocol/ids.ts";
import { BULK_SEAL_BYTES } from "../../../protocol/exchange.ts";
import {
  LONELY_PORTS,
  MemoryFragments,
  TestOrigin,
  testPackage,
  type TestPackage,
} from "../../support/memory-swarm.ts";

const SELF = endpointIdOf(Buffer.alloc(32, 1));
const PEER = endpointIdOf(Buffer.alloc(32, 2));
const signal = new AbortController().signal;

const open: PackageSwarm[] = [];
afterEach(async () => {
  await Promise.all(open.splice(0).map((swarm) => swarm.close()));
});

interface Setting {
  readonly swarm: PackageSwarm;
  readonly store: MemoryFragments;
  readonly origin: TestOrigin;
  readonly asked: number[];
}

/** One node; `PEER` has everything once it has joined. */
async function node(pack: TestPackage, role: "agent" | "dp" = "agent"): Promise<Setting> {
  const store = new MemoryFragments();
  const origin = new TestOrigin(pack);
  const asked: number[] = [];
  const ports: PackagePorts = {
    store,
    origin: origin.for(SELF),
    recent: new RecentFragments(),
    ask: async (_peer, index) => {
      asked.push(index);
      return {
        kind: "ok",
        bytes: pack.fragments[index]!.bytes,
        seal: Buffer.alloc(BULK_SEAL_BYTES),
      };
    },
    ...LONELY_PORTS,
    // As on a node that has run for a while.
    nowMs: () => performance.now() + 60_000,
  };
  const place = { role, dp: undefined, rank: 0, siteSize: 1 };
  const swarm = new PackageSwarm(pack.item, place, 1, ports);
  open.push(swarm);
  await swarm.open();
  return { swarm, store, origin, asked };
}

function indices(size: number, ...list: readonly number[]): Bitmap {
  const bitmap = new Bitmap(size);
  for (const index of list) bitmap.add(index);
  return bitmap;
}

function everything(size: number): Bitmap {
  return indices(size, ...Array.from({ length: size }, (_none, index) => index));
}

async function fetched({ swarm }: Setting, item: SwarmItem): Promise<FetchProgress> {
  return swarm.fetch(item, signal, () => undefined);
}

function sentBy(origin: TestOrigin): readonly number[] {
  return origin.sent.map(({ index }) => index).toSorted((one, other) => one - other);
}

function joined(peer: EndpointId, have: Bitmap) {
  return { type: "peerJoined", peer, isDp: false, have } as const;
}

describe("a fetch of a part of a package", () => {
  const pack = testPackage(12, 200);

  it("brings what is wanted and nothing else", async () => {
    const setting = await node(pack);

    const { bytes } = await fetched(setting, { ...pack.item, wanted: indices(13, 0, 3, 7) });

    expect(sentBy(setting.origin)).toEqual([0, 3, 7]);
    expect(bytes.origin).toBe(pack.fragments[0]!.bytes.length + 400);
  });

  it("goes on from one round to the next, and ends each by what it wants", async () => {
    const setting = await node(pack);
    await fetched(setting, { ...pack.item, wanted: indices(13, 0) });
    expect(sentBy(setting.origin)).toEqual([0]);

    await fetched(setting, { ...pack.item, wanted: indices(13, 0, 5) });
    expect(sentBy(setting.origin)).toEqual([0, 5]);
    await fetched(setting, pack.item);

    expect(sentBy(setting.origin)).toHaveLength(13);
    expect(setting.swarm.have.isFull).toBe(true);
  });

  it("fetches again what the disk lost between two rounds", async () => {
    const setting = await node(pack);
    const item = { ...pack.item, wanted: indices(13, 0, 4) };
    await fetched(setting, item);
    setting.store.map.delete(pack.fragments[4]!.digest);

    setting.swarm.step(joined(PEER, everything(13)));
    await fetched(setting, item);

    expect(setting.store.has(pack.fragments[4]!.digest)).toBe(true);
    expect(setting.asked).toEqual([4]);
  });

  it("takes what is welcome from a neighbour, and asks no lease for it", async () => {
    const setting = await node(pack, "dp");
    const item = { ...pack.item, wanted: indices(13, 0, 1), welcome: everything(13) };
    await fetched(setting, item);
    expect(sentBy(setting.origin)).toEqual([0, 1]);

    const have = indices(13, 2, 3, 4, 5);
    setting.swarm.step(joined(PEER, have));
    await expect.poll(() => setting.swarm.have.count).toBe(6);

    expect(setting.asked.toSorted((one, other) => one - other)).toEqual([2, 3, 4, 5]);
    expect(sentBy(setting.origin)).toEqual([0, 1]);
  });
});
