import { describe, expect, it } from "vitest";
import { GATE_DEFAULTS } from "../../../coordinator/core/line/gate-state.ts";
import { LeaseStanding } from "../../../node/core/exchange/lease-standing.ts";
import { parseDigest } from "../../../protocol/ids.ts";
import { LEASE_QUIET_MS } from "../../../protocol/lease.ts";

const manifest = parseDigest("a".repeat(64));
const other = parseDigest("b".repeat(64));
const digest = parseDigest("c".repeat(64));

function granted(atMs = 0): LeaseStanding {
  const standing = new LeaseStanding();
  standing.granted("token", { manifest, index: 1, digest, endsMs: atMs + 600_000 }, atMs);
  return standing;
}

describe("the standing of a lease where the gate is not asked", () => {
  it("is never longer than the gate keeps a lease that it hears nothing of", () => {
    expect(LEASE_QUIET_MS).toBeLessThanOrEqual(GATE_DEFAULTS.leaseTtlMs);
  });

  it("ends before the gate may give the fragment to somebody else", () => {
    const standing = granted();

    expect(standing.isInForce("token", 3500)).toBe(true);
    expect(standing.isInForce("token", 3501)).toBe(false);
    expect(standing.isInForce("unknown", 0)).toBe(false);
  });

  it("is made longer by a word that the gate has answered, counted from when it was sent", () => {
    const standing = granted();
    standing.heard(manifest, 2000, 2100);

    expect(standing.isInForce("token", 5500)).toBe(true);
    expect(standing.isInForce("token", 5501)).toBe(false);
  });

  it("is not brought back by a word that may have come after its end, or of another package", () => {
    const late = granted();
    late.heard(manifest, 4900, 5001);
    const strange = granted();
    strange.heard(other, 2000, 2100);

    expect(late.isInForce("token", 4950)).toBe(false);
    expect(strange.isInForce("token", 4000)).toBe(false);
  });

  it("is not brought back once it lapsed", () => {
    const standing = granted();
    standing.lapse(manifest);
    standing.heard(manifest, 100, 200);

    expect(standing.isInForce("token", 300)).toBe(false);
    expect(standing.find("token")?.index).toBe(1);
  });

  it("is forgotten with its token", () => {
    const standing = granted();
    standing.forgetEnded(599_999);
    const before = standing.find("token");
    standing.forgetEnded(600_000);

    expect(before?.digest).toBe(digest);
    expect(standing.find("token")).toBeUndefined();
  });
});
