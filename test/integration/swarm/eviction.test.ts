/** What leaves a node's disk on purpose, over real libp2p: left, told to the gate, and fetched again. */
import { randomBytes } from "node:crypto";
import { afterEach, beforeEach, expect, it } from "vitest";
import { ed25519PrivateKey, rawPublicKey } from "../../../protocol/dsse.ts";
import { endpointIdOf, type Digest, type EndpointId } from "../../../protocol/ids.ts";
import type { LeaseRequest } from "../../../protocol/lease.ts";
import type { Origin, Swarm } from "../../../node/content/ports.ts";
import { createSwarm } from "../../../node/swarm/swarm.ts";
import { MemoryFragments, TestOrigin, testPackage } from "../../support/memory-swarm.ts";

const PACK = testPackage(24, 20_000);
const signal = new AbortController().signal;
let store: MemoryFragments;
let origin: TestOrigin;
let requests: LeaseRequest[];
let swarm: Swarm;

beforeEach(async () => {
  store = new MemoryFragments();
  origin = new TestOrigin(PACK, 5);
  requests = [];
  const seed = randomBytes(32);
  swarm = await createSwarm({
    seed,
    fleet: "0123456789abcdef",
    listen: ["/ip4/127.0.0.1/tcp/0"],
    store,
    origin: forgetful(endpointIdOf(rawPublicKey(ed25519PrivateKey(seed)))),
    verifyMembership: () => {
      throw new Error("nobody calls");
    },
    onNews: () => undefined,
    onRefusal: () => undefined,
  });
});
afterEach(async () => {
  await swarm[Symbol.asyncDispose]();
});

/** An origin that forgets what it sent to an endpoint that has it no more, as the gate does. */
function forgetful(id: EndpointId): Origin {
  return {
    lease: async (request, within) => {
      requests.push(request);
      if (request.isGone === true) {
        const { sent } = origin;
        origin = new TestOrigin(PACK, 5);
        origin.sent.push(...sent);
      }
      return origin.for(id).lease(request, within);
    },
    fragment: async (digest, token, within) => origin.for(id).fragment(digest, token, within),
  };
}

async function fetched(): Promise<void> {
  await swarm.fetch(PACK.item, signal, () => undefined);
}

async function evict(digests: readonly Digest[]): Promise<void> {
  for (const digest of digests) await store.delete(digest);
  swarm.evicted(new Set(digests));
}

it("tells the gate that a package is no longer here, and fetches only what went", async () => {
  await fetched();
  const gone = PACK.fragments.slice(5, 9).map(({ digest }) => digest);
  const before = origin.sent.length;

  await evict(gone);
  await expect.poll(() => requests.filter(({ isGone }) => isGone === true)).toHaveLength(1);
  await fetched();

  expect(origin.sent.length - before).toBe(gone.length);
  expect(PACK.fragments.every(({ digest }) => store.has(digest))).toBe(true);
});

it("fetches again what goes while the fetch begins", { timeout: 15_000 }, async () => {
  await fetched();
  const gone = PACK.fragments.slice(5, 9).map(({ digest }) => digest);
  for (const digest of gone) await store.delete(digest);

  const fetching = fetched();
  swarm.evicted(new Set(gone));
  await fetching;

  expect(PACK.fragments.every(({ digest }) => store.has(digest))).toBe(true);
});

it("says nothing of what it has not lost", async () => {
  await fetched();
  swarm.evicted(new Set([testPackage(3, 100, "other").fragments[1]!.digest]));
  await fetched();

  expect(requests.some(({ isGone }) => isGone === true)).toBe(false);
});
