import { describe, expect, it } from "vitest";
import type { ExchangeManners, Origin } from "../../../node/content/ports.ts";
import { guardedPorts, NO_LIMITS, OwedFragments } from "../../../node/swarm/guarded-ports.ts";
import type { PackagePorts } from "../../../node/swarm/package-swarm.ts";
import { RecentFragments } from "../../../node/swarm/recent-fragments.ts";
import { endpointIdOf } from "../../../protocol/ids.ts";
import { BULK_SEAL_BYTES } from "../../../protocol/exchange.ts";
import {
  LONELY_PORTS,
  MemoryFragments,
  TestOrigin,
  testPackage,
} from "../../support/memory-swarm.ts";

const SELF = endpointIdOf(Buffer.alloc(32, 1));
const PEER = endpointIdOf(Buffer.alloc(32, 2));
const { signal } = new AbortController();
const pack = testPackage(4, 1000);

interface Setting {
  readonly ports: PackagePorts;
  readonly owed: OwedFragments;
  readonly asked: number[];
  readonly wasted: [string, number][];
}

function guarded(
  more: Partial<ExchangeManners> = {},
  here: Pick<ReadonlySet<number>, "has"> = new Set(),
  origin: Origin = new TestOrigin(pack).for(SELF),
): Setting {
  const asked: number[] = [];
  const wasted: [string, number][] = [];
  const owed = new OwedFragments();
  const manners = {
    ...NO_LIMITS,
    wasted: (kind: string, sizeBytes: number) => void wasted.push([kind, sizeBytes]),
    ...more,
  };
  const plain: PackagePorts = {
    store: new MemoryFragments(),
    origin,
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
    nowMs: () => 0,
  };
  const isHere = (index: number): boolean => here.has(index);
  const ports = guardedPorts(pack.item, plain, { manners, owed, isHere });
  return { ports, owed, asked, wasted };
}

describe("guarded ports", () => {
  it("takes the bytes of a request from the download rate before it is sent", async () => {
    const taken: number[] = [];
    const { ports, asked } = guarded({
      download: async (sizeBytes) => {
        expect(asked).toEqual([]);
        taken.push(Math.round(sizeBytes));
      },
    });

    const answer = await ports.ask(PEER, 3);

    expect(answer.kind).toBe("ok");
    expect(taken[0]).toBeGreaterThanOrEqual(1000);
  });

  it("asks no peer for what came from elsewhere while it waited", async () => {
    const here = new Set<number>();
    const { ports, asked } = guarded({ download: async () => void here.add(3) }, here);

    expect(await ports.ask(PEER, 3)).toEqual({ kind: "busy" });
    expect(asked).toEqual([]);
  });

  it("counts fragments that come twice, and those that do not match", async () => {
    // Not here when it is asked for, here when the answer has come.
    const setting: Setting = guarded({}, { has: () => setting.asked.length > 0 });
    const { ports, wasted } = setting;
    await ports.ask(PEER, 3);

    ports.onRefusal({ code: "EXCHANGE_FRAGMENT_CORRUPT", detail: "bad", accused: PEER });
    ports.onRefusal({ code: "EXCHANGE_PEER_REFUSED", detail: "stranger", accused: PEER });

    expect(wasted).toEqual([
      ["duplicate", 1000],
      ["corrupt", 1000],
    ]);
  });

  it("ends a fetch that moves more than its budget", async () => {
    const { ports } = guarded();
    const one = pack.fragments[3]!.bytes.length;
    const rounds = Math.ceil((16 * 1024 * 1024 + 4 * 5000) / one);
    let failure: unknown;
    for (let round = 0; round < 2 * rounds && failure === undefined; round++) {
      failure = await ports.ask(PEER, 3).then(
        () => undefined,
        (error: unknown) => error,
      );
    }

    expect(failure).toMatchObject({ code: "EXCHANGE_OVER_BUDGET", retryable: true });
  });

  it("owes its neighbours what it has a lease for", async () => {
    const { ports, owed } = guarded();
    const { swarm, manifestDigest } = pack.item;

    await ports.origin.lease({ manifest: manifestDigest, want: [2], release: [] }, signal);

    expect(owed.has({ swarm, index: 2 })).toBe(true);
    expect(owed.has({ swarm, index: 3 })).toBe(false);
  });

  it("asks an origin of any make for its fragments, also one that keeps its state to itself", async () => {
    class Counting {
      #asked = 0;
      async lease() {
        return { grants: [], leased: [], retryAfterMs: 0 };
      }
      async fragment() {
        return Buffer.from(`${++this.#asked}`);
      }
    }
    const { ports } = guarded({}, new Set(), new Counting());
    const fetched = await ports.origin.fragment(pack.item.manifestDigest, "token", signal);

    expect(fetched.toString()).toBe("1");
  });
});
