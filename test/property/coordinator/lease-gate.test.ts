import fc from "fast-check";
import { expect, it } from "vitest";
import { GATE_DEFAULTS, newGate, ttlMs } from "../../../coordinator/core/line/gate-state.ts";
import { step, type GateEvent } from "../../../coordinator/core/line/lease-gate.ts";
import { endpointIdOf } from "../../../protocol/ids.ts";

const endpoints = [1, 2, 3, 4, 5].map((seed) => endpointIdOf(new Uint8Array(32).fill(seed)));
const indices = fc.uniqueArray(fc.integer({ min: 0, max: 6 }), { maxLength: 5 });
const move = fc.record({
  waitMs: fc.integer({ min: 0, max: 9000 }),
  who: fc.nat({ max: 4 }),
  kind: fc.constantFrom(
    "request" as const,
    "served" as const,
    "progress" as const,
    "broken" as const,
  ),
  want: indices,
  release: indices,
  force: fc.constantFrom(undefined, "holderUnreachable" as const, "noProgress" as const),
  hasDp: fc.boolean(),
});

const still = { waitMs: 0, who: 0, release: [], force: undefined, hasDp: false };
const brokenAfterItsLease = [
  { ...still, kind: "request" as const, want: [5] },
  { ...still, kind: "request" as const, want: [0], waitMs: 3160 },
  { ...still, kind: "broken" as const, want: [5], waitMs: 1840 },
];
const renewedBesideItsSecondCopy = [
  { ...still, kind: "request" as const, want: [6] },
  {
    ...still,
    kind: "request" as const,
    want: [6],
    waitMs: 2000,
    who: 1,
    force: "holderUnreachable" as const,
  },
  { ...still, kind: "request" as const, want: [6] },
];

it("never holds two unexpired unforced leases of one fragment, nor grants a served one without force", () => {
  fc.assert(
    fc.property(fc.array(move, { maxLength: 60 }), (moves) => {
      const state = newGate();
      let nowMs = 1_000_000;
      let forcedInAll = 0;
      const held = new Map<number, { holder: string; untilMs: number }>();
      const broken = new Set<number>();
      const served = new Map<number, string>();
      for (const { waitMs, who, kind, want, release, force, hasDp } of moves) {
        nowMs += waitMs;
        const endpoint = endpoints[who]!;
        const dps = hasDp ? [endpoints[0]!] : [];
        const index = want[0] ?? 0;
        const event: GateEvent =
          kind === "request"
            ? { type: kind, endpoint, want, release, force, dps }
            : { type: kind, endpoint, index, dps };
        const secondCopies = new Map(
          [...state.forcedLeases].filter(([, { expiresMs }]) => expiresMs > nowMs),
        );
        const answer = step(state, event, nowMs);
        if (event.type === "request") {
          // One second copy at a time, whoever else asks with whatever reason; the first one is not stopped.
          const others = answer.grants.filter(({ index: at }) => {
            const first = held.get(at);
            return first?.holder !== endpoint || first.untilMs <= nowMs;
          });
          for (const { index: at } of others) {
            expect(secondCopies.get(at)?.holder ?? endpoint).toBe(endpoint);
          }
          const given = release.filter((gone) => held.get(gone)?.holder === endpoint);
          given.forEach((gone) => held.delete(gone));
          const forced = state.forced.holderUnreachable + state.forced.noProgress - forcedInAll;
          forcedInAll += forced;
          const doubles = answer.grants.filter((grant) => {
            const other = held.get(grant.index);
            const isHeld = other !== undefined && other.untilMs > nowMs;
            const isSecond = served.has(grant.index) || (isHeld && other.holder !== endpoint);
            return isSecond && !secondCopies.has(grant.index);
          });
          // A forced grant passes a holder by or an admission rule; it is not one of these leases.
          const leases = answer.grants.filter(
            ({ index: at }) => state.leases.get(at)?.holder === endpoint,
          );
          for (const grant of leases) {
            held.set(grant.index, { holder: endpoint, untilMs: grant.expiresMs });
            broken.delete(grant.index);
          }
          expect(doubles.length).toBeLessThanOrEqual(forced);
          const { count, limit } = state.forcedBudget;
          expect(count).toBeLessThanOrEqual(GATE_DEFAULTS.lostFactor * limit);
        } else if (event.type === "served") {
          served.set(index, endpoint);
          held.delete(index);
        } else if (event.type === "progress") {
          // Whoever receives bytes keeps all that it holds, but for a transfer that broke off.
          for (const [at, lease] of held) {
            const isAlive = lease.holder === endpoint && lease.untilMs > nowMs;
            const isRenewed = isAlive && (at === index || !broken.has(at));
            const lifeMs = ttlMs(state, endpoint, { nowMs, settings: GATE_DEFAULTS });
            const untilMs = isRenewed ? nowMs + lifeMs : lease.untilMs;
            held.set(at, { ...lease, untilMs });
            broken.delete(isRenewed ? at : -1);
          }
        } else {
          // What went out to it did not arrive.
          if (served.get(index) === endpoint) served.delete(index);
          // A broken transfer leaves all its holder's leases the same grace.
          const own = [...held].filter(
            ([, lease]) => lease.holder === endpoint && lease.untilMs > nowMs,
          );
          for (const [at, lease] of own) {
            const untilMs = Math.min(lease.untilMs, nowMs + GATE_DEFAULTS.brokenGraceMs);
            held.set(at, { holder: endpoint, untilMs });
          }
          if (held.get(index)?.holder === endpoint) broken.add(index);
        }
        // The model and the gate agree on who holds what, and until when.
        const current = [...held].filter(([, { untilMs }]) => untilMs > nowMs);
        for (const [at, { holder, untilMs }] of current) {
          expect(state.leases.get(at)).toMatchObject({ holder, expiresMs: untilMs });
        }
        expect(state.leases.size).toBe(current.length);
      }
    }),
    { numRuns: 1000, examples: [[brokenAfterItsLease], [renewedBesideItsSecondCopy]] },
  );
});

it("gives the same answer to the same events", () => {
  fc.assert(
    fc.property(indices, fc.nat({ max: 4 }), (want, who) => {
      const event: GateEvent = {
        type: "request",
        endpoint: endpoints[who]!,
        want,
        release: [],
        force: undefined,
        dps: [],
      };
      const [one, other] = [newGate(), newGate()];
      expect(step(one, event, 5)).toEqual(step(other, event, 5));
      expect(one).toEqual(other);
    }),
  );
});

it("frees every lease of a silent holder within the TTL, whatever others do", () => {
  fc.assert(
    fc.property(
      indices,
      fc.array(fc.integer({ min: 1, max: 900 }), { maxLength: 20 }),
      (want, gaps) => {
        const [dead, alive] = [endpoints[0]!, endpoints[1]!];
        const gate = newGate();
        const ask = { type: "request", want, release: [], force: undefined, dps: [] } as const;
        step(gate, { ...ask, endpoint: dead }, 0);
        step(gate, { ...ask, endpoint: alive, want: [99] }, 0);
        let nowMs = 0;
        for (const gapMs of gaps) {
          nowMs += gapMs;
          step(gate, { type: "progress", endpoint: alive, index: 99, dps: [] }, nowMs);
        }
        nowMs = Math.max(nowMs, GATE_DEFAULTS.leaseTtlMs);
        const answer = step(gate, { ...ask, endpoint: endpoints[2]! }, nowMs);

        expect(answer.leased).toEqual([]);
        expect([...gate.leases.values()].some(({ holder }) => holder === dead)).toBe(false);
      },
    ),
  );
});
