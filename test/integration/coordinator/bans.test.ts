/** What the coordinator makes of reports about wrong bytes: proofs, words of many, words of one about many. */
import { randomBytes, randomUUID } from "node:crypto";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import type { Roster } from "../../../protocol/check-in.ts";
import type { FragmentProof } from "../../../protocol/fragment-proof.ts";
import type { Digest, SwarmTag } from "../../../protocol/ids.ts";
import type { EndpointDetail, Why } from "../../../protocol/page-api.ts";
import type { BarView } from "../../../protocol/standing.ts";
import {
  digestOf,
  directed,
  membershipIn,
  newFleet,
  rosterIn,
  type TestEndpoint,
  type TestFleet,
} from "./fleet.ts";

const REF = "acme/app@1.0";
const fragments = [randomBytes(50_000), randomBytes(50_000)];
/** Swarm index of the last fragment: a fragment page and a file page come first. */
const LAST = 3;
const WRONG = digestOf(Buffer.from("wrong"));
const HOUR_MS = 3_600_000;

let fleet: TestFleet;
let manifest: Digest;
let swarm: SwarmTag;
let pcs: readonly [TestEndpoint, TestEndpoint, TestEndpoint, TestEndpoint, TestEndpoint];

beforeEach(async () => {
  fleet = await newFleet();
  await fleet.site("berlin", "10.1.0.0/16");
  await fleet.site("bonn", "10.2.0.0/16");
  manifest = (await fleet.publish(REF, fragments)).manifest;
  await fleet.activate(REF);
  await fleet.deploy(REF, { kind: "all" });
  const join = async (at: number): Promise<TestEndpoint> =>
    fleet.join(`pc-${at}`, "berlin", `10.1.0.${at}`);
  pcs = [await join(1), await join(2), await join(3), await join(4), await join(5)];
  const answers = [];
  for (const pc of pcs) answers.push(await pc.checkIn());
  swarm = directed(answers[0]!)["acme/app/1.0"]!.swarm;
});
afterEach(async () => fleet[Symbol.asyncDispose]());

async function accuse(by: TestEndpoint, accused: TestEndpoint, proof?: FragmentProof) {
  const answer = await by.report({
    kind: "refusal",
    id: randomUUID(),
    endpoint: by.id,
    code: "EXCHANGE_FRAGMENT_CORRUPT",
    detail: `peer ${accused.id} sent bytes that do not match`,
    accused: accused.id,
    atMs: fleet.nowMs,
    ...(proof === undefined ? {} : { proof }),
  });
  expect(answer.status).toBe(200);
}

async function bars(): Promise<readonly (readonly [string, string])[]> {
  const answer = await fleet.operator<{ bars: BarView[] }>("GET", "/v1/bars");
  return answer.bars.map(({ name, reason }) => [name, reason] as const);
}

/** The whole roster, whatever was held before. */
async function rosterOf(pc: TestEndpoint): Promise<Roster> {
  pc.held = { ...pc.held, roster: 0 };
  return rosterIn(await pc.checkIn());
}

async function lift(name: string): Promise<void> {
  await fleet.operator("POST", "/v1/bars/lift", { endpoint: name });
}

