/** Several nodes in one process over real libp2p sockets on loopback. */
import { createHash, randomBytes } from "node:crypto";
import { afterEach, describe, expect, it, vi } from "vitest";
import type { Membership, Roster } from "../../../protocol/check-in.ts";
import type { Envelope } from "../../../protocol/dsse.ts";
import { ed25519PrivateKey, rawPublicKey } from "../../../protocol/dsse.ts";
import { isSealedBy } from "../../../protocol/fragment-proof.ts";
import { endpointIdOf, parseSiteName, type EndpointId } from "../../../protocol/ids.ts";
import type { FragmentStore, Origin, Refusal, Swarm } from "../../../node/content/ports.ts";
import type { SealsOf } from "../../../node/swarm/fragment-seals.ts";
import { createSwarm } from "../../../node/swarm/swarm.ts";
import { liarsSeals } from "../../support/liars-seals.ts";
import {
  MemoryFragments,
  TestOrigin,
  testPackage,
  type TestPackage,
} from "../../support/memory-swarm.ts";

interface TestNode {
  readonly id: EndpointId;
  readonly role: "agent" | "dp";
  readonly site: string;
  readonly store: FragmentStore;
  readonly swarm: Swarm;
  readonly refusals: Refusal[];
}

const running: Swarm[] = [];

afterEach(async () => {
  await Promise.all(running.splice(0).map(async (swarm) => swarm[Symbol.asyncDispose]()));
});

async function startNode(
  origin: (id: EndpointId) => Origin,
  options: {
    role?: "agent" | "dp";
    site?: string;
    store?: FragmentStore;
    onRefusal?: () => void;
    sealsOf?: SealsOf;
    onNews?: () => void;
  } = {},
): Promise<TestNode> {
  const seed = randomBytes(32);
  const id = endpointIdOf(rawPublicKey(ed25519PrivateKey(seed)));
  const store = options.store ?? new MemoryFragments();
  const refusals: Refusal[] = [];
  const swarm = await createSwarm(
    {
      seed,
      fleet: "0123456789abcdef",
      listen: ["/ip4/127.0.0.1/tcp/0"],
      store,
      origin: origin(id),
      // Membership proper is the trust room's; here its payload is taken as it is.
      verifyMembership: (envelope, endpoint) => {
        const membership = JSON.parse(
          Buffer.from(envelope.payload, "base64").toString(),
        ) as Membership;
        if (membership.endpoint !== endpoint) throw new Error("a foreign membership");
        return membership;
      },
      onNews: () => options.onNews?.(),
      onRefusal: (refusal) => {
        refusals.push(refusal);
        options.onRefusal?.();
      },
    },
    options.sealsOf,
  );
  running.push(swarm);
  return {
    id,
    role: options.role ?? "agent",
    site: options.site ?? "north",
    store,
    swarm,
    refusals,
  };
}

function membershipOf(node: TestNode): Envelope {
  const payload = { endpoint: node.id, site: node.site, role: node.role };
  return {
    payloadType: "t",
    payload: Buffer.from(JSON.stringify(payload)).toString("base64"),
    signature: "",
  };
}

async function placeAll(nodes: readonly TestNode[], barred?: EndpointId[]): Promise<void> {
  for (const node of nodes) {
    const others = nodes.filter(({ id }) => id !== node.id);
    const dps = nodes
      .filter(({ role }) => role === "dp")
      .map((dp, rank) => ({
        endpoint: dp.id,
        site: parseSiteName(dp.site),
        rank,
        addresses: [...dp.swarm.addresses()],
      }));
    const roster: Roster = {
      v: 1,
      endpoint: node.id,
      version: 1,
      site: parseSiteName(node.site),
      epoch: 1,
      criteria: [],
      publicAddress: "127.0.0.1",
      ...(barred === undefined ? {} : { barred }),
      dps,
      peers: others.map((other) => ({
        endpoint: other.id,
        addresses: [...other.swarm.addresses()],
      })),
    };
    const dp = dps.find(({ endpoint }) => endpoint !== node.id);
    await node.swarm.place({
      roster,
      dp: node.role === "dp" ? undefined : dp,
      role: node.role,
      membership: membershipOf(node),
    });
  }
}

