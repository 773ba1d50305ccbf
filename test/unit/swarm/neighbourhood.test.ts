/** Whom a node dials, by the roster, while some cannot be reached. */
import { expect, it } from "vitest";
import type { SwarmPlace } from "../../../node/content/ports.ts";
import { Neighbourhood } from "../../../node/swarm/neighbourhood.ts";
import { endpointIdOf, parseSiteName, type EndpointId } from "../../../protocol/ids.ts";

const [self, ...others] = Array.from({ length: 25 }, (_none, seed) =>
  endpointIdOf(new Uint8Array(32).fill(seed + 1)),
) as [EndpointId, ...EndpointId[]];
/** In a site of more than sixteen. */
const NEIGHBOUR_COUNT = 8;

function unused(): never {
  return expect.fail("nobody is reached");
}

async function refusedDial(): Promise<never> {
  throw new Error("nobody is there");
}

class Office {
  readonly dialled = new Set<EndpointId>();
  nowMs = 0;
  readonly neighbourhood: Neighbourhood;

  constructor(barred: readonly EndpointId[] = [], dialled = refusedDial) {
    this.neighbourhood = new Neighbourhood({
      self,
      dial: async (peer) => {
        this.dialled.add(peer);
        return dialled();
      },
      hello: unused,
      onOpen: unused,
      onMessage: unused,
      onClose: unused,
      onRefusal: unused,
      nowMs: () => this.nowMs,
    });
    const peers = others.map((endpoint) => ({ endpoint, addresses: ["/ip4/127.0.0.1/tcp/1"] }));
    const roster = { site: parseSiteName("office"), peers, dps: [], barred };
    this.neighbourhood.placed({ roster, role: "agent" } as unknown as SwarmPlace);
  }

  /** Dials whoever is due at a time when everybody is. */
  async reach(): Promise<number> {
    this.neighbourhood.reach();
    this.nowMs += 10_000;
    this.neighbourhood.reach();
    await this.neighbourhood.close();
    return this.dialled.size;
  }
}

it("BR-7 dials eight neighbours of a large office, and others for those it cannot reach", async () => {
  const office = new Office();

  expect(await office.reach()).toBe(NEIGHBOUR_COUNT);
  expect(await office.reach()).toBe(2 * NEIGHBOUR_COUNT);
  expect(await office.reach()).toBe(3 * NEIGHBOUR_COUNT);
});

it("BR-7 dials nobody who is barred, and somebody else instead", async () => {
  const usual = new Office();
  await usual.reach();
  const barred = [...usual.dialled].slice(0, 5);
  const office = new Office(barred);

  expect(await office.reach()).toBe(NEIGHBOUR_COUNT);
  expect(barred.some((peer) => office.dialled.has(peer))).toBe(false);
});

it("BR-7 dials nobody else while the eight are being dialled", async () => {
  const answer = Promise.withResolvers<never>();
  const office = new Office([], async () => answer.promise);
  for (const nowMs of [0, 10_000, 10_100, 20_000]) {
    office.nowMs = nowMs;
    office.neighbourhood.reach();
  }

  expect(office.dialled.size).toBe(NEIGHBOUR_COUNT);
  answer.reject(new Error("nobody is there"));
  await office.neighbourhood.close();
});