describe("a proof", () => {
  it("BR-3 takes who signed a wrong digest out of every roster, and tells the operator", async () => {
    const [liar, victim, other] = pcs;
    const proof = liar.seal({ manifest, swarm, index: LAST }, WRONG, victim.id);

    await accuse(victim, liar, proof);

    for (const pc of [victim, other]) {
      const roster = await rosterOf(pc);
      expect(roster.peers.map(({ endpoint }) => endpoint)).not.toContain(liar.id);
      expect(roster.peers).toHaveLength(3);
      expect(roster.barred).toEqual([liar.id]);
    }
    expect(await bars()).toEqual([["pc-1", "proof"]]);
    const { notices } = await fleet.status();
    expect(notices.map(({ code }) => code)).toEqual(["ENDPOINT_BARRED"]);
    expect(notices[0]?.message).toBe(
      "pc-1 is barred from its site: it signed a wrong digest for a fragment that it sent to pc-2",
    );
  });

  it("BR-3 gives the convicted no lease of its site, no peers and no membership of it", async () => {
    const [liar, victim] = pcs;
    const proof = liar.seal({ manifest, swarm, index: LAST }, WRONG, victim.id);
    await accuse(victim, liar, proof);

    const first = await liar.lease(manifest, [LAST]);
    const answer = await liar.checkIn();
    const { grants } = (await victim.lease(manifest, [LAST])).body;

    // What it fetches now is for itself alone: it keeps nobody of the site from the same fragment.
    expect(first.body.grants).toHaveLength(1);
    expect(grants).toHaveLength(1);
    expect(rosterIn(answer)).toMatchObject({ dps: [], peers: [] });
    expect(rosterIn(answer).site).toBeUndefined();
    expect(membershipIn(answer).site).toBe(`none.${liar.id}`);
  });

  it("BR-3 lets the convicted fetch when the line has been free of the others for half a minute", async () => {
    const [liar, victim] = pcs;
    await accuse(victim, liar, liar.seal({ manifest, swarm, index: LAST }, WRONG, victim.id));
    const [own] = (await victim.lease(manifest, [LAST])).body.grants;
    const path = `/v1/fragments/${own!.digest}`;
    expect((await victim.get(path, { "x-branchline-lease": own!.token })).status).toBe(200);
    // From its next check-in on it is at no site.
    await liar.checkIn();
    fleet.nowMs += 10_000;

    const early = (await liar.lease(manifest, [LAST])).body;
    fleet.nowMs += early.retryAfterMs;
    const late = (await liar.lease(manifest, [LAST])).body;

    expect(early).toMatchObject({ grants: [], leased: [], retryAfterMs: 20_000 });
    expect(late.grants).toHaveLength(1);
  });

  it("BR-3 keeps the convicted to the hours of the line that it stands behind", async () => {
    const [liar, victim] = pcs;
    await accuse(victim, liar, liar.seal({ manifest, swarm, index: LAST }, WRONG, victim.id));
    // The clock of the fleet stands on a Friday.
    const policy = { hours: "MON 00:00-01:00", zone: "UTC" };
    await fleet.operator("PUT", "/v1/sites/berlin/policy", policy);
    await liar.checkIn();

    const answer = (await liar.lease(manifest, [LAST])).body;

    expect(answer.grants).toEqual([]);
    expect(answer.retryAfterMs).toBeGreaterThan(0);
  });

  it("BR-3 makes no DP of the convicted: it holds nothing for its site and is not listed, until it is lifted", async () => {
    const [dp, victim] = pcs;
    const other = "acme/other@1.0";
    await fleet.publish(other, [randomBytes(1000)]);
    await fleet.activate(other);
    await fleet.deploy(other, { kind: "endpoint", name: "pc-2" });
    await fleet.operator("PUT", "/v1/endpoints/pc-1/dp", { isEnabled: true });
    const purposes = async () => {
      dp.held = { ...dp.held, directive: 0 };
      const orders = directed(await dp.checkIn());
      return Object.values(orders).flatMap(({ instructions }) => {
        return instructions.map(({ purpose }) => purpose);
      });
    };
    const listed = async () => {
      const { sites, endpoints } = await fleet.status();
      const roles = endpoints.slice(0, 2).map((one) => [one.role, one.dp]);
      return [sites.find(({ name }) => name === "berlin")?.dps, ...roles];
    };
    const full = ["perform", "replicate", "replicate"];
    expect(await purposes()).toEqual(full);
    expect(await listed()).toEqual([["pc-1"], ["dp", null], ["agent", "pc-1"]]);

    await accuse(victim, dp, dp.seal({ manifest, swarm, index: LAST }, WRONG, victim.id));

    expect(await listed()).toEqual([[], ["agent", null], ["agent", null]]);
    expect(await purposes()).toEqual(["perform"]);
    await lift("pc-1");
    expect(await purposes()).toEqual(full);
    expect(await listed()).toEqual([["pc-1"], ["dp", null], ["agent", "pc-1"]]);
  });

  it("BR-3 is on the endpoint's own pages: since when, until when, why, and what ends it", async () => {
    const [liar, victim, one, two] = pcs;
    const pages = async () => [
      (await fleet.operator<EndpointDetail>("GET", "/v1/endpoints/pc-1")).bar,
      (await fleet.operator<Why>("GET", "/v1/endpoints/pc-1/why")).bar,
    ];
    expect(await pages()).toEqual([undefined, undefined]);
    for (const by of [victim, one, two]) await accuse(by, liar);

    const bar = {
      reason: "reports",
      since: new Date(fleet.nowMs).toISOString(),
      until: new Date(fleet.nowMs + 24 * HOUR_MS).toISOString(),
      text: "pc-1 is barred from its site: pc-2, pc-3, pc-4 say that it sends wrong bytes",
      hint: "Check the machine and its program, then: branchline ban lift pc-1",
    };
    expect(await pages()).toEqual([bar, bar]);
  });

  it("BR-3 stands until it is lifted, over a restart, and a copy of it does not count again", async () => {
    const [liar, victim, other] = pcs;
    const proof = liar.seal({ manifest, swarm, index: LAST }, WRONG, victim.id);
    await accuse(victim, liar, proof);
    fleet.nowMs += 30 * 24 * HOUR_MS;
    await fleet.stop();
    await fleet.start();
    expect(await bars()).toEqual([["pc-1", "proof"]]);
    for (const pc of pcs) await pc.checkIn();

    await lift("pc-1");
    await accuse(victim, liar, proof);
    await liar.checkIn();

    expect(await bars()).toEqual([]);
    const roster = await rosterOf(other);
    expect(roster.peers.map(({ endpoint }) => endpoint)).toContain(liar.id);
    expect(roster.barred).toBeUndefined();
    await accuse(victim, liar, liar.seal({ manifest, swarm, index: 1 }, WRONG, victim.id));
    expect(await bars()).toEqual([["pc-1", "proof"]]);
  });

  it("BR-3 convicts nobody who signed the right digest, and by no forged or borrowed proof", async () => {
    const [honest, liar, other] = pcs;
    const at = { manifest, swarm, index: LAST };
    const right = honest.seal(at, digestOf(fragments[1]!), liar.id);
    const forged = liar.seal(at, WRONG, liar.id);
    const borrowed = honest.seal(at, WRONG, other.id);
    const foreignTag = honest.seal({ ...at, swarm: "ab".repeat(32) as SwarmTag }, WRONG, liar.id);
    const noSuchIndex = honest.seal({ ...at, index: 77 }, WRONG, liar.id);
    const noManifest = honest.seal({ ...at, manifest: WRONG }, WRONG, liar.id);

    for (const proof of [right, forged, borrowed, foreignTag, noSuchIndex, noManifest]) {
      await accuse(liar, honest, proof);
    }

    expect(await bars()).toEqual([]);
  });
});

