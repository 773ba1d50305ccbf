/** What leaves the store while it is being fetched is fetched once more, whenever the store says so. */
import { afterEach, expect, it } from "vitest";
import { PackageSwarm, type PackagePorts } from "../../../node/swarm/package-swarm.ts";
import { RecentFragments } from "../../../node/swarm/recent-fragments.ts";
import { leaveEvicted } from "../../../node/swarm/evicted-packages.ts";
import { endpointIdOf, type Digest } from "../../../protocol/ids.ts";
import {
  LONELY_PORTS,
  MemoryFragments,
  TestOrigin,
  testPackage,
} from "../../support/memory-swarm.ts";

const SELF = endpointIdOf(Buffer.alloc(32, 1));
/** Whatever is read comes from the store. */
class NothingRecent extends RecentFragments {
  override get(): undefined {
    return undefined;
  }
}

const signal = new AbortController().signal;

const open: PackageSwarm[] = [];
afterEach(async () => {
  await Promise.all(open.splice(0).map((swarm) => swarm.close()));
});

/** A write whose fragment leaves again before the write has come to its end. */
class FleetingFragments extends MemoryFragments {
  readonly fleeting = new Set<Digest>();
  onWritten: (digest: Digest) => void = () => undefined;
  onEvicted: (digest: Digest) => Promise<void> = async () => undefined;

  override async write(digest: Digest, bytes: Uint8Array): Promise<void> {
    await super.write(digest, bytes);
    this.onWritten(digest);
    if (!this.fleeting.delete(digest)) return;
    await this.delete(digest);
    await this.onEvicted(digest);
  }
}

const pack = testPackage(12, 100, "evicted");

async function node() {
  const store = new FleetingFragments();
  const origin = new TestOrigin(pack);
  const ports: PackagePorts = {
    store,
    origin: origin.for(SELF),
    recent: new NothingRecent(),
    ask: async () => ({ kind: "lost" }),
    ...LONELY_PORTS,
    nowMs: () => performance.now() + 60_000,
  };
  const place = { role: "agent", dp: undefined, rank: 0, siteSize: 1 } as const;
  const swarm = new PackageSwarm(pack.item, place, 1, ports);
  open.push(swarm);
  await swarm.open();
  store.onEvicted = async (digest) =>
    leaveEvicted([swarm], new Set([digest]), {
      leave: async () => Promise.reject(new Error("it is being fetched")),
      origin: origin.for(SELF),
    });
  return { swarm, store, origin };
}

it.for([
  ["a fragment page", 0],
  ["a content fragment", 5],
  ["the last fragment", 12],
] as const)("S11 fetches %s again that is evicted while it is written", async ([, index]) => {
  const { swarm, store, origin } = await node();
  const { digest } = pack.fragments[index]!;
  store.fleeting.add(digest);

  await swarm.fetch(pack.item, signal, () => undefined);

  expect(pack.fragments.filter((one) => !store.has(one.digest))).toEqual([]);
  expect(origin.sent.filter((one) => one.index === index)).toHaveLength(2);
  expect(origin.sent).toHaveLength(14);
});

it("S11 fetches all again that are evicted while they are written, once each", async () => {
  const { swarm, store, origin } = await node();
  for (const { digest } of pack.fragments) store.fleeting.add(digest);

  await swarm.fetch(pack.item, signal, () => undefined);

  expect(pack.fragments.filter((one) => !store.has(one.digest))).toEqual([]);
  expect(origin.sent).toHaveLength(26);
});

it("S11 does not end a fetch while something is gone that the store has not told of yet", async () => {
  const { swarm, store, origin } = await node();
  let isFirst = true;
  store.onWritten = (digest) => {
    if (store.map.size < pack.fragments.length || !isFirst) return;
    isFirst = false;
    store.map.delete(pack.fragments.find((one) => one.digest !== digest)!.digest);
  };

  await swarm.fetch(pack.item, signal, () => undefined);

  expect(pack.fragments.filter((one) => !store.has(one.digest))).toEqual([]);
  expect(origin.sent).toHaveLength(14);
});
