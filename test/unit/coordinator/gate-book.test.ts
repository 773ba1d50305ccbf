import { beforeEach, describe, expect, it } from "vitest";
import { budgetBytes } from "../../../coordinator/core/line/byte-budget.ts";
import { openGateBook, type GateBook, type Grant } from "../../../coordinator/store/gate-book.ts";
import { openMemoryStore } from "../../../coordinator/store/memory-store.ts";
import { openRecords, type Records } from "../../../coordinator/store/records.ts";
import { endpointIdOf, parseDigest } from "../../../protocol/ids.ts";
import type { ForceReason } from "../../../protocol/lease.ts";
import type { WanReason } from "../../../protocol/traffic.ts";

const [one, other] = [1, 2].map((seed) => endpointIdOf(new Uint8Array(32).fill(seed))) as [
  ReturnType<typeof endpointIdOf>,
  ReturnType<typeof endpointIdOf>,
];
const place = { site: "berlin", manifest: parseDigest("a".repeat(64)) };
const DAY_MS = 86_400_000;

let records: Records;
let nowMs: number;
let gate: GateBook;

beforeEach(async () => {
  records = await openRecords(openMemoryStore());
  nowMs = 1_000_000;
  gate = openGateBook(records, () => nowMs);
});

function ask(endpoint: typeof one, force?: ForceReason): WanReason | undefined {
  const event = { type: "request" as const, endpoint, want: [7], release: [], force, dps: [] };
  const { grants } = gate.send(place, event, nowMs);
  return grants.length === 0 ? undefined : gate.reasonOf(place, 7, force);
}

function served(endpoint: typeof one): void {
  gate.send(place, { type: "served", endpoint, index: 7, dps: [] }, nowMs);
}

function grant(reason: WanReason): Grant {
  return { ...place, index: 7, expiresMs: nowMs + 5000, reason };
}

describe("gate book", () => {
  it("names the reason of every grant", () => {
    const first = ask(one);
    served(one);
    nowMs += 5000;
    const again = ask(one);
    served(one);
    // Six of the gaps that the line has shown.
    nowMs += 10_000;
    const forced = ask(other, "holderUnreachable");

    expect([first, again, forced]).toEqual(["lease", "refetched", "holderUnreachable"]);
  });

  it("counts bytes by reason, and those of a transfer that broke off as broken", () => {
    gate.addOriginBytes(one, grant("lease"), 700);
    gate.addOriginBytes(one, grant("holderUnreachable"), 40);
    gate.addOriginBytes(one, grant("lease"), 300);
    gate.lostOriginBytes(grant("lease"), 300);

    const [traffic] = gate.traffic();

    expect(traffic).toMatchObject({
      originBytes: 1040,
      wan: { lease: 700, holderUnreachable: 40, noProgress: 0, refetched: 0, broken: 300 },
    });
  });

  it("counts what a later transfer goes on from as of use, and no more than broke off", () => {
    gate.addOriginBytes(one, grant("lease"), 300);
    gate.lostOriginBytes(grant("lease"), 300);
    gate.keptOriginBytes(grant("lease"), 280);
    gate.keptOriginBytes(grant("lease"), 280);

    const [traffic] = gate.traffic();

    expect(traffic).toMatchObject({ originBytes: 300, wan: { lease: 300, broken: 0 } });
  });

  it("keeps the account over a restart, and takes over accounts without reasons", async () => {
    gate.addOriginBytes(one, grant("refetched"), 25);
    await gate.flush(nowMs);

    const [kept] = openGateBook(records, () => nowMs).traffic();

    expect(kept).toMatchObject({ originBytes: 25, wan: { refetched: 25, lease: 0 } });
  });

  it("is over budget for the endpoint that was sent too much, for a day", () => {
    const wireBytes = 1_000_000;
    gate.addOriginBytes(one, grant("lease"), budgetBytes(wireBytes) + 1);

    const isOver = () =>
      [one, other].map((holder) => gate.isOverBudget(place, holder, wireBytes, nowMs));
    const today = isOver();
    nowMs += DAY_MS;

    expect(today).toEqual([true, false]);
    expect(isOver()).toEqual([false, false]);
  });
});
