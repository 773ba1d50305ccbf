import fc from "fast-check";
import { expect, it } from "vitest";
import {
  EMPTY_GATE,
  GATE_DEFAULTS,
  step,
  type GateEvent,
} from "../../../coordinator/core/lease-gate.ts";
import { endpointIdOf } from "../../../protocol/ids.ts";

const endpoints = [1, 2, 3, 4, 5].map((seed) => endpointIdOf(new Uint8Array(32).fill(seed)));
const indices = fc.uniqueArray(fc.integer({ min: 0, max: 6 }), { maxLength: 5 });
const move = fc.record({
  waitMs: fc.integer({ min: 0, max: 9000 }),
  who: fc.nat({ max: 4 }),
  kind: fc.constantFrom("request" as const, "served" as const, "progress" as const),
  want: indices,
  release: indices,
  force: fc.constantFrom(undefined, "holderUnreachable" as const, "noProgress" as const),
  hasDp: fc.boolean(),
});

it("never holds two unexpired unforced leases of one fragment, nor grants a served one without force", () => {
  fc.assert(
    fc.property(fc.array(move, { maxLength: 60 }), (moves) => {
      let state = EMPTY_GATE;
      let nowMs = 1_000_000;
      let forcedInAll = 0;
      const held = new Map<number, { holder: string; untilMs: number }>();
      const served = new Set<number>();
      for (const { waitMs, who, kind, want, release, force, hasDp } of moves) {
        nowMs += waitMs;
        const endpoint = endpoints[who]!;
        const dps = hasDp ? [endpoints[0]!] : [];
        const index = want[0] ?? 0;
        const event: GateEvent =
          kind === "request"
            ? { type: kind, endpoint, want, release, force, dps }
            : { type: kind, endpoint, index, dps };
        const before = state;
        const result = step(state, event, nowMs);
        state = result.state;
        if (event.type === "request") {
          const given = release.filter((gone) => held.get(gone)?.holder === endpoint);
          given.forEach((gone) => held.delete(gone));
          const forced = state.forced.holderUnreachable + state.forced.noProgress - forcedInAll;
          forcedInAll += forced;
          const doubles = result.answer.grants.filter((grant) => {
            const other = held.get(grant.index);
            const isHeld = other !== undefined && other.untilMs > nowMs;
            return served.has(grant.index) || (isHeld && other.holder !== endpoint);
          });
          // A forced grant passes a holder by or an admission rule; it is not a lease.
          const leases = result.answer.grants.filter(
            ({ index: at }) => state.leases.get(at)?.holder === endpoint,
          );
          for (const grant of leases) {
            held.set(grant.index, { holder: endpoint, untilMs: grant.expiresMs });
          }
          expect(doubles.length).toBeLessThanOrEqual(forced);
          expect(state.forcedMs.length).toBeLessThanOrEqual(GATE_DEFAULTS.forcedLimit);
        } else if (event.type === "served") {
          served.add(index);
          held.delete(index);
        } else if (before.leases.get(index)?.holder === endpoint && state.leases.has(index)) {
          held.set(index, { holder: endpoint, untilMs: nowMs + GATE_DEFAULTS.leaseTtlMs });
        }
      }
    }),
    { numRuns: 300 },
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
      expect(step(EMPTY_GATE, event, 5)).toEqual(step(EMPTY_GATE, event, 5));
      expect(EMPTY_GATE.leases.size).toBe(0);
    }),
  );
});