async function fetchAll(nodes: readonly TestNode[], pack: TestPackage) {
  const signal = AbortSignal.timeout(60_000);
  return Promise.all(
    nodes.map(async (node) => node.swarm.fetch(pack.item, signal, () => undefined)),
  );
}

function copiesSent(origin: TestOrigin): number[] {
  const counts = new Map<number, number>();
  for (const { index } of origin.sent) counts.set(index, (counts.get(index) ?? 0) + 1);
  return [...counts.values()];
}

describe("the exchange of a site", () => {
  it("BR-7 fills every node without a DP, each fragment once from the origin", async () => {
    const pack = testPackage(60, 100_000);
    const origin = new TestOrigin(pack, 5);
    const nodes = await Promise.all(
      Array.from({ length: 5 }, async () => startNode((id) => origin.for(id))),
    );
    await placeAll(nodes);

    const results = await fetchAll(nodes, pack);

    for (const node of nodes)
      expect((node.store as MemoryFragments).map.size).toBe(pack.fragments.length);
    expect(copiesSent(origin)).toEqual(pack.fragments.map(() => 1));
    for (const { doneBytes } of results)
      expect(doneBytes).toBe(pack.item.manifest.content!.wireBytes);
  });

  it("BR-4 lets the DP alone use the origin while its agents fill from it and from each other", async () => {
    const pack = testPackage(60, 100_000);
    const origin = new TestOrigin(pack, 5);
    const dp = await startNode((id) => origin.for(id), { role: "dp" });
    const agents = await Promise.all(
      Array.from({ length: 4 }, async () => startNode((id) => origin.for(id))),
    );
    await placeAll([dp, ...agents]);

    const results = await fetchAll([dp, ...agents], pack);

    expect(new Set(origin.sent.map(({ endpoint }) => endpoint))).toEqual(new Set([dp.id]));
    expect(origin.sent.length).toBe(pack.fragments.length);
    for (const result of results.slice(1)) {
      expect(result.bytes.origin).toBe(0);
      expect(result.bytes.dp + result.bytes.peer).toBe(pack.item.manifest.content!.wireBytes);
    }
  });

  it("BR-3 drops what a corrupt peer sends, bans it, and still finishes", async () => {
    const pack = testPackage(40, 50_000);
    const origin = new TestOrigin(pack);
    // The origin opens only after the liar was caught twice, so that its lies are asked for.
    origin.isDown = true;
    let caught = 0;
    const onRefusal = () => {
      caught++;
      origin.isDown = caught < 2;
    };
    const evil = new MemoryFragments();
    for (const { digest, bytes } of pack.fragments.slice(1)) {
      const wrong = Buffer.from(bytes);
      wrong[0]! ^= 0xff;
      evil.map.set(digest, wrong);
    }
    evil.map.set(pack.fragments[0]!.digest, pack.fragments[0]!.bytes);
    const liar = await startNode((id) => origin.for(id), { store: evil });
    await liar.swarm.serve(pack.item);
    const nodes = await Promise.all(
      [1, 2].map(async () => startNode((id) => origin.for(id), { onRefusal })),
    );
    await placeAll([liar, ...nodes]);

    await fetchAll(nodes, pack);

    for (const node of nodes) {
      const stored = [...(node.store as MemoryFragments).map.entries()];
      expect(stored.length).toBe(pack.fragments.length);
      for (const [digest, bytes] of stored)
        expect(createHash("sha256").update(bytes).digest("hex")).toBe(digest);
      const accusations = node.refusals.filter(({ code }) => code === "EXCHANGE_FRAGMENT_CORRUPT");
      expect(accusations.every(({ accused }) => accused === liar.id)).toBe(true);
    }
    const all = nodes.flatMap(({ refusals }) => refusals);
    expect(all.length).toBeGreaterThanOrEqual(2);
  });

  it("BR-3 brings away a proof against who signs what it sends, and none where it signs what it should", async () => {
    for (const seals of [true, false]) {
      // Each its own package: the liar of the first goes on serving.
      const pack = testPackage(6, seals ? 20_000 : 20_001);
      const origin = new TestOrigin(pack);
      const evil = new MemoryFragments();
      for (const [at, { digest, bytes }] of pack.fragments.entries()) {
        evil.map.set(digest, at === 0 ? bytes : Buffer.concat([bytes, Buffer.of(1)]));
      }
      origin.isDown = true;
      const options = seals ? { store: evil, sealsOf: liarsSeals } : { store: evil };
      const liar = await startNode((id) => origin.for(id), options);
      const onRefusal = () => {
        origin.isDown = false;
      };
      const node = await startNode((id) => origin.for(id), { onRefusal });
      await liar.swarm.serve(pack.item);
      await placeAll([liar, node]);

      await fetchAll([node], pack);

      const [refusal] = node.refusals;
      expect(refusal).toMatchObject({ code: "EXCHANGE_FRAGMENT_CORRUPT", accused: liar.id });
      expect(refusal?.proof !== undefined).toBe(seals);
      if (refusal?.proof !== undefined) {
        const pair = { sender: liar.id, receiver: node.id };
        expect(isSealedBy(refusal.proof, pair)).toBe(true);
        expect(isSealedBy(refusal.proof, { ...pair, receiver: liar.id })).toBe(false);
      }
    }
  });

  it("BR-3 asks nothing of a member that the roster bars, though it still shows a membership", async () => {
    const pack = testPackage(40, 20_000);
    const origin = new TestOrigin(pack);
    // Neighbours alone have it, so that each of them is asked whom nothing keeps away.
    origin.isDown = true;
    const full = [new MemoryFragments(), new MemoryFragments()] as const;
    for (const { digest, bytes } of pack.fragments) {
      for (const store of full) store.map.set(digest, bytes);
    }
    const reads = vi.spyOn(full[0], "read");
    const barred = await startNode((id) => origin.for(id), { store: full[0] });
    const open = await startNode((id) => origin.for(id), { store: full[1] });
    const node = await startNode((id) => origin.for(id));
    await placeAll([barred, open, node]);
    await Promise.all([barred, open].map(async ({ swarm }) => swarm.serve(pack.item)));
    reads.mockClear();
    await placeAll([barred, open, node], [barred.id]);

    const [result] = await fetchAll([node], pack);

    expect(result?.bytes.peer).toBe(pack.item.manifest.content!.wireBytes);
    expect(reads).not.toHaveBeenCalled();
  });

  it("BR-6 exchanges nothing with a member of another site", async () => {
    const pack = testPackage(10, 20_000);
    const origin = new TestOrigin(pack);
    const full = new MemoryFragments();
    for (const { digest, bytes } of pack.fragments) full.map.set(digest, bytes);
    const south = await startNode((id) => origin.for(id), { site: "south", store: full });
    await south.swarm.serve(pack.item);
    const north = await startNode((id) => origin.for(id));
    await placeAll([south, north]);

    const [result] = await fetchAll([north], pack);

    expect(result!.bytes.peer).toBe(0);
    expect(result!.bytes.origin).toBe(pack.item.manifest.content!.wireBytes);
  });

  it("tells the DP of a package that it has not heard of", async () => {
    const pack = testPackage(4, 1000);
    const origin = new TestOrigin(pack);
    const heard = Promise.withResolvers<void>();
    const dp = await startNode((id) => origin.for(id), {
      role: "dp",
      onNews: () => heard.resolve(),
    });
    const agent = await startNode((id) => origin.for(id));
    await placeAll([dp, agent]);

    const fetched = fetchAll([agent], pack);

    await heard.promise;
    await fetched;
  });

  it("uses the line no more once a fetch is given up, and resumes what it has later", async () => {
    const pack = testPackage(40, 20_000);
    const origin = new TestOrigin(pack, 5);
    const node = await startNode((id) => origin.for(id));
    await placeAll([node]);
    const giveUp = new AbortController();
    const given = node.swarm.fetch(pack.item, giveUp.signal, ({ doneBytes }) => {
      if (doneBytes > 100_000) giveUp.abort(new Error("withdrawn"));
    });

    await expect(given).rejects.toThrow("withdrawn");

    const sentBefore = origin.sent.length;
    expect(sentBefore).toBeLessThan(pack.fragments.length);
    await fetchAll([node], pack);
    // Twice at most what was on its way when the fetch was given up.
    expect(origin.sent.length - pack.fragments.length).toBeLessThanOrEqual(2);
  });

  it("gives a fetch up at once although a peer never answers", async () => {
    const pack = testPackage(8, 20_000);
    const origin = new TestOrigin(pack);
    origin.isDown = true;
    const [page] = pack.fragments;
    const asked = Promise.withResolvers<void>();
    const release = Promise.withResolvers<undefined>();
    const frozen = new MemoryFragments();
    for (const { digest, bytes } of pack.fragments) frozen.map.set(digest, bytes);
    const silent: FragmentStore = {
      has: (digest) => frozen.has(digest),
      write: async (digest, bytes) => frozen.write(digest, bytes),
      delete: async (digest) => frozen.delete(digest),
      read: async (digest) => {
        if (digest === page!.digest) return frozen.read(digest);
        asked.resolve();
        return release.promise;
      },
    };
    const peer = await startNode((id) => origin.for(id), { store: silent });
    await peer.swarm.serve(pack.item);
    const node = await startNode((id) => origin.for(id));
    await placeAll([peer, node]);
    const giveUp = new AbortController();
    const given = node.swarm.fetch(pack.item, giveUp.signal, () => undefined);
    await asked.promise;

    giveUp.abort(new Error("withdrawn"));

    await expect(given).rejects.toThrow("withdrawn");
    release.resolve(undefined);
  });

  it("OCS-18 resumes from what the disk already holds", async () => {
    const pack = testPackage(30, 20_000);
    const origin = new TestOrigin(pack);
    const half = new MemoryFragments();
    for (const { digest, bytes } of pack.fragments.slice(0, 16)) half.map.set(digest, bytes);
    const node = await startNode((id) => origin.for(id), { store: half });
    await placeAll([node]);

    const [result] = await fetchAll([node], pack);

    expect(origin.sent.length).toBe(pack.fragments.length - 16);
    expect(result!.bytes.local).toBe(
      pack.fragments.slice(0, 16).reduce((sum, { bytes }) => sum + bytes.length, 0),
    );
  });

  it("BR-3 fetches again what the disk has lost since it was complete", async () => {
    const pack = testPackage(12, 20_000);
    const origin = new TestOrigin(pack);
    const nodes = [
      await startNode((id) => origin.for(id)),
      await startNode((id) => origin.for(id)),
    ];
    await placeAll(nodes);
    await fetchAll(nodes, pack);
    const [rotten] = nodes;
    const lost = pack.fragments.slice(3, 5);
    const { map } = rotten!.store as MemoryFragments;
    for (const { digest } of lost) map.delete(digest);

    const [result] = await fetchAll([rotten!], pack);

    expect(lost.map(({ digest }) => map.has(digest))).toEqual([true, true]);
    expect(result!.doneBytes).toBe(pack.item.manifest.content!.wireBytes);
    expect(result!.bytes.peer).toBe(40_000);
    expect(copiesSent(origin)).toEqual(pack.fragments.map(() => 1));
  });
});