describe("a word without a proof", () => {
  it("BR-3 bars for a day whom three say it of, not two, and not one three times", async () => {
    const [accused, one, two, three] = pcs;
    for (const by of [one, one, one, two]) await accuse(by, accused);
    expect(await bars()).toEqual([]);

    await accuse(three, accused);
    const then = await bars();
    const { peers } = await rosterOf(one);
    fleet.nowMs += 24 * HOUR_MS;
    for (const pc of pcs) await pc.checkIn();

    expect(then).toEqual([["pc-1", "reports"]]);
    expect(peers).toHaveLength(3);
    expect(await bars()).toEqual([]);
    expect((await rosterOf(one)).peers).toHaveLength(4);
  });

  it("BR-3 bars a lone accuser of many, and none of those it accuses", async () => {
    const [liar, one, two, three, other] = pcs;
    for (const accused of [one, two, three]) await accuse(liar, accused);
    expect(await bars()).toEqual([]);

    fleet.nowMs += 10 * 60_000;
    for (const pc of pcs) await pc.checkIn();
    const roster = await rosterOf(other);

    expect(await bars()).toEqual([["pc-1", "doubt"]]);
    expect(roster.barred).toEqual([liar.id]);
    const peers = new Set(roster.peers.map(({ endpoint }) => endpoint));
    expect(peers).toEqual(new Set([one.id, two.id, three.id]));
    await lift("pc-1");
    expect(await bars()).toEqual([]);
  });

  it("BR-3 does not count a word about an endpoint of another site, or about a stranger", async () => {
    const far = await fleet.join("far", "bonn", "10.2.0.1");
    await far.checkIn();
    const stranger = { id: "12D3KooWA".padEnd(52, "a") } as TestEndpoint;
    const [one, two, three] = pcs;
    for (const by of [one, two, three]) {
      await accuse(by, far);
      await accuse(by, stranger);
    }

    expect(await bars()).toEqual([]);
  });

  it("refuses to lift what is not there", async () => {
    await expect(lift("pc-1")).rejects.toThrow(/a bar of endpoint pc-1/u);
    await expect(lift("nobody")).rejects.toThrow(/endpoint nobody/u);
  });
});
