/** Laws of the fragment scheduler, over seeded random sites in virtual time: no sockets, no clock. */
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { endpointIdOf, type EndpointId } from "../../../protocol/ids.ts";
import { VirtualSite, type SiteFaults } from "../../support/virtual-site.ts";

const noFaults: SiteFaults = { deadAtMs: new Map(), corrupt: new Set(), silent: new Set() };

function peerIds(count: number): EndpointId[] {
  return Array.from({ length: count }, (_none, index) => endpointIdOf(Buffer.alloc(32, index + 1)));
}

describe("the scheduler of a whole site", () => {
  it("BR-7 fills every node and takes each fragment over the WAN once, with and without a DP", () => {
    fc.assert(
      fc.property(
        fc.integer({ min: 1, max: 9 }),
        fc.integer({ min: 1, max: 120 }),
        fc.boolean(),
        fc.integer(),
        (nodeCount, fragmentCount, hasDp, seed) => {
          const site = new VirtualSite(peerIds(nodeCount), fragmentCount, hasDp, seed, noFaults);

          site.run(120_000);

          expect(site.missing()).toEqual([]);
          expect(site.originCopies()).toEqual(Array.from({ length: fragmentCount }, () => 1));
        },
      ),
      { numRuns: 60 },
    );
  });

  it("BR-3 finishes with corrupt and silent peers and refetches nothing over the WAN", () => {
    fc.assert(
      fc.property(
        fc.integer({ min: 4, max: 8 }),
        fc.integer({ min: 10, max: 80 }),
        fc.integer(),
        (count, fragments, seed) => {
          const ids = peerIds(count);
          const faults: SiteFaults = {
            deadAtMs: new Map(),
            corrupt: new Set(ids.slice(count - 1)),
            silent: new Set(ids.slice(count - 2, count - 1)),
          };
          const site = new VirtualSite(ids, fragments, false, seed, faults);

          site.run(240_000);

          expect(site.missing()).toEqual([]);
          expect(Math.max(...site.originCopies())).toBe(1);
        },
      ),
      { numRuns: 30 },
    );
  });

  it("goes on when the DP or holders die, at the price of what they had in flight", () => {
    fc.assert(
      fc.property(
        fc.integer({ min: 4, max: 8 }),
        fc.boolean(),
        fc.integer(),
        (count, hasDp, seed) => {
          const ids = peerIds(count);
          const dead = ids[0];
          if (dead === undefined) return;
          const faults: SiteFaults = {
            deadAtMs: new Map([[dead, 2000]]),
            corrupt: new Set(),
            silent: new Set(),
          };
          const site = new VirtualSite(ids, 80, hasDp, seed, faults);

          site.run(240_000);

          expect(site.missing()).toEqual([]);
          const extra = site.originCopies().reduce((sum, copies) => sum + copies - 1, 0);
          expect(extra).toBeLessThanOrEqual(6 + site.forcedCount());
        },
      ),
      { numRuns: 30 },
    );
  });
});
