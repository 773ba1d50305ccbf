import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { TrustStore } from "../../../node/trust/trust-store.ts";
import type { CheckInAnswer } from "../../../protocol/check-in.ts";
import { FleetFixture, DAY, HOUR, NOW, manifestOf, newEndpoint, tempDir } from "./fleet-fixture.ts";

let dir: Awaited<ReturnType<typeof tempDir>>;
let store: TrustStore;
let fleet: FleetFixture;
const app = manifestOf("app", "1.0.0");

beforeEach(async () => {
  dir = await tempDir();
  store = await TrustStore.open(dir.path);
  fleet = new FleetFixture();
  await store.pin(fleet.trust.fleet);
  fleet.publish(app);
});

afterEach(async () => {
  await store.close();
  await dir[Symbol.asyncDispose]();
});

async function expectRefused(answer: CheckInAnswer, code: string): Promise<void> {
  await fleet.expectRefused(store, answer, code);
}

describe("strangers", () => {
  it("BR-2: refuses an answer signed by the keys of another fleet", async () => {
    const stranger = new FleetFixture();
    stranger.publish(app);
    const theirs = stranger.answer([app]);
    const ours = fleet.answer([app]);

    await expectRefused({ ...ours, freshness: theirs.freshness }, "TRUST_SIGNATURE");
    const directive = stranger.directive([stranger.entry(app)], fleet.endpoint);
    await expectRefused(
      { ...ours, directive, freshness: fleet.freshness(directive) },
      "TRUST_SIGNATURE",
    );
    await expectRefused({ ...ours, catalog: theirs.catalog }, "TRUST_SIGNATURE");
    await expectRefused({ ...ours, roster: theirs.roster! }, "TRUST_SIGNATURE");
    await expectRefused({ ...ours, membership: theirs.membership! }, "TRUST_SIGNATURE");
  });

  it("E1: pins a fleet only where its description holds together, and keeps it", async () => {
    const other = new FleetFixture().trust.fleet;
    await using place = await tempDir();
    await using fresh = await TrustStore.open(place.path);

    await expect(fresh.pin({ ...other, fleet: "0".repeat(16) })).rejects.toMatchObject({
      code: "TRUST_METADATA",
    });
    await expect(fresh.pin({ ...other, catalogRoot: other.directorRoot })).rejects.toMatchObject({
      code: "TRUST_METADATA",
    });
    expect(fresh.isPinned()).toBe(false);
    expect(() => fresh.held()).toThrow(expect.objectContaining({ code: "TRUST_NOT_PINNED" }));
    await expect(store.pin(other)).rejects.toMatchObject({ code: "TRUST_OTHER_FLEET" });
    await store.pin(fleet.trust.fleet);
  });

  it("refuses rosters and memberships of others, older ones and expired ones", async () => {
    await fleet.accept(store, { ...fleet.answer([app]), roster: fleet.roster(5) });
    const answer = fleet.answer([app]);

    await expectRefused(
      { ...answer, roster: fleet.roster(6, newEndpoint()) },
      "TRUST_WRONG_ENDPOINT",
    );
    await expectRefused({ ...answer, roster: fleet.roster(4) }, "TRUST_ROLLBACK");
    const memberships = [
      [{ endpoint: newEndpoint() }, "TRUST_WRONG_ENDPOINT"],
      [{ fleet: "0".repeat(16) }, "TRUST_WRONG_ENDPOINT"],
      [{ notAfterMs: NOW + HOUR }, "TRUST_ROLLBACK"],
      [{ notAfterMs: NOW }, "TRUST_EXPIRED"],
    ] as const;
    for (const [change, code] of memberships) {
      await expectRefused(
        { ...answer, roster: fleet.roster(6), membership: fleet.membership(change) },
        code,
      );
    }
  });

  it("S13: verifies the memberships of peers for the swarm", async () => {
    await fleet.accept(store, fleet.answer([app]));
    const peer = newEndpoint();
    const envelope = fleet.membership({ endpoint: peer });

    expect(store.verifyMembership(envelope, peer, NOW)).toMatchObject({
      endpoint: peer,
      role: "agent",
    });
    const refusals = [
      () => store.verifyMembership(envelope, fleet.endpoint, NOW),
      () => store.verifyMembership(envelope, peer, NOW + DAY),
      () => store.verifyMembership(new FleetFixture().membership({ endpoint: peer }), peer, NOW),
    ];
    for (const refusal of refusals) expect(refusal).toThrow();
  });
});
